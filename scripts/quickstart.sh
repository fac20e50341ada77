#!/bin/bash
# SPDX-License-Identifier: MIT
# `make quickstart`: builds, then shows the main job step by step, each command
# printed before it runs.
set -eu
"${MAKE:-make}" --no-print-directory -j"$(nproc)"

tour=$(mktemp -d "${TMPDIR:-/var/tmp}/vhdkit-tour-XXXXXX")
trap 'rm -rf "$tour"' EXIT
PATH=$(pwd)/${B:-build/release}/bin:$PATH
cd "$tour"

run()
{
	printf '\n$ %s\n' "$*"
	bash -c "$*"
}

run "vhdtool create --size 1G disk.vhdx"
run "echo 'Hello, disk' | head -c 512 | dd bs=512 conv=sync status=none | vhdtool write --offset 1M disk.vhdx"
run "vhdtool info disk.vhdx"
run "vhdtool map disk.vhdx"
run "vhdtool check disk.vhdx"
run "vhdtool convert disk.vhdx disk.raw"
run "vhdtool compare disk.vhdx disk.raw"
