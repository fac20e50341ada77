#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make check-long` runs: the crash suite at length, the proof that it
# would notice each missing sync, and everything again under the sanitizers.
#	CRASH_LONG_SECONDS	the crash suite (1200): half on disks, half on chains
#	FOREST_LONG_SECONDS	forests of disks, on two processors (1200)
#	STRESS_LONG_SECONDS	many requests at once (300), and again under each
#				of two sanitizers (90 each)
#	CRASH_SEED		where its seeds begin (today's date and time), and
#				those of the stress suite
#	MUTATION_SECONDS	at most, for each mutation (120)
#	NESTED_LIMIT		guests under vmm, all of them (600)
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

# Long sweeps over simulated disks have one thread: nothing to see in them.
tsan_unit()
{
	variant tsan build/tsan/tests/unit/unit &&
		fixed_layout build/tsan/tests/unit/unit \
			-x vhdx_resize,vhd1_resize,merge_crash,vhdx_compact,vhd1_compact
}

crash_long()
{
	variant release tests &&
		build/release/tests/crash/crash --disks --seed "$seed" \
			--seconds $((crash_seconds / 2)) &&
		build/release/tests/crash/crash --chains --seed "$seed" \
			--seconds $((crash_seconds / 2))
}

forest_long()
{
	variant release tests &&
		build/release/tests/crash/crash --profile forest --seed "$seed" \
			--seconds "$forest_seconds"
}

asan_crash()
{
	variant asan crash &&
		build/asan/tests/crash/crash --disks --seconds 30 &&
		build/asan/tests/crash/crash --chains --seconds 30 &&
		build/asan/tests/crash/crash --profile forest --seconds 20
}

# Many requests at once: simulated files beside real ones, which wait for the
# host most of the time.
stress_two()
{
	"$@" --only sim --seed "$seed" --seconds "$stress_seconds" &
	local one=$! rc=0
	"$@" --seed $((seed + 500)) --seconds "$stress_seconds" || rc=1
	wait "$one" && [ $rc = 0 ]
}

stress_long()
{
	stress_seconds=${STRESS_LONG_SECONDS:-300}
	variant release stress && stress_two build/release/tests/stress/stress
}

tsan_stress()
{
	stress_seconds=90
	variant tsan stress &&
		fixed_layout build/tsan/tests/stress/stress --seed "$seed" \
			--seconds "$stress_seconds"
}

asan_stress()
{
	stress_seconds=90
	variant asan stress && stress_two build/asan/tests/stress/stress
}

mutations()
{
	variant mut tests && scripts/mutations.sh
}

fuse_long()
{
	variant asan all &&
		(cd tests/fuse && ls fuse-*.sh) | sed 's/\.sh$//' |
		B=build/asan xargs scripts/run-tools.sh
}

# Guests of vmm, on a host made by QEMU.
guests()
{
	variant release nested-progs && B=build/release tests/nested/check.sh
}

other_compiler()
{
	command -v clang >/dev/null || { echo "no clang"; return 77; }
	"$MAKE" --no-print-directory "$j" CC=clang WERROR=1 B=build/clang tests
}

export -f variant fixed_layout asan_unit tsan_unit crash_long forest_long \
	fuse_long asan_crash mutations other_compiler stress_two stress_long tsan_stress \
	asan_stress guests
export j
export seed=${CRASH_SEED:-$(date +1%j%H%M)}

long_stage "clang build" bash -c other_compiler
STAGE_SECONDS=${NESTED_LIMIT:-600} stage nested bash -c guests
long_stage "asan unit" bash -c asan_unit
long_stage "tsan unit" bash -c tsan_unit
long_stage stress bash -c stress_long
long_stage "tsan stress" bash -c tsan_stress
long_stage "asan stress" bash -c asan_stress
long_stage "fuse" bash -c fuse_long
long_stage "fuzz replay" scripts/fuzz.sh replay
if [ -f tests/crash/crash.c ]; then
	long_stage "asan crash" bash -c asan_crash
	long_stage "mutation proof" bash -c mutations
	# What is left, less a minute for the last cases to end; the forests have
	# at most half of it.
	left=$((budget - SECONDS - 60))
	[ "$left" -gt 4 ] || left=4
	forest_seconds=${FOREST_LONG_SECONDS:-1200}
	[ "$forest_seconds" -le $((left / 2)) ] || forest_seconds=$((left / 2))
	crash_seconds=${CRASH_LONG_SECONDS:-1200}
	[ "$crash_seconds" -le $((left - forest_seconds)) ] ||
		crash_seconds=$((left - forest_seconds))
	export crash_seconds forest_seconds
	long_stage forest bash -c forest_long
	long_stage "crash long" bash -c crash_long
fi
stages_end check-long
