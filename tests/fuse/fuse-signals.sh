#!/bin/bash
# SPDX-License-Identifier: MIT
# SIGTERM, SIGINT and SIGHUP unmount cleanly, even under an open file: what was
# written is in the image, its log is clean, and nothing is left behind.
. "$(dirname "$0")/lib.sh"

vhdtool create d.vhdx 16M >/dev/null
n=0
for signal in TERM INT HUP; do
	n=$((n + 1))
	pattern $n 1M >want
	[ -d m ] || mkdir m
	(trap - INT HUP
		exec "$VHDFUSE" -f --pid-file "$PWD/m.pid" d.vhdx m) &
	served=$!
	at_exit "leave m $served"
	until mountpoint -q m; do sleep 0.05; done
	exec 5<>m/disk
	cat want >&5
	kill -$signal $served
	wait $served || fail "exit status $? after SIG$signal"
	exec 5>&-
	! mountpoint -q m || fail "still mounted after SIG$signal"
	[ ! -e m.pid ] || fail "the pid file is left"
	vhdtool info d.vhdx >info
	says info "clean"
	vhdtool read --length 1M d.vhdx | cmp - want || fail "after SIG$signal"
done
sound d.vhdx
