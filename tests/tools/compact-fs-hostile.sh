#!/bin/bash
# SPDX-License-Identifier: MIT
# Whatever a guest has written where a file system begins, and whatever the
# helper answers, compact --fs ends in order, and leaves a sound image; a helper
# that fails or lies about what is where has nothing dropped.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
requires mkfs.ext4 mkntfs
helper=$(dirname "$VHDTOOL")/vhdfsmap
[ -x "$helper" ] || skip "vhdfsmap was not built"

head -c 16M /dev/urandom >ext.raw
cp ext.raw ntfs.raw
mkfs.ext4 -q -F -E nodiscard ext.raw
mkntfs -q -Q -F -s 512 -p 0 -H 255 -S 63 ntfs.raw >/dev/null 2>&1
RANDOM=${FSMAP_SEED:-7}
for kind in ext ntfs; do
	vhdtool convert --block-size 1M $kind.raw $kind.vhdx >/dev/null
	for ((i = 0; i < ${FSMAP_ROUNDS:-15}; i++)); do
		cp $kind.vhdx bad.vhdx
		# Superblock, group descriptors; boot sector, $MFT.
		for ((n = i % 4 * 3; n >= 0; n--)); do
			at=$((RANDOM % 4 * 1024 + RANDOM % 1024))
			[ $((RANDOM % 3)) = 0 ] && at=$((at + 16384 * 4))
			printf "\\x$(printf %02x $((RANDOM % 256)))" |
				vhdtool write --offset $at bad.vhdx >/dev/null
		done
		got=0
		timeout 60 "$VHDTOOL" compact --fs bad.vhdx >out 2>err || got=$?
		[ $got = 0 ] || { cat out err; fail "$kind $i: status $got"; }
		says_not out "looking at it failed"
		status 0 vhdtool check bad.vhdx
	done
	# Cut short.
	for len in 4K 64K 1M; do
		rm -f bad.vhdx
		vhdtool create --block-size 1M bad.vhdx $len >/dev/null
		head -c $len $kind.raw | vhdtool write bad.vhdx >/dev/null
		status 0 vhdtool compact --fs bad.vhdx
		vhdtool read bad.vhdx | cmp - <(head -c $len $kind.raw)
	done
done

# Another helper, beside another vhdtool. Messages are 128 bytes: type, zero,
# offset, length, text.
mkdir fake
cp "$VHDTOOL" fake/vhdtool
le() # BYTES NUMBER
{
	local i
	for ((i = 0; i < $1; i++)); do
		printf "\\x$(printf %02x $(($2 >> 8 * i & 255)))"
	done
}
message() # TYPE OFFSET LENGTH [TEXT]
{
	le 4 $((0x76660000 + $1))
	le 4 0
	le 8 "$2"
	le 8 "$3"
	printf '%s' "${4:-}"
	head -c $((104 - $(printf %s "${4:-}" | wc -c))) /dev/zero
}
lies() # TEXT: what is in the file `says` has nothing dropped
{
	printf '#!/bin/bash\nhead -c 128 >/dev/null\ncat %s >&0\nsleep 1\n' \
		"$PWD/says" >fake/vhdfsmap
	chmod +x fake/vhdfsmap
	cp ext.vhdx lie.vhdx
	status 0 fake/vhdtool compact --fs lie.vhdx
	says out "failed ($1"
	vhdtool read lie.vhdx | cmp - ext.raw
}
m=$((1 << 20))
head -c 1000 /dev/urandom >says
lies "it talks nonsense"
: >says
lies "it ended"
{ message 4 0 $((8 * m)); message 5 $((7 * m)) $((2 * m)); message 6 0 0; } >says
lies "it names a range that cannot be"
{ message 4 0 $((17 * m)); } >says
lies "it names a part that cannot be"
{ message 4 $m $m; message 6 0 0; message 4 0 $((m + 1)); } >says
lies "it names a part that cannot be"
message 2 $((16 * m)) 512 >says
lies "it asks for what is not there"
{ message 4 0 $((8 * m)); message 5 $m $m; message 8 0 0; } >says
lies "it stopped in the middle"
{ message 7 0 0 x; message 7 0 0 x; } >says
lies "it speaks out of turn"

# One that says nothing more is waited for, but Ctrl-C ends both.
printf '#!/bin/bash\necho $$ >%s/pid\nexec sleep 1000\n' "$PWD" >fake/vhdfsmap
cp ext.vhdx lie.vhdx
timeout -s INT 2 fake/vhdtool compact --fs lie.vhdx >out 2>err || :
says err "interrupted"
! kill -0 "$(cat pid)" 2>/dev/null || fail "the helper lives on"
cmp lie.vhdx ext.vhdx

# What it said of a part before it failed in the next one counts.
{
	message 4 0 $((8 * m)); message 5 $((2 * m)) $((4 * m)); message 6 0 0
	message 4 $((8 * m)) $((8 * m)); message 5 $((9 * m)) $m
} >says
printf '#!/bin/bash\nhead -c 128 >/dev/null\ncat %s >&0\n' "$PWD/says" \
	>fake/vhdfsmap
status 0 fake/vhdtool compact --fs lie.vhdx
says out "failed (it ended)"
vhdtool read lie.vhdx >after
cmp -n $((2 * m)) after ext.raw
cmp -n $((4 * m)) -i $((2 * m)):0 after /dev/zero
cmp -i $((6 * m)) after ext.raw
