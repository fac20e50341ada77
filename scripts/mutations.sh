#!/bin/bash
# SPDX-License-Identifier: MIT
# The proof that the crash suite can fail: each rule of libvhdx/mutation.h is
# broken in turn, and the suite must notice. First the control: with nothing
# broken it must not. Needs VARIANT=mut built. MUTATION_SECONDS: at most, each.
set -u
crash=build/mut/tests/crash/crash
limit=${MUTATION_SECONDS:-120}
missed=0 caught=0

if ! $crash --seconds 10 >/dev/null 2>&1; then
	echo "control: the suite fails although nothing is broken"
	exit 1
fi
while IFS=$'\t' read -r name rule; do
	began=$SECONDS
	profile=()
	case $name in
	VHD_*) profile=(--profile vhd) ;; # no other can see it
	esac
	out=$($crash "${profile[@]}" --mutation "$name" --expect-failure --seconds "$limit" \
		2>/dev/null)
	rc=$?
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
