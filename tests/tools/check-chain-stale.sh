#!/bin/bash
# SPDX-License-Identifier: MIT
# A recorded path that no longer leads to the parent is a warning of the child
# that records it; --repair records where the parent was found, and nothing
# else: all the children's content, and their ids, are as before.
. "$(dirname "$0")/lib.sh"

mkdir a far
vhdtool create a/base.vhdx 10M >/dev/null
pattern 1 3000000 | vhdtool write a/base.vhdx >/dev/null
vhdtool create --parent a/base.vhdx a/mid.avhdx >/dev/null
pattern 2 512 | vhdtool write --offset 8192 a/mid.avhdx >/dev/null
vhdtool create --parent a/mid.avhdx a/leaf.avhdx >/dev/null
vhdtool read a/leaf.avhdx >model

status 0 vhdtool check --chain a/leaf.avhdx
says out "chain of 3 images; 0 errors, 0 warnings: the chain is sound"

# Found by the absolute path, which is recorded second.
mkdir b
mv a/leaf.avhdx b
status 0 vhdtool check --chain b/leaf.avhdx
says out "b/leaf.avhdx: warning: the recorded relative_path"
says out "by absolute_win32_path, as $PWD/a/mid.avhdx"
status 0 vhdtool check --chain --repair b/leaf.avhdx
status 0 vhdtool check --chain b/leaf.avhdx
says out "0 warnings"
mv b/leaf.avhdx a
status 0 vhdtool check --chain --repair a/leaf.avhdx

# Found in a search folder, for the middle layer.
mv a/base.vhdx far
status 3 vhdtool check --chain a/leaf.avhdx
says out "a/mid.avhdx: error: its parent"
says out "chain of 2 images, incomplete"
status 0 vhdtool check --chain --search far a/leaf.avhdx
says out 'a/mid.avhdx: warning: the recorded relative_path ".\base.vhdx" does'
says out "in a search folder, as far/base.vhdx"
says out "chain of 3 images; 0 errors, 1 warning: the chain is sound"
says out "vhdtool check --chain --search far --repair --dry-run a/leaf.avhdx"
status 0 vhdtool check --chain --json --search far a/leaf.avhdx
equal complete "$(json complete out)" true
equal warnings "$(json warnings out)" 1
says out '"repairable": true'

cp a/mid.avhdx copy
status 0 vhdtool check --chain --search far --repair --dry-run a/leaf.avhdx
cmp a/mid.avhdx copy
status 3 vhdtool read a/leaf.avhdx

status 0 vhdtool check --chain --search far --repair a/leaf.avhdx
says out "- repaired"
says out "0 errors, 1 warning; 1 repaired"
vhdtool read a/leaf.avhdx 2>err | cmp - model
[ ! -s err ] || fail "the parent was searched for"
status 0 vhdtool check --chain a/leaf.avhdx
says out "0 errors, 0 warnings"

# Without --chain the check of a child is its own alone.
status 0 vhdtool check a/leaf.avhdx
says_not out chain
status 2 vhdtool check --search far a/leaf.avhdx
