#!/bin/bash
# SPDX-License-Identifier: MIT
# A partition and the disk are the same bytes: what is written through one is
# seen through the other, open or not; a table written to the disk makes the
# partitions' files appear.
. "$(dirname "$0")/lib.sh"
requires sfdisk python3 jq

vhdtool create d.vhdx 64M >/dev/null
mount_it d.vhdx m
[ ! -e m/p1 ] || fail "p1 of an empty disk"
printf 'label: dos\nstart=2048, size=20480\nstart=40960, type=5\nstart=43008, size=10240\n' |
	sfdisk -q m/disk
equal files "$(ls m | tr '\n' ' ')" "disk info.json p1 p5 "
equal p5 "$(stat -c %s m/p5)" 5242880
equal "in info.json" "$(jq -c '.partitions[1].offset' m/info.json)" 22020096
timeout 60 python3 - <<'END' || fail "the views differ"
import os
disk = os.open("m/disk", os.O_RDWR)
p1 = os.open("m/p1", os.O_RDWR)
at = 1048576
for i in range(200):
    a, b = (disk, p1) if i % 2 else (p1, disk)
    off = i * 5003
    da, db = (at, 0) if a == disk else (0, at)
    os.pread(b, 8192, off + db)
    os.pwrite(a, bytes([i + 1]) * 5000, off + da)
    os.fsync(a)
    assert os.pread(b, 5000, off + db) == bytes([i + 1]) * 5000, i
os.close(p1)
os.pwrite(disk, b"new" * 100, at)
os.fsync(disk)
assert os.pread(os.open("m/p1", os.O_RDONLY), 300, 0) == b"new" * 100
END
sfdisk -q --delete m/disk 1
[ ! -e m/p1 ] || fail "p1 is still there"
unmount_it m
sound d.vhdx
