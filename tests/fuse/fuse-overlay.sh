#!/bin/bash
# SPDX-License-Identifier: MIT
# With --overlay the image is not changed by a byte: the child has what was
# written, can be mounted again and merged; an unused one is not left behind.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 16M >/dev/null
pattern 1 16M >want
vhdtool write base.vhdx <want >/dev/null
before=$(sum base.vhdx)
mount_it --overlay over.vhdx base.vhdx m 2>said
says said "stays when unmounted, unless nothing was"
cmp want m/disk || fail "through the overlay"
unmount_it m
[ ! -e over.vhdx ] || fail "an empty overlay is left"
mount_it -o overlay=over.vhdx base.vhdx m
pattern 2 100000 | tee piece | dd of=m/disk bs=100000 seek=3 conv=notrunc \
	iflag=fullblock status=none
dd if=piece of=want bs=100000 seek=3 conv=notrunc status=none
cmp want m/disk || fail "as mounted"
unmount_it m
equal "the image" "$(sum base.vhdx)" "$before"
mount_it --overlay over.vhdx base.vhdx m
cmp want m/disk || fail "mounted again"
unmount_it m
sound base.vhdx over.vhdx
equal "the image" "$(sum base.vhdx)" "$before"
mkdir m2
vhdtool create other.vhdx 16M >/dev/null
status 6 vhdfuse --overlay over.vhdx other.vhdx m2
says err "is no child of"
vhdfuse -f --overlay over.vhdx base.vhdx m2 2>said &
vhdfuse=$!
until mountpoint -q m2; do sleep 0.05; done
fusermount3 -u m2
wait $vhdfuse || fail "exit status $?"
says said "holds what was written"
vhdtool merge over.vhdx >/dev/null 2>&1 || fail merge
vhdtool read base.vhdx | cmp - want || fail "after the merge"
