#!/bin/bash
# SPDX-License-Identifier: MIT
# A child counts by the id that it names, under any name, in the image's own
# folder and those given with --search; the name alone makes no child.
. "$(dirname "$0")/lib.sh"

vhdtool create --block-size 1M base.vhdx 20M >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
echo >data

# Any name; also when the recorded path leads nowhere any more.
mv child.avhdx "it's a child.old"
status 6 vhdtool write base.vhdx <data
says err "is the parent of it's a child.old,"
mv base.vhdx renamed.vhdx
status 6 vhdtool write renamed.vhdx <data
says err "set-parent --ignore-id-mismatch 'it'\\''s a child.old' renamed.vhdx"
mv renamed.vhdx base.vhdx

# Through a symbolic link it is the same file, with the same children.
mkdir links
ln -s ../base.vhdx links/disk.vhdx
status 6 vhdtool write links/disk.vhdx <data
says err "it's a child.old"

# Elsewhere, only who looks there knows.
mkdir far
mv "it's a child.old" far/child.avhdx
status 6 vhdtool write --search far base.vhdx <data
says err "is the parent of far/child.avhdx,"
status 6 vhdtool discard --search far --offset 0 --length 1M base.vhdx
status 6 vhdtool bench --op write --count 1 --search far base.vhdx
status 0 vhdtool write --dry-run --search none base.vhdx <data
status 0 vhdtool write --dry-run base.vhdx <data

# Another disk with the parent's name is not the parent.
mv base.vhdx kept.vhdx
vhdtool create base.vhdx 20M >/dev/null
status 0 vhdtool write --search far base.vhdx <data
equal "said about a namesake" "$(cat err)" ""

# A VHD keeps its id when it is written to: the child would not even notice.
vhdtool create base.vhd 20M >/dev/null
vhdtool create --parent base.vhd child.avhd >/dev/null
status 6 vhdtool write base.vhd <data
says err "is the parent of child.avhd, which would show wrong data"
status 0 vhdtool write child.avhd <data
rm child.avhd
status 0 vhdtool write base.vhd <data
