#!/bin/bash
# SPDX-License-Identifier: MIT
# libvhdi reads our chains, parents found by our locators, with the same content.
. "$(dirname "$0")/lib.sh"
requires vhdiinfo vhdimount
[ -w /dev/fuse ] || skip "no /dev/fuse"

sparse_pattern model
mkdir mnt
at_exit "umount '$tmp/mnt' 2>/dev/null"

same() # FILE DEPTH: vhdimount shows the leaf last, after its parents
{
	vhdimount "$1" mnt >log 2>&1 ||
		{ cat log; fail "vhdimount refuses $1"; }
	cat "mnt/vhdi$2" >seen
	vhdtool read "$1" >ours
	umount mnt
	cmp seen ours || fail "libvhdi sees another content in $1"
}

vhdtool create --block-size 1M base.vhdx 67M >/dev/null
vhdtool write base.vhdx <model >/dev/null
vhdtool create --parent base.vhdx child.vhdx >/dev/null
pattern 5 70000 | vhdtool write --offset 31M child.vhdx >/dev/null
pattern 6 512 | vhdtool write --offset 512 child.vhdx >/dev/null
vhdiinfo child.vhdx >info || fail "vhdiinfo refuses the child"
vhdtool info --json base.vhdx >base.info
says info "$(json data_write_id base.info)"
vhdimount base.vhdx mnt >/dev/null || skip "vhdimount cannot mount here"
umount mnt
same child.vhdx 2
vhdtool create --parent child.vhdx --block-size 32M grand.vhdx >/dev/null
pattern 7 5000000 | vhdtool write --offset 30M grand.vhdx >/dev/null
same grand.vhdx 3
