#!/bin/bash
# SPDX-License-Identifier: MIT
# What two disks have from the same place of one file is not read to compare
# them; everything else is.
. "$(dirname "$0")/lib.sh"
requires strace
export ASAN_OPTIONS=detect_leaks=0 # which cannot work when traced
strace -o probe true 2>/dev/null || skip "strace may not trace here"

bytes_read() # STATUS FILE FILE: sets got
{
	status "$1" strace -f -o trace -e trace=preadv,pread64 "$VHDTOOL" \
		compare "$2" "$3"
	got=$(awk '/= [0-9]+$/ { n += $NF } END { print n + 0 }' trace)
}

pattern 1 67108864 >base.raw
vhdtool convert --block-size 1M base.raw base.vhdx >/dev/null
cp base.vhdx copy.vhdx
for i in 1 2; do
	vhdtool create --parent base.vhdx $i.vhdx >/dev/null
	pattern 7 100000 | vhdtool write --offset 5000000 $i.vhdx >/dev/null
done
bytes_read 0 1.vhdx 2.vhdx
[ "$got" -le 20000000 ] || fail "$got bytes were read of two children"
bytes_read 0 base.vhdx base.vhdx
[ "$got" -le 10000000 ] || fail "$got bytes were read of one file"
# The same places of two files are not one place.
bytes_read 0 base.vhdx copy.vhdx
[ "$got" -ge 134217728 ] || fail "only $got bytes were read of two files"

printf X | vhdtool write --offset 60000001 2.vhdx >/dev/null
bytes_read 1 1.vhdx 2.vhdx
says out "offset 60000001"
bytes_read 1 base.vhdx 1.vhdx
says out "offset 5000000"
