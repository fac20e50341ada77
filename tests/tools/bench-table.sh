#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make bench` makes of times: ratios are taken within each round, a target
# is met or not by them, and what failed is no figure.
. "$(dirname "$0")/lib.sh"
. "$top/tests/bench/lib.sh"

# Round, variant, what it is compared with, seconds. Round 2 was a slow moment.
tr ' ' '\t' >times <<'END'
1 cp cp 1.0
1 new cp 0.9
1 old cp 2.0
2 cp cp 8.0
2 new cp 7.6
2 old cp 16.8
3 cp cp 1.0
3 new cp 1.4
3 old cp failed
END
equal "the median of the ratios" "$(ratio new cp)" 0.950
equal "the median" "$(median new)" 1.400000
equal "no ratio of what failed" "$(ratio old cp)$(ratio cp old)" ""
equal "nor of what is not there" "$(ratio cp nobody)$(median nobody)" ""
equal "fastest" "$(fastest nobody old new cp)" cp

row_ratio "one" cp new 0.95 old
row_ratio "two" cp new 0.94 cp old
row_ratio "three" cp nobody 1 nobody
equal table "$(cat rows)" "| one | not here | 0.95 | <= 0.95 | reached |
| two | cp 1.00 | 0.95 | <= 0.94 | missed |
| three | not here | - | <= 1 | not measured |"

# The first round warms up; of a command's time it is its own word that counts.
rounds=2
group "a title"
variant slow "echo x >>ran; echo Run completed in 3.5 seconds"
variant fast "echo Run completed in 0.7 seconds" "echo prep"
variant broken "false"
end_group >out
equal rounds "$(wc -l <ran)" 3
says out "### a title"
says out "| fast | 0.7000 | 0.7000-0.7000 | 0.20 | slow |"
says out "| broken | failed |"
says bench.log "FAILED: false"
