/* SPDX-License-Identifier: MIT */
/*
 * FILE_COPY and FILE_SCAN (file.h) for files that have a descriptor; and
 * reading another file from any thread, which both are made of.
 */
#ifndef FILE_COPY_H
#define FILE_COPY_H

#include "file.h"

/* [any thread] Blocking. What io->from holds at io->from_off + pos; zeros
 * beyond its end. Returns what is to become io->res. */
int file_copy_peek(struct file_io *io, uint64_t pos, void *buf,
		   size_t len) must_check;

/* [any thread] Blocking. io->op is COPY, fd the file's own descriptor; or SCAN.
 * Returns what is to become io->res, and fills the other results. */
int file_copy_run(int fd, struct file_io *io) must_check;
int file_copy_scan(struct file_io *io) must_check;

#endif
