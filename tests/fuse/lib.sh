# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by every test of vhdfuse: the helpers of tests/tools, and
#	mount_it [OPTION...] IMAGE FOLDER	made if need be; sets `pid`
#	unmount_it FOLDER			waits until all is closed
# What is still mounted at the end of a test is unmounted.
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

VHDFUSE=$(dirname "$VHDTOOL")/vhdfuse
[ -x "$VHDFUSE" ] || skip "vhdfuse is not built (libfuse3-dev)"
[ -w /dev/fuse ] || skip "/dev/fuse is missing or not for us"
requires fusermount3
# Root in a container may have the device, and not the right to mount.
if [ "$(id -u)" = 0 ]; then
	mkdir probe
	mount -t tmpfs none probe 2>/dev/null || skip "may not mount"
	umount probe
	rmdir probe
fi

vhdfuse() { timeout 60 "$VHDFUSE" "$@"; }

mount_it()
{
	local dir=${!#}
	[ -e "$dir" ] || mkdir "$dir"
	vhdfuse --pid-file "$PWD/$dir.pid" --control "$PWD/$dir.sock" "$@" ||
		fail "exit status $?: vhdfuse $*"
	pid=$(cat "$dir.pid")
	at_exit "leave $dir $pid"
}

# leave FOLDER PID: whatever state it is in
leave()
{
	mountpoint -q "$1" || [ -d "/proc/$2" ] || return 0
	fusermount3 -u -z "$1" 2>/dev/null || :
	kill -TERM "$2" 2>/dev/null || :
	ended "$2" || kill -KILL "$2" 2>/dev/null
}

# ended PID: within half a minute
ended()
{
	timeout 30 tail --pid="$1" -s 0.05 -f /dev/null
}

unmount_it()
{
	local pid
	pid=$(cat "$1.pid")
	fusermount3 -u "$1" || fail "cannot unmount $1"
	ended "$pid" || fail "vhdfuse does not end"
	[ ! -e "$1.pid" ] || fail "the pid file is left"
}

# ask SOCKET LINE: one answer
ask()
{
	timeout 10 python3 - "$1" "$2" <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(os.fsencode(sys.argv[2]) + b"\n")
print(s.makefile().readline(), end="")
END
}

# partitioned IMAGE: one partition from 1 MiB to the end, type $2 (or linux)
partitioned()
{
	requires sfdisk
	mount_it "$1" table
	echo "label: gpt
start=2048, type=${2:-linux}" | sfdisk -q table/disk || fail "sfdisk"
	unmount_it table
}
