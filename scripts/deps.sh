#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that vhdkit needs and that are missing:
#	deps.sh [build]
# `build`: only what building needs; else also what the tests use. Asks nobody:
# as root or through sudo it installs, and it does nothing when all is there.
# The tests skip what they lack, so only missing build packages are an error.
set -eu

# One list. First column: is it needed to build, does it build something more
# (compact --fs, vhdfuse, vmm), or does it only prove more?
packages='
build gcc
build make
build binutils
build libc6-dev
build pkg-config
build libaio-dev
build libjansson-dev
build libcunit1-dev
build scdoc
more libext2fs-dev
more ntfs-3g-dev
more libblkid-dev
more libseccomp-dev
more libfuse3-dev
more acpica-tools
check e2fsprogs
check ntfs-3g
check fdisk
check xfsprogs
check clang
check libclang-rt-dev
check qemu-utils
check qemu-system-common
check libvhdi-utils
check strace
check bzip2
check jq
check fuse3
check fio
check python3
check mount
check qemu-system-x86
check busybox-static
check cpio
check kmod
check mmdebstrap
'

missing()
{
	echo "$packages" | while read -r kind name; do
		[ -n "$name" ] || continue
		[ "$kind" = "$1" ] || continue
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

kinds="${1:-build check} more"
lacking=$(for kind in $kinds; do missing "$kind"; done)
[ -n "$lacking" ] || exit 0

# quietly COMMAND...: its output is shown only if it fails.
quietly()
{
	out=$("$@" 2>&1) || echo "$out" | tail -n 5 >&2
}

if [ "$(id -u)" = 0 ]; then
	apt="env DEBIAN_FRONTEND=noninteractive apt-get"
elif command -v sudo >/dev/null; then
	apt="sudo env DEBIAN_FRONTEND=noninteractive apt-get"
else
	apt=
	echo "deps: not root and no sudo; missing:$lacking" >&2
fi
# shellcheck disable=SC2086 # words are wanted
if [ -n "$apt" ]; then
	echo "deps: installing$lacking"
	quietly $apt update -q
	# What is optional must not keep the rest from being installed.
	for kind in $kinds; do
		lacking=$(missing "$kind")
		[ -z "$lacking" ] ||
			quietly $apt install -qy --no-install-recommends $lacking
	done
fi

lacking=$(missing build)
if [ -n "$lacking" ]; then
	echo "deps: cannot build without:$lacking" >&2
	echo "deps: as root: apt-get install$lacking" >&2
	exit 1
fi
lacking=$(for kind in $kinds; do missing "$kind"; done)
[ -z "$lacking" ] || echo "deps: some tests will be skipped without:$lacking"
