#!/bin/bash
# SPDX-License-Identifier: MIT
# A file named .vhdx or .vhd that is neither is never shown as a raw disk, for
# it may be an image that lost its beginning; by any other name it is one.
. "$(dirname "$0")/lib.sh"

for file in a.vhdx b.avhdx c.vhd; do
	pattern 1 1048576 >$file
	for command in "info" "map" "read" "write --zeroes --length 512" \
		       "bench --count 1" "discard --offset 0 --length 512" \
		       "compare $file"; do
		status 6 vhdtool $command $file
		says err "the name says"
	done
	status 6 vhdtool convert $file out.raw
	[ ! -e out.raw ] || fail "it was converted"
	pattern 1 1048576 | cmp - $file
	vhdtool convert --from raw $file out.raw >/dev/null
	cmp out.raw $file
	rm out.raw
	cp $file disk
	status 0 vhdtool info disk
done
status 6 vhdtool check a.vhdx
