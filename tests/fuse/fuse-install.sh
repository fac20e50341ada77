#!/bin/bash
# SPDX-License-Identifier: MIT
# An installed vhdfuse is there under mount.vhdfuse too, and its options are in
# the help, the manual page and the completion.
. "$(dirname "$0")/lib.sh"

${MAKE:-make} -C "$SRC" --no-print-directory install-files B="$BUILD" \
	DESTDIR="$PWD/dest" PREFIX=/opt/v >/dev/null
dest/opt/v/bin/vhdfuse --version >out
says out "vhdfuse 0."
dest/opt/v/sbin/mount.vhdfuse --help >out
for option in $(sed -n 's/^  \(-f, \)*\(--[a-z-]*\).*/\2/p' out); do
	says "$SRC/man/vhdfuse.1.scd" "$option"
done
. dest/opt/v/share/bash-completion/completions/vhdfuse
complete_words()
{
	COMP_WORDS=("$VHDFUSE" "$@")
	COMP_CWORD=$#
	_vhdfuse
	printf '%s\n' "${COMPREPLY[@]}" >got
}
complete_words --
for option in --overlay --file --cache --pid-file --search --control; do
	says got $option
done
complete_words --cache ""
equal modes "$(sort got | tr '\n' ' ')" "none writeback "
touch "a disk.vhdx"
complete_words a
equal files "$(cat got)" "a disk.vhdx"
