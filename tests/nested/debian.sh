#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes a Debian as its installer would: own kernel, own initrd, systemd.
#	debian.sh DIR
#	DIR/debian.kernel DIR/debian.initrd	of the distribution's making
#	DIR/debian.vhdx		the root disk, labelled "debian"
#	DIR/debian.avhdx	a child of it
# Boot with 'console=ttyS0 root=LABEL=debian'. The system itself comes from the
# package registry by mmdebstrap, as root, and is kept in NESTED_CACHE.
. "$(dirname "$0")/lib.sh"

[ $# = 1 ] || { sed -n '4s/^#\t/usage: /p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
build=$(realpath "${B:-$(dirname "$0")/../../build/release}")
made=$nested_cache/debian
requires mkfs.ext4 flock
mkdir -p "$nested_cache"

make_debian()
{
	local new=$1 tree=$1/tree
	mmdebstrap --quiet --mode=root --variant=minbase --include="$(echo \
		systemd-sysv,udev,dbus,initramfs-tools,zstd,e2fsprogs, \
		linux-image-cloud-amd64 | tr -d ' ')" bookworm "$tree" ||
		return 1
	echo nested >"$tree/etc/hostname"
	echo 'LABEL=debian / ext4 defaults 0 1' >"$tree/etc/fstab"
	cp "$tree"/boot/vmlinuz-* "$new/kernel"
	cp "$tree"/boot/initrd.img-* "$new/initrd"
	disk_of "$tree" "$new/root.raw" 1024 -L debian
	rm -rf "$tree"
}

if [ ! -e "$made" ]; then
	requires mmdebstrap
	[ "$(id -u)" = 0 ] || skip "mmdebstrap needs root"
fi
(
	flock 9
	[ ! -e "$made" ] || exit 0
	new=$(mktemp -d "$nested_cache/new-XXXXXX")
	trap 'rm -rf "$new"' EXIT
	make_debian "$new" && mv -T "$new" "$made"
) 9>"$nested_cache/lock" || skip "no Debian to be had (mmdebstrap)"

cp "$made/kernel" "$dir/debian.kernel"
cp "$made/initrd" "$dir/debian.initrd"
"$build/bin/vhdtool" convert --no-sync --force "$made/root.raw" \
	"$dir/debian.vhdx" >/dev/null
(cd "$dir" && "$build/bin/vhdtool" create --force --parent debian.vhdx \
	debian.avhdx >/dev/null)
