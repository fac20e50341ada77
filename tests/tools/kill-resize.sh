#!/bin/bash
# SPDX-License-Identifier: MIT
# A resize that is killed, again and again, anywhere: the disk has the old size
# or the new one and shows what it showed, and the same command finishes.
. "$(dirname "$0")/lib.sh"

# A table of 2 MiB has to take the place of one of 1 MiB, and to go again.
small=$((48 << 20)) large=$((200 << 30))
vhdtool create small.vhdx --size $small --block-size 1M
pattern 1 40000000 | vhdtool write --offset 3M small.vhdx
cp --sparse=always small.vhdx large.vhdx
status 0 vhdtool resize large.vhdx $large
pattern 2 5000000 | vhdtool write --offset 150G large.vhdx
vhdtool read small.vhdx --length $small >content

# good SIZE...: it has one of these, and its beginning is as it was.
good()
{
	local size
	vhdtool info --json disk.vhdx >info 2>/dev/null
	size=$(json virtual_size info)
	case " $* " in *" $size "*) ;; *) fail "size $size, not $*" ;; esac
	vhdtool read disk.vhdx --length $small | cmp - content ||
		fail "another content"
	sound disk.vhdx
}

kills=0
# again FROM SIZE
again()
{
	cp --sparse=always "$1" disk.vhdx
	millis vhdtool resize --shrink --force disk.vhdx "$2"
	for part in 1 2 3 4 5 6; do
		cp --sparse=always "$1" disk.vhdx
		! killed $((took * part / 7)) \
			vhdtool resize --shrink --force disk.vhdx "$2" ||
			kills=$((kills + 1))
		good $small $large
		status 0 vhdtool resize --shrink --force disk.vhdx "$2"
		good "$2"
	done
}

again small.vhdx $large
again large.vhdx $small
[ $kills -gt 2 ] || skip "the resize was faster than the signal"
echo "$kills kills"
