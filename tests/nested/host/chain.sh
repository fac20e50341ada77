#!/bin/sh
# SPDX-License-Identifier: MIT
# A stock kernel boots from a differencing disk: it writes, syncs, trims and
# switches off; the parent keeps every byte, the chain and the file system are
# sound, the next boot finds all of it, and so does one from the merged parent.
. host/lib.sh
before=$(sha256sum base.vhdx)

start first first --disk child.avhdx
ended 120
[ "$(sha256sum base.vhdx)" = "$before" ] || fail "base.vhdx has changed"
sound child.avhdx
sound_fs child.avhdx
# 48 MiB of noise were written, removed and trimmed; zeros take no space here.
used=$(dumpe2fs whole.raw 2>/dev/null | awk '/^Block count:/ { n = $3 }
	/^Free blocks:/ { f = $3 } END { print int((n - f) / 256) }')
[ "$(du -m whole.raw | cut -f 1)" -le $((used + 16)) ] ||
	fail "trimmed data is still there: $(du -m whole.raw), used $used MiB"

start again again --disk child.avhdx
ended 120
[ "$(sha256sum base.vhdx)" = "$before" ] || fail "base.vhdx has changed"
sound child.avhdx

vhdtool merge --progress none child.avhdx
[ ! -e child.avhdx ] || fail "merge left the child"
start alone again --disk base.vhdx
ended 120
sound base.vhdx
sound_fs base.vhdx
