# SPDX-License-Identifier: MIT
# Sourced by run.sh: variants of one piece of work, timed in turns.
#
#	group TITLE		begins a table
#	variant NAME CMD [PREP [BASE]]
#				CMD is timed; PREP, before it, is not. BASE:
#				the variant it is compared with; else the first
#	end_group		runs the rounds, prints the table
#
# and of the group that has just ended:
#	median NAME		seconds; nothing if it failed or is not there
#	ratio NAME BASE		the same of a ratio
#	fastest NAME...		the one with the least median
#	row TITLE PEER OURS TARGET MET
#				a line of the table at the very end
#
# Round after round every variant runs once, so that a slow moment of the
# machine meets all alike; the first round only warms up. A ratio is the median
# over the rounds of (time / BASE's time in the same round). Where a command
# prints "Run completed in X seconds" X is its time, else what the clock says.
# A command that fails shows as such; it is no figure.

names=() cmds=() preps=() bases=()

has() { command -v "$1" >/dev/null; }
# can COMMAND: this vhdtool has it
can() { "$vhdtool" "$1" --help >/dev/null 2>&1; }

group()
{
	title=$1
	names=() cmds=() preps=() bases=()
}

variant()
{
	names+=("$1")
	cmds+=("$2")
	preps+=("${3:-:}")
	bases+=("${4:-${names[0]}}")
}

# timed CMD: seconds on stdout; not 0: it failed, its output is in bench.log
timed()
{
	local begin=$EPOCHREALTIME end
	timeout 300 bash -c "set -e; $1" >bench.out 2>&1 || {
		{ echo "FAILED: $1"; cat bench.out; } >>bench.log
		return 1
	}
	end=$EPOCHREALTIME
	awk -v wall="$(echo "$end $begin" | awk '{ printf "%.6f", $1 - $2 }')" '
		/Run completed in/ { wall = $4 }
		END { print wall }' bench.out
}

# What awk needs to take the median of a list in a string.
awk_median='
function median(list,   a, n, i, j, t) {
	n = split(list, a, " ")
	if (!n) return ""
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) {
			t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
		}
	lo = a[1]; hi = a[n]
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}'

end_group()
{
	local round i s
	: >times
	for ((round = 0; round <= rounds; round++)); do
		for i in "${!names[@]}"; do
			bash -c "set -e; ${preps[i]}" >bench.out 2>&1 ||
				{ echo "PREP ${preps[i]}"; cat bench.out; } >>bench.log
			s=$(timed "${cmds[i]}") || s=failed
			[ $round = 0 ] ||
				printf '%s\t%s\t%s\t%s\n' $round "${names[i]}" \
					"${bases[i]}" "$s" >>times
		done
	done
	printf '\n### %s\n\n' "$title"
	awk -F '\t' "$awk_median"'
	!($2 in base) { order[++cnt] = $2; base[$2] = $3 }
	{ t[$1, $2] = $4; if ($1 > rounds) rounds = $1 }
	END {
		print "| variant | median s | min-max s | ratio | to |"
		print "|---|---|---|---|---|"
		for (i = 1; i <= cnt; i++) {
			v = order[i]; all = ""; ratios = ""; bad = 0
			for (r = 1; r <= rounds; r++) {
				a = t[r, v]; b = t[r, base[v]]
				if (a == "failed") bad = 1
				all = all " " a
				if (b + 0 > 0) ratios = ratios " " a / b
			}
			if (bad) {
				printf "| %s | failed | | | |\n", v
				continue
			}
			q = median(ratios); m = median(all)
			printf "| %s | %.4f | %.4f-%.4f | %.2f | %s |\n", \
				v, m, lo, hi, q, base[v]
		}
	}' times
}

ratio()
{
	awk -F '\t' -v v="$1" -v b="$2" "$awk_median"'
	$4 == "failed" { if ($2 == v || $2 == b) bad = 1 }
	$2 == v { x[$1] = $4 }
	$2 == b { y[$1] = $4 }
	END {
		for (r in x)
			if (y[r] + 0 > 0) list = list " " x[r] / y[r]
		if (list != "" && !bad) printf "%.3f", median(list)
	}' times
}

median()
{
	awk -F '\t' -v v="$1" "$awk_median"'
	$2 == v { list = list " " $4; bad = bad || $4 == "failed" }
	END { if (list != "" && !bad) printf "%.6f", median(list) }' times
}

fastest()
{
	local name m best=
	for name; do
		m=$(median "$name")
		[ -n "$m" ] || continue
		[ -n "$best" ] && awk "BEGIN { exit !($m >= $best) }" && continue
		best=$m
		echo "$name"
	done | tail -n 1
}

# at_most A B: A is a figure and not above B
at_most() { [ -n "$1" ] && awk "BEGIN { exit !($1 <= $2) }"; }

# figure X: with two digits behind the point; "-" if there is none
figure() { [ -z "$1" ] && echo - || printf '%.2f\n' "$1"; }

# greatest X...: of figures; nothing if one is missing
greatest()
{
	local x
	for x; do [ -n "$x" ] || return 0; done
	printf '%s\n' "$@" | sort -g | tail -n 1
}

# best_peer BASE NAME...: "qemu-img 1.23", of the one that was fastest
best_peer()
{
	local base=$1 name
	name=$(fastest "${@:2}")
	[ -n "$name" ] || { echo "not here"; return; }
	echo "$name $(figure "$(ratio "$name" "$base")")"
}

row()
{
	local verdict=missed
	[ "$5" = 0 ] || verdict=reached
	[ -n "$3" ] && [ "$3" != - ] || verdict="not measured"
	echo "| $1 | $2 | $3 | $4 | $verdict |" >>rows
}

# row_ratio TITLE BASE OURS LIMIT PEER...: the usual row, of the last group
row_ratio()
{
	local ours met=0
	ours=$(ratio "$3" "$2")
	at_most "$ours" "$4" && met=1
	row "$1" "$(best_peer "$2" "${@:5}")" "$(figure "$ours")" "<= $4" $met
}

final_table()
{
	[ -s rows ] || return 0
	printf '\n### All targets\n\n'
	echo "| work | best peer now | ours | target | |"
	echo "|---|---|---|---|---|"
	cat rows
}
