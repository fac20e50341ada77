#!/bin/bash
# SPDX-License-Identifier: MIT
# compare finds the first differing byte, across formats; a longer disk is the
# same if the rest is zeros, and different with --strict.
. "$(dirname "$0")/lib.sh"

sparse_pattern a.raw
for f in b.vhdx c.vhd d.raw; do
	vhdtool convert a.raw $f >/dev/null
	status 0 vhdtool compare a.raw $f
	says out same
	printf X | vhdtool write --offset 50000001 $f >/dev/null
	printf X | vhdtool write --offset 4000007 $f >/dev/null
	status 1 vhdtool compare a.raw $f
	says out "offset 4000007"
	status 1 vhdtool compare $f a.raw
	says out "offset 4000007"
done
cp a.raw e.raw
truncate -s 70M e.raw
status 0 vhdtool compare a.raw e.raw
says out $((70 * 1048576))
status 1 vhdtool compare --strict a.raw e.raw
printf X | vhdtool write --offset 69M e.raw >/dev/null
status 1 vhdtool compare e.raw a.raw
says out "offset $((69 * 1048576))"
status 3 vhdtool compare a.raw absent
