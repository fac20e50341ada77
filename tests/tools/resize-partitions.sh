#!/bin/bash
# SPDX-License-Identifier: MIT
# A disk is not cut into its last partition: MBR, logical partitions, GPT, its
# backup, a table that is damaged; sectors of 512 and 4096 bytes.
. "$(dirname "$0")/lib.sh"
requires sfdisk fdisk

# try MIN: less than MIN is refused, MIN is not.
try()
{
	cp disk.raw copy
	status 1 vhdtool resize --shrink disk.raw $(($1 - 512))
	says err "no less than $1 bytes"
	cmp disk.raw copy
	status 0 vhdtool resize --json --shrink --dry-run disk.raw "$1"
	equal minimum "$(json minimum_size out)" "$1"
	status 0 vhdtool resize --shrink disk.raw "$1"
}

disk()
{
	rm -f disk.raw
	truncate -s 64M disk.raw
	sfdisk -q disk.raw
}

disk <<-E
	label: dos
	start=2048, size=8192
	start=20480, size=2048
E
try $((22528 * 512))
sfdisk -q -V disk.raw >/dev/null || fail "sfdisk finds fault with it"

disk <<-E
	label: dos
	start=2048, size=8192
	start=20480, size=40960, type=f
	start=22528, size=2048
	start=40960, size=2048
E
try $((61440 * 512))

disk <<-E
	label: gpt
	start=2048, size=8192
	start=20480, size=2048
E
cp disk.raw gpt
try $(((22528 + 33) * 512))
says out "sgdisk -e"
# Only the backup is left; then neither.
cp gpt disk.raw
dd if=/dev/zero of=disk.raw bs=512 seek=1 count=1 conv=notrunc 2>/dev/null
try $(((22528 + 33) * 512))
dd if=/dev/zero of=gpt bs=512 seek=1 count=1 conv=notrunc 2>/dev/null
dd if=/dev/zero of=gpt bs=512 seek=$((131072 - 1)) count=1 conv=notrunc \
	2>/dev/null
cp gpt disk.raw
status 1 vhdtool resize --shrink disk.raw 32M
says err "neither copy of the GPT"
cmp gpt disk.raw
status 0 vhdtool resize --shrink --force disk.raw 32M

# The same table, made for sectors of 4096 bytes.
rm disk.raw
truncate -s 64M disk.raw
printf 'g\nn\n1\n256\n1279\nw\n' | fdisk -b 4096 disk.raw >/dev/null
try $(((1280 + 5) * 4096))
