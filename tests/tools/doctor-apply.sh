#!/bin/bash
# SPDX-License-Identifier: MIT
# doctor --apply replays dirty logs and tells children where their parent went,
# and touches nothing where it would have to choose.
. "$(dirname "$0")/lib.sh"

mkdir vm pool
vhdtool create --block-size 1M pool/a.vhdx 20M >/dev/null
pattern 1 100000 | vhdtool write pool/a.vhdx >/dev/null
vhdtool create --parent pool/a.vhdx vm/b.avhdx >/dev/null
pattern 2 5000 | vhdtool write --offset 1M vm/b.avhdx >/dev/null
vhdtool create --parent vm/b.avhdx vm/c.avhdx >/dev/null
vhdtool read vm/c.avhdx >model

# Both were moved: the parent is mended before its child, which then opens.
mv pool/a.vhdx "pool/it's moved.vhdx"
mv vm/b.avhdx vm/renamed.avhdx
parent_sum=$(sum "pool/it's moved.vhdx")
status 6 vhdtool doctor --search pool vm
says out "2 of these can be mended without a risk by: vhdtool doctor --apply"
command=$(sed -n 's/.*risk by: vhdtool/vhdtool/p' out)
eval "status 0 $command"
equal "done" "$(grep -c ^done: out)" 2
says out "done: vm/renamed.avhdx: its parent is recorded as pool/it's moved"
status 0 vhdtool doctor vm
vhdtool read vm/c.avhdx | cmp - model || fail "it reads another content"
equal "the parent" "$(sum "pool/it's moved.vhdx")" "$parent_sum"
status 0 vhdtool doctor --apply vm
says_not out done:

# Two copies: which of them is not for the program to say.
mv "pool/it's moved.vhdx" pool/1.vhdx
cp pool/1.vhdx pool/2.vhdx
before=$(sum vm/*)
status 6 vhdtool doctor --apply --search pool vm
says_not out done:
equal images "$(sum vm/*)" "$before"

# Nor is it, when the parent was changed.
rm pool/2.vhdx
echo | vhdtool write pool/1.vhdx >/dev/null
mv pool/1.vhdx "pool/it's moved.vhdx"
status 6 vhdtool doctor --apply --search pool vm
says_not out done:
equal images "$(sum vm/*)" "$before"

# What is elsewhere is told, but not touched.
rm -rf vm pool
mkdir vm pool
vhdtool create pool/a.vhdx 20M >/dev/null
vhdtool create --parent pool/a.vhdx pool/b.avhdx >/dev/null
vhdtool create --parent pool/b.avhdx vm/c.avhdx >/dev/null
mv pool/a.vhdx pool/z.vhdx
before=$(sum pool/*)
status 6 vhdtool doctor --apply --search pool vm
says out "    vhdtool set-parent pool/b.avhdx pool/z.vhdx"
says_not out done:
equal images "$(sum pool/*)" "$before"
status 0 vhdtool doctor --apply pool vm

# A log: the image is then as it was read before.
name=iotest-dirtylog-10G-4M.vhdx
mkdir dirty
cd dirty
real_image $name
cd ..
status 0 vhdtool doctor dirty
says out "warning: dirty/$name: its log is dirty"
says out "    vhdtool log replay dirty/$name"
status 0 vhdtool doctor --apply --json dirty
says out "its log was replayed, 1 entry"
vhdtool log show dirty/$name >log
says log clean
equal content "$(vhdtool read dirty/$name | sum)" "$(manifest $name 2)"
