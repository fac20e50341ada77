#!/bin/bash
# SPDX-License-Identifier: MIT
# check finds damage and ends with 6; --repair mends a bad copy of a pair; a
# dry run and a plain check change nothing.
. "$(dirname "$0")/lib.sh"

damage() # FILE OFFSET
{
	printf 'DAMAGE' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

sparse_pattern src.raw
try() # FILE OFFSET
{
	vhdtool convert --force src.raw "$1" >/dev/null
	status 0 vhdtool check "$1"
	says out sound
	damage "$1" "$2"
	local before
	before=$(sum "$1")
	status 6 vhdtool check "$1"
	says out error
	status 6 vhdtool check --json "$1"
	says out '"severity": "error"'
	status 6 vhdtool check --repair --dry-run "$1"
	equal "$1 before the repair" "$(sum "$1")" "$before"
	status 0 vhdtool check --repair "$1"
	says out repaired
	status 0 vhdtool check "$1"
	says out sound
	status 0 vhdtool compare src.raw "$1"
}

try a.vhdx $((64 * 1024 + 100))	 # header 1
try a.vhdx $((128 * 1024 + 100)) # header 2
try a.vhdx $((192 * 1024 + 20))	 # region table 1
try a.vhdx $((256 * 1024 + 20))	 # region table 2
try a.vhd 20			 # the footer's copy
vhdtool convert src.raw b.vhd >/dev/null
try b.vhd $(($(stat -c %s b.vhd) - 400)) # the footer itself

# What cannot be mended without guessing is not.
vhdtool convert --force src.raw a.vhdx >/dev/null
damage a.vhdx $((64 * 1024 + 100))
damage a.vhdx $((128 * 1024 + 100))
status 6 vhdtool check --repair a.vhdx
status 2 vhdtool check --dry-run a.vhdx
