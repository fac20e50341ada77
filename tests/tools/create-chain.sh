#!/bin/bash
# SPDX-License-Identifier: MIT
# A child holds what was written to it and shows its parents' data elsewhere, at
# any depth; convert flattens that; the parents do not change by a byte.
. "$(dirname "$0")/lib.sh"

M=1048576
put() # FILE SEED OFFSET LEN: into the image and into the model
{
	pattern "$2" "$4" >data
	vhdtool write --offset "$3" "$1" <data >/dev/null
	dd if=data of=model bs=64K seek="$3" oflag=seek_bytes conv=notrunc \
		status=none
}

zero() # FILE OFFSET LEN: the same with zeros
{
	vhdtool write --zeroes --offset "$2" --length "$3" "$1" >/dev/null
	head -c "$3" /dev/zero | dd of=model bs=64K seek="$2" \
		oflag=seek_bytes conv=notrunc status=none iflag=fullblock
}

same() # FILE: reads, and converts, as the model does
{
	vhdtool read "$1" | cmp - model || fail "$1 reads another content"
	vhdtool convert --force "$1" flat.raw >/dev/null
	cmp flat.raw model || fail "$1 converts to another content"
	vhdtool convert --force "$1" flat.vhdx >/dev/null
	vhdtool info --json flat.vhdx >info
	equal "type of the flat one" "$(json type info)" dynamic
	status 0 vhdtool compare --strict "$1" flat.vhdx
	status 0 vhdtool compare --strict flat.vhdx "$1"
}

truncate -s 67M model
vhdtool create --block-size 1M base.vhdx 67M >/dev/null
put base.vhdx 1 0 $((3 * M))
put base.vhdx 2 $((20 * M + 512)) 70000
put base.vhdx 3 $((67 * M - 4096)) 4096
base_sum=$(sum base.vhdx)

status 0 vhdtool create --dry-run --parent base.vhdx child.avhdx
says out "would create child.avhdx: differencing vhdx, $((67 * M))"
[ ! -e child.avhdx ] || fail "a dry run made a file"
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool info --json child.avhdx >info
equal type "$(json type info)" differencing
equal size "$(json virtual_size info)" $((67 * M))
equal block "$(json block_size info)" $((2 * M))
same child.avhdx
put child.avhdx 4 512 512
put child.avhdx 5 $((2 * M - 512)) 1024
put child.avhdx 6 $((40 * M)) 100000
zero child.avhdx $M 4096
same child.avhdx
child_sum=$(sum child.avhdx)

# In another folder, with other blocks, and larger.
mkdir sub
vhdtool create --type differencing --parent child.avhdx --block-size 32M \
	sub/grand.avhdx 80M >/dev/null
truncate -s 80M model
same sub/grand.avhdx
put sub/grand.avhdx 7 1536 1024
put sub/grand.avhdx 8 $((66 * M)) $((3 * M))
zero sub/grand.avhdx $((20 * M)) $((4 * M))
same sub/grand.avhdx
status 1 vhdtool compare child.avhdx sub/grand.avhdx
status 0 vhdtool check sub/grand.avhdx
equal "the base" "$(sum base.vhdx)" "$base_sum"
equal "the child" "$(sum child.avhdx)" "$child_sum"

# The picture, leaf to base.
vhdtool info --chain sub/grand.avhdx >out
equal lines "$(wc -l <out)" 3
equal order "$(sed 's/.*\///; s/:.*//; s/.*: //' out | tr '\n' ' ')" \
	"grand.avhdx child.avhdx base.vhdx "
equal health "$(grep -c ': ok$' out)" 3

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
