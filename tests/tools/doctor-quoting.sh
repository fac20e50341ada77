#!/bin/bash
# SPDX-License-Identifier: MIT
# The commands that doctor prints can be pasted as they are, whatever the files
# are called.
. "$(dirname "$0")/lib.sh"

names=("it's" 'two  blanks ' '"quoted" $HOME `id` \t' -- '--force.vhdx'
	$'line\nfeed' $'tab\t\\'"'" '*' 'ümlaut' '-n' '#x' '~root')
for name in "${names[@]}"; do
	rm -rf dir
	mkdir dir
	cd dir
	vhdtool create "./$name" 10M >/dev/null
	printf OUCH | dd "of=./$name" bs=1 seek=65636 conv=notrunc status=none
	"$VHDTOOL" doctor . >../out && fail "nothing is wrong with $name"
	command=$(sed -n 's/^    //p' ../out)
	equal "commands about $name" "$(wc -l <<<"$command")" 1
	eval "$command" >/dev/null || fail "does not run: $command"
	status 0 vhdtool doctor .
	rm -f out err
	equal files "$(find . -type f -printf x)" x
	cd ..
done

# And the names themselves cannot play tricks on a terminal.
touch $'dir/\e[31mred\n0 errors.vhdx'
"$VHDTOOL" doctor dir >out 2>&1 && fail "an empty file is no image"
! grep -q $'\e' out || fail "an escape sequence came through"
! grep -q '^0 errors' out || fail "a name made a line of its own"
