#!/bin/bash
# SPDX-License-Identifier: MIT
# A second writer is refused with status 4 and told who holds the image;
# readers do not shut each other out.
. "$(dirname "$0")/lib.sh"

for file in a.vhdx a.vhd a.raw; do
	vhdtool create "$file" 10M >/dev/null
	hold "$file"
	status 4 vhdtool write --zeroes --length 4096 "$file"
	says err "$holder"
	status 4 vhdtool info "$file"
	release
	status 0 vhdtool info "$file"
	mkfifo "$file.out"
	"$VHDTOOL" read "$file" >"$file.out" &
	pid=$!
	exec 8<"$file.out"
	head -c 1 <&8 >/dev/null # it has the image open
	status 0 vhdtool info "$file"
	status 4 vhdtool write --zeroes --length 4096 "$file"
	cat <&8 >/dev/null
	exec 8<&-
	wait $pid
done
