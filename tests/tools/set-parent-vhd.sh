#!/bin/bash
# SPDX-License-Identifier: MIT
# Chains of VHD: a moved parent is recorded anew, or found stale and mended by
# check --chain; the unique id can be set where no child names it.
. "$(dirname "$0")/lib.sh"

mkdir a b
vhdtool create a/base.vhd 10M >/dev/null
pattern 1 3000000 | vhdtool write a/base.vhd >/dev/null
vhdtool create --parent a/base.vhd a/child.avhd >/dev/null
pattern 2 512 | vhdtool write --offset 4096 a/child.avhd >/dev/null
vhdtool read a/child.avhd >model
status 0 vhdtool check --chain a/child.avhd
says out "chain of 2 images; 0 errors, 0 warnings"

mv a/base.vhd b
status 3 vhdtool read a/child.avhd
status 3 vhdtool check --chain a/child.avhd
status 0 vhdtool set-parent a/child.avhd b/base.vhd
vhdtool read a/child.avhd | cmp - model
status 0 vhdtool check --chain a/child.avhd
says out "0 errors, 0 warnings"

mv b/base.vhd .
status 0 vhdtool check --chain --search . a/child.avhd
says out "a/child.avhd: warning:"
says out "- repairable"
status 0 vhdtool check --chain --search . --repair a/child.avhd
says out "- repaired"
vhdtool read a/child.avhd 2>err | cmp - model
[ ! -s err ] || fail "the parent was searched for"

vhdtool create b/other.vhd 10M >/dev/null
status 6 vhdtool set-parent a/child.avhd b/other.vhd
status 0 vhdtool set-parent --ignore-id-mismatch a/child.avhd b/other.vhd
says err "a mixture of two"
status 0 vhdtool set-parent --ignore-id-mismatch a/child.avhd base.vhd
vhdtool read a/child.avhd | cmp - model

# The child is not in its folder: it would not be seen without --search.
cp base.vhd copy
status 6 vhdtool set --search a --disk-id new base.vhd
says err "a/child.avhd"
cmp base.vhd copy
status 0 vhdtool set --disk-id new b/other.vhd
status 0 vhdtool check b/other.vhd
status 0 vhdtool set --disk-id new a/child.avhd
vhdtool read a/child.avhd | cmp - model
status 1 vhdtool set --physical-sector-size 4096 a/child.avhd
vhdtool create --type fixed b/fixed.vhd 10M >/dev/null
status 1 vhdtool set --disk-id new b/fixed.vhd
