#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of the house style that a machine can see: a licence line, no stray
# blanks, no file above 900 lines, 80 columns.
set -u
files=$(git ls-files -co --exclude-standard '*.c' '*.h' 2>/dev/null)
[ -n "$files" ] || files=$(find libvhdx vhdtool tests -name '*.[ch]')
bad=0
for f in $files; do
	[ -f "$f" ] || continue
	head -n 1 "$f" | grep -q 'SPDX-License-Identifier: MIT' || {
		echo "$f: the first line is not the licence"
		bad=1
	}
	# A column is a byte that does not continue a UTF-8 character.
	expand "$f" | LC_ALL=C awk -v f="$f" '
		{ t = $0; gsub(/[\200-\277]/, "", t) }
		length(t) > 80 { print f ":" NR ": " length(t) " columns"; n = 1 }
		/[ \t]$/ { print f ":" NR ": blank at the end"; n = 1 }
		END { if (NR > 900) { print f ": " NR " lines"; n = 1 } exit n }
	' || bad=1
done
[ $bad = 0 ] && echo "style: $(echo "$files" | wc -w) files"
exit $bad
