#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that are in use are in the picture, are no error, and do not keep
# others from being written to.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 10M >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool create other.vhdx 10M >/dev/null
mkfifo input
"$VHDTOOL" write child.avhdx <input >/dev/null &
pid=$!
at_exit "kill $pid 2>/dev/null"
exec 7>input
head -c 65536 /dev/zero >&7
for i in $(seq 100); do
	ls -l /proc/$pid/fd 2>/dev/null | grep -q '^lrwx.*child.avhdx$' && break
	[ $i != 100 ] || fail "the writer does not start"
	sleep 0.05
done

status 0 vhdtool doctor .
equal picture "$(sed -n '2s/: .*: /: /p' out)" "\`-- child.avhdx: in use"
says out "note: child.avhdx: was not examined"
says out "process $pid"
says out "0 errors, 0 warnings"
status 0 vhdtool doctor --apply .

pattern 1 512 >data
status 0 vhdtool write other.vhdx <data
equal "said about another's child" "$(cat err)" ""
status 6 vhdtool write base.vhdx <data
says err "is the parent of child.avhdx"
status 4 vhdtool write --force base.vhdx <data
exec 7>&-
wait $pid
status 0 vhdtool doctor .
says out "all is well"
