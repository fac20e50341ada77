#!/bin/bash
# SPDX-License-Identifier: MIT
# A merge that would break or lose something is refused before anything changes,
# with the file and the reason.
. "$(dirname "$0")/lib.sh"

make_chain() # FORMAT: base <- one <- leaf
{
	rm -f ./*."$1"
	vhdtool create base."$1" 16M >/dev/null
	pattern 1 5000000 | vhdtool write base."$1" >/dev/null
	vhdtool create --parent base."$1" one."$1" >/dev/null
	pattern 2 70000 | vhdtool write --offset 1M one."$1" >/dev/null
	vhdtool create --parent one."$1" leaf."$1" >/dev/null
	pattern 3 5000 | vhdtool write --offset 6M leaf."$1" >/dev/null
	vhdtool read leaf."$1" >model
}

sums() { sum ./*.vhd* | tr '\n' ' '; }

# refused STATUS TEXT ARGUMENT...
refused()
{
	local want=$1 text=$2 before
	shift 2
	before=$(sums)
	status "$want" vhdtool merge "$@"
	says err "$text"
	[ "$before" = "$(sums)" ] || fail "refused, but something changed"
}

make_chain vhdx
refused 2 "is no child" base.vhdx
refused 2 "has 2 ancestors" --depth 3 leaf.vhdx
refused 2 "is no ancestor" --into leaf.vhdx one.vhdx
refused 2 "say the same" --into base.vhdx --depth 1 leaf.vhdx
refused 3 "open" none.vhdx

# Brothers and sisters, of each file that changes.
vhdtool create --parent one.vhdx twin.vhdx >/dev/null
refused 6 "twin.vhdx" leaf.vhdx
refused 6 "twin.vhdx" --depth 2 leaf.vhdx
refused 6 "twin.vhdx" --dry-run leaf.vhdx
says out "twin.vhdx: would be broken"
says out "leaf.vhdx: 5120 (5 KiB) of data"
mkdir far
mv twin.vhdx far
refused 6 "far/twin.vhdx" --children far/twin.vhdx leaf.vhdx

# What cannot be opened may be one.
printf vhdxfile | dd of=torn.vhdx status=none
truncate -s 4M torn.vhdx
refused 6 "torn.vhdx" leaf.vhdx
rm torn.vhdx

# In use: each of the files.
for file in base one leaf; do
	hold $file.vhdx --force
	got=0
	vhdtool merge --depth 2 leaf.vhdx >out 2>err || got=$?
	equal "status while $file is in use" $got 4
	says err "$file.vhdx"
	release
done
vhdtool read leaf.vhdx | cmp - model

# A grandchild that is in use, however it is forced.
vhdtool create --parent leaf.vhdx grand.vhdx >/dev/null
hold grand.vhdx
refused 4 "grand.vhdx" --force leaf.vhdx
refused 4 "grand.vhdx" --children grand.vhdx leaf.vhdx
release
rm grand.vhdx

# Another disk that is in use beside it is nobody's business.
vhdtool create stranger.vhdx 8M >/dev/null
hold stranger.vhdx
status 0 vhdtool merge --dry-run leaf.vhdx
release
rm stranger.vhdx

# Too little space on the target's host.
mkdir small
if mount -t tmpfs -o size=9M none small 2>/dev/null; then
	at_exit "umount '$tmp/small'"
	vhdtool create small/b.vhdx 64M >/dev/null
	vhdtool create --parent small/b.vhdx big.vhdx >/dev/null
	pattern 4 12000000 | vhdtool write --offset 20M big.vhdx >/dev/null
	refused 5 "bytes are missing" big.vhdx
	refused 5 "bytes are missing" --dry-run big.vhdx
	rm big.vhdx
fi

# With --force the others are lost.
mv far/twin.vhdx .
status 0 vhdtool merge --force leaf.vhdx
says out "twin.vhdx: is broken now"
status 6 vhdtool read twin.vhdx
vhdtool read one.vhdx | cmp - model

# Those of a VHD could not notice: not even so.
make_chain vhd
vhdtool create --parent base.vhd other.vhd >/dev/null
refused 6 "other.vhd" --depth 2 leaf.vhd
refused 6 "other.vhd" --force --depth 2 leaf.vhd
refused 1 "one level at a time" --keep --depth 2 leaf.vhd
rm other.vhd
status 0 vhdtool merge --depth 2 leaf.vhd
vhdtool read base.vhd | cmp - model
