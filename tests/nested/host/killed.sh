#!/bin/sh
# SPDX-License-Identifier: MIT
# Killed while two programs of the guest write to a differencing disk, vmm loses
# nothing that they were told is durable; the next start needs no repair.
. host/lib.sh
cpus=2

# durable FILE: the last block that was; a line that was cut off does not count.
durable()
{
	tr -d '\r' <"$log" | sed '$d' |
		sed -n "s/^durable $1 \([0-9]*\)$/\1/p" | tail -n 1
}

promised=''
for round in 1 2 3; do
	start write$round "write $round $promised" --disk child.avhdx
	for file in a$round b$round; do
		said "durable $file $((round * 40 + 20))" 120
	done
	killed
	promised="$(durable a$round) $(durable b$round)"
	echo "write$round: killed when blocks $promised were durable"
done
start whole "write 4 $promised" --disk child.avhdx
ended 120
sound child.avhdx
sound_fs child.avhdx
