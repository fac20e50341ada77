#!/bin/bash
# SPDX-License-Identifier: MIT
# A log that can be replayed is not thrown away by mistake, and is if asked.
. "$(dirname "$0")/lib.sh"

name=iotest-dirtylog-10G-4M.vhdx
real_image $name
before=$(sum $name)
status 1 vhdtool log discard $name
says err "log replay"
says err "--force"
equal "the file" "$(sum $name)" "$before"
status 0 vhdtool log discard --force $name
status 0 vhdtool log show $name
says out clean
status 0 vhdtool log discard $name
says out nothing

vhdtool create a.vhd 10M >/dev/null
status 1 vhdtool log show a.vhd
