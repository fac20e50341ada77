# SPDX-License-Identifier: MIT
# Sourced by run.sh: variants of one piece of work, timed in turns.
#
#	group TITLE		begins a table
#	variant NAME CMD [PREP [BASE]]
#				CMD is timed; PREP, before it, is not. BASE:
#				the variant it is compared with; else the first
#	end_group		runs the rounds, prints the table
#
# Round after round every variant runs once, so that a slow moment of the
# machine meets all alike; the first round only warms up. A ratio is the median
# over the rounds of (time / BASE's time in the same round). Where a command
# prints "Run completed in X seconds" X is its time, else what the clock says.
# A command that fails shows as such; it is no figure.

names=() cmds=() preps=() bases=()

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
	awk -F '\t' '
	function median(list,   a, n, i, j, t) {
		n = split(list, a, " ")
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) {
				t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
			}
		lo = a[1]; hi = a[n]
		return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
	}
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
			printf "| %s | %.3f | %.3f-%.3f | %.2f | %s |\n", \
				v, m, lo, hi, q, base[v]
		}
	}' times
}
