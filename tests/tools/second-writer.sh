#!/bin/bash
# SPDX-License-Identifier: MIT
# A second writer is refused with status 4 and told who holds the image;
# readers do not shut each other out.
. "$(dirname "$0")/lib.sh"

for file in a.vhdx a.vhd a.raw; do
	vhdtool create "$file" 10M >/dev/null
	# The writer waits for its input with the image open.
	mkfifo "$file.fifo"
	"$VHDTOOL" write "$file" <"$file.fifo" >/dev/null &
	pid=$!
	exec 7>"$file.fifo"
	at_exit "kill $pid 2>/dev/null"
	head -c 65536 /dev/zero >&7
	for i in $(seq 100); do
		ls -l /proc/$pid/fd 2>/dev/null | grep -q "^lrwx.*$file\$" && break
		[ $i != 100 ] || fail "the writer does not start"
		sleep 0.05
	done
	status 4 vhdtool write --zeroes --length 4096 "$file"
	says err "$pid"
	status 4 vhdtool info "$file"
	exec 7>&-
	wait $pid
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
