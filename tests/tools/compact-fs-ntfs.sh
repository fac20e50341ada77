#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --fs drops what a clean NTFS does not use, and keeps its files; one
# that is marked dirty, or has shadow copies, is left alone.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
requires mkntfs ntfscp ntfscat ntfsfix
[ -x "$(dirname "$VHDTOOL")/vhdfsmap" ] || skip "vhdfsmap was not built"

# What is not used holds something.
head -c 64M /dev/urandom >fs.raw
mkntfs -q -Q -F -s 512 -p 0 -H 255 -S 63 fs.raw >/dev/null 2>&1
pattern 1 5000000 >one
pattern 2 9000000 >two
ntfscp -q -f fs.raw one one >/dev/null 2>&1
ntfscp -q -f fs.raw two two >/dev/null 2>&1
vhdtool convert --block-size 1M fs.raw a.vhdx >/dev/null
before=$(stat -c %s a.vhdx)
status 0 vhdtool compact --fs a.vhdx
says out "NTFS, clean"
says out "not used by the file systems"
[ "$(stat -c %s a.vhdx)" -le $((before / 2)) ] || fail "a.vhdx is too long"
status 0 vhdtool check a.vhdx
vhdtool read a.vhdx >after.raw
ntfsfix -n after.raw >out 2>&1 || { cat out; fail "ntfsfix"; }
ntfscat -f after.raw one | cmp - one
ntfscat -f after.raw two | cmp - two

# Shadow copies need what is free by now.
cp fs.raw vss.raw
{
	printf '\x6b\x87\x08\x38\x76\xc1\x48\x4e\xb7\xae\x04\x04\x6e\x6c\xc7\x52'
	head -c 34 /dev/zero
	printf '\x10'
	head -c 5 /dev/zero
} | dd of=vss.raw bs=512 seek=15 conv=notrunc status=none
vhdtool convert --block-size 1M vss.raw v.vhdx >/dev/null
status 0 vhdtool compact --fs v.vhdx
says out "NTFS: left alone, it has shadow copies"
vhdtool read v.vhdx | cmp - vss.raw

# ntfsfix marks it dirty, for Windows to check.
ntfsfix fs.raw >/dev/null 2>&1
vhdtool convert --block-size 1M fs.raw b.vhdx >/dev/null
status 0 vhdtool compact --fs b.vhdx
says out "NTFS: left alone, it is marked dirty"
vhdtool read b.vhdx | cmp - fs.raw
