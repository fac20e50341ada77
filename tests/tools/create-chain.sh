#!/bin/bash
# SPDX-License-Identifier: MIT
# A child holds what was written to it and shows its parents' data elsewhere, at
# any depth; convert flattens that; the parents do not change by a byte.
. "$(dirname "$0")/lib.sh"

M=1048576

truncate -s 67M model
vhdtool create --block-size 1M base.vhdx 67M >/dev/null
model_put base.vhdx 1 0 $((3 * M))
model_put base.vhdx 2 $((20 * M + 512)) 70000
model_put base.vhdx 3 $((67 * M - 4096)) 4096
base_sum=$(sum base.vhdx)

status 0 vhdtool create --dry-run --parent base.vhdx child.avhdx
says out "would create child.avhdx: differencing vhdx, $((67 * M))"
[ ! -e child.avhdx ] || fail "a dry run made a file"
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool info --json child.avhdx >info
equal type "$(json type info)" differencing
equal size "$(json virtual_size info)" $((67 * M))
equal block "$(json block_size info)" $((2 * M))
same_as_model child.avhdx vhdx
same_as_model child.avhdx raw
model_put child.avhdx 4 512 512
model_put child.avhdx 5 $((2 * M - 512)) 1024
model_put child.avhdx 6 $((40 * M)) 100000
model_zero child.avhdx $M 4096
same_as_model child.avhdx vhdx
same_as_model child.avhdx raw
child_sum=$(sum child.avhdx)

# In another folder, with other blocks, and larger.
mkdir sub
vhdtool create --type differencing --parent child.avhdx --block-size 32M \
	sub/grand.avhdx 80M >/dev/null
truncate -s 80M model
same_as_model sub/grand.avhdx vhdx
same_as_model sub/grand.avhdx raw
model_put sub/grand.avhdx 7 1536 1024
model_put sub/grand.avhdx 8 $((66 * M)) $((3 * M))
model_zero sub/grand.avhdx $((20 * M)) $((4 * M))
same_as_model sub/grand.avhdx vhdx
same_as_model sub/grand.avhdx raw
status 1 vhdtool compare child.avhdx sub/grand.avhdx
status 0 vhdtool check sub/grand.avhdx
equal "the base" "$(sum base.vhdx)" "$base_sum"
equal "the child" "$(sum child.avhdx)" "$child_sum"

# The picture, leaf to base.
picture sub/grand.avhdx grand.avhdx child.avhdx base.vhdx

# What makes no sense is refused and leaves nothing.
status 2 vhdtool create --type differencing x.vhdx
status 2 vhdtool create --type fixed --parent base.vhdx x.vhdx
status 2 vhdtool create --parent base.vhdx --sector-size 4096 x.vhdx
status 2 vhdtool create --force --parent child.avhdx base.vhdx
status 2 vhdtool convert --force child.avhdx base.vhdx
status 3 vhdtool create --parent none.vhdx x.vhdx
[ ! -e x.vhdx ] || fail "a refused create left a file"
equal "the base" "$(sum base.vhdx)" "$base_sum"

# A layer that opens but is damaged is not called ok.
printf OUCH | dd of=base.vhdx bs=1 seek=65636 conv=notrunc status=none
status 6 vhdtool info --chain sub/grand.avhdx
equal damaged "$(grep -n DAMAGED out | cut -d : -f 1)" 3
equal health "$(grep -c ': ok$' out)" 2
status 6 vhdtool info --chain --json sub/grand.avhdx
says out '"damaged"'
