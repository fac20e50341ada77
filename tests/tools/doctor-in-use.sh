#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that are in use are in the picture, are no error, and do not keep
# others from being written to.
. "$(dirname "$0")/lib.sh"

vhdtool create base.vhdx 10M >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool create other.vhdx 10M >/dev/null
hold child.avhdx

status 0 vhdtool doctor .
equal picture "$(sed -n '2s/: .*: /: /p' out)" "\`-- child.avhdx: in use"
says out "note: child.avhdx: was not examined"
says out "process $holder"
says out "0 errors, 0 warnings"
status 0 vhdtool doctor --apply .

pattern 1 512 >data
status 0 vhdtool write other.vhdx <data
equal "said about another's child" "$(cat err)" ""
status 6 vhdtool write base.vhdx <data
says err "is the parent of child.avhdx"
status 4 vhdtool write --force base.vhdx <data
release
status 0 vhdtool doctor .
says out "all is well"
