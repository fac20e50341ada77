#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the shell tests: tests/{tools,fuse}/*.sh, one claim each, the claim being
# the first comment after the licence. Each gets an empty folder of its own as
# the current one and as TMPDIR, removed afterwards, and
#	VHDTOOL  the program	SRC  the tree	BUILD  the build folder
# Status 77: skipped, the last line of the output says why. lib.sh is what they
# share. With arguments: only those names.
set -u
SRC=$(pwd)
case ${B:=build/release} in /*) BUILD=$B ;; *) BUILD=$SRC/$B ;; esac
VHDTOOL=$BUILD/bin/vhdtool
export SRC BUILD VHDTOOL

if [ ! -x "$VHDTOOL" ]; then
	echo "vhdtool is not built"
	exit 77
fi
work=$(mktemp -d "${TMPDIR:-/var/tmp}/vhdkit-tools-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
ran=0 skipped=0 failed=0

for test in tests/tools/*.sh tests/fuse/*.sh; do
	name=$(basename "$test" .sh)
	case $name in lib | *-lib) continue ;; esac
	[ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
	mkdir "$work/$name"
	(cd "$work/$name" && TMPDIR=$PWD exec timeout -k 5 "${TOOL_SECONDS:-180}" \
		bash "$SRC/$test") >"$work/$name.out" 2>&1 </dev/null
	rc=$?
	rm -rf "${work:?}/$name"
	claim=$(sed -n '3,${/^#/!q;s/^# //p}' "$test" | tr '\n' ' ')
	case $rc in
	0) ran=$((ran + 1)); echo "ok       $name: $claim" ;;
	77) skipped=$((skipped + 1))
		echo "skipped  $name: $(tail -n 1 "$work/$name.out")" ;;
	*) failed=$((failed + 1))
		echo "FAILED   $name: $claim (status $rc)"
		sed 's/^/    /' "$work/$name.out" ;;
	esac
done
echo "tools: $ran passed, $skipped skipped, $failed failed"
[ "$failed" = 0 ] && [ $((ran + skipped)) -gt 0 ]
