#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --fs drops what a clean NTFS does not use, and keeps its files; one
# that is marked dirty, or has shadow copies, or whose Windows was hibernated
# (or shut down fast), or whose bitmap is wrong, is left alone.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
requires mkntfs ntfscp ntfscat ntfsfix ntfscluster
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

left_alone() # IMAGE WHY
{
	rm -f bad.vhdx
	vhdtool convert --block-size 1M "$1" bad.vhdx >/dev/null
	status 0 vhdtool compact --fs bad.vhdx
	says out "NTFS: left alone, $2"
	vhdtool read bad.vhdx | cmp - "$1"
}

# Shadow copies need what is free by now.
cp fs.raw vss.raw
{
	printf '\x6b\x87\x08\x38\x76\xc1\x48\x4e\xb7\xae\x04\x04\x6e\x6c\xc7\x52'
	head -c 34 /dev/zero
	printf '\x10'
	head -c 5 /dev/zero
} | dd of=vss.raw bs=512 seek=15 conv=notrunc status=none
left_alone vss.raw "it has shadow copies"

# hiberfil.sys: to be resumed, being resumed, resumed, not used.
for head in hibr HIBR RSTR; do
	{ printf $head; head -c 100000 /dev/zero; } >hiberfil.sys
	cp fs.raw hib.raw
	ntfscp -q -f hib.raw hiberfil.sys hiberfil.sys >/dev/null 2>&1
	left_alone hib.raw "Windows is hibernated in it"
done
for head in wake '\0\0\0\0'; do
	{ printf $head; head -c 100000 /dev/zero; } >hiberfil.sys
	cp fs.raw hib.raw
	ntfscp -q -f hib.raw hiberfil.sys hiberfil.sys >/dev/null 2>&1
	rm -f h.vhdx
	vhdtool convert --block-size 1M hib.raw h.vhdx >/dev/null
	status 0 vhdtool compact --fs --dry-run h.vhdx
	says out "NTFS, clean"
done

# where RECORD: the offset in bytes of the first cluster of its last attribute.
where()
{
	echo $((4096 * $(ntfscluster -f -I "$1" fs.raw 2>/dev/null |
		awk 'last ~ /VCN/ { lcn = $2 } { last = $0 } END { print lcn }')))
}

# $LogFile of a volume that is mounted, or was: neither empty nor closed.
cp fs.raw log.raw
printf 'RSTR\x1e\0\x09\0' |
	dd of=log.raw bs=1 seek="$(where 2)" conv=notrunc status=none
left_alone log.raw "its \$LogFile is not clean"

# $Bitmap, where it has what the volume's own files are in: $MFT, $LogFile.
for at in 0 $(($(where 2) / 4096 / 8)); do
	cp fs.raw map.raw
	printf '\0' | dd of=map.raw bs=1 seek=$(($(where 6) + at)) \
		conv=notrunc status=none
	left_alone map.raw "its \$Bitmap is damaged"
done

# ntfsfix marks it dirty, for Windows to check.
cp fs.raw dirty.raw
ntfsfix dirty.raw >/dev/null 2>&1
left_alone dirty.raw "it is marked dirty"
