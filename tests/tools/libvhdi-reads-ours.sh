#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that we create and write are read identically by libvhdi.
. "$(dirname "$0")/lib.sh"
requires vhdiinfo vhdimount
[ -w /dev/fuse ] || skip "no /dev/fuse"

sparse_pattern model
mkdir mnt
at_exit "umount '$tmp/mnt' 2>/dev/null"
try() # FILE OPTIONS...
{
	local file=$1
	shift
	vhdtool create "$@" "$file" 67M >/dev/null
	vhdtool write "$file" <model >/dev/null
	vhdtool write --zeroes --offset 40M --length 10M "$file" >/dev/null
	vhdiinfo "$file" >info || fail "vhdiinfo refuses $file"
	says info "$((67 * 1048576)) bytes"
	vhdimount "$file" mnt >/dev/null || skip "vhdimount cannot mount here"
	cmp mnt/vhdi1 model || fail "libvhdi sees another content in $file"
	umount mnt
}

try a.vhdx --block-size 1M
try b.vhdx --block-size 32M
try c.vhdx --type fixed --block-size 2M
try d.vhdx --sector-size 4096
try e.vhd
try f.vhd --type fixed
