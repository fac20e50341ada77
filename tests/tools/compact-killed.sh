#!/bin/bash
# SPDX-License-Identifier: MIT
# compact killed at any moment leaves an image with the same content; the next
# run completes.
. "$(dirname "$0")/lib.sh"

vhdtool create --block-size 1M full.vhdx 48M >/dev/null
vhdtool create full.vhd 48M >/dev/null
for f in full.vhdx full.vhd; do
	head -c 48M /dev/zero | vhdtool write $f >/dev/null
	for ((i = 3; i < 48; i += 7)); do
		pattern $i 300000 | vhdtool write --offset ${i}M $f >/dev/null
	done
	want=$(vhdtool read $f | sha256sum)
	for ((i = 0; i < 8; i++)); do
		cp $f one
		"$VHDTOOL" compact one >/dev/null 2>&1 & # no function: its own pid
		pid=$!
		read -r -t "0.0$((RANDOM % 8))$((RANDOM % 10))" <> <(:) || :
		kill -9 $pid 2>/dev/null || :
		wait $pid 2>/dev/null || :
		equal "content" "$(vhdtool read one | sha256sum)" "$want"
	done
	status 0 vhdtool compact one
	equal "content" "$(vhdtool read one | sha256sum)" "$want"
	status 0 vhdtool check one
done
