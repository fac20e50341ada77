#!/bin/bash
# SPDX-License-Identifier: MIT
# A dry run of a merge tells what each file gives, what goes and what it needs,
# the JSON has the same, the real run does that, and only the real one changes
# anything.
. "$(dirname "$0")/lib.sh"

M=1048576
vhdtool create --block-size 1M base.vhdx 32M >/dev/null
pattern 1 $((2 * M)) | vhdtool write base.vhdx >/dev/null
vhdtool create --parent base.vhdx one.vhdx >/dev/null
pattern 2 65536 | vhdtool write --offset $((M - 32768)) one.vhdx >/dev/null
pattern 3 4096 | vhdtool write --offset 20M one.vhdx >/dev/null
vhdtool create --parent one.vhdx leaf.vhdx >/dev/null
pattern 4 8192 | vhdtool write --offset $((20 * M + 1048572 / 512 * 512)) \
	leaf.vhdx >/dev/null
vhdtool write --zeroes --length 2M leaf.vhdx >/dev/null
vhdtool create --parent leaf.vhdx grand.vhdx >/dev/null
vhdtool read leaf.vhdx >model
before=$(sum ./*.vhdx)

status 0 vhdtool merge --dry-run --into base.vhdx leaf.vhdx
equal sums "$(sum ./*.vhdx)" "$before"
equal files "$(echo ./*)" "./base.vhdx ./err ./grand.vhdx ./leaf.vhdx ./model ./one.vhdx ./out"
says out "would merge leaf.vhdx into base.vhdx"
says out "leaf.vhdx: 8192 (8 KiB) of data and $((2 * M)) (2 MiB) of zeros, would be removed"
says out "one.vhdx: 4096 (4 KiB) of data and 0 of zeros, would be removed"
says out "grand.vhdx: its child, would be re-linked"
says out "blocks to allocate: $((2 * M)) (2 MiB)"

status 0 vhdtool merge --dry-run --json --into base.vhdx leaf.vhdx
cp out dry
equal sums "$(sum ./*.vhdx)" "$before"
equal data "$(grep -c '"data": 12288' dry)" 1
equal zeros "$(grep -c "\"zeros\": $((2 * M))" dry)" 2
equal allocate "$(json allocate dry)" $((2 * M))
[ "$(json need dry)" -ge 12288 ] || fail "it needs what is copied"

status 0 vhdtool merge --json --into base.vhdx leaf.vhdx
equal removed "$(json removed_files out)" 2
equal relinked "$(json relinked_files out)" 1
equal data "$(grep -c '"data": 12288' out)" 1
vhdtool read base.vhdx | cmp - model
vhdtool read grand.vhdx | cmp - model
equal files "$(echo ./*.vhdx)" "./base.vhdx ./grand.vhdx"
