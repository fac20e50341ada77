#!/bin/bash
# SPDX-License-Identifier: MIT
# Odd sizes survive every conversion exactly; a raw file that is no whole
# number of sectors is padded with zeros to one, and that is said.
. "$(dirname "$0")/lib.sh"

for sectors in 1 7 1000 4097 136363 1000003; do
	size=$((sectors * 512))
	rm -f *.raw
	truncate -s $size src.raw
	pattern 1 512 | dd of=src.raw bs=512 seek=$((sectors - 1)) conv=notrunc \
		status=none
	for dst in a.vhd a.vhdx; do
		vhdtool convert --force src.raw $dst >/dev/null
		vhdtool convert --force $dst back.raw >/dev/null
		cmp src.raw back.raw
	done
	vhdtool convert --force --type fixed src.raw a.vhd >/dev/null
	status 0 vhdtool compare --strict src.raw a.vhd
done

pattern 1 100000 >odd.raw
status 0 vhdtool convert odd.raw b.vhdx
says err "padded with zeros"
vhdtool convert b.vhdx back.raw --force >/dev/null
truncate -s 100352 odd.raw
cmp odd.raw back.raw
