#!/bin/bash
# SPDX-License-Identifier: MIT
# Writers side by side, each to its own bytes of the same sectors, and one who
# zeroes bytes between: nobody loses what another has written.
. "$(dirname "$0")/lib.sh"
requires python3

vhdtool create --sector-size 4096 d.vhdx 16M >/dev/null
mount_it --cache none d.vhdx m
timeout 60 python3 - m/disk <<'END' || fail "bytes were lost"
import os, sys, threading
PUNCH_KEEP = 3
fd = os.open(sys.argv[1], os.O_RDWR)
LANES, LEN, ROUNDS = 8, 700, 60
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
bad = []
def writer(lane):
    for i in range(1, ROUNDS):
        if lane == 3 and i % 2:
            rc = libc.fallocate(fd, PUNCH_KEEP, lane * LEN, LEN)
            want = bytes(LEN)
        else:
            want = bytes([i * LANES + lane & 255]) * LEN
            rc = os.pwrite(fd, want, lane * LEN) - LEN
        if rc or os.pread(fd, LEN, lane * LEN) != want:
            bad.append((lane, i))
threads = [threading.Thread(target=writer, args=(n,)) for n in range(LANES)]
for t in threads: t.start()
for t in threads: t.join()
assert not bad, bad[:5]
END
unmount_it m
sound d.vhdx
