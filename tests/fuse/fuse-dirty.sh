#!/bin/bash
# SPDX-License-Identifier: MIT
# An image left dirty by Hyper-V is mounted read-only at once, replayed in
# memory, without a byte of it changing; for writing it is replayed first.
. "$(dirname "$0")/lib.sh"

name=iotest-dirtylog-10G-4M.vhdx
real_image $name
before=$(sum $name)
vhdtool convert --to raw $name raw 2>/dev/null >/dev/null
mount_it -o ro $name m 2>err
says err "replayed in memory"
cp --sparse=auto m/disk copy
vhdtool compare copy raw >/dev/null || fail "the content"
unmount_it m
equal "the file" "$(sum $name)" "$before"
mount_it $name m 2>err
cp --sparse=auto m/disk copy
vhdtool compare copy raw >/dev/null || fail "the content after replay"
printf X | dd of=m/disk bs=1 seek=12345 conv=notrunc status=none
unmount_it m
printf X | dd of=raw bs=1 seek=12345 conv=notrunc status=none
vhdtool compare $name raw >/dev/null || fail "after writing"
vhdtool info $name >info
says info "clean"
sound $name
