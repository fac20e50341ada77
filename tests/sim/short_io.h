/* SPDX-License-Identifier: MIT */
/*
 * preadv, pwritev and fallocate of the test programs: the system calls
 * themselves, unless told to behave as badly as the manual allows. Any thread.
 */
#ifndef SHORT_IO_H
#define SHORT_IO_H

#include "base.h"

/* Every call transfers at most max_len bytes (0: no limit) and every second
 * one is interrupted first (EINTR) if asked for. */
void short_io_set(size_t max_len, bool interrupt);

/* As on a file system that has no fallocate. */
void short_io_no_fallocate(bool on);

#endif
