#!/bin/bash
# SPDX-License-Identifier: MIT
# bash completion offers every command, every option, the values of those that
# have some, and files elsewhere.
. "$(dirname "$0")/lib.sh"

. "$top/completions/vhdtool"
complete_words() # WORD...: the last one is the one to complete
{
	COMP_WORDS=("$VHDTOOL" "$@")
	COMP_CWORD=$#
	_vhdtool
	printf '%s\n' "${COMPREPLY[@]}" >got
}

complete_words ""
for verb in create info check log map read write convert compare discard bench \
	compact doctor merge repair; do
	says got $verb
done
complete_words co
equal candidates "$(sort got | tr '\n' ' ')" "compact compare convert "
complete_words log ""
says got replay
complete_words log replay --
says got --dry-run
complete_words convert --
for option in --to --from --type --force --progress --dry-run; do
	says got $option
done
complete_words convert --to ""
equal formats "$(sort got | tr '\n' ' ')" "raw vhd vhdx "
complete_words create --type ""
says got differencing
mkdir folder
complete_words read --search ""
equal folders "$(cat got)" folder
rmdir folder
touch disk.vhdx "other disk.vhdx"
complete_words info o
equal file "$(cat got)" "other disk.vhdx"
