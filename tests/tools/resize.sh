#!/bin/bash
# SPDX-License-Identifier: MIT
# A disk becomes larger and smaller, keeps its content, and says what it would
# cut off; other programs read what came of it.
. "$(dirname "$0")/lib.sh"

# same FILE: the first bytes are those of the model, the rest are zeros.
same()
{
	vhdtool read "$1" >now
	cmp -n "$(wc -c <model)" now model || fail "$1: other content"
	tail -c +"$(($(wc -c <model) + 1))" now | tr -d '\0' | wc -c >rest
	equal "zeros behind it" "$(cat rest)" 0
	status 0 vhdtool check "$1"
}

for type in dynamic fixed; do
	vhdtool create --type $type --block-size 1M disk.vhdx 10M >/dev/null
	pattern 1 3000000 | vhdtool write disk.vhdx >/dev/null
	vhdtool read disk.vhdx >model
	cp disk.vhdx copy
	status 0 vhdtool resize --dry-run disk.vhdx 100M
	says out "what would be done"
	cmp disk.vhdx copy
	status 0 vhdtool resize disk.vhdx 20M
	says out "10485760 (10 MiB) -> 20971520 (20 MiB)"
	same disk.vhdx
	status 0 vhdtool resize disk.vhdx +1536
	same disk.vhdx
	if command -v qemu-img >/dev/null; then
		vhdtool read disk.vhdx >disk.raw
		qemu-img compare -f vhdx -F raw disk.vhdx disk.raw >/dev/null ||
			fail "qemu-img reads something else"
		rm disk.raw
	fi
	status 2 vhdtool resize disk.vhdx 10M
	says err "say --shrink"
	status 0 vhdtool resize --json --shrink disk.vhdx 10M
	equal size "$(json new_size out)" 10485760
	same disk.vhdx
	# Data and no partition table: the last of them is named.
	status 1 vhdtool resize --shrink disk.vhdx 1M
	says err "the last of it at 2999999"
	same disk.vhdx
	status 0 vhdtool resize --shrink --force disk.vhdx -9M
	head -c 1M model >short
	vhdtool read disk.vhdx | cmp - short
	status 0 vhdtool resize disk.vhdx 10M
	vhdtool read disk.vhdx | tail -c 9M | tr -d '\0' >rest
	[ ! -s rest ] || fail "what was cut off is there again"
	rm disk.vhdx
done

# VHD: it grows.
for type in dynamic fixed; do
	vhdtool create --type $type disk.vhd 10M >/dev/null
	pattern 3 3000000 | vhdtool write disk.vhd >/dev/null
	vhdtool read disk.vhd >model
	status 0 vhdtool resize disk.vhd +100M
	same disk.vhd
	status 0 vhdtool resize disk.vhd 2G
	status 0 vhdtool check disk.vhd
	if command -v qemu-img >/dev/null; then
		vhdtool convert disk.vhd disk.raw >/dev/null
		qemu-img compare -f vpc -F raw disk.vhd disk.raw >/dev/null ||
			fail "qemu-img reads something else"
		rm disk.raw
	fi
	status 1 vhdtool resize --shrink disk.vhd 10M
	says err "can only grow"
	status 2 vhdtool resize disk.vhd 2041G
	says err "up to 2040 GiB"
	rm disk.vhd
done

# Raw.
pattern 2 1M >disk.raw
cp disk.raw model
status 0 vhdtool resize disk.raw +1M
equal length "$(wc -c <disk.raw)" 2097152
status 0 vhdtool resize --shrink disk.raw 1M
cmp disk.raw model

# Children are in the way, unless --force says so.
vhdtool create disk.vhdx 10M >/dev/null
vhdtool create --parent disk.vhdx child.avhdx >/dev/null
cp disk.vhdx copy
status 6 vhdtool resize disk.vhdx 20M
says err child.avhdx
cmp disk.vhdx copy
status 0 vhdtool resize child.avhdx 20M
status 0 vhdtool resize --force disk.vhdx 20M

# What comes into sight in a child is not its parent's.
for format in vhdx vhd; do
	rm -f parent.$format child.a$format
	vhdtool create parent.$format 20M >/dev/null
	pattern 5 20M | vhdtool write parent.$format >/dev/null
	vhdtool create --parent parent.$format --size 9M child.a$format \
		>/dev/null
	vhdtool read child.a$format >model
	status 0 vhdtool resize child.a$format 30M
	same child.a$format
done

rm disk.vhdx child.avhdx
vhdtool create disk.vhdx 10M >/dev/null
status 2 vhdtool resize disk.vhdx
status 2 vhdtool resize disk.vhdx 65T
says err "up to 64 TiB"
status 2 vhdtool resize disk.vhdx 1000
status 2 vhdtool resize disk.vhdx ten
status 3 vhdtool resize nothing.vhdx 1G
