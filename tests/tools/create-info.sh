#!/bin/bash
# SPDX-License-Identifier: MIT
# What create was told is what info shows, for every format and type.
. "$(dirname "$0")/lib.sh"

try() # FILE FORMAT TYPE SIZE BLOCK SECTOR PHYSICAL OPTIONS...
{
	local file=$1 format=$2 type=$3 size=$4 block=$5 sector=$6 physical=$7
	shift 7
	vhdtool create "$@" "$file" "$size" >/dev/null
	vhdtool info --json "$file" >info
	equal "$file format" "$(json format info)" "$format"
	equal "$file type" "$(json type info)" "$type"
	equal "$file size" "$(json virtual_size info)" "$size"
	equal "$file block" "$(json block_size info)" "$block"
	equal "$file sector" "$(json sector_size info)" "$sector"
	equal "$file physical" "$(json physical_sector_size info)" "$physical"
	status 0 vhdtool check "$file"
	[ "$format" = vhd ] || [ "$(json header_sequence info)" -ge 1 ] ||
		fail "$file: no header sequence"
	vhdtool info "$file" >info
	says info "$size"
	says_not info "00000000-0000-0000-0000-000000000000"
}

M=1048576
try a.vhdx vhdx dynamic $((100 * M)) $((32 * M)) 512 4096
try b.vhdx vhdx fixed $((64 * M)) $((1 * M)) 512 4096 --type fixed \
	--block-size 1M
try c.vhdx vhdx dynamic $((100 * M)) $((256 * M)) 4096 4096 \
	--sector-size 4096 --block-size 256M
try d.vhdx vhdx dynamic $((3 * M + 512)) $((2 * M)) 512 512 \
	--block-size 2M --physical-sector-size 512
try e.avhdx vhdx dynamic 512 $((32 * M)) 512 4096
try f.vhd vhd dynamic $((100 * M)) $((2 * M)) 512 512
try g.VHD vhd fixed $((10 * M)) 0 512 512 --type fixed
try h.disk vhdx dynamic $((10 * M)) $((32 * M)) 512 4096
try i.disk vhd dynamic $((10 * M)) $((2 * M)) 512 512 --format vhd
vhdtool create j.raw 10M >/dev/null
equal "raw length" "$(stat -c %s j.raw)" $((10 * M))
vhdtool create --size 10M k.vhdx >/dev/null
vhdtool info --json k.vhdx >info
equal "--size" "$(json virtual_size info)" $((10 * M))
