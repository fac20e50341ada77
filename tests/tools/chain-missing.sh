#!/bin/bash
# SPDX-License-Identifier: MIT
# A child whose parent is missing or another disk is never read as if it had
# none: status 3 with the paths tried, 6 with the ids; --search finds it.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 10M >/dev/null
pattern 1 1000000 | vhdtool write base.vhdx >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
pattern 2 512 | vhdtool write --offset 4096 child.avhdx >/dev/null
vhdtool create --parent child.avhdx grand.avhdx >/dev/null
vhdtool read grand.avhdx >model
vhdtool info --json base.vhdx >info
id=$(json data_write_id info)

refused() # STATUS OPTIONS...: by every command that needs the parent's data
{
	local want=$1
	shift
	for file in child.avhdx grand.avhdx; do
		status "$want" vhdtool read "$@" $file
		[ ! -s out ] || fail "something was read"
		status "$want" vhdtool convert "$@" $file x.raw
		[ ! -e x.raw ] || fail "something was converted"
		status "$want" vhdtool compare "$@" $file model
		status "$want" vhdtool write "$@" $file
		status "$want" vhdtool discard "$@" --offset 0 --length 1M $file
		status "$want" vhdtool bench "$@" --count 1 $file
		status "$want" vhdtool create "$@" --parent $file x.vhdx
		[ ! -e x.vhdx ] || fail "a child of a broken chain was made"
		status "$want" vhdtool map "$@" $file
		status "$want" vhdtool info "$@" --chain $file
		status "$want" vhdtool info "$@" $file
	done
}

mkdir far empty
mv base.vhdx far
refused 3
status 3 vhdtool read child.avhdx
says err "$PWD/base.vhdx"
says err "$id"
says err "--search"
refused 3 --search empty

# Shown without it, and said so: nothing is taken for zeros.
status 3 vhdtool info child.avhdx
says out "differencing"
says out "NOT FOUND"
status 3 vhdtool info --json child.avhdx
says out '"NOPARENT"'
status 3 vhdtool map child.avhdx
equal states "$(awk 'NR > 1 { print $1, $3 }' out | tr '\n' ' ')" \
	"0 parent 4096 data 4608 parent "
status 3 vhdtool info --chain child.avhdx
equal picture "$(sed -n '2,$p' out)" "1: NOT FOUND"
status 3 vhdtool info --chain grand.avhdx
equal picture "$(sed -n '2s/:.*//p; 3p' out | tr '\n' ' ')" "1 2: NOT FOUND "
status 3 vhdtool map grand.avhdx
equal states "$(awk 'NR > 1 { print $1, $3 }' out | tr '\n' ' ')" \
	"0 parent 4096 data 4608 parent "
status 3 vhdtool info --chain --json child.avhdx
says out '"complete": false'

for file in child.avhdx grand.avhdx; do
	vhdtool read --search empty --search far $file 2>err | cmp - model
	says err "far/base.vhdx"
	status 0 vhdtool map --search far $file
	says out far/base.vhdx
	status 0 vhdtool info --chain --search far $file
	status 0 vhdtool compare --search far $file model
done

# Another disk of that name does not pass for it; a search goes on past it.
vhdtool create base.vhdx 10M >/dev/null
refused 6
vhdtool read --search far child.avhdx 2>/dev/null | cmp - model
rm base.vhdx

# Nor does the parent itself once it was written to.
pattern 3 512 | vhdtool write far/base.vhdx >/dev/null
vhdtool info --json far/base.vhdx >info
refused 6 --search far
status 6 vhdtool read --search far child.avhdx
says err "$id"
says err "$(json data_write_id info)"
status 6 vhdtool info --search far child.avhdx
says out "another disk"

# What is no disk at all is told like another disk.
vhdtool create low.vhdx 10M >/dev/null
vhdtool create --parent low.vhdx top.avhdx >/dev/null
id=$(vhdtool info --json low.vhdx | json data_write_id /dev/stdin)
mv low.vhdx kept
mkdir low.vhdx
refused_as() # KIND
{
	status 6 vhdtool read top.avhdx
	says err "$id, but low.vhdx is $1"
	says err "vhdtool set-parent"
}
refused_as "a directory"
rmdir low.vhdx
mkfifo low.vhdx
refused_as "a named pipe"
rm low.vhdx
truncate -s 1M low.vhdx
refused_as raw

# Long names leave room for what mends it.
long=$(printf 'x%.0s' {1..90})
mkdir -p "$long/$long"
mv top.avhdx "$long/$long"
mv low.vhdx raw
status 3 vhdtool read "$long/$long/top.avhdx"
says err "$id is not there"
says err "vhdtool set-parent (tried: "
vhdtool create "$long/$long/low.vhdx" 10M >/dev/null
status 6 vhdtool read "$long/$long/top.avhdx"
says err "xxx/low.vhdx has $(vhdtool info --json "$long/$long/low.vhdx" |
	json data_write_id /dev/stdin): it is another disk"
says err "vhdtool set-parent (--ignore-id-mismatch"
