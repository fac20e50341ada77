#!/bin/bash
# SPDX-License-Identifier: MIT
# An image with children in its folder is not changed without --force: status 6,
# the children named, not a byte touched. With it, there is a warning.
. "$(dirname "$0")/lib.sh"

vhdtool create --block-size 1M base.vhdx 20M >/dev/null
pattern 1 3000000 | vhdtool write base.vhdx >/dev/null
for n in 1 2 3 4 5 6; do
	vhdtool create --parent base.vhdx c$n.avhdx >/dev/null
done
base_sum=$(sum base.vhdx)

refused() # COMMAND...
{
	status 6 vhdtool "$@" </dev/null
	says err "base.vhdx: is the parent of c1.avhdx, c2.avhdx, c3.avhdx"
	says err "and 2 more"
	says err "--force"
	equal "the parent" "$(sum base.vhdx)" "$base_sum"
}

refused write base.vhdx
refused write --dry-run base.vhdx
refused write --zeroes --length 1M base.vhdx
refused discard --offset 0 --length 1M base.vhdx
refused discard --dry-run --offset 0 --length 1M base.vhdx
refused bench --op write --count 10 base.vhdx

# Reading is not changing, and the leaves are free.
status 0 vhdtool bench --count 10 base.vhdx
pattern 2 512 >data
for n in 1 2 3 4 5 6; do
	status 0 vhdtool write c$n.avhdx <data
	equal "said about a leaf" "$(cat err)" ""
done

# A new image in its place: the --force that this takes is enough, but told.
status 1 vhdtool create base.vhdx 1M
status 0 vhdtool create --dry-run --force base.vhdx 1M
says err "base.vhdx: warning: is the parent of c1.avhdx"
truncate -s 1M other.raw
status 0 vhdtool convert --dry-run --force other.raw base.vhdx
says err "base.vhdx: warning: is the parent of c1.avhdx"
equal "the parent" "$(sum base.vhdx)" "$base_sum"

status 0 vhdtool write --force base.vhdx <data
says err "warning: is the parent of"
says err "set-parent --ignore-id-mismatch c1.avhdx base.vhdx"
status 6 vhdtool read c1.avhdx

# They were cut off: nobody is its child any more.
status 0 vhdtool write base.vhdx <data
equal "said about no children" "$(cat err)" ""

# One whose own parent is not there can be a parent all the same.
vhdtool create low.vhdx 10M >/dev/null
vhdtool create --parent low.vhdx mid.avhdx >/dev/null
vhdtool create --parent mid.avhdx top.avhdx >/dev/null
rm low.vhdx
mid_sum=$(sum mid.avhdx)
status 6 vhdtool set --disk-id new mid.avhdx
says err "mid.avhdx: is the parent of top.avhdx"
equal "the one between" "$(sum mid.avhdx)" "$mid_sum"
status 0 vhdtool create --dry-run --force mid.avhdx 1M
says err "mid.avhdx: warning: is the parent of top.avhdx"
