#!/bin/bash
# SPDX-License-Identifier: MIT
# Every command explains itself, and the manual page knows every option it
# names.
. "$(dirname "$0")/lib.sh"

page=$top/man/vhdtool.1.scd
verbs=$(vhdtool --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
[ "$(echo "$verbs" | wc -l)" -ge 11 ] || fail "too few commands: $verbs"
for verb in $verbs "log show" "log replay" "log discard"; do
	status 0 vhdtool $verb --help
	says out "Usage: vhdtool $verb"
	says "$page" "$verb"
	for option in $(sed -n 's/^  \(--[a-z-]*\).*/\1/p' out); do
		[ "$option" = --help ] && continue
		says "$page" "$option"
	done
	status 2 vhdtool $verb --no-such-option
	says err "--no-such-option"
done
vhdtool --version | grep -q '^vhdtool [0-9]' || fail "no version"
