#!/bin/bash
# SPDX-License-Identifier: MIT
# The parent of a differencing VHD is found by what each kind of program wrote:
# Windows paths, absolute ones by their name, URLs of a Mac, or only the name in
# the header. It must have the id the child names.
. "$(dirname "$0")/lib.sh"
damage=$(dirname "$VHDTOOL")/../tests/golden/damage
[ -x "$damage" ] || skip "the damage tool is not built"

cat >base.script <<'END'
create format=vhd size=8M block=2M
put64 footer+68 0x0807060504030201
put64 footer+76 0x100f0e0d0c0b0a09
put64 copy+68 0x0807060504030201
put64 copy+76 0x100f0e0d0c0b0a09
sum footer
sum copy
END
mkdir disks elsewhere
"$damage" "$tmp/disks/base.vhd" base.script
pattern 1 3000000 | head -c 2999808 | vhdtool write disks/base.vhd >/dev/null
vhdtool read disks/base.vhd >model

child() # FILE NAME [KIND=PATH]...
{
	local file=$1
	shift
	printf 'create format=vhd size=8M block=2M\nvparent %s\n' "$*" >script
	rm -f "$file"
	"$damage" "$tmp/$file" script
}

finds() # FILE WORDS...: the parent by these words
{
	child "$@"
	vhdtool read "$1" 2>/dev/null | cmp - model || fail "not found: $*"
	status 0 vhdtool info --chain "$1"
}

finds disks/c.vhd - 'W2ru=.\base.vhd'
finds elsewhere/c.vhd - 'W2ru=..\disks\base.vhd'
finds disks/c.vhd - 'W2ku=C:\Hyper-V\disks\base.vhd'
finds disks/c.vhd - 'W2ku=\\server\share\base.vhd'
finds elsewhere/c.vhd - 'W2ku=D:\gone.vhd' 'W2ru=..\disks\base.vhd'
finds elsewhere/c.vhd - 'W2ru=.\gone.vhd' "MacX=file://$tmp/disks/base.vhd"
finds disks/c.vhd - 'Wi2r=base.vhd'
finds disks/c.vhd base.vhd
finds disks/c.vhd base.vhd 'W2ru=.\gone.vhd'

# Found nowhere: the paths that were tried; then by search.
child elsewhere/c.vhd - 'W2ku=C:\Hyper-V\disks\base.vhd'
status 3 vhdtool read elsewhere/c.vhd
says err "base.vhd"
vhdtool read --search disks elsewhere/c.vhd 2>/dev/null | cmp - model

# Written by us over it, then read by the way to it that Windows uses.
status 0 vhdtool set-parent elsewhere/c.vhd disks/base.vhd
vhdtool read elsewhere/c.vhd 2>err | cmp - model
[ ! -s err ] || fail "the parent had to be searched for"
status 0 vhdtool check elsewhere/c.vhd

# The name alone is not enough.
vhdtool create --force disks/base.vhd 8M >/dev/null
status 6 vhdtool read elsewhere/c.vhd
says err 01020304-0506-0708-090a-0b0c0d0e0f10
