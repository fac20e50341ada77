#!/bin/bash
# SPDX-License-Identifier: MIT
# Each thing that can be wrong with a folder is told once, with the file and the
# command; errors give status 6.
. "$(dirname "$0")/lib.sh"

new() { vhdtool create "$@" >/dev/null; }

told() # SEVERITY FILE TEXT [COMMAND]
{
	grep -F "$1: $2: " out | grep -qF -- "$3" ||
		fail "no $1 about $2: $3: $(cat out)"
	[ $# -lt 4 ] || grep -A1 -F "$1: $2: " out | grep -qxF "    $4" ||
		fail "no command $4: $(cat out)"
}

# A warning alone is no failure.
new base.vhdx 10M
new --parent base.vhdx child.avhdx
touch .new.vhdx.0123abcd.tmp
status 0 vhdtool doctor .
told warning .new.vhdx.0123abcd.tmp "never finished" \
	"rm .new.vhdx.0123abcd.tmp"
says out "2 images, 0 errors, 1 warning"
rm .new.vhdx.0123abcd.tmp

cp base.vhdx copy.vhdx
status 0 vhdtool doctor .
told warning base.vhdx "same id as copy.vhdx: copies" \
	"vhdtool compare base.vhdx copy.vhdx"
for n in 1 2 3 4 5 6; do cp base.vhdx copy$n.vhdx; done
status 0 vhdtool doctor .
told warning base.vhdx "copy.vhdx, copy1.vhdx, copy2.vhdx, copy3.vhdx and 3 more"
says out "9 images, 0 errors, 1 warning"
rm copy*.vhdx

# The parent is gone, was moved, was changed, is damaged.
mkdir far
mv base.vhdx far/renamed.vhdx
status 6 vhdtool doctor .
told error child.avhdx 'is not here (recorded: ".\base.vhdx")'
says out "child.avhdx: differencing vhdx, 10 MiB"
says out "WITHOUT ITS PARENT"
status 6 vhdtool doctor --search far .
told error child.avhdx "but here: far/renamed.vhdx" \
	"vhdtool set-parent child.avhdx far/renamed.vhdx"
says out "\`-- child.avhdx"
cp far/renamed.vhdx far/copy.vhdx
status 6 vhdtool doctor --search far .
told error child.avhdx "there are 2 copies"
rm far/copy.vhdx

cp far/renamed.vhdx base.vhdx
echo | vhdtool write --force base.vhdx 2>/dev/null >&2
status 6 vhdtool doctor .
told error child.avhdx "that one was changed since" \
	"vhdtool set-parent --ignore-id-mismatch child.avhdx base.vhdx"
mkdir old
mv far/renamed.vhdx old/base.vhdx
new --parent child.avhdx --search old grand.avhdx 2>/dev/null
status 6 vhdtool doctor .
says out "its chain is broken"
says out "3 images, 1 error, 0 warnings"
rm grand.avhdx

head -c 1M /dev/zero >base.vhdx
status 6 vhdtool doctor .
told error base.vhdx "cannot be opened" "vhdtool check base.vhdx"
told error child.avhdx "should be base.vhdx, which cannot be opened" \
	"vhdtool check base.vhdx"

# One that opens, but is damaged.
mv old/base.vhdx .
status 0 vhdtool doctor .
printf OUCH | dd of=base.vhdx bs=1 seek=65636 conv=notrunc status=none
status 6 vhdtool doctor .
told error base.vhdx "1 error, of which 1 can be mended" \
	"vhdtool check --repair base.vhdx"
grep -q '^base.vhdx: .*: DAMAGED$' out || fail "it is not marked"
status 6 vhdtool doctor --json .
equal kind "$(json kind out)" damaged
equal safe "$(json safe out)" false
status 6 vhdtool doctor --apply .
says_not out done:
status 0 vhdtool check --repair base.vhdx
status 0 vhdtool doctor .
