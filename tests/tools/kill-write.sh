#!/bin/bash
# SPDX-License-Identifier: MIT
# Writing to a child that is killed, again and again, anywhere: each sector is
# the old one or the new one, and the same command finishes.
. "$(dirname "$0")/lib.sh"

fill() { head -c "$2" /dev/zero | tr '\0' "$1"; }

vhdtool create base.vhdx --size 40M --block-size 1M
fill a 40M | vhdtool write base.vhdx
vhdtool create --parent base.vhdx child.vhdx --block-size 1M
fill b 40M >new
cp --sparse=always child.vhdx orig
millis vhdtool write child.vhdx <new
kills=0
for part in 1 2 3 4 5 6; do
	cp --sparse=always orig child.vhdx
	if killed $((took * part / 7)) vhdtool write child.vhdx <new
	then
		kills=$((kills + 1))
		vhdtool read child.vhdx >got
		# A sector a line.
		odd=$(fold -w 512 got | uniq | sort -u |
			grep -vx -e "$(fill a 512)" -e "$(fill b 512)" || :)
		equal "mixed sectors" "$odd" ""
		sound base.vhdx child.vhdx
	fi
	status 0 vhdtool write child.vhdx <new
	vhdtool read child.vhdx | cmp - new || fail "the rerun did not finish"
	sound child.vhdx
done
[ $kills -gt 2 ] || skip "writing was faster than the signal"
echo "$kills kills"
