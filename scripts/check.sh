#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make check` runs: minutes, every claim at least once. Called by make,
# which sets MAKE, B and CC. CRASH_SECONDS: how long the power keeps failing.
. scripts/stages.sh

stage build "$MAKE" --no-print-directory -j"$(nproc)" tests
stage headers "$MAKE" --no-print-directory check-headers
stage layers scripts/check-layers.sh
stage style scripts/check-style.sh
stage golden scripts/run-golden.sh
stage tools scripts/run-tools.sh
[ ! -x "$B/tests/crash/crash" ] ||
	stage crash "$B/tests/crash/crash" --seconds "${CRASH_SECONDS:-60}"
stage unit "$B/tests/unit/unit"
stages_end check
