#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that Windows tools wrote convert to the content on record.
. "$(dirname "$0")/lib.sh"

for name in iotest-dynamic-1G.vhdx test-disk2vhd.vhdx d2v-zerofilled.vhd; do
	real_image $name
	before=$(sum $name)
	vhdtool convert --to raw $name out.raw --force >/dev/null
	equal "$name size" "$(stat -c %s out.raw)" "$(manifest $name 1)"
	equal "$name sum" "$(sum out.raw)" "$(manifest $name 2)"
	status 0 vhdtool check $name
	equal "$name itself" "$(sum $name)" "$before"
	# Through our own formats and back
	for via in via.vhdx via.vhd; do
		vhdtool convert --force $name $via >/dev/null
		status 0 vhdtool compare --strict $via out.raw
		status 0 vhdtool check $via
	done
done

name=hyperv2012r2-dynamic.vhd
real_image $name
vhdtool info --json $name >info
equal "$name size" "$(json virtual_size info)" "$(manifest $name 1)"
vhdtool convert --to raw $name out.raw --force >/dev/null
equal "$name size" "$(stat -c %s out.raw)" "$(manifest $name 1)"
equal "$name data" "$(stat -c %b out.raw)" 0

name=virtualpc-dynamic.vhd
real_image $name
vhdtool info $name >info
says info 136363130880
vhdtool info --json --chs-size $name >info
equal "$name geometry" "$(json virtual_size info)" 136363130880
status 0 vhdtool check $name
