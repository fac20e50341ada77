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
for field in operation cache request_length depth threads offset flushes \
	seconds iops bytes_per_second user_seconds system_seconds; do
	[ -n "$(json $field out)" ] || fail "no $field in --json"
done
# Past the end it starts again; one request fits the whole disk.
status 0 vhdtool bench --count 300 --bs 1M --depth 16 a.vhdx
status 0 vhdtool bench --count 3 --bs 64M --depth 2 a.vhdx
status 2 vhdtool bench --bs 65M a.vhdx
status 2 vhdtool bench --bs 1000 a.vhdx
status 2 vhdtool bench --depth 0 a.vhdx

# Steps go on modulo the size, wherever the first was, as in qemu-img bench.
truncate -s 64M a.raw
status 0 vhdtool bench --op write --count 8 --depth 3 --offset 64K \
	--step 24510464 a.raw
for at in 65536 24576000 49086464 6488064 30998528 55508992 12910592 \
	37421056; do
	equal "byte at $at" "$(od -An -tx1 -j $at -N 1 a.raw)" " 5a"
done
equal "bytes written" "$(tr -d '\000' <a.raw | wc -c)" $((8 * 4096))

# A seed's places depend neither on how many are in flight nor on who submits.
for how in "--depth 1" "--depth 7" "--depth 7 --threads 3"; do
	truncate -s 64M "r $how.raw"
	status 0 vhdtool bench --op write --random --seed 5 --count 900 \
		$how "r $how.raw"
	cmp "r $how.raw" "r --depth 1.raw" || fail "other places with $how"
done

# Threads do together what one does; each flushes for itself.
status 2 vhdtool bench --threads 3 --depth 2 a.raw
truncate -s 64M t.raw
status 0 vhdtool bench --op write --count 8 --depth 3 --threads 3 \
	--offset 64K --step 24510464 t.raw
cmp a.raw t.raw || fail "other places with threads"
status 0 vhdtool bench --op write --count 40 --depth 16 --threads 4 \
	--flush-interval 5 --json a.vhdx
equal requests "$(json requests out)" 40
equal flushes "$(json flushes out)" 8
equal threads "$(json threads out)" 4
status 0 vhdtool bench --count 20000 --random --depth 32 --threads 5 a.vhdx
# An error ends it, and nobody is waited for in vain: blocks beyond the end.
truncate -s 10M a.vhdx
for threads in "" "--threads 3"; do
	status 6 timeout 60 "$VHDTOOL" bench --random --count 1000000 \
		--depth 16 $threads a.vhdx
	says err "the file ends at"
done
