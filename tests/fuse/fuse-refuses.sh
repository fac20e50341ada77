#!/bin/bash
# SPDX-License-Identifier: MIT
# A second mount for writing, writing to a parent, another size and what is
# damaged are refused with the right status or errno; reading goes on.
. "$(dirname "$0")/lib.sh"

vhdtool create d.vhdx 16M >/dev/null
mount_it d.vhdx m
mkdir m2
status 4 vhdfuse d.vhdx m2
says err "in use"
status 1 truncate -s 1M m/disk
says err "Operation not permitted"
status 1 truncate -s 32M m/disk
(: >m/disk) 2>err && fail "O_TRUNC was taken"
equal size "$(stat -c %s m/disk)" 16777216
status 1 dd if=/dev/zero of=m/disk bs=1M seek=16 count=1 conv=notrunc
says err "No space left"
status 1 cp d.vhdx m/new
status 1 rm -f m/disk
status 1 chmod 777 m/disk
unmount_it m

vhdtool create --parent d.vhdx child.vhdx >/dev/null
status 6 vhdfuse d.vhdx m2
says err "is the parent of"
mount_it -o ro d.vhdx m
status 1 dd if=/dev/zero of=m/disk bs=1M count=1 conv=notrunc
says err "Read-only file system"
unmount_it m

head -c 16M /dev/zero >bad.vhdx
status 6 vhdfuse bad.vhdx m2
status 3 vhdfuse none.vhdx m2
status 3 vhdfuse d.vhdx nowhere
status 2 vhdfuse d.vhdx
status 2 vhdfuse --cache some d.vhdx m2
status 2 vhdfuse -o sillyword d.vhdx m2
! mountpoint -q m2 || fail "something was mounted"
