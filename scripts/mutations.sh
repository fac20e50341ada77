#!/bin/bash
# SPDX-License-Identifier: MIT
# The proof that the crash suite can fail: each rule of libvhdx/mutation.h is
# broken in turn, and the suite must notice. First the control: with nothing
# broken it must not. Rules that no power failure can test have a unit suite.
# Needs VARIANT=mut built. MUTATION_SECONDS: at most, each.
set -u
crash=build/mut/tests/crash/crash
limit=${MUTATION_SECONDS:-120}
unit=build/mut/tests/unit/unit
missed=0 caught=0

# by_suite SUITE NAME: that suite fails with the rule broken, and only then.
by_suite()
{
	$unit -s "$1" >/dev/null 2>&1 || return 1
	timeout "$limit" "$unit" -s "$1" -m "$2" >/dev/null 2>&1 && return 1
	echo "caught by the unit suite $1"
}

if ! $crash --seconds 10 >/dev/null 2>&1; then
	echo "control: the suite fails although nothing is broken"
	exit 1
fi
while IFS=$'\t' read -r name rule; do
	began=$SECONDS
	profile=()
	case $name in
	VHD_CHILD_* | VHD_BITS_* | VHD_SYNC_AFTER_BITS)
		profile=(--profile vhdchild) ;;
	VHD_*) profile=(--profile vhd) ;; # no other can see it
	esac
	case $name in
	SESSION_VISIBLE | ITEMS_TOGETHER)
		out=$(by_suite vhdx_items "$name")
		rc=$?
		;;
	RELINK_PROVES)
		out=$(by_suite relink "$name")
		rc=$?
		;;
	VHD_HEADER_FIRST | VHD_COPY_FOLLOWS)
		out=$(by_suite vhd1_relink "$name")
		rc=$?
		;;
	VHD_COMPACT_*)
		out=$(by_suite vhd1_compact "$name")
		rc=$?
		;;
	COMPACT_*)
		out=$(by_suite vhdx_compact "$name")
		rc=$?
		;;
	RESIZE_*)
		out=$(by_suite vhdx_resize "$name")
		rc=$?
		;;
	OWNER_*)
		out=$(by_suite owner "$name")
		rc=$?
		;;
	MERGE_*)
		out=$(by_suite merge_crash "$name")
		rc=$?
		;;
	*)
		out=$($crash "${profile[@]}" --mutation "$name" \
			--expect-failure --seconds "$limit" 2>/dev/null)
		rc=$?
		;;
	esac
	printf '%-22s %s\n%22s %s (%d s)\n' "$name" "$rule" '' \
		"$(echo "$out" | tail -n 1 | cut -c1-120)" $((SECONDS - began))
	if [ $rc = 0 ]; then
		caught=$((caught + 1))
	else
		missed=$((missed + 1))
	fi
done < <($crash --list-mutations)
echo "mutations: $caught caught, $missed missed"
[ $missed = 0 ] && [ $caught -gt 0 ]
