#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes what a small guest needs, in a folder:
#	guest.sh [-f] DIR
#	DIR/kernel	Debian's cloud kernel, as it is
#	DIR/initrd	busybox and the modules: hv_vmbus, hv_storvsc, sd_mod
#	DIR/base.vhdx	the root disk, ext4 without partitions: busybox, with -f
#			fio, and guest/* as /do/*
#	DIR/child.avhdx	a child of it
# The kernel's command line says what happens:
#	console=ttyS0			or there is nothing to be seen
#	root=lun:0			or a path; without it: says when init
#					began, and switches off
#	nested.do=NAME nested.arg=WORD	runs /do/NAME WORD on the root disk, says
#					"nested: NAME ended with STATUS" and
#					switches off
# For example, inside run.sh:
#	vmm run --name g --memory 512M --kernel DIR/kernel --initrd DIR/initrd
#		--cmdline 'console=ttyS0 root=lun:0 nested.do=first'
#		--disk DIR/child.avhdx --console stdio
# B: the build folder (build/release).
. "$(dirname "$0")/lib.sh"

fio=''
[ "${1:-}" != -f ] || { fio=1; shift; }
[ $# = 1 ] || { sed -n '4s/^#\t/usage: /p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${B:-$here/../../build/release}")
requires cpio mkfs.ext4
kernel_get
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/guest-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

cp "$kernel_image" "$dir/kernel"

busybox_into "$tmp/initrd"
mkdir "$tmp/initrd/mnt"
modules_into "$tmp/initrd" hv_storvsc sd_mod virtio_scsi virtio_blk \
	virtio_pci virtio_mmio evdev button
cp "$here/guest/initrd-init" "$tmp/initrd/init"
chmod +x "$tmp/initrd/init"
initrd_of "$tmp/initrd" "$dir/initrd"

busybox_into "$tmp/root"
mkdir "$tmp/root/do"
cp "$here"/guest/* "$tmp/root/do/"
cp "$here/guest/init" "$tmp/root/bin/init.sh"
ln -sf init.sh "$tmp/root/bin/init"
chmod +x "$tmp/root/bin/init.sh"
[ -z "$fio" ] || { requires fio; put "$tmp/root" "$(command -v fio)"; }
put "$tmp/root" "$build/tests/nested/fsynced=/bin/fsynced"
disk_of "$tmp/root" "$tmp/root.raw" 384
rm -f "$dir/base.vhdx" "$dir/child.avhdx"
"$build/bin/vhdtool" convert --no-sync --progress none --block-size 1M "$tmp/root.raw" \
	"$dir/base.vhdx"
(cd "$dir" && "$build/bin/vhdtool" create --parent base.vhdx child.avhdx \
	>/dev/null)
