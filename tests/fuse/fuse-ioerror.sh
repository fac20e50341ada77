#!/bin/bash
# SPDX-License-Identifier: MIT
# A host that fails to write or to sync: the writer gets EIO, what was flushed
# stays, the mount can still be read, and the exit status is not 0.
. "$(dirname "$0")/lib.sh"
CC=${CC:-cc}
requires "${CC%% *}"

cat >fault.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>
#define FAIL(name) if (access(name, F_OK) == 0) return errno = EIO, -1
ssize_t pwritev64(int fd, const struct iovec *v, int cnt, off_t off)
{
	static ssize_t (*real)(int, const struct iovec *, int, off_t);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pwritev64");
	FAIL(FOLDER "/writes");
	return real(fd, v, cnt, off);
}
int fdatasync(int fd)
{
	static int (*real)(int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	FAIL(FOLDER "/syncs");
	return real(fd);
}
END
$CC -shared -fPIC -o fault.so -DFOLDER="\"$PWD\"" fault.c -ldl ||
	skip "cannot build the fault"
ldd "$VHDFUSE" | grep -q asan && skip "not together with asan"
vhdtool create --block-size 1M d.vhdx 64M >/dev/null
pattern 1 4M >want
mkdir m
for what in writes syncs; do
	LD_PRELOAD=$PWD/fault.so "$VHDFUSE" -f --pid-file "$PWD/m.pid" d.vhdx \
		m 2>said &
	served=$!
	at_exit "leave m $served"
	until mountpoint -q m; do
		kill -0 $served || { cat said; fail "not mounted"; }
		sleep 0.05
	done
	dd if=want of=m/disk bs=1M conv=notrunc,fsync status=none
	touch $what
	status 1 dd if=/dev/urandom of=m/disk bs=1M seek=8 count=4 \
		conv=notrunc,fsync
	says err "Input/output error"
	echo 1 >/proc/sys/vm/drop_caches 2>/dev/null || :
	cmp -n 4194304 want m/disk || fail "what was flushed, $what"
	if [ $what = syncs ]; then
		rm $what
		status 1 dd if=want of=m/disk bs=1M seek=8 count=1 \
			conv=notrunc,fsync
		says err "Input/output error"
	fi
	fusermount3 -u m
	got=0
	wait $served || got=$?
	rm -f $what
	[ $what = writes ] || [ $got != 0 ] || fail "exit status 0"
	says said "writing failed"
	sound d.vhdx
	vhdtool read --length 4M d.vhdx | cmp - want || fail "in the image"
done
