#!/bin/bash
# SPDX-License-Identifier: MIT
# NTFS by ntfs-3g over the p1 file: a tree copied in is there after a new mount.
. "$(dirname "$0")/lib.sh"
requires mkntfs ntfs-3g sfdisk ntfsinfo

# ntfs-3g closes the file after it is unmounted: wait for it to end.
ntfs()
{
	ntfs-3g -o no_detach "$@" fs >ntfs.log 2>&1 &
	served=$!
	at_exit "umount fs 2>/dev/null"
	until mountpoint -q fs; do
		kill -0 $served 2>/dev/null ||
			skip "ntfs-3g cannot mount: $(cat ntfs.log)"
		sleep 0.05
	done
}

no_ntfs()
{
	umount fs
	ended $served
}

vhdtool create d.vhdx 64M >/dev/null
partitioned d.vhdx EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
mkdir tree fs
for i in $(seq 20); do
	pattern $i $((i * 5432)) >tree/f$i
done
mount_it d.vhdx m
mkntfs -F -Q -q -s 512 -p 2048 -H 255 -S 63 m/p1 >out 2>&1 ||
	{ cat out; fail mkntfs; }
ntfs m/p1
cp -r tree fs/
no_ntfs
unmount_it m
sound d.vhdx
mount_it -o ro d.vhdx m
ntfs -o ro m/p1
diff -r tree fs/tree || fail "content"
no_ntfs
unmount_it m
