#!/bin/bash
# SPDX-License-Identifier: MIT
# A minute of random writes, 4 KiB each and of all sizes up to 128 KiB, checked by
# fio: through the page cache and past it, on a child.
. "$(dirname "$0")/lib.sh"
requires fio

vhdtool create base.vhdx 64M >/dev/null
vhdtool create --parent base.vhdx d.vhdx --block-size 1M >/dev/null
for cache in writeback none; do
	mount_it --cache $cache d.vhdx m
	for bs in 4k-4k 512-128k; do
		fio --name=v --filename=m/disk --rw=randwrite --bsrange=$bs \
			--size=64M --io_size=16M --ioengine=libaio \
			--iodepth=16 --verify=crc32c --verify_fatal=1 \
			--direct=$([ $cache = none ] && echo 1 || echo 0) \
			--verify_backlog=256 --time_based \
			--runtime="${FUSE_SECONDS:-15}" >out 2>&1 ||
			{ cat out; fail "fio, $cache, $bs"; }
	done
	unmount_it m
	sound base.vhdx d.vhdx
done
