#!/bin/bash
# SPDX-License-Identifier: MIT
# doctor tells what could be merged, with the space as merge itself computes it,
# and finishes a merge that was cut off.
. "$(dirname "$0")/lib.sh"

vhdtool create --block-size 1M a.vhdx 100M >/dev/null
vhdtool create --parent a.vhdx b.avhdx >/dev/null
pattern 1 20000000 | vhdtool write b.avhdx >/dev/null
vhdtool create --parent b.avhdx c.avhdx >/dev/null
pattern 2 20000000 | vhdtool write --offset 10M c.avhdx >/dev/null
vhdtool read c.avhdx >model

status 0 vhdtool doctor .
equal merges "$(sed -n 's/^    vhdtool merge //p' out)" "c.avhdx
--depth 2 c.avhdx"
vhdtool doctor --json . >out
vhdtool merge --dry-run --json c.avhdx >one
vhdtool merge --dry-run --json --depth 2 c.avhdx >two
equal space "$(sed -n 's/^ *"needs": \([0-9]*\),/\1/p' out | tr '\n' ' ')" \
	"$(json need one) $(json need two) "
equal "what goes" "$(json frees out)" \
	$(($(stat -c '%b * %B' c.avhdx)))
[ "$(json need two)" -gt 20000000 ] || fail "nothing to compare"

# A merge that would break another image is not proposed.
vhdtool create --parent a.vhdx d.avhdx >/dev/null
status 0 vhdtool doctor .
equal merges "$(sed -n 's/^    vhdtool merge //p' out)" "c.avhdx"
rm d.avhdx

# Nor one that breaks an image in a folder that was not asked for.
mkdir pool vm
vhdtool create pool/base.vhdx 10M >/dev/null
vhdtool create --parent pool/base.vhdx vm/child.avhdx >/dev/null
status 0 vhdtool doctor vm
says out "    vhdtool merge vm/child.avhdx"
vhdtool create --parent pool/base.vhdx pool/other.avhdx >/dev/null
for what in vm vm/child.avhdx; do
	status 0 vhdtool doctor $what
	says_not out "could be merged"
done
rm -r pool vm

# The file may not grow any more: that ends a merge in the middle.
(ulimit -f 16000; vhdtool merge b.avhdx) >out 2>&1 &&
	fail "it was merged"
[ -e b.avhdx.merge ] || fail "no journal: $(cat out)"
status 6 vhdtool doctor .
says out "error: b.avhdx.merge: the merge of b.avhdx was cut off"
says out "    vhdtool merge b.avhdx"
says_not out "could be merged"
mv b.avhdx.merge journal # as Hyper-V leaves it
status 0 vhdtool doctor .
says out "warning: b.avhdx: a merge into a.vhdx was begun by another program"
mv journal b.avhdx.merge
status 0 vhdtool doctor --apply .
says out "done: b.avhdx: its merge was finished"
[ ! -e b.avhdx ] || fail "b.avhdx is still there"
vhdtool read c.avhdx | cmp - model || fail "c.avhdx reads another content"

# The proposed command does what it says.
status 0 vhdtool doctor .
eval "$(sed -n 's/^    vhdtool merge/vhdtool merge/p' out)" >/dev/null
vhdtool read a.vhdx | cmp - model || fail "a.vhdx reads another content"
status 0 vhdtool doctor .
says out "1 image, 0 errors, 0 warnings: all is well"
