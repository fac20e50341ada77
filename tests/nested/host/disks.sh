#!/bin/sh
# SPDX-License-Identifier: MIT
# Two processors, a queue each; a disk with sectors of 4 KiB holds what is
# written at random; a third disk comes and goes while the guest runs, and the
# guest begins anew.
. host/lib.sh
cpus=2
vhdtool create --sector-size 4096 data.vhdx 256M >/dev/null
vhdtool create third.vhdx 64M >/dev/null

start disks disks --disk child.avhdx --disk data.vhdx
said 'nested: waiting for a third disk' 120
ctl add-disk third.vhdx
said 'nested: the third disk is done with' 120
ctl remove-disk third.vhdx
said 'nested: the third disk is gone' 120
said 'nested: begins anew' 120
ended 120
for image in child.avhdx data.vhdx third.vhdx; do
	sound $image
done
# What the guest put onto it: 8 MiB of numbers at 16 MiB.
seq 1 2000000 | head -c 8388608 >numbers
vhdtool read --offset 16M --length 8M third.vhdx | cmp - numbers ||
	fail "third.vhdx does not hold what the guest wrote"
