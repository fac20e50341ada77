#!/bin/bash
# SPDX-License-Identifier: MIT
# A differencing VHD holds what was written to it and shows its parents' data
# elsewhere, at any depth; convert flattens that; the parents do not change by a
# byte. What can be no parent is refused.
. "$(dirname "$0")/lib.sh"

M=1048576

truncate -s 31M model
vhdtool create --block-size 512K base.vhd 31M >/dev/null
model_put base.vhd 1 0 $((3 * M))
model_put base.vhd 2 $((20 * M + 512)) 70144
model_put base.vhd 3 $((31 * M - 4096)) 4096
base_sum=$(sum base.vhd)

# The parent's format unless told otherwise; what a dry run says comes true.
status 0 vhdtool create --dry-run --parent base.vhd child
says out "would create child: differencing vhd, $((31 * M))"
vhdtool create --parent base.vhd child >/dev/null
says out "$(stat -c %s child)"
mv child child.avhd
vhdtool info --json child.avhd >info
equal type "$(json type info)" differencing
equal size "$(json virtual_size info)" $((31 * M))
equal block "$(json block_size info)" $((2 * M))
same_as_model child.avhd vhd
model_put child.avhd 4 512 512
model_put child.avhd 5 $((2 * M - 512)) 1024
model_put child.avhd 6 $((25 * M)) 100352
model_zero child.avhd $M 4096
same_as_model child.avhd vhd
child_sum=$(sum child.avhd)

# In another folder, with other blocks, and larger.
mkdir sub
vhdtool create --type differencing --parent child.avhd --block-size 16M \
	sub/grand.avhd 40M >/dev/null
truncate -s 40M model
same_as_model sub/grand.avhd vhd
model_put sub/grand.avhd 7 1536 1024
model_put sub/grand.avhd 8 $((30 * M)) $((3 * M))
model_zero sub/grand.avhd $((20 * M)) $((4 * M))
same_as_model sub/grand.avhd vhd
vhdtool discard --offset 0 --length 16M sub/grand.avhd >/dev/null
vhdtool read --length 512 --offset 4096 sub/grand.avhd |
	cmp - <(tail -c +4097 model | head -c 512) ||
	fail "a discard touched the parent's data"
equal "the base" "$(sum base.vhd)" "$base_sum"
equal "the child" "$(sum child.avhd)" "$child_sum"
picture sub/grand.avhd grand.avhd child.avhd base.vhd

# A fixed disk can be a parent; a disk of another format cannot.
vhdtool create --type fixed fixed.vhd 4M >/dev/null
pattern 9 65536 | vhdtool write --offset 1M fixed.vhd >/dev/null
vhdtool create --parent fixed.vhd onfixed.vhd >/dev/null
status 0 vhdtool compare --strict fixed.vhd onfixed.vhd
vhdtool create other.vhdx 31M >/dev/null
truncate -s 4M other.raw
status 2 vhdtool create --parent other.vhdx x.vhd
status 2 vhdtool create --parent base.vhd x.vhdx
status 2 vhdtool create --parent other.raw x
status 2 vhdtool create --type differencing x.vhd
status 2 vhdtool create --parent base.vhd --sector-size 4096 x.vhd
status 2 vhdtool create --force --parent child.avhd base.vhd
[ ! -e x.vhd ] && [ ! -e x.vhdx ] || fail "a refused create left a file"
