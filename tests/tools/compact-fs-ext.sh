#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --fs drops what a clean ext4 does not use, and keeps all its files;
# one with errors, or with a journal to replay, or whose bitmap contradicts
# itself, is left alone; children are cut off only with --force.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
requires mkfs.ext4 debugfs e2fsck dumpe2fs
[ -x "$(dirname "$VHDTOOL")/vhdfsmap" ] || skip "vhdfsmap was not built"

# dumps IMAGE: checksums of the files in it.
dumps()
{
	local i
	for i in 2 4 6 8; do
		debugfs -R "cat /f$i" "$1" 2>/dev/null | sha256sum
	done
}

mkdir d
for i in 1 2 3 4 5 6 7 8; do
	pattern $i $((i * 700000)) >d/f$i
done
mkfs.ext4 -q -F -d d fs.raw 64M
for i in 1 3 5 7; do echo "rm f$i"; done >cmds
debugfs -w -f cmds fs.raw >/dev/null 2>&1
want=$(dumps fs.raw)

try() # FILE
{
	vhdtool convert --block-size 1M fs.raw "$1" >/dev/null
	cp "$1" was
	status 0 vhdtool compact --fs --dry-run "$1"
	says out "ext4, clean"
	cmp "$1" was
	status 0 vhdtool compact --fs "$1"
	says out "not used by the file systems"
	[ "$(stat -c %s "$1")" -lt "$(stat -c %s was)" ] ||
		fail "$1 is as long as it was"
	status 0 vhdtool check "$1"
	vhdtool read "$1" >after.raw
	e2fsck -fn after.raw >out 2>&1 || { cat out; fail "e2fsck: $1"; }
	equal "files of $1" "$(dumps after.raw)" "$want"
}

try a.vhdx
try a.vhd

# In a child VHD an absent block is the parent's: nothing can be dropped.
vhdtool create --type differencing --parent a.vhd c.avhd >/dev/null
vhdtool write c.avhd <fs.raw >/dev/null
status 0 vhdtool compact --fs c.avhd
says out "a differencing VHD has no blocks that are known to be unused"
vhdtool read c.avhd | cmp - fs.raw

left_alone() # WHY DEBUGFS-COMMAND...
{
	cp fs.raw bad.raw
	printf '%s\n' "${@:2}" >cmds
	debugfs -w -f cmds bad.raw >/dev/null 2>&1
	rm -f bad.vhdx
	vhdtool convert --block-size 1M bad.raw bad.vhdx >/dev/null
	status 0 vhdtool compact --fs bad.vhdx
	says out "left alone, $1"
	vhdtool read bad.vhdx | cmp - bad.raw
}

left_alone "it was not unmounted" "set_super_value state 0"
left_alone "it has errors" "set_super_value state 3"
left_alone "its journal" "feature needs_recovery"
left_alone "it has orphaned files" "set_super_value last_orphan 12"
left_alone "it has orphaned files" "feature orphan_file orphan_present"
left_alone "it may be mounted" "feature mmp"

# A block of the journal, of the inode table, of the copy of the superblock in
# group 1 that the bitmap calls free; then the counts say so too.
dumpe2fs fs.raw >dump 2>/dev/null
field() { sed -n "s/^ *$1\([0-9]*\).*/\1/p" dump; }
all=$(field "Free blocks: *" | head -n 1)
mapfile -t in_group < <(sed -n 's/^ *\([0-9]*\) free blocks,.*/\1/p' dump)
for block in "$(debugfs -R "bmap <8> 5" fs.raw 2>/dev/null)" \
	     "$(field "Inode table at " | head -n 1)" \
	     "$(field "Backup superblock at " | head -n 1)"; do
	group=$(((block - $(field "First block: *")) /
		$(field "Blocks per group: *")))
	left_alone "its block bitmap" "freeb $block"
	left_alone "its block bitmap" "freeb $block" \
		"set_bg $group free_blocks_count $((in_group[group] + 1))" \
		"set_bg $group checksum calc" \
		"set_super_value free_blocks_count $((all + 1))"
done

vhdtool convert --block-size 1M fs.raw p.vhdx >/dev/null
vhdtool create --type differencing --parent p.vhdx c.avhdx >/dev/null
cp p.vhdx was
status 6 vhdtool compact --fs p.vhdx
cmp p.vhdx was
status 0 vhdtool compact p.vhdx
vhdtool read c.avhdx | cmp - fs.raw
status 0 vhdtool compact --fs c.avhdx
status 0 vhdtool compact --fs --force p.vhdx
