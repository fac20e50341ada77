#!/bin/bash
# SPDX-License-Identifier: MIT
# Fuzzing:	fuzz.sh [replay]
# With clang every harness searches for FUZZ_SECONDS (60), starting from the
# stored corpus testdata/fuzz/NAME and what earlier runs found in
# build/fuzz-corpus/NAME; a crash leaves its input in build/fuzz-crashes. With
# `replay`, or without clang, the stored corpora run once, under the sanitizers
# of whatever compiler there is. FUZZ_ONLY: only this harness.
set -u
MAKE=${MAKE:-make}
seconds=${FUZZ_SECONDS:-60}
j=-j$(nproc)

harnesses=$(grep -l '^int LLVMFuzzerTestOneInput' tests/fuzz/*.c 2>/dev/null |
	sed 's|.*/||; s|\.c$||')
if [ -z "$harnesses" ]; then
	echo "no fuzz harnesses"
	exit 77
fi
failed=0

replay()
{
	"$MAKE" --no-print-directory "$j" VARIANT=asan B=build/asan \
		replay-progs || exit 1
	for name in $harnesses; do
		[ -z "${FUZZ_ONLY:-}" ] || [ "$FUZZ_ONLY" = "$name" ] || continue
		inputs=()
		[ ! -d "testdata/fuzz/$name" ] ||
			mapfile -t inputs < <(find "testdata/fuzz/$name" -type f | sort)
		if build/asan/fuzz/replay_"$name" "${inputs[@]}"; then
			echo "$name: ${#inputs[@]} inputs"
		else
			echo "$name: FAILED"
			failed=1
		fi
	done
}

search()
{
	"$MAKE" --no-print-directory "$j" VARIANT=fuzz CC=clang B=build/fuzz \
		fuzz-progs || exit 1
	mkdir -p build/fuzz-crashes
	for name in $harnesses; do
		[ -z "${FUZZ_ONLY:-}" ] || [ "$FUZZ_ONLY" = "$name" ] || continue
		mkdir -p "build/fuzz-corpus/$name"
		dirs=("build/fuzz-corpus/$name")
		[ ! -d "testdata/fuzz/$name" ] || dirs+=("testdata/fuzz/$name")
		log=build/fuzz-crashes/$name.log
		if build/fuzz/fuzz/"$name" -max_total_time="$seconds" \
			-timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix="build/fuzz-crashes/$name-" \
			"${dirs[@]}" >"$log" 2>&1; then
			echo "$name: clean," \
				"$(awk '/number_of_executed_units/{print $2}' "$log") runs," \
				"$(find "build/fuzz-corpus/$name" -type f | wc -l) inputs"
		else
			echo "$name: FAILED"
			tail -n 40 "$log"
			failed=1
		fi
	done
}

if [ "${1:-}" = replay ]; then
	replay
elif ! command -v clang >/dev/null; then
	echo "no clang: the stored inputs are replayed instead"
	replay
else
	search
fi
exit $failed
