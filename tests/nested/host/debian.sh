#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian boots by its own initrd from a differencing disk, up to the login
# prompt; asked to by the power button, it goes down in good order.
. host/lib.sh
kernel=debian.kernel initrd=debian.initrd
cmdline='console=ttyS0 root=LABEL=debian'
memory=1G cpus=2

start debian none --disk debian.avhdx
said 'nested login:' 280
echo "debian: login prompt after $(($(date +%s) - began)) s"
ctl power-off
ended_itself 120
grep -q 'reboot: Power down' "$log" || fail "it did not go down by itself"
sound debian.avhdx
vhdtool read --length 1M debian.avhdx >head
dumpe2fs -h head 2>/dev/null | grep -q '^Filesystem state: *clean' ||
	fail "the file system was not unmounted"
! dumpe2fs -h head 2>/dev/null | grep needs_recovery ||
	fail "the file system was not unmounted"
