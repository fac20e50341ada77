#!/bin/bash
# SPDX-License-Identifier: MIT
# repair mends a child, its parent and the path between them in one go, as it
# said it would, and finds nothing to do after that.
. "$(dirname "$0")/lib.sh"

vhdtool create parent.vhdx 100M >/dev/null
echo content | vhdtool write parent.vhdx >/dev/null
vhdtool create --parent parent.vhdx child.avhdx >/dev/null
for file in parent.vhdx child.avhdx; do # the first header copy's checksum
	printf OUCH | dd of=$file bs=1 seek=65540 conv=notrunc status=none
done
mkdir elsewhere
mv parent.vhdx elsewhere

sums() { cat child.avhdx elsewhere/parent.vhdx | sum; }
before=$(sums)
status 6 vhdtool repair --dry-run --search elsewhere child.avhdx
says out "repairable"
equal "after a dry run" "$(sums)" "$before"
status 0 vhdtool repair --search elsewhere child.avhdx
says out "3 repaired"
status 0 vhdtool repair child.avhdx
says out "0 errors, 0 warnings: the chain is sound"
status 0 vhdtool read --length 512 child.avhdx
says out content
status 3 vhdtool repair missing.vhdx
