#!/bin/bash
# SPDX-License-Identifier: MIT
# compact makes a dynamic VHD as short as its data, ours and QEMU's; QEMU reads
# the same from it, its child stays valid; a fixed one is refused.
. "$(dirname "$0")/lib.sh"

sums() { vhdtool read "$1" | sha256sum; }
size() { stat -c %s "$1"; }

fill() # FILE
{
	head -c 40M /dev/zero | vhdtool write "$1" >/dev/null
	for i in 3 7 20 33 39; do
		pattern $i 70000 | vhdtool write --offset ${i}M "$1" >/dev/null
	done
}

try() # FILE
{
	local before after
	fill "$1"
	before=$(sums "$1")
	cp "$1" was
	status 0 vhdtool compact --dry-run --json "$1"
	after=$(sed -n 's/.*"file_length_after": \([0-9]*\).*/\1/p' out)
	cmp "$1" was
	status 0 vhdtool compact "$1"
	says out "dropped        15 blocks"
	equal "length of $1" "$(size "$1")" "$after"
	[ "$after" -le $((11 << 20)) ] || fail "$1: $after is too long"
	equal "content of $1" "$(sums "$1")" "$before"
	status 0 vhdtool check "$1"
	command -v qemu-img >/dev/null || return 0
	qemu-img convert -f vpc -O raw "$1" q.raw
	equal "what QEMU reads" "$(head -c 40M q.raw | sha256sum)" \
		"$(vhdtool read --length 40M "$1" | sha256sum)"
}

vhdtool create a.vhd 64M >/dev/null
try a.vhd
vhdtool create --type differencing --parent a.vhd c.avhd >/dev/null
pattern 9 4096 | vhdtool write --offset 21M c.avhd >/dev/null
before=$(sums c.avhd)
status 0 vhdtool compact a.vhd
status 0 vhdtool compact c.avhd
equal "the child's content" "$(sums c.avhd)" "$before"
if command -v qemu-img >/dev/null; then
	qemu-img create -q -f vpc -o force_size=on q.vhd 64M
	try q.vhd
fi
vhdtool create --type fixed f.vhd 8M >/dev/null
status 1 vhdtool compact f.vhd
says err "fixed vhd"
