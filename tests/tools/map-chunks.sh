#!/bin/bash
# SPDX-License-Identifier: MIT
# A map joins blocks across the bitmap slots between them, whatever those say in
# a base image, and across pages of the BAT, but nothing that differs.
. "$(dirname "$0")/lib.sh"

# Blocks of 256 MiB: a bitmap slot behind every sixteenth entry.
vhdtool create --block-size 256M a.vhdx 256G >/dev/null
vhdtool info --json a.vhdx >info
bat=$(sed -n '/"bat"/,/}/ s/.*"offset": \([0-9]*\).*/\1/p' info)

bytes() { printf "\\x0$1\0\0\0\0\0\0\0"; }
put() { dd of=a.vhdx bs=8 seek=$((bat / 8 + $1)) conv=notrunc status=none; }
# block N STATE
block() { bytes "$2" | put $(($1 + $1 / 16)); }

map() { vhdtool map a.vhdx | awk 'NR > 1 { print $1 / 268435456, $2 / 268435456, $3 }'; }

for ((i = 0; i < 1087; i++)); do
	bytes $((i % 17 == 16 ? 3 : 2))
done | put 0
equal "all zero" "$(map)" "0 1024 zero"
# The first and the last of a chunk, and one behind the page's end.
block 16 0
block 47 0
block 500 0
equal "with gaps" "$(map)" "0 16 zero
16 1 unmapped
17 30 zero
47 1 unmapped
48 452 zero
500 1 unmapped
501 523 zero"
