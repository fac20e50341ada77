#!/bin/bash
# SPDX-License-Identifier: MIT
# The name of a parent is whatever somebody has called a file: printed, it
# neither moves the cursor nor begins a line, whichever command shows it.
. "$(dirname "$0")/lib.sh"

evil=$'a\033[31m\nvhdtool: all is well.vhdx'
vhdtool create "$evil" 10M >/dev/null
vhdtool create --parent "$evil" mid.avhdx >/dev/null
vhdtool create --parent mid.avhdx leaf.avhdx >/dev/null
pattern 1 4096 >data
vhdtool write --force "$evil" <data >/dev/null 2>&1
vhdtool set-parent --ignore-id-mismatch mid.avhdx "$evil" >out 2>&1

clean() # COMMAND...: and it shows the name
{
	vhdtool "$@" >out 2>&1 || :
	says out 'a?[31m?vhdtool: all is well.vhdx'
	! LC_ALL=C grep -q $'\033\|^vhdtool: all is well' out ||
		fail "vhdtool $1 printed it as it is"
}

clean info mid.avhdx
clean info --chain leaf.avhdx
clean map leaf.avhdx
clean check --chain leaf.avhdx
clean merge --dry-run --depth 2 leaf.avhdx
clean doctor .
clean set-parent mid.avhdx "$evil"
clean write "$evil"
mv "$evil" "$evil.gone"
clean read leaf.avhdx
