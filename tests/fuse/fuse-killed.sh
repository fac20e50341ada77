#!/bin/bash
# SPDX-License-Identifier: MIT
# vhdfuse killed while somebody writes: all that was fsynced is there after the
# next mount, and check finds nothing wrong.
. "$(dirname "$0")/lib.sh"
requires python3

cat >writer.py <<'END'
import os, sys
# Numbered blocks, in a scattered order; a line for each that is durable.
path, seed = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDWR)
n = os.fstat(fd).st_size // 65536
try:
    for i in range(n):
        at = (i * 0x9E37 + seed) % n
        os.pwrite(fd, b"%08d %08d\n" % (seed, at) * 3640, at * 65536)
        if i % 3 == 2:
            os.fsync(fd)
            print(" ".join(str(((j * 0x9E37) + seed) % n)
                           for j in range(i - 2, i + 1)), flush=True)
except OSError:
    pass
END
cat >reader.py <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
seed, bad = int(sys.argv[2]), 0
for at in sys.stdin.read().split():
    want = b"%08d %08d\n" % (seed, int(at)) * 3640
    if os.pread(fd, len(want), int(at) * 65536) != want:
        print("block", at, "is lost")
        bad = 1
sys.exit(bad)
END
vhdtool create --block-size 1M base.vhdx 1G >/dev/null
vhdtool create --parent base.vhdx d.vhdx --block-size 1M >/dev/null
kept=0
for round in 1 2; do
	mount_it d.vhdx m
	python3 writer.py m/disk $round >durable 2>/dev/null &
	writer=$!
	while [ "$(wc -l <durable)" -lt $((round * 40)) ] &&
		kill -0 $writer 2>/dev/null; do
		sleep 0.01
	done
	kill -KILL "$pid"
	wait $writer || :
	fusermount3 -u -z m || :
	ended "$pid"
	rm -f m.pid
	sound d.vhdx
	mount_it -o ro d.vhdx m
	python3 reader.py m/disk $round <durable || fail "round $round"
	kept=$((kept + $(wc -w <durable)))
	unmount_it m
done
[ $kept -gt 200 ] || fail "only $kept blocks were tried"
