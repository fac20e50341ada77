#!/bin/bash
# SPDX-License-Identifier: MIT
# check --chain tells what is wrong, of which file, and ends with the status
# that fits: 3 missing, 6 another disk, damage. What is not
# proved to be the parent is never recorded by a repair.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 10M >/dev/null
pattern 1 3000000 | vhdtool write base.vhdx >/dev/null
vhdtool create --parent base.vhdx --size 20M child.avhdx >/dev/null
vhdtool create --parent child.avhdx leaf.avhdx >/dev/null
status 0 vhdtool check --chain leaf.avhdx
says out "child.avhdx: note: the disk has 20971520 bytes, its parent base.vhdx"
status 0 vhdtool check --chain base.vhdx
says out "chain of 1 image;"

# Every file in full: damage in a parent is damage of the chain.
cp base.vhdx sound
printf '\0\0\0\0' | dd of=base.vhdx bs=1 seek=65536 conv=notrunc status=none
status 6 vhdtool check --chain leaf.avhdx
says out "base.vhdx: error:"
says out "- repairable"
status 0 vhdtool check --chain --repair leaf.avhdx
says out "- repaired"
status 0 vhdtool check --chain leaf.avhdx
says out "0 errors, 0 warnings"
cp sound base.vhdx

# Damage that keeps the parent from being opened.
printf '\0\0\0\0' | dd of=base.vhdx bs=1 seek=65536 conv=notrunc status=none
printf '\0\0\0\0' | dd of=base.vhdx bs=1 seek=131072 conv=notrunc status=none
status 6 vhdtool check --chain leaf.avhdx
says out "child.avhdx: error:"
says out "incomplete"
cp sound base.vhdx

# A leaf that does not open itself.
cp leaf.avhdx good
printf '\0\0\0\0' | dd of=leaf.avhdx bs=1 seek=65536 conv=notrunc status=none
printf '\0\0\0\0' | dd of=leaf.avhdx bs=1 seek=131072 conv=notrunc status=none
status 6 vhdtool check --chain leaf.avhdx
says out "what it is a child of was not looked for"
mv good leaf.avhdx

# Another disk of that name, or the parent after a change.
cp child.avhdx copy
vhdtool create --force base.vhdx 10M >/dev/null 2>&1
status 6 vhdtool check --chain leaf.avhdx
says out "it is another disk, or was changed since"
status 6 vhdtool check --chain --repair leaf.avhdx
cmp child.avhdx copy
status 6 vhdtool check --chain --json leaf.avhdx
says out '"LINKAGE"'
equal complete "$(json complete out)" false

rm base.vhdx
status 3 vhdtool check --chain leaf.avhdx
status 3 vhdtool check --chain --json leaf.avhdx
says out '"NOPARENT"'
status 3 vhdtool check --chain --repair leaf.avhdx
cmp child.avhdx copy
mv sound base.vhdx

status 3 vhdtool check --chain nothing.vhdx

# A VHD child alone says where its parent is looked at; with it, that is done.
vhdtool create base.vhd 10M >/dev/null
vhdtool create --parent base.vhd child.avhd >/dev/null
status 0 vhdtool check child.avhd
says out "check --chain examines that too"
status 0 vhdtool check --chain child.avhd
says out "chain of 2 images; 0 errors, 0 warnings: the chain is sound"
! grep -q examines out || fail "what is examined is said to be elsewhere"
