#!/bin/bash
# SPDX-License-Identifier: MIT
# an ext4 in a chain passes e2fsck, every file unchanged, after each merge,
# compact --fs, growing and shrinking
. "$(dirname "$0")/lib.sh"
requires mkfs.ext4 e2fsck debugfs sfdisk

# The disk is 96 MiB, its one partition 64 MiB from 1 MiB on.
part() { dd if="$1" of=part.raw bs=1M skip=1 count=64 status=none; }

# files: the sums of all files of part.raw.
files()
{
	rm -rf files
	mkdir files
	debugfs -R "rdump / files" part.raw 2>/dev/null
	(cd files && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

# sound IMAGE WHAT: the file system in it is in order and has the files.
sound()
{
	vhdtool convert --force "$1" view.raw >/dev/null
	part view.raw
	e2fsck -fn part.raw >fsck.out 2>&1 ||
		{ cat fsck.out; fail "$2: e2fsck finds errors"; }
	files >now.sums
	cmp sums now.sums || fail "$2: the files differ"
	vhdtool check "$1" >check.out || { cat check.out; fail "$2: check"; }
}

# change SEED IMAGE: other files come, an old one goes.
change()
{
	vhdtool convert --force "$2" old.raw >/dev/null
	cp old.raw new.raw
	part new.raw
	for i in 1 2 3; do
		pattern "$1$i" $((i * 700000)) >piece
		debugfs -w -R "write piece new$1-$i" part.raw 2>/dev/null
	done
	debugfs -w -R "rm old$1" part.raw 2>/dev/null
	dd if=part.raw of=new.raw bs=1M seek=1 conv=notrunc status=none
	store_changes old.raw new.raw "$2"
	files >sums
}

# Free space is full of rubbish, as on a disk that has been in use.
pattern 99 $((96 << 20)) >disk.raw
mkdir tree
for i in 1 2 3 4; do
	pattern $i $((i * 900000)) >tree/old$i
done
part disk.raw
mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0 -d tree part.raw
dd if=part.raw of=disk.raw bs=1M seek=1 conv=notrunc status=none
sfdisk -q disk.raw <<<'1MiB,64MiB,L'
vhdtool convert --block-size 1M disk.raw base.vhdx >/dev/null

vhdtool create --parent base.vhdx c1.avhdx >/dev/null
change 1 c1.avhdx
vhdtool create --parent c1.avhdx --block-size 1M c2.avhdx >/dev/null
change 2 c2.avhdx
vhdtool create --parent c2.avhdx c3.avhdx >/dev/null
change 3 c3.avhdx
sound c3.avhdx "the chain"

vhdtool merge c3.avhdx >/dev/null
sound c2.avhdx "after a merge of one level"
vhdtool compact --fs c2.avhdx >/dev/null
sound c2.avhdx "after compacting the child"
vhdtool merge --into base.vhdx c2.avhdx >/dev/null
sound base.vhdx "after a merge of two levels"

before=$(stat -c %s base.vhdx)
vhdtool compact --fs base.vhdx >/dev/null
[ "$(stat -c %s base.vhdx)" -lt $((before - (20 << 20))) ] ||
	fail "compact --fs: $before bytes before, $(stat -c %s base.vhdx) now"
sound base.vhdx "after compact --fs"
vhdtool resize base.vhdx 5G >/dev/null
vhdtool resize --shrink base.vhdx 96M >/dev/null
sound base.vhdx "after growing and shrinking"
