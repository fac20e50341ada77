#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --fs loses nothing of any kind of ext2, ext3 and ext4 that mkfs makes:
# all files are there, e2fsck finds no fault, and what is dropped is what is
# free: blocks in use are the same bytes, journal, backups and quota included.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
requires mke2fs debugfs e2fsck dumpe2fs python3
[ -x "$(dirname "$VHDTOOL")/vhdfsmap" ] || skip "vhdfsmap was not built"

mkdir d
for i in 1 2 3 4 5 6 7 8; do pattern $i $((i * 400000)) >d/f$i; done
for i in 1 3 5 7; do echo "rm f$i"; done >cmds

# used_same A B: what dumpe2fs A does not call free is the same in both.
used_same()
{
	dumpe2fs "$1" 2>/dev/null >dump
	python3 - "$@" <<-'END'
	import re, sys
	text = open('dump').read()
	a, b = (open(p, 'rb').read() for p in sys.argv[1:3])
	size = int(re.search(r'Block size: +(\d+)', text)[1])
	cnt = int(re.search(r'Block count: +(\d+)', text)[1])
	free = set()
	for run in re.findall(r'^  Free blocks: (.*)', text, re.M):
	    for r in filter(None, run.split(', ')):
	        first, _, last = r.partition('-')
	        free |= set(range(int(first), int(last or first) + 1))
	bad = [i for i in range(cnt) if i not in free and
	       a[i * size:(i + 1) * size] != b[i * size:(i + 1) * size]]
	dropped = sum(a[i * size:(i + 1) * size] != b[i * size:(i + 1) * size]
	              for i in free) * size
	sys.exit(f'blocks in use that changed: {bad[:9]}' if bad else
	         'nothing was dropped' if dropped < 4 << 20 else 0)
	END
}

try() # MKE2FS-OPTION...
{
	head -c 40M /dev/urandom >fs.raw
	mke2fs -q -F -E nodiscard -d d "$@" fs.raw 40M 2>err || {
		echo "(mke2fs does not know $*)"
		return 0
	}
	debugfs -w -f cmds fs.raw >/dev/null 2>&1
	e2fsck -fy fs.raw >/dev/null 2>&1 || :	# quota is not mke2fs's
	rm -f a.vhdx
	vhdtool convert --block-size 1M fs.raw a.vhdx >/dev/null
	status 0 vhdtool compact --fs a.vhdx
	says out ", clean"
	sound a.vhdx
	vhdtool read a.vhdx >after.raw
	e2fsck -fn after.raw >out 2>&1 || { cat out; fail "e2fsck: $*"; }
	used_same fs.raw after.raw || fail "$*"
	for i in 2 4 6 8; do
		debugfs -R "cat /f$i" after.raw 2>/dev/null | cmp - d/f$i
	done
}

try -t ext2
try -t ext2 -b 1024 -O ^sparse_super,^resize_inode
try -t ext3 -J size=4
try -t ext4
try -t ext4 -O ^flex_bg -g 4096
try -t ext4 -O ^metadata_csum,^uninit_bg,^64bit
try -t ext4 -O ^metadata_csum,uninit_bg -g 4096 -G 4
try -t ext4 -O bigalloc -C 16384
try -t ext4 -O meta_bg,^resize_inode -b 1024 -g 8192
try -t ext4 -O sparse_super2 -g 4096
try -t ext4 -O quota,project
try -t ext4 -O inline_data -I 512
try -t ext4 -O orphan_file
try -t ext4 -E nodiscard,lazy_itable_init=1 -b 1024
seq 9000 9010 >bad
try -t ext4 -l bad
