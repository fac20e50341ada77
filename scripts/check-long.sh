#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make check-long` runs: the crash suite at length, the proof that it
# would notice each missing sync, and everything again under the sanitizers.
#	CRASH_LONG_SECONDS	the crash suite (1200)
#	CRASH_SEED		where its seeds begin (today's date and time)
#	MUTATION_SECONDS	at most, for each mutation (120)
#	LONG_SECONDS		for all of it; what does not fit fails (5400)
. scripts/stages.sh

budget=${LONG_SECONDS:-5400}
j=-j$(nproc)

# $(CC) of the caller is for the first build; variants have their own folders.
variant()
{
	"$MAKE" --no-print-directory "$j" VARIANT="$1" B="build/$1" "${@:2}"
}

long_stage()
{
	local left=$((budget - SECONDS))
	if [ "$left" -lt 5 ]; then
		left=5
	fi
	STAGE_SECONDS=$left stage "$@"
}

# ThreadSanitizer of gcc 12 cannot live with the address space layout of newer
# kernels.
fixed_layout()
{
	if setarch -R true 2>/dev/null; then
		setarch -R "$@"
	else
		"$@"
	fi
}

asan_unit()
{
	variant asan build/asan/tests/unit/unit && build/asan/tests/unit/unit
}

tsan_unit()
{
	variant tsan build/tsan/tests/unit/unit &&
		fixed_layout build/tsan/tests/unit/unit
}

crash_long()
{
	variant release tests &&
		build/release/tests/crash/crash --seed "${CRASH_SEED:-$(date +1%j%H%M)}" \
			--seconds "$crash_seconds"
}

asan_crash()
{
	variant asan crash &&
		build/asan/tests/crash/crash --seconds 60
}

mutations()
{
	variant mut tests && scripts/mutations.sh
}

other_compiler()
{
	command -v clang >/dev/null || { echo "no clang"; return 77; }
	"$MAKE" --no-print-directory "$j" CC=clang WERROR=1 B=build/clang tests
}

export -f variant fixed_layout asan_unit tsan_unit crash_long asan_crash \
	mutations other_compiler
export j

long_stage "clang build" bash -c other_compiler
long_stage "asan unit" bash -c asan_unit
long_stage "tsan unit" bash -c tsan_unit
long_stage "fuzz replay" scripts/fuzz.sh replay
if [ -f tests/crash/crash.c ]; then
	long_stage "asan crash" bash -c asan_crash
	long_stage "mutation proof" bash -c mutations
	# What is left, less a minute for the last case to end.
	crash_seconds=${CRASH_LONG_SECONDS:-1200}
	left=$((budget - SECONDS - 60))
	[ "$crash_seconds" -le "$left" ] || crash_seconds=$((left > 1 ? left : 1))
	export crash_seconds
	long_stage "crash long" bash -c crash_long
fi
stages_end check-long
