#!/bin/bash
# SPDX-License-Identifier: MIT
# What is not the parent is not recorded as one: another disk, a changed one, a
# circle, another format, one whose own parent is missing. The child keeps every
# byte. With --ignore-id-mismatch a changed one is taken, and that is said.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 10M >/dev/null
pattern 1 3000000 | vhdtool write base.vhdx >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool create --parent child.avhdx grand.avhdx >/dev/null
vhdtool create other.vhdx 10M >/dev/null
vhdtool create --sector-size 4096 other4k.vhdx 10M >/dev/null
vhdtool create --format vhd other.vhd 10M >/dev/null
truncate -s 10M other.raw
cp child.avhdx copy

refused() # STATUS WORDS OPTIONS...
{
	local want=$1 words=$2
	shift 2
	status "$want" vhdtool set-parent "$@"
	says err "$words"
	cmp child.avhdx copy || fail "the child was changed"
}

refused 6 "another disk" child.avhdx other.vhdx
refused 6 "they are one file" --ignore-id-mismatch child.avhdx child.avhdx
refused 6 "itself a child" --ignore-id-mismatch child.avhdx grand.avhdx
refused 6 "it is vhd" --ignore-id-mismatch child.avhdx other.vhd
refused 6 "it is raw" --ignore-id-mismatch child.avhdx other.raw
refused 1 "sectors of 4096" --ignore-id-mismatch child.avhdx other4k.vhdx
refused 3 "nothing.vhdx" child.avhdx nothing.vhdx
refused 2 "has no parent" base.vhdx other.vhdx
refused 2 "usage" child.avhdx
ln child.avhdx hardlink
refused 6 "they are one file" --ignore-id-mismatch child.avhdx hardlink
rm hardlink

# A parent without its own parent is no parent.
vhdtool create far.vhdx 10M >/dev/null
vhdtool create --parent far.vhdx orphan.avhdx >/dev/null
mkdir far
mv far.vhdx far
refused 3 "far.vhdx" --ignore-id-mismatch child.avhdx orphan.avhdx
status 0 vhdtool set-parent --dry-run --ignore-id-mismatch --search far \
	child.avhdx orphan.avhdx

# One that somebody writes to is busy.
hold other.vhdx
refused 4 "other.vhdx" --ignore-id-mismatch child.avhdx other.vhdx
release

# Changed since: only when asked for, and then the words say what it means.
pattern 2 512 | vhdtool write --force base.vhdx >/dev/null 2>&1
refused 6 "was changed since" child.avhdx base.vhdx
status 6 vhdtool read child.avhdx
status 0 vhdtool set-parent --ignore-id-mismatch child.avhdx base.vhdx
says err "a mixture of two"
says out "not the one that the child named"
vhdtool read child.avhdx | cmp - <(vhdtool read base.vhdx)
vhdtool read grand.avhdx >/dev/null
