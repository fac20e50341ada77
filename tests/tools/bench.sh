#!/bin/bash
# SPDX-License-Identifier: MIT
# bench does the requests it is told to, reports them, and refuses what it
# cannot do.
. "$(dirname "$0")/lib.sh"

vhdtool create --block-size 1M a.vhdx 64M >/dev/null
status 0 vhdtool bench --op write --bs 64K --count 20 --step 1M --depth 4 \
	--flush-interval 5 a.vhdx
says out "Run completed in"
says out "4 flushes"
says out "p99.9"
equal "blocks written" \
	"$(vhdtool map a.vhdx | awk '$3 == "data" { n += $2 } END { print n }')" \
	$((20 * 1048576))
status 0 vhdtool bench --random --count 1000 --json a.vhdx
equal requests "$(json requests out)" 1000
# Past the end it starts again; one request fits the whole disk.
status 0 vhdtool bench --count 300 --bs 1M --depth 16 a.vhdx
status 0 vhdtool bench --count 3 --bs 64M --depth 2 a.vhdx
status 2 vhdtool bench --bs 65M a.vhdx
status 2 vhdtool bench --bs 1000 a.vhdx
status 2 vhdtool bench --depth 0 a.vhdx
