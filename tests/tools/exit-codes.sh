#!/bin/bash
# SPDX-License-Identifier: MIT
# The exit status tells what kind of failure it was, and the message what to do.
. "$(dirname "$0")/lib.sh"

vhdtool create a.vhdx 10M >/dev/null
status 0 vhdtool info a.vhdx
status 1 vhdtool create a.vhdx 10M
says err --force
status 0 vhdtool create --force a.vhdx 10M
status 2 vhdtool info
status 2 vhdtool create b.vhdx 10Q
says err 10Q
status 2 vhdtool create b.vhdx 1000
says err 1024
status 2 vhdtool create --block-size 3M b.vhdx 10M
status 2 vhdtool create b.vhdx 65T
status 2 vhdtool create b.vhd 3T
status 2 vhdtool create --sector-size 4096 b.vhd 10M
status 2 vhdtool read --offset 11M a.vhdx
status 2 vhdtool discard a.vhdx
[ ! -e b.vhdx ] && [ ! -e b.vhd ] || fail "a refused create left a file"
status 3 vhdtool info absent.vhdx
status 3 vhdtool check absent.vhdx
status 3 vhdtool create absent/b.vhdx 10M
status 5 vhdtool create --type fixed b.vhdx 60T
says err "short by"
head -c 64K /dev/zero | dd of=a.vhdx bs=64K seek=1 conv=notrunc status=none
head -c 64K /dev/zero | dd of=a.vhdx bs=64K seek=2 conv=notrunc status=none
status 6 vhdtool info a.vhdx
says err "vhdtool check a.vhdx"
status 6 vhdtool check a.vhdx
