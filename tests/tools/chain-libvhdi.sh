#!/bin/bash
# SPDX-License-Identifier: MIT
# libvhdi reads our chains, parents found by our locators, with the same content.
. "$(dirname "$0")/lib.sh"
requires vhdiinfo vhdimount

sparse_pattern model
vhdtool create --block-size 1M base.vhdx 67M >/dev/null
vhdtool write base.vhdx <model >/dev/null
vhdtool create --parent base.vhdx child.vhdx >/dev/null
pattern 5 70000 | vhdtool write --offset 31M child.vhdx >/dev/null
pattern 6 512 | vhdtool write --offset 512 child.vhdx >/dev/null
vhdiinfo child.vhdx >info || fail "vhdiinfo refuses the child"
vhdtool info --json base.vhdx >base.info
says info "$(json data_write_id base.info)"
libvhdi_starts base.vhdx
libvhdi_same child.vhdx 2
vhdtool create --parent child.vhdx --block-size 32M grand.vhdx >/dev/null
pattern 7 5000000 | vhdtool write --offset 30M grand.vhdx >/dev/null
libvhdi_same grand.vhdx 3
