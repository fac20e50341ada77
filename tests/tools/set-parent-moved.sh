#!/bin/bash
# SPDX-License-Identifier: MIT
# A parent that was moved or renamed is recorded anew, proved by its id; the
# child reads as before, in either place, without --search.
. "$(dirname "$0")/lib.sh"

mkdir a b "b/a name"
vhdtool create a/base.vhdx 10M >/dev/null
pattern 1 3000000 | vhdtool write a/base.vhdx >/dev/null
vhdtool create --parent a/base.vhdx a/child.avhdx >/dev/null
pattern 2 700 | head -c 512 | vhdtool write --offset 4096 a/child.avhdx \
	>/dev/null
vhdtool create --parent a/child.avhdx a/grand.avhdx >/dev/null
vhdtool read a/grand.avhdx >model
vhdtool info --json a/child.avhdx >before

mv a/base.vhdx "b/a name/renamed.vhdx"
status 3 vhdtool read a/child.avhdx
status 0 vhdtool set-parent --dry-run a/child.avhdx "b/a name/renamed.vhdx"
says out "nothing was changed"
status 3 vhdtool read a/child.avhdx
status 0 vhdtool set-parent a/child.avhdx "b/a name/renamed.vhdx"
says out "as the child names it"
[ ! -s err ] || fail "it said something"
vhdtool read a/grand.avhdx 2>err | cmp - model
[ ! -s err ] || fail "the parent was searched for"

# The child is the same disk as before: its own child stays.
vhdtool info --json a/child.avhdx >after
for key in data_write_id disk_id; do
	equal $key "$(json $key after)" "$(json $key before)"
done
[ "$(json file_write_id after)" != "$(json file_write_id before)" ] ||
	fail "the file changed without saying so"

# Twice is once.
cp a/child.avhdx copy
status 0 vhdtool set-parent a/child.avhdx "b/a name/renamed.vhdx"
says out "already"
cmp a/child.avhdx copy
status 0 vhdtool set-parent --json a/child.avhdx "b/a name/renamed.vhdx"
says out '"changed": false'
says out '"id_matched": true'

# Both moved together: what is recorded is the way from one to the other.
mkdir far
mv a b far
vhdtool read far/a/grand.avhdx | cmp - model

# Through a symbolic link the way leads from where the child really is.
ln -s far/a/child.avhdx link
mv "far/b/a name/renamed.vhdx" far/base.vhdx
status 0 vhdtool set-parent link far/base.vhdx
vhdtool read far/a/grand.avhdx | cmp - model
status 0 vhdtool check far/a/child.avhdx
