#!/bin/bash
# SPDX-License-Identifier: MIT
# Ctrl-C stops a merge with a word on how to go on, ends by the signal, and
# leaves a chain that opens; the same command finishes it; another merge of the
# same child waits until then.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 2G >/dev/null
vhdtool create --parent base.vhdx one.vhdx >/dev/null
vhdtool create --parent one.vhdx leaf.vhdx >/dev/null
vhdtool bench --op write --bs 1M --count 700 leaf.vhdx >/dev/null
pattern 1 70000 | vhdtool write --offset 100M leaf.vhdx >/dev/null
before=$(vhdtool read --length 800M leaf.vhdx | sum)

env --default-signal=INT "$VHDTOOL" merge --depth 2 leaf.vhdx >out 2>err &
pid=$!
while [ "$(stat -c %b base.vhdx)" -lt $((32 * 2048)) ] &&
	kill -0 $pid 2>/dev/null; do
	: # until the first 32 MiB of 700 are copied
done
kill -INT $pid 2>/dev/null || skip "the merge was faster than the signal"
got=0
wait $pid || got=$?
[ $got != 0 ] || skip "the merge was faster than the signal"
equal status $got 130
says err "the same command goes on"
[ -e leaf.vhdx.merge ] || fail "nothing remembers the merge"
equal content "$(vhdtool read --length 800M leaf.vhdx | sum)" "$before"
status 0 vhdtool read --length 512 one.vhdx
says err "a mixture"

status 2 vhdtool merge --depth 1 leaf.vhdx
says err "2 levels deep"
status 6 vhdtool merge one.vhdx
says err "vhdtool merge leaf.vhdx"
status 0 vhdtool merge --dry-run leaf.vhdx
says out "a merge that was cut off"
(cd / && vhdtool merge --progress json "$tmp/leaf.vhdx") >out 2>err
says out "a merge that was cut off"
says err '"job": "merge", "done": 734003200,'
equal content "$(vhdtool read --length 800M base.vhdx | sum)" "$before"
equal files "$(echo ./*.vhdx*)" ./base.vhdx
