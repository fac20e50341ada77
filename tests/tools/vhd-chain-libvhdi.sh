#!/bin/bash
# SPDX-License-Identifier: MIT
# libvhdi reads our VHD chains, parents found by our locators, with the same content.
# (libvhdi takes whatever follows a set bit in a bitmap's byte for set, so all
# writes here end on 4 KiB; our own model tests do not.)
. "$(dirname "$0")/lib.sh"
requires vhdiinfo vhdimount

sparse_pattern model
vhdtool create --block-size 512K base.vhd 67M >/dev/null
vhdtool write base.vhd <model >/dev/null
vhdtool create --type differencing --parent base.vhd child.avhd >/dev/null
pattern 5 69632 | vhdtool write --offset 31M child.avhd >/dev/null
pattern 6 512 | vhdtool write --offset 3584 child.avhd >/dev/null
vhdiinfo child.avhd >info || fail "vhdiinfo refuses the child"
vhdtool info --json base.vhd >base.info
says info "$(json disk_id base.info)"
libvhdi_starts base.vhd
libvhdi_same child.avhd 2
vhdtool create --parent child.avhd --block-size 16M grand.vhd >/dev/null
pattern 7 5001216 | vhdtool write --offset 30M grand.vhd >/dev/null
libvhdi_same grand.vhd 3
vhdtool check child.avhd >out || fail "check does not call the child sound"
