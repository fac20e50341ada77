#!/bin/bash
# SPDX-License-Identifier: MIT
# Output that did not arrive is a failure, not a success.
. "$(dirname "$0")/lib.sh"
[ -w /dev/full ] || skip "no /dev/full"

vhdtool create a.vhdx 10M >/dev/null
for args in "info a.vhdx" "info --json a.vhdx" "map a.vhdx" \
	    "map --json a.vhdx" "check a.vhdx" "read a.vhdx" "--help" \
	    "log show a.vhdx" "convert a.vhdx -"; do
	got=0
	vhdtool $args >/dev/full 2>err || got=$?
	equal "status of $args" $got 1
	says err "standard output"
done
# A reader that goes away
got=0
{ vhdtool read a.vhdx || got=$?; echo $got >status; } 2>err | head -c 1 >/dev/null
equal "status with a closed pipe" "$(cat status)" 1
