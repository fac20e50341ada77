#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --fs finds the partitions of an MBR, logical ones too, and of a GPT;
# swap is emptied if the file systems say that its system is not in use; LVM,
# what is not known, and what lies between partitions is left alone, and so is a
# disk whose table is damaged or contradicts itself.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
requires sfdisk mkfs.ext4 mkswap debugfs e2fsck
[ -x "$(dirname "$VHDTOOL")/vhdfsmap" ] || skip "vhdfsmap was not built"

mkdir d
pattern 5 3000000 >d/file

# put FILE-SYSTEM OFFSET-MIB: over noise, so that unused space is not zeros.
put() { dd if="$1" of=disk.raw bs=1M seek="$2" conv=notrunc status=none; }

noise() # MIB
{
	head -c "$1"M /dev/urandom >disk.raw
	dd if=/dev/zero of=disk.raw bs=1M count=1 conv=notrunc status=none
	dd if=/dev/zero of=disk.raw bs=1M seek=$(($1 - 1)) count=1 \
		conv=notrunc status=none
}

noise 96
head -c 24M /dev/urandom >ext.raw
mkfs.ext4 -q -F -E nodiscard -d d ext.raw
sfdisk -q disk.raw >/dev/null <<-END
	label: dos
	start=2048, size=24MiB, type=83
	start=26MiB, size=8MiB, type=83
	start=36MiB, type=5
	start=37MiB, size=24MiB, type=83
	start=62MiB, size=20MiB, type=82
END
put ext.raw 1
put ext.raw 37
dd if=disk.raw of=swap.raw bs=1M skip=62 count=20 status=none
mkswap -q swap.raw 2>/dev/null >&2
put swap.raw 62
vhdtool convert --block-size 1M disk.raw a.vhdx >/dev/null
status 0 vhdtool compact --fs --json a.vhdx
says out '"name": "partition 1"'
says out '"name": "partition 5"'
equal "ext4 found" "$(grep -c '"found": "ext4, clean' out)" 2
says out '"found": "swap"'
says out '"found": "left alone: no file system known here"'
vhdtool read a.vhdx >after.raw
for at in 1 37; do
	dd if=after.raw of=part.raw bs=1M skip=$at count=24 status=none
	e2fsck -fn part.raw >out 2>&1 || { cat out; fail "e2fsck at $at"; }
done
for at in 26:8 34:2 61:1 83:12; do
	cmp -i $((${at%:*} << 20)) -n $((${at#*:} << 20)) disk.raw after.raw
done
status 0 vhdtool check a.vhdx

# The system's state was saved, and its swap is a part of that: then its file
# systems are not in order. Or nothing tells.
cp ext.raw used.raw
debugfs -w -R "set_super_value state 0" used.raw 2>/dev/null
cp disk.raw good.raw
for off in 1 37; do
	put used.raw $off
	rm -f s.vhdx
	vhdtool convert --block-size 1M disk.raw s.vhdx >/dev/null
	cp good.raw disk.raw
	status 0 vhdtool compact --fs --dry-run s.vhdx
	says out "ext: left alone, it was not unmounted"
	says out "ext4, clean"
	says out "swap: left alone"
done
# A system does not live in the FAT that it boots from.
truncate -s 8M fat.raw
if mkfs.vfat fat.raw >/dev/null 2>&1; then
	put fat.raw 26
	vhdtool convert --block-size 1M disk.raw f.vhdx >/dev/null
	cp good.raw disk.raw
	status 0 vhdtool compact --fs --dry-run f.vhdx
	says out "left alone: vfat"
	says_not out "swap: left alone"
fi
vhdtool convert --block-size 1M swap.raw s2.vhdx >/dev/null
status 0 vhdtool compact --fs --dry-run s2.vhdx
says out "swap: left alone"

# refused WHY: the disk's table is not to be relied upon.
refused()
{
	rm -f bad.vhdx
	vhdtool convert --block-size 1M disk.raw bad.vhdx >/dev/null
	status 0 vhdtool compact --fs --dry-run bad.vhdx
	says out "the disk       left alone: $1"
}
entry() # FILE ENTRY TYPE FIRST COUNT
{
	{
		printf "\\0\\0\\0\\0\\x$3\\0\\0\\0"
		for v in "$4" "$5"; do
			for i in 0 8 16 24; do
				printf "\\x$(printf %02x $((v >> i & 255)))"
			done
		done
	} | dd of="$1" bs=1 seek=$((446 + 16 * $2)) conv=notrunc status=none
}
entry disk.raw 1 83 45056 8192
refused "partitions overlap"
cp good.raw disk.raw
entry disk.raw 1 83 75776 2048
refused "partitions overlap"
cp good.raw disk.raw
entry disk.raw 2 5 73728 40960
refused "a logical partition is not in the extended one"
cp good.raw disk.raw
entry disk.raw 1 83 0 16
refused "a partition is over the partition table"
cp good.raw disk.raw
entry disk.raw 1 83 53248 200000
refused "a partition is not on the disk"
cp good.raw disk.raw

# Windows' dynamic disks: what looks like a file system goes on elsewhere.
printf 'B' | dd of=disk.raw bs=1 seek=450 conv=notrunc status=none
vhdtool convert --block-size 1M disk.raw l.vhdx >/dev/null
status 0 vhdtool compact --fs --dry-run l.vhdx
says out "partition 1    24 MiB at 1048576: left alone: its partition type"

noise 64
sfdisk -q disk.raw >/dev/null <<-END
	label: gpt
	start=2048, size=24MiB
	start=30MiB, size=16MiB
END
put ext.raw 1
printf 'LABELONE\0\0\0\0\0\0\0\0' |
	dd of=disk.raw bs=1 seek=$(((30 << 20) + 512)) conv=notrunc status=none
printf 'LVM2 001' |
	dd of=disk.raw bs=1 seek=$(((30 << 20) + 536)) conv=notrunc status=none
vhdtool convert --block-size 1M disk.raw g.vhdx >/dev/null
cp g.vhdx h.vhdx
status 0 vhdtool compact --fs g.vhdx
says out "partition 1    24 MiB at 1048576: ext4, clean"
says out "partition 2    16 MiB at 31457280: left alone"
vhdtool read g.vhdx >after.raw
cmp -i $((30 << 20)) -n $((16 << 20)) disk.raw after.raw

# An MBR that names another partition, or none that guards the GPT.
cp disk.raw good.raw
entry disk.raw 1 83 2048 2048
refused "its MBR and its GPT contradict each other"
dd if=/dev/zero of=disk.raw bs=512 count=1 conv=notrunc status=none
refused "its MBR and its GPT contradict each other"
cp good.raw disk.raw
dd if=/dev/zero of=disk.raw bs=512 seek=1 count=1 conv=notrunc status=none
refused "the GPT is damaged, but for its backup"

# One bit of the GPT.
printf '\377' | vhdtool write --offset 1100 h.vhdx >/dev/null
vhdtool read h.vhdx >want
status 0 vhdtool compact --fs h.vhdx
says out "the GPT is damaged"
vhdtool read h.vhdx | cmp - want
