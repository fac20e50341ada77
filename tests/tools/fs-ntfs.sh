#!/bin/bash
# SPDX-License-Identifier: MIT
# an NTFS in a chain passes ntfsfix, every file unchanged, after merge, compact
# --fs, growing and shrinking
. "$(dirname "$0")/lib.sh"
requires mkntfs ntfsfix ntfscp ntfscat sfdisk

# The disk is 96 MiB, its one partition 64 MiB from 1 MiB on.
part() { dd if="$1" of=part.raw bs=1M skip=1 count=64 status=none; }

put() # SEED LEN NAME: a file of part.raw
{
	pattern "$1" "$2" >piece
	ntfscp -q -f part.raw piece "$3"
	sha256sum <piece >"$3.sum"
}

# sound IMAGE WHAT: the file system in it is in order and has the files.
sound()
{
	local sum
	vhdtool convert --force "$1" view.raw >/dev/null
	part view.raw
	ntfsfix -n part.raw >fsck.out 2>&1 ||
		{ cat fsck.out; fail "$2: ntfsfix finds errors"; }
	for sum in *.sum; do
		ntfscat -f part.raw "${sum%.sum}" | sha256sum | cmp - "$sum" ||
			fail "$2: ${sum%.sum} differs"
	done
	vhdtool check "$1" >check.out || { cat check.out; fail "$2: check"; }
}

pattern 99 $((96 << 20)) >disk.raw
dd if=disk.raw of=part.raw bs=1M count=64 status=none
mkntfs -q -Q -F -p 2048 -H 255 -S 63 part.raw >/dev/null 2>&1
for i in 1 2 3; do
	put $i $((i * 1000000)) old$i
done
dd if=part.raw of=disk.raw bs=1M seek=1 conv=notrunc status=none
sfdisk -q disk.raw <<<'1MiB,64MiB,7'
vhdtool convert --block-size 1M disk.raw base.vhdx >/dev/null

vhdtool create --parent base.vhdx c1.avhdx >/dev/null
put 12 1500000 old2
put 14 2500000 new4
cp disk.raw new.raw
dd if=part.raw of=new.raw bs=1M seek=1 conv=notrunc status=none
store_changes disk.raw new.raw c1.avhdx
sound c1.avhdx "the chain"

vhdtool merge c1.avhdx >/dev/null
sound base.vhdx "after a merge"
before=$(stat -c %s base.vhdx)
vhdtool compact --fs base.vhdx >/dev/null
[ "$(stat -c %s base.vhdx)" -lt $((before - (20 << 20))) ] ||
	fail "compact --fs: $before bytes before, $(stat -c %s base.vhdx) now"
sound base.vhdx "after compact --fs"
vhdtool resize base.vhdx 5G >/dev/null
vhdtool resize --shrink base.vhdx 96M >/dev/null
sound base.vhdx "after growing and shrinking"
