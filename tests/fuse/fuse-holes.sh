#!/bin/bash
# SPDX-License-Identifier: MIT
# SEEK_DATA and SEEK_HOLE follow the map, a sparse copy stays sparse, and what
# is punched or zeroed, sectors or parts of them, reads as zeros.
. "$(dirname "$0")/lib.sh"
requires fallocate python3

sparse_pattern raw
vhdtool convert --block-size 1M --to vhdx raw base.vhdx >/dev/null
vhdtool create --parent base.vhdx d.vhdx >/dev/null
cp raw want
mount_it d.vhdx m
cp --sparse=auto m/disk copy
cmp copy raw || fail "the sparse copy"
[ "$(stat -c %b copy)" -lt $((20 * 2048)) ] || fail "the copy is not sparse"
python3 - m/disk <<'END' || fail "the seeks"
import os, sys, errno
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
at = 0
while at < size:
    hole = os.lseek(fd, at, os.SEEK_HOLE)
    assert hole >= at
    try:
        data = os.lseek(fd, hole, os.SEEK_DATA) if hole < size else size
    except OSError as e:
        assert e.errno == errno.ENXIO
        data = size
    assert data >= hole
    while hole < data:
        n = min(1 << 20, data - hole)
        assert os.pread(fd, n, hole) == bytes(n), hole
        hole += n
    at = data
END
for args in "-p -o 3145729 -l 1000000" "-z -o 5000 -l 123" \
	"-p -o 33521664 -l 65536" "-z -n -o 100 -l 412"; do
	fallocate $args want
	fallocate $args m/disk || fail "fallocate $args"
	cmp want m/disk || fail "after fallocate $args"
done
status 1 fallocate -o 0 -l 80M m/disk
unmount_it m
vhdtool read d.vhdx | cmp - want || fail "in the image"
sound base.vhdx d.vhdx
