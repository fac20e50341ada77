/* SPDX-License-Identifier: MIT */
/*
 * preadv, preadv2, pwritev, io_submit and fallocate of the test programs: the
 * system calls themselves, unless told to behave as badly as the manual allows.
 * Any thread.
 */
#ifndef SHORT_IO_H
#define SHORT_IO_H

#include "base.h"

/* Every call transfers at most max_len bytes (0: no limit) and every second
 * one is interrupted first (EINTR) if asked for. */
void short_io_set(size_t max_len, bool interrupt);

/* Calls of preadv() so far: of the form that may wait. */
unsigned short_io_reads(void);

/* Transfers that touch the byte at `off` of a file fail with EIO; -1: none. */
void short_io_fail_at(int64_t off);

/* Reads that may not wait (RWF_NOWAIT) fail with this errno; 0: as the host
 * does; SHORT_IO_CACHED: they never have to. */
#define SHORT_IO_CACHED (-1)
void short_io_now(int how);

/* Since the last short_io_count(): calls of preadv and pwritev, of preadv2;
 * operations that io_submit() has been given. */
struct short_io_calls {
	unsigned waiting, now, ring;
};
struct short_io_calls short_io_count(void);

/* As on a file system that has no fallocate. */
void short_io_no_fallocate(bool on);

/* From the nth call on (1: the next; 0: never) writing fails with `en`. */
void short_io_fail_writes(unsigned nth, int en);

/* A host that shares extents, or refuses to: 0 or -1 and errno in place of
 * FICLONERANGE. NULL: the host itself. */
struct file_clone_range;
typedef int short_io_clone_fn(int fd, const struct file_clone_range *r);
void short_io_clone(short_io_clone_fn *fn);

#endif
