#!/bin/bash
# SPDX-License-Identifier: MIT
# Without /dev/kvm vmm run says so, with status 3, and its disks are closed
# clean.
. "$(dirname "$0")/vmm-lib.sh"

[ "$(id -u)" = 0 ] || skip "only root can hide /dev/kvm"
unshare -m true 2>/dev/null || skip "no mount namespaces here"
kernel
vhdtool create disk.vhdx 64M >/dev/null
mkdir empty
status 3 timeout 60 unshare -m sh -c 'mount -t tmpfs none /dev &&
	"$0" run --kernel bz --console none --disk disk.vhdx' "$VMM"
says err "/dev/kvm"
sound disk.vhdx
