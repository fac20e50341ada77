#!/bin/bash
# SPDX-License-Identifier: MIT
# Every option and order of vmm is in its manual page and in its completion,
# every order in the description of the socket.
. "$(dirname "$0")/vmm-lib.sh"

vmm run --help >run
vmm ctl --help >ctl
options=$(sed -n 's/^  \(--[a-z-]*\).*/\1/p' run)
orders=$(sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' ctl)
[ "$(echo "$options" | wc -l)" -ge 11 ] || fail "too few options: $options"
[ "$(echo "$orders" | wc -l)" -ge 10 ] || fail "too few orders: $orders"
for word in $options $orders; do
	says "$top/man/vmm.1.scd" "$word"
done
for word in $orders; do
	says "$top/docs/vmm-control.md" "\`$word\`"
done

. "$top/completions/vmm"
complete_words() # WORD...: the last one is the one to complete
{
	COMP_WORDS=("$VMM" "$@")
	COMP_CWORD=$#
	_vmm
	printf '%s\n' "${COMPREPLY[@]}" >got
}
complete_words ""
equal verbs "$(sort got | tr '\n' ' ')" "--help --version ctl run "
complete_words run --
equal options "$(sort got)" "$(echo "$options" | sort)"
complete_words ctl sock ""
equal orders "$(sort got)" "$(echo "$orders" | sort)"
complete_words run --console p
equal console "$(cat got)" pty
touch "a disk.vhdx"
complete_words ctl sock add-disk a
equal files "$(cat got)" "a disk.vhdx"
