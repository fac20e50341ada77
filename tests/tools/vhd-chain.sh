#!/bin/bash
# SPDX-License-Identifier: MIT
# A differencing VHD holds what was written to it and shows its parents' data
# elsewhere, at any depth; convert flattens that; the parents do not change by a
# byte. What can be no parent is refused.
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
	vhdtool convert --force "$1" flat.vhd >/dev/null
	vhdtool info --json flat.vhd >info
	equal "type of the flat one" "$(json type info)" dynamic
	vhdtool read flat.vhd | cmp - model ||
		fail "$1 converts to another content"
	status 0 vhdtool compare --strict "$1" flat.vhd
	status 0 vhdtool check "$1"
}

truncate -s 31M model
vhdtool create --block-size 512K base.vhd 31M >/dev/null
put base.vhd 1 0 $((3 * M))
put base.vhd 2 $((20 * M + 512)) 70144
put base.vhd 3 $((31 * M - 4096)) 4096
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
same child.avhd
put child.avhd 4 512 512
put child.avhd 5 $((2 * M - 512)) 1024
put child.avhd 6 $((25 * M)) 100352
zero child.avhd $M 4096
same child.avhd
child_sum=$(sum child.avhd)

# In another folder, with other blocks, and larger.
mkdir sub
vhdtool create --type differencing --parent child.avhd --block-size 16M \
	sub/grand.avhd 40M >/dev/null
truncate -s 40M model
same sub/grand.avhd
put sub/grand.avhd 7 1536 1024
put sub/grand.avhd 8 $((30 * M)) $((3 * M))
zero sub/grand.avhd $((20 * M)) $((4 * M))
same sub/grand.avhd
vhdtool discard --offset 0 --length 16M sub/grand.avhd >/dev/null
vhdtool read --length 512 --offset 4096 sub/grand.avhd |
	cmp - <(tail -c +4097 model | head -c 512) ||
	fail "a discard touched the parent's data"
equal "the base" "$(sum base.vhd)" "$base_sum"
equal "the child" "$(sum child.avhd)" "$child_sum"
vhdtool info --chain sub/grand.avhd >out
equal order "$(sed 's/.*\///; s/:.*//; s/.*: //' out | tr '\n' ' ')" \
	"grand.avhd child.avhd base.vhd "
equal health "$(grep -c ': ok$' out)" 3

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
