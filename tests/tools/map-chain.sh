#!/bin/bash
# SPDX-License-Identifier: MIT
# map tells for each extent of a chain the layer and the host file it is in, and
# the bytes are there.
. "$(dirname "$0")/lib.sh"

M=1048576
vhdtool create --block-size 1M base.vhdx 8M >/dev/null
pattern 1 $((3 * M)) | vhdtool write base.vhdx >/dev/null
vhdtool create --parent base.vhdx --block-size 1M child.vhdx >/dev/null
pattern 2 4096 | vhdtool write --offset 1M child.vhdx >/dev/null
vhdtool write --zeroes --offset 2M --length 1M child.vhdx >/dev/null
vhdtool create --parent child.vhdx --block-size 1M leaf.vhdx >/dev/null
pattern 3 512 | vhdtool write --offset 4M leaf.vhdx >/dev/null

vhdtool map leaf.vhdx | awk 'NR > 1 && $3 == "data" {
	print $1, $2, $4, $6; next } NR > 1 { print $1, $2, $3 }' >got
cat >want <<END
0 $M 2 base.vhdx
$M 4096 1 child.vhdx
$((M + 4096)) $((M - 4096)) 2 base.vhdx
$((2 * M)) $M zero
$((3 * M)) $M unmapped
$((4 * M)) 512 0 leaf.vhdx
$((4 * M + 512)) $((4 * M - 512)) unmapped
END
diff want got || fail "the map is not the one expected"

# Put together from the places that it names, the disk is what read gives.
truncate -s 8M copy
vhdtool map leaf.vhdx | awk '$3 == "data" { print $1, $2, $5, $6 }' |
	while read -r voff len off file; do
		dd if="$file" of=copy bs=64K conv=notrunc status=none \
			iflag=skip_bytes,count_bytes oflag=seek_bytes \
			skip="$off" count="$len" seek="$voff"
	done
vhdtool read leaf.vhdx | cmp - copy

vhdtool map --json leaf.vhdx >map
says map '"depth": 2'
if command -v jq >/dev/null; then
	equal total "$(jq 'map(.length) | add' map)" $((8 * M))
fi
