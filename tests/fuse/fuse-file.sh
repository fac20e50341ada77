#!/bin/bash
# SPDX-License-Identifier: MIT
# --file mounts over a regular file; uid=, gid= and modes are as asked, through
# mount.vhdfuse with the arguments of mount(8) too.
. "$(dirname "$0")/lib.sh"

vhdtool create d.vhdx 16M >/dev/null
pattern 1 1M >want
touch f
mount_it --file -o uid=1234,gid=4321 d.vhdx f
equal attributes "$(stat -c '%u %g %a %s %F' f)" \
	"1234 4321 660 16777216 regular file"
dd if=want of=f bs=1M conv=notrunc status=none
cmp -n 1048576 want f || fail "content"
unmount_it f
equal "the file below" "$(stat -c %s f)" 0

ln -s "$VHDFUSE" mount.vhdfuse
mkdir m
./mount.vhdfuse d.vhdx m -s -n -o "rw,noauto,_netdev,user,x-systemd.a=b,defaults,pid-file=$PWD/m.pid,control=none,ro=" 2>err && fail "ro="
./mount.vhdfuse d.vhdx m -s -n -o "ro,noauto,_netdev,user,x-systemd.a=b,defaults,allow_other,pid-file=$PWD/m.pid,control=none,noatime" ||
	fail "mount.vhdfuse"
at_exit "leave m $(cat m.pid)"
equal mode "$(stat -c %a m/disk)" 400
cmp -n 1048576 want m/disk || fail "content"
grep " $PWD/m fuse.vhdfuse " /proc/mounts >mounts || fail "not in /proc/mounts"
says mounts noatime
says mounts allow_other
unmount_it m
mkdir "a,b"
mv d.vhdx "a,b/c d.vhdx"
mount_it "a,b/c d.vhdx" m
equal source "$(findmnt -n -o SOURCE m)" "$PWD/a,b/c d.vhdx"
unmount_it m
if [ -x /sbin/mount.fuse3 ]; then
	PATH=$(dirname "$VHDFUSE"):$PATH /sbin/mount.fuse3 "a,b/c d.vhdx" m \
		-t fuse.vhdfuse -o ro,pid-file="$PWD/m.pid" || fail "fuse3"
	at_exit "leave m $(cat m.pid)"
	cmp -n 1048576 want m/disk || fail "content"
	unmount_it m
fi
