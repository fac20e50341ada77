# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by what makes machines: a kernel of the distribution, its modules,
# and small initrds. Nothing is installed and no root is needed.
#	NESTED_CACHE	where the kernel is kept (~/.cache/vhdkit/nested)
#	NESTED_KERNEL	the package it comes from (linux-image-cloud-amd64)
set -euo pipefail
export LC_ALL=C PATH=$PATH:/sbin:/usr/sbin
nested_cache=${NESTED_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vhdkit/nested}

skip() { echo "SKIP: $*" >&2; exit 77; }

# requires PROGRAM...: skip where one is not installed.
requires()
{
	local p
	for p; do
		command -v "$p" >/dev/null || skip "$p is not installed"
	done
}

# The newest kernel package that is to be had, unpacked into $1.
kernel_unpack()
{
	local meta=${NESTED_KERNEL:-linux-image-cloud-amd64} pkg tries
	for tries in 1 2; do
		pkg=$(apt-cache depends "$meta" 2>/dev/null |
			awk '/Depends: linux-image/ { print $2; exit }')
		[ -n "$pkg" ] && (cd "$1" && apt-get download -qq \
			-o APT::Sandbox::User=root "$pkg" >&2) && break
		# No lists yet, or lists of yesterday.
		[ "$tries" = 1 ] && [ "$(id -u)" = 0 ] &&
			apt-get update -qq >&2 || return 1
	done
	dpkg-deb -x "$1"/*.deb "$1" && rm -f "$1"/*.deb &&
		depmod -b "$1" "$(ls "$1/lib/modules")"
}

# Sets kernel_tree, kernel_image and kernel_version.
kernel_get()
{
	requires apt-get dpkg-deb depmod flock
	kernel_tree=$nested_cache/kernel
	mkdir -p "$nested_cache"
	(
		flock 9
		[ ! -e "$kernel_tree/boot" ] || exit 0
		new=$(mktemp -d "$nested_cache/new-XXXXXX")
		trap 'rm -rf "$new"' EXIT
		kernel_unpack "$new" && mv -T "$new" "$kernel_tree"
	) 9>"$nested_cache/lock" ||
		skip "no kernel package to be had (apt-get download)"
	kernel_image=$(echo "$kernel_tree"/boot/vmlinuz-*)
	kernel_version=${kernel_image##*/vmlinuz-}
}

# modules_into ROOT MODULE...: with what they need, and in what order, to
# ROOT/modules and ROOT/modules/order.
modules_into()
{
	local root=$1 module kind path
	shift
	mkdir -p "$root/modules"
	for module; do
		modprobe -d "$kernel_tree" -S "$kernel_version" \
			--show-depends "$module"
	done | awk '!seen[$2]++' | while read -r kind path; do
		[ "$kind" = insmod ] || continue
		cp "$path" "$root/modules/"
		basename "$path"
	done >"$root/modules/order"
}

# busybox_into ROOT: a tree with all its names.
busybox_into()
{
	local name box
	box=$(command -v busybox) || skip "busybox is not installed"
	! ldd "$box" >/dev/null 2>&1 || skip "busybox-static is not installed"
	mkdir -p "$1"/{bin,dev,proc,sys,tmp,etc,run,root,usr}
	ln -sfn bin "$1/sbin"
	ln -sfn ../bin "$1/usr/bin"
	ln -sfn ../bin "$1/usr/sbin"
	cp -L "$box" "$1/bin/busybox"
	for name in $("$box" --list); do
		[ "$name" = busybox ] || ln -sf busybox "$1/bin/$name"
	done
}

# put ROOT PATH[=AS]: a file or folder, under the same path or AS, with the
# libraries of all programs in it.
put()
{
	local root=$1 from=${2%%=*} as prog lib dir
	[ -e "$from" ] || { echo "$from: no such file" >&2; exit 2; }
	case $2 in *=*) as=${2#*=} ;; *) as=$(realpath -s "$from") ;; esac
	dir=$root$(dirname "$as")
	mkdir -p "$dir"
	rm -rf "${root:?}$as"
	cp -rL --preserve=mode,timestamps "$from" "$root$as"
	find "$root$as" -type f -perm -u+x | while read -r prog; do
		{ ldd "$prog" 2>/dev/null || :; } | grep -oE '/[^ )]+' || :
	done | sort -u | while read -r lib; do
		[ -e "$root$lib" ] || {
			mkdir -p "$root$(dirname "$lib")"
			cp -L "$lib" "$root$lib"
		}
	done
}

# initrd_of ROOT FILE: not compressed, as unpacking is what a slow processor
# does slowly.
initrd_of()
{
	(cd "$1" && find . -print0 | sort -z |
		cpio -0 -o -H newc -R 0:0 --quiet) >"$2"
}

# disk_of FOLDER FILE MIB [OPTION of mkfs]...: an ext4 file system with what is
# in FOLDER.
disk_of()
{
	rm -f "$2"
	truncate -s "$3M" "$2"
	mkfs.ext4 -q -F -E lazy_itable_init=1,root_owner=0:0 "${@:4}" \
		-d "$1" "$2"
}
