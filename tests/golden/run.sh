#!/bin/bash
# SPDX-License-Identifier: MIT
# Golden cases: tests/golden/CASE/damage makes a damaged image, expect holds
# the exact words of `vhdtool check` about it. Where anything is repairable,
# what a dry run and the repair say, and a second check, follow; where nothing
# is, a repair must leave every byte as it is. A first line "# name: X" of
# damage gives the image another name than image.vhdx; a line "# check: --chain"
# gives check an option. Files CASE/with-X make an image X beside it.
#
#	tests/golden/run.sh [-u] [CASE...]	-u: write expect anew
#
# Environment: VHDTOOL, DAMAGE: the programs.
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${VHDTOOL:=$here/../../build/release/bin/vhdtool}"
: "${DAMAGE:=$(dirname "$VHDTOOL")/../tests/golden/damage}"
for program in "$VHDTOOL" "$DAMAGE"; do
	[ -x "$program" ] || {
		echo "golden: $program is not built" >&2
		exit 1
	}
done
VHDTOOL=$(realpath "$VHDTOOL") && DAMAGE=$(realpath "$DAMAGE") || exit 1
update=
if [ "${1-}" = -u ]; then
	update=1
	shift
fi
cd "$here" || exit 1
[ $# -gt 0 ] || set -- */
# Every repair syncs; in memory that takes no time.
[ -w /dev/shm ] && : "${TMPDIR:=/dev/shm}"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/golden.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT

say()
{
	echo "\$ vhdtool check${option:+ $option}${1:+ $1} $image"
	# shellcheck disable=SC2086
	(cd "$tmp/w" && timeout 20 "$VHDTOOL" check $option $1 "$image") 2>&1
	echo "[exit $?]"
}

# Is every file as it was made?
unchanged() { diff -rq "$tmp/before" "$tmp/w" >/dev/null; }

one()
{
	image=$(sed -n '1s/^# name: //p' "$1/damage")
	image=${image:-image.vhdx}
	option=$(sed -n 's/^# check: //p' "$1/damage")
	rm -rf "$tmp/w" "$tmp/before"
	mkdir "$tmp/w"
	"$DAMAGE" "$tmp/w/$image" "$1/damage" || return 1
	for other in "$1"/with-*; do
		[ ! -e "$other" ] ||
			"$DAMAGE" "$tmp/w/${other##*/with-}" "$other" || return 1
	done
	cp -r --sparse=always "$tmp/w" "$tmp/before"
	say "" > "$tmp/first"
	cat "$tmp/first"
	if grep -q -- ' - repairable$' "$tmp/first"; then
		say "--repair --dry-run" > "$tmp/dry"
		grep -v '^nothing was changed' "$tmp/dry" |
			cmp -s - <(sed '
				s/check\( --chain\)* image/check\1 --repair --dry-run image/
				/^to see what a repair/d' "$tmp/first") ||
			cat "$tmp/dry"
		unchanged ||
			echo "CHECK CHANGED THE FILE"
		say "--repair"
		say ""
	else
		say "--repair" > "$tmp/repair"
		unchanged || {
			echo "REPAIR OF NOTHING CHANGED THE FILE"
			cat "$tmp/repair"
		}
	fi
	return 0
}

ok=0 failed=0
for case in "$@"; do
	case=${case%/}
	# An image that could not be made says nothing, and expects nothing.
	one "$case" > "$tmp/out" || {
		echo "golden: $case: the image could not be made"
		failed=$((failed + 1))
		continue
	}
	if [ "$update" ]; then
		cp "$tmp/out" "$case/expect"
	fi
	if diff -u --label "$case/expect" --label "what it says" \
		"$case/expect" "$tmp/out"; then
		ok=$((ok + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "golden: $ok cases as expected, $failed not"
[ "$failed" = 0 ]
