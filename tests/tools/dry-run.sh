#!/bin/bash
# SPDX-License-Identifier: MIT
# --dry-run of every changing command says what would happen and changes not a
# byte.
. "$(dirname "$0")/lib.sh"

pattern 1 5000000 >data
vhdtool create a.vhdx 10M >/dev/null
vhdtool write a.vhdx <data >/dev/null
real_image iotest-dirtylog-10G-4M.vhdx
mv iotest-dirtylog-10G-4M.vhdx dirty.vhdx
before=$(ls -l --time-style=full-iso *.vhdx; sum *.vhdx)

unchanged() # TEXT COMMAND...
{
	local text=$1
	shift
	status 0 "$@" --dry-run
	says out "$text"
	equal "after $*" "$(ls -l --time-style=full-iso *.vhdx; sum *.vhdx)" \
		"$before"
}

unchanged "would create" vhdtool create b.vhdx 1G
says out needs
unchanged "would create" vhdtool convert a.vhdx b.raw
says out "at most"
[ ! -e b.raw ] && [ ! -e b.vhdx ] || fail "a dry run made a file"
unchanged "would write" vhdtool write --zeroes --length 1M a.vhdx
unchanged "would write 5000000" vhdtool write a.vhdx <data
says out needs
unchanged "would discard" vhdtool discard --offset 0 --length 1M a.vhdx
unchanged "what would be done" vhdtool compact a.vhdx
unchanged "sound" vhdtool check --repair a.vhdx
unchanged "would replay" vhdtool log replay dirty.vhdx
unchanged "would discard" vhdtool log discard --force dirty.vhdx
unchanged "OVERWRITE" vhdtool bench --op write --count 10 a.vhdx
