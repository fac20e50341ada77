#!/bin/bash
# SPDX-License-Identifier: MIT
# map tells which ranges hold data and where in the host file they lie.
. "$(dirname "$0")/lib.sh"

M=1048576
vhdtool create --block-size 1M a.vhdx 10M >/dev/null
pattern 1 $M | vhdtool write --offset 2M a.vhdx >/dev/null
pattern 2 $M | vhdtool write --offset 3M a.vhdx >/dev/null
pattern 3 512 | vhdtool write --offset 7M a.vhdx >/dev/null
vhdtool map a.vhdx | awk 'NR > 1 { print $1, $2, $3 }' >got
cat >want <<END
0 $((2 * M)) unmapped
$((2 * M)) $((2 * M)) data
$((4 * M)) $((3 * M)) unmapped
$((7 * M)) $M data
$((8 * M)) $((2 * M)) unmapped
END
diff want got || fail "the map is not the one expected"

# The host offsets are true: the bytes are there.
vhdtool map --json a.vhdx >map
off=$(sed -n 's/.*"offset": 7340032,.*"host_offset": \([0-9]*\).*/\1/p' map)
dd if=a.vhdx bs=512 count=1 skip=$off iflag=skip_bytes status=none >got
pattern 3 512 | cmp - got

# JSON is JSON, and a part of the disk has a part of the map.
if command -v jq >/dev/null; then
	equal extents "$(jq length map)" 5
	equal total "$(jq 'map(.length) | add' map)" $((10 * M))
	equal empty "$(vhdtool map --json --length 0 a.vhdx | jq length)" 0
fi
vhdtool map --offset 3M --length 2M a.vhdx |
	awk 'NR > 1 { print $1, $2, $3 }' >got
printf '%s\n' "$((3 * M)) $M data" "$((4 * M)) $M unmapped" | diff - got
