#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make check` runs: minutes, every claim at least once. Called by make,
# which sets MAKE, B and CC. CRASH_SECONDS: how long the power keeps failing
# (two thirds of it each for single disks and for chains); FOREST_SECONDS: how
# long forests of disks grow; STRESS_SECONDS: many requests at once.
. scripts/stages.sh

stage build "$MAKE" --no-print-directory -j"$(nproc)" tests
stage headers "$MAKE" --no-print-directory check-headers
stage layers scripts/check-layers.sh
stage style scripts/check-style.sh
stage golden scripts/run-golden.sh
stage tools scripts/run-tools.sh
if [ -x "$B/tests/crash/crash" ]; then
	power=${CRASH_SECONDS:-60}
	stage crash "$B/tests/crash/crash" --disks --seconds $((power * 2 / 3))
	stage "crash chains" "$B/tests/crash/crash" --chains \
		--seconds $((power * 2 / 3))
	stage forest "$B/tests/crash/crash" --profile forest \
		--seconds "${FOREST_SECONDS:-$power}"
fi
stage stress "$B/tests/stress/stress" --seconds "${STRESS_SECONDS:-10}"
stage unit "$B/tests/unit/unit"
stages_end check
