#!/bin/bash
# SPDX-License-Identifier: MIT
# compact makes a VHDX as short as its data, alone and under a child that stays
# valid, and others read the same from it; a dry run changes not a byte; a fixed
# disk is refused; interrupted, it says how to go on.
. "$(dirname "$0")/lib.sh"

sums() { vhdtool read "$1" | sha256sum; }
size() { stat -c %s "$1"; }

vhdtool create --block-size 1M a.vhdx 64M >/dev/null
head -c 40M /dev/zero | vhdtool write a.vhdx >/dev/null
for i in 3 7 20 33 39; do
	pattern $i 700000 | vhdtool write --offset ${i}M a.vhdx >/dev/null
done
before=$(sums a.vhdx)
cp a.vhdx was.vhdx
status 0 vhdtool compact --dry-run --json a.vhdx
after=$(sed -n 's/.*"file_length_after": \([0-9]*\).*/\1/p' out)
cmp a.vhdx was.vhdx
vhdtool create --type differencing --block-size 1M \
	--parent a.vhdx c.avhdx >/dev/null
head -c 5M /dev/zero | vhdtool write --offset 1M c.avhdx >/dev/null
pattern 9 4096 | vhdtool write --offset 21M c.avhdx >/dev/null
child=$(sums c.avhdx)

status 0 vhdtool compact a.vhdx
says out "dropped        35 blocks"
equal "file length" "$(size a.vhdx)" "$after"
[ "$after" -le $((10 << 20)) ] || fail "$after is too long"
equal content "$(sums a.vhdx)" "$before"
status 0 vhdtool check a.vhdx
equal "the child's content" "$(sums c.avhdx)" "$child"
if command -v qemu-img >/dev/null; then
	equal "what QEMU reads" "$(qemu-img convert -f vhdx -O raw a.vhdx q.raw &&
		sha256sum <q.raw)" "$before"
fi

# The parents of a child need not be there.
mv a.vhdx away
status 0 vhdtool compact c.avhdx
says out "dropped        5 blocks"
mv away a.vhdx
equal "the child's content" "$(sums c.avhdx)" "$child"
status 0 vhdtool check c.avhdx

vhdtool create --type fixed f.vhdx 8M >/dev/null
status 1 vhdtool compact f.vhdx
says err "fixed disk"
vhdtool create r.raw 1M >/dev/null
status 1 vhdtool compact r.raw
