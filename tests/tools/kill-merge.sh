#!/bin/bash
# SPDX-License-Identifier: MIT
# A merge that is killed, again and again, anywhere: the child, or who stands on
# it, shows the same disk every time, and in the end the same command finishes.
. "$(dirname "$0")/lib.sh"

build()
{
	vhdtool create base.vhdx --size 48M --block-size 1M
	pattern 1 40000000 | vhdtool write base.vhdx
	vhdtool create --parent base.vhdx c1.vhdx --block-size 2M
	pattern 2 9000000 | vhdtool write --offset 3M c1.vhdx
	vhdtool write --zeroes --offset 20M --length 5M c1.vhdx
	vhdtool create --parent c1.vhdx c2.vhdx --size 56M
	pattern 3 7000000 | vhdtool write --offset 8M c2.vhdx
	pattern 4 100000 | vhdtool write --offset 55M c2.vhdx
	vhdtool create --parent c2.vhdx leaf.vhdx
	pattern 5 70000 | vhdtool write --offset 30000K leaf.vhdx
}

# What must show, whoever is there.
good()
{
	status 0 vhdtool compare leaf.vhdx ../leaf.raw
	[ ! -e c2.vhdx ] || status 0 vhdtool compare c2.vhdx ../c2.raw
	sound ./*.vhdx
}

mkdir first work
cd first
build
vhdtool convert c2.vhdx ../c2.raw
vhdtool convert leaf.vhdx ../leaf.raw
cp --sparse=always ./*.vhdx ../work
millis vhdtool merge c2.vhdx --into base.vhdx
cd ../work
for f in ./*; do
	cp --sparse=always "$f" "../$f.orig"
done

kills=0
for part in 1 2 3 4 5 6 7 8; do
	rm -f ./*
	for f in base c1 c2 leaf; do
		cp --sparse=always ../$f.vhdx.orig $f.vhdx
	done
	if killed $((took * part / 8)) vhdtool merge c2.vhdx --into base.vhdx; then
		kills=$((kills + 1))
		rm -f out err
		good
		! killed $((took * (9 - part) / 9)) \
			vhdtool merge c2.vhdx --into base.vhdx || kills=$((kills + 1))
		rm -f out err
		good
		if [ -e c2.vhdx ] || [ -e c2.vhdx.merge ]; then
			status 0 vhdtool merge c2.vhdx --into base.vhdx
		fi
	fi
	rm -f out err
	good
	status 0 vhdtool compare base.vhdx ../c2.raw
	rm -f out err
	equal "files afterwards" "$(echo *)" "base.vhdx leaf.vhdx"
done
[ $kills -gt 3 ] || skip "the merge was faster than the signal"
echo "$kills kills"
