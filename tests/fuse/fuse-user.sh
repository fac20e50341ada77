#!/bin/bash
# SPDX-License-Identifier: MIT
# An ordinary user mounts an image of his own, writes to it and unmounts it,
# with nothing but fusermount3's help.
. "$(dirname "$0")/lib.sh"
requires setpriv unshare
[ "$(id -u)" = 0 ] || skip "only root can become an ordinary user"
unshare -m --propagation private true 2>/dev/null ||
	skip "no mount namespaces here"
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid"

# Somewhere he can get at: our programs, a folder of his, a device as most
# systems have it.
dir=$(mktemp -d /tmp/vhdkit-user-XXXXXX)
at_exit "rm -rf '$dir'"
chmod 755 "$dir"
cp "$VHDTOOL" "$VHDFUSE" "$dir"
mkdir "$dir/home" "$dir/home/m"
chown -R nobody "$dir/home"
mknod -m 666 "$dir/fuse" c 10 229 || skip "may not make a device"

cat >"$dir/user.sh" <<'END'
set -e
cd "$1/home"
head -c 1M /dev/urandom >want
"$1/vhdtool" create d.vhdx 16M >/dev/null
"$1/vhdfuse" --pid-file "$PWD/pid" d.vhdx m
dd if=want of=m/disk bs=64K conv=notrunc,fsync status=none
cmp -n 1048576 want m/disk
[ "$(stat -c '%U %a' m/disk)" = "nobody 600" ]
pid=$(cat pid)
[ "$(stat -c %U "/proc/$pid")" = nobody ]
grep -q " $PWD/m fuse.vhdfuse " /proc/self/mounts
fusermount3 -u m
timeout 30 tail --pid="$pid" -s 0.05 -f /dev/null
"$1/vhdtool" check d.vhdx
"$1/vhdtool" convert d.vhdx got.raw >/dev/null
cmp -n 1048576 want got.raw
END
# shellcheck disable=SC2016 # $1 and so on are the inner shell's
unshare -m --propagation private bash -ec '
	mount --bind "$1/fuse" /dev/fuse
	exec setpriv --reuid=nobody --regid=nogroup --clear-groups \
		env -u XDG_RUNTIME_DIR HOME="$1/home" bash "$1/user.sh" "$1"' \
	- "$dir" >out 2>&1 || fail "$(cat out)"
