#!/bin/sh
# SPDX-License-Identifier: MIT
# Two processors, a queue each; a disk with sectors of 4 KiB holds what is
# written at random; a third disk comes and goes while the guest runs, and the
# guest begins anew. Killed while it writes, vmm loses nothing that was synced.
. host/lib.sh
cpus=2
vhdtool create --sector-size 4096 data.vhdx 256M >/dev/null
vhdtool create third.vhdx 64M >/dev/null

start disks disks --disk child.avhdx --disk data.vhdx
said 'nested: waiting for a third disk' 120
ctl add-disk third.vhdx
said 'nested: the third disk is done with' 60
ctl remove-disk third.vhdx
said 'nested: the third disk is gone' 60
said 'nested: begins anew' 30
ended 60
for image in child.avhdx data.vhdx third.vhdx; do
	sound $image
done
# What the guest put onto it: 8 MiB of numbers at 16 MiB.
seq 1 2000000 | head -c 8388608 >numbers
vhdtool read third.vhdx 16M 8M | cmp - numbers ||
	fail "third.vhdx does not hold what the guest wrote"

last=0
for round in 1 2; do
	start write$round "write $round" --disk child.avhdx --disk data.vhdx
	said "durable $((round * 150))\$" 60
	killed
	# A line that was cut off does not count.
	last=$(sed -n 's/^durable \([0-9]*\)\r*$/\1/p' "$log" |
		sort -n | tail -n 1)
	echo "write$round: killed after block $last was durable"
	start lost$round "lost $round $last" --disk child.avhdx \
		--disk data.vhdx
	ended 60
	sound child.avhdx
	sound_fs child.avhdx
done
