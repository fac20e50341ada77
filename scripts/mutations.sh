#!/bin/bash
# SPDX-License-Identifier: MIT
# The proof that the tests can fail: each rule of libvhdx/mutation.h is broken
# in turn, and they must notice. First the control: with nothing broken they
# must not. Power failures test most rules, on one disk or on a chain; the table
# below says where a rule is looked for, and which have a unit suite: it is asked
# where no power failure told, or could tell.
# Needs VARIANT=mut built. MUTATION_SECONDS: at most, each.
set -u
crash=build/mut/tests/crash/crash
limit=${MUTATION_SECONDS:-120}
unit=build/mut/tests/unit/unit
stress=build/mut/tests/stress/stress
missed=0 caught=0
declare -A sound=() # suites that pass with nothing broken

# Sets `suite`, `where` (options of the crash suite) and `many` (of the stress
# suite, " ": none); any may be empty.
look()
{
	suite='' where='' many=''
	case $1 in
	MERGED_GO_AGAIN) suite=file_merge ;;
	VHD_WRITES_COUNT | RAW_WRITES_COUNT | FIRST_FLUSH_SYNCS)
		suite=flush_cost ;; # the order is seen from inside only
	BLK_FUA_FLUSHES) many='--profile raw-sim' ;;
	BLK_DRAIN_POSTED) many='--profile raw-sim-threads' ;;
	BLK_* | *_FAIL_ANSWERS) many=' ' ;;
	SESSION_VISIBLE | ITEMS_TOGETHER) suite=vhdx_items ;;
	RELINK_PROVES) suite=relink ;;
	MERGE_JOURNAL_FIRST) suite=merge_crash ;; # only the order shows it
	MERGE_KNOWS_ID | MERGE_FOREIGN_NEAR) suite=merge_resume ;;
	MERGE_*) suite=merge_crash where='--profile j-merge' ;;
	VHD_RESIZE_*) suite=vhd1_resize ;;
	RESIZE_*) suite=vhdx_resize where='--profile j-resize' ;;
	COMPACT_UNUSED_WHOLE) suite=vhdx_compact ;; # nothing else knows
	COMPACT_*) suite=vhdx_compact where='--profile j-compact' ;;
	STORVSP_*) suite=storvsp_disks ;;
	OWNER_*) suite=owner where='--profile forest' ;;
	VHD_END_FIRST) suite=vhd1_relink ;; # only the order shows it
	VHD_HEADER_FIRST | VHD_COPY_FOLLOWS)
		suite=vhd1_relink where='--profile j-relinkvhd' ;;
	VHD_COMPACT_KNOWN) suite=vhd1_compact ;;
	VHD_FOOTER_ALONE) suite=vhd1_io ;;
	VHD_COMPACT_*) suite=vhd1_compact where='--profile j-compactvhd' ;;
	SHIFT_ZEROS) suite=vhd1_compact ;; # forests take long to find it
	VHD_BITS_COUNT) suite=vhd1_child where='--profile vhdchild' ;;
	VHD_CHILD_* | VHD_BITS_* | VHD_SYNC_AFTER_BITS)
		where='--profile vhdchild' ;;
	VHD_*) where='--profile vhd' ;; # no other can see it
	*) where=--disks ;;
	esac
}

# by_suite NAME: $suite fails with the rule broken, and only then.
by_suite()
{
	if [ -z "${sound[$suite]-}" ]; then
		$unit -s "$suite" >/dev/null 2>&1 || return 1
		sound[$suite]=1
	fi
	! timeout "$limit" "$unit" -s "$suite" -m "$1" >/dev/null 2>&1
}

# by_power NAME: sets `out`.
by_power()
{
	# shellcheck disable=SC2086
	out=$($crash $where --mutation "$1" --expect-failure \
		--seconds "$limit" 2>/dev/null) || return 1
	out=$(echo "$out" | tail -n 1 | cut -c1-120)
}

# by_stress NAME: sets `out`.
by_stress()
{
	# shellcheck disable=SC2086
	out=$($stress $many --mutation "$1" --expect-failure \
		--seconds "$limit" 2>/dev/null) || return 1
	out=$(echo "$out" | tail -n 1 | cut -c1-120)
}

if ! $stress --seconds 20 >/dev/null 2>&1; then
	echo "control: stress fails although nothing is broken"
	exit 1
fi
for kind in --disks --chains '--profile forest'; do
	# shellcheck disable=SC2086
	if ! $crash $kind --seconds 10 >/dev/null 2>&1; then
		echo "control: crash $kind fails although nothing is broken"
		exit 1
	fi
done
while IFS=$'\t' read -r name rule; do
	began=$SECONDS
	verdict=''
	look "$name"
	if [ -n "$many" ] && by_stress "$name"; then
		verdict=$out
	elif [ -n "$where" ] && by_power "$name"; then
		verdict=$out
	elif [ -n "$suite" ] && by_suite "$name"; then
		verdict="caught by the unit suite $suite"
	fi
	printf '%-22s %s\n%22s %s (%d s)\n' "$name" "$rule" '' \
		"${verdict:-MISSED}" $((SECONDS - began))
	if [ -n "$verdict" ]; then
		caught=$((caught + 1))
	else
		missed=$((missed + 1))
	fi
done < <($crash --list-mutations)
echo "mutations: $caught caught, $missed missed"
[ $missed = 0 ] && [ $caught -gt 0 ]
