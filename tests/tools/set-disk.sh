#!/bin/bash
# SPDX-License-Identifier: MIT
# The disk id and the physical sector size are changed and nothing else: not the
# content, and not where there are children, unless --force says so.
. "$(dirname "$0")/lib.sh"

vhdtool create disk.vhdx 10M >/dev/null
pattern 1 3000000 | vhdtool write disk.vhdx >/dev/null
vhdtool read disk.vhdx >model
cp disk.vhdx copy
id=01234567-89ab-cdef-0123-456789abcdef

status 0 vhdtool set --dry-run --disk-id $id disk.vhdx
says out "disk id: $id"
cmp disk.vhdx copy
status 0 vhdtool set --disk-id $id --physical-sector-size 512 disk.vhdx
says out "physical sector size: 512, was 4096"
vhdtool info --json disk.vhdx >info
equal id "$(json disk_id info)" $id
equal sector "$(json physical_sector_size info)" 512
vhdtool read disk.vhdx | cmp - model
status 0 vhdtool check disk.vhdx
cp disk.vhdx copy
status 0 vhdtool set --disk-id $id disk.vhdx
says out "all so already"
cmp disk.vhdx copy

status 0 vhdtool set --json --disk-id new disk.vhdx
equal old "$(json old_disk_id out)" $id
[ "$(json disk_id out)" != $id ] || fail "the id is no new one"
equal id "$(json disk_id out)" \
	"$(vhdtool info --json disk.vhdx >info; json disk_id info)"

# Children are in the way.
vhdtool create --parent disk.vhdx child.avhdx >/dev/null
cp disk.vhdx copy
status 6 vhdtool set --disk-id new disk.vhdx
says err child.avhdx
cmp disk.vhdx copy
status 0 vhdtool set --force --physical-sector-size 4K disk.vhdx
status 6 vhdtool read child.avhdx
status 0 vhdtool set --disk-id new child.avhdx

status 2 vhdtool set disk.vhdx
status 2 vhdtool set --disk-id 1234 disk.vhdx
says err "no disk id"
status 2 vhdtool set --physical-sector-size 1000 disk.vhdx
status 3 vhdtool set --disk-id new nothing.vhdx
truncate -s 1M disk.raw
status 1 vhdtool set --disk-id new disk.raw
