#!/bin/bash
# SPDX-License-Identifier: MIT
# What is written at any byte offset is read back, and nothing around it
# changes; in every format, checked against a plain file.
. "$(dirname "$0")/lib.sh"

write_at() # OFFSET LENGTH SEED
{
	pattern "$3" "$2" >data
	vhdtool write --offset "$1" "$file" <data >/dev/null
	dd if=data of=model seek="$1" bs=64K conv=notrunc oflag=seek_bytes \
		status=none
}

run() # FILE OPTIONS...
{
	file=$1
	shift
	rm -f model
	truncate -s 9M model
	vhdtool create "$@" "$file" 9M >/dev/null
	write_at 0 1 1
	write_at 511 2 2
	write_at 12345 3000000 3
	write_at $((9 * 1048576 - 1)) 1 4
	write_at 4194304 1048576 5
	write_at 4095 4098 6
	vhdtool read "$file" | cmp - model
	vhdtool read --offset 12000 --length 70001 "$file" >part
	dd if=model bs=70001 skip=12000 count=1 iflag=skip_bytes,fullblock \
		status=none | cmp - part
	status 0 vhdtool check "$file"
}

run a.vhdx
run b.vhdx --block-size 1M --sector-size 4096
run c.vhdx --type fixed --block-size 2M
run d.vhd
run e.vhd --type fixed
run f.raw

# The length says how much; too little or too much input is an error.
status 1 vhdtool write --length 1000 a.vhdx <<<"short"
says err "6 of 1000"
status 2 vhdtool write --offset 8M a.vhdx <model
status 1 sh -c "cat model model | $VHDTOOL write a.vhdx"
says err "longer than the disk"
vhdtool read a.vhdx | cmp - model
