#!/bin/bash
# SPDX-License-Identifier: MIT
# A differencing VHD whose parent is missing or another disk is never read as if
# it had none: status 3 or 6; --search and set-parent find it. A parent that was
# changed keeps its id, so only its time tells: a note.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhd 10M >/dev/null
pattern 1 1000000 | head -c 999936 | vhdtool write base.vhd >/dev/null
touch -d 2024-01-01 base.vhd
vhdtool create --parent base.vhd child.avhd >/dev/null
pattern 2 512 | vhdtool write --offset 4096 child.avhd >/dev/null
vhdtool create --parent child.avhd grand.avhd >/dev/null
vhdtool read grand.avhd >model
vhdtool info --json base.vhd >info
id=$(json disk_id info)

refused() # STATUS OPTIONS...
{
	local want=$1
	shift
	for file in child.avhd grand.avhd; do
		status "$want" vhdtool read "$@" $file
		[ ! -s out ] || fail "something was read"
		status "$want" vhdtool convert "$@" $file x.raw
		status "$want" vhdtool write "$@" $file
		status "$want" vhdtool create "$@" --parent $file x.vhd
		[ ! -e x.vhd ] || fail "a child of a broken chain was made"
		status "$want" vhdtool info "$@" --chain $file
	done
}

vhdtool read child.avhd 2>err | cmp - model
[ ! -s err ] || fail "something was said of a sound chain"
mkdir far empty
mv base.vhd far
refused 3
status 3 vhdtool read child.avhd
says err "$PWD/base.vhd"
says err "$id"
refused 3 --search empty
status 3 vhdtool map child.avhd
equal states "$(awk 'NR > 1 { print $1, $3 }' out | tr '\n' ' ')" \
	"0 parent 4096 data 4608 parent "
vhdtool read --search far grand.avhd 2>err | cmp - model
says err "far/base.vhd"

# Another disk of that name does not pass for it; a search goes on past it.
vhdtool create base.vhd 10M >/dev/null
refused 6
vhdtool read --search far child.avhd 2>/dev/null | cmp - model
rm base.vhd

# Recorded anew, and twice is once; nothing but the words changes.
vhdtool info --json child.avhd >before 2>/dev/null || :
status 0 vhdtool set-parent --dry-run child.avhd far/base.vhd
status 3 vhdtool read child.avhd
status 0 vhdtool set-parent child.avhd far/base.vhd
vhdtool read grand.avhd 2>err | cmp - model
[ ! -s err ] || fail "the parent was searched for"
vhdtool info --json child.avhd >after
equal disk_id "$(json disk_id after)" "$(json disk_id before)"
cp child.avhd copy
status 0 vhdtool set-parent child.avhd far/base.vhd
says out already
cmp child.avhd copy || fail "recording the same again changed the file"
status 0 vhdtool check child.avhd
equal leak "$(grep -c 'belong' out || :)" 0
mv far/base.vhd .
status 0 vhdtool set-parent child.avhd base.vhd
vhdtool read grand.avhd | cmp - model
status 0 vhdtool check child.avhd

# Another disk only by force; a child without an id takes any by force.
vhdtool create other.vhd 10M >/dev/null
cp child.avhd copy
status 6 vhdtool set-parent child.avhd other.vhd
cmp child.avhd copy || fail "a refusal changed the child"
status 0 vhdtool set-parent --ignore-id-mismatch child.avhd other.vhd
status 0 vhdtool set-parent --ignore-id-mismatch child.avhd base.vhd
vhdtool read child.avhd | cmp - model

touch -d 2024-02-02 base.vhd
status 0 vhdtool read child.avhd
says err "another time"
cmp out model
