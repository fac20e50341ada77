#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that vhdkit needs and that are missing:
#	deps.sh [build]
# `build`: only what building needs; else also what the tests use. Asks nobody:
# as root or through sudo it installs, and it does nothing when all is there.
# The tests skip what they lack, so only missing build packages are an error.
set -eu

# One list. First column: is it needed to build, or does it only prove more?
packages='
build gcc
build make
build binutils
build libc6-dev
build pkg-config
build libjansson-dev
build libcunit1-dev
build scdoc
check clang
check libclang-rt-14-dev
check qemu-utils
check libvhdi-utils
check strace
check bzip2
check jq
'

missing()
{
	echo "$packages" | while read -r kind name; do
		[ -n "$name" ] || continue
		[ "$1" = all ] || [ "$kind" = "$1" ] || continue
		dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null |
			grep -qx installed || printf ' %s' "$name"
	done
}

# Another distribution: say what is needed, and let make find out.
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	for tool in cc make pkg-config; do
		command -v $tool >/dev/null || {
			echo "deps: this is not Debian, and $tool is missing." >&2
			echo "deps: Debian calls what is needed:$(
				echo "$packages" | awk '{printf " %s", $2}')" >&2
			exit 1
		}
	done
	exit 0
fi

lacking=$(missing "${1:-all}")
[ -n "$lacking" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null; then
	as_root=sudo
else
	as_root=none
fi
if [ "$as_root" = none ]; then
	echo "deps: not root and no sudo; missing:$lacking" >&2
else
	echo "deps: installing$lacking"
	# shellcheck disable=SC2086 # words are wanted
	$as_root env DEBIAN_FRONTEND=noninteractive sh -c '
		log=$1; shift
		apt-get update -q >>"$log" 2>&1
		apt-get install -qy --no-install-recommends "$@" >>"$log" 2>&1
	' sh "${TMPDIR:-/tmp}/vhdkit-deps.log" $lacking ||
		tail -n 5 "${TMPDIR:-/tmp}/vhdkit-deps.log" >&2
fi

lacking=$(missing build)
if [ -n "$lacking" ]; then
	echo "deps: cannot build without:$lacking" >&2
	echo "deps: as root: apt-get install$lacking" >&2
	exit 1
fi
lacking=$(missing "${1:-all}")
[ -z "$lacking" ] || echo "deps: some tests will be skipped without:$lacking"
