#!/bin/bash
# SPDX-License-Identifier: MIT
# The target of convert appears complete or not at all, an existing file is
# replaced only with --force and only at the end, and Ctrl-C or SIGTERM leave
# nothing behind.
. "$(dirname "$0")/lib.sh"

pattern 1 2000000 >old.vhdx
cp old.vhdx dst.vhdx
sparse_pattern src.raw
status 1 vhdtool convert src.raw dst.vhdx
cmp old.vhdx dst.vhdx
status 0 vhdtool convert --force src.raw dst.vhdx
status 0 vhdtool compare src.raw dst.vhdx
status 2 vhdtool convert --force src.raw ./src.raw

for signal in INT TERM HUP; do
	for file in new.vhdx new.vhd new.raw old.vhdx; do
		mkdir work
		[ $file != old.vhdx ] || cp old.vhdx work
		env --default-signal=INT,TERM,HUP "$VHDTOOL" convert --force \
			src.raw work/$file >out 2>err &
		pid=$!
		kill -$signal $pid 2>/dev/null || :
		got=0
		wait $pid || got=$?
		if [ $got = 0 ]; then
			# It was faster than the signal: then it is complete.
			status 0 vhdtool compare src.raw work/$file
		else
			want=$((128 + $(kill -l $signal)))
			equal "status after $signal" $got $want
			left=$(ls -A work)
			[ $file != old.vhdx ] || cmp old.vhdx work/old.vhdx
			equal "left behind" "${left#old.vhdx}" ""
		fi
		rm -r work
	done
done
