/* SPDX-License-Identifier: MIT */
/*
 * What the openers of host files (opener.c, newfile.c) share beyond file.h:
 * which files are fit to be images, and the lock that keeps writers apart.
 *
 * The lock is an OFD lock on the whole file: it belongs to the open file
 * description, so it lasts until the last duplicate of the descriptor is
 * closed, and works between two opens of one process too.
 */
#ifndef FILE_POSIX_H
#define FILE_POSIX_H

#include <sys/stat.h>

#include "file.h"

/* Regular files and block devices; INVAL names what it is instead. */
int file_posix_check_type(const struct stat *st, const char *path,
			  struct vhdx_err *e) must_check;

/* Of a file made by file_posix_new(). */
int file_posix_fd(const struct file *f);

/* Takes the lock, never waits. BUSY names the holder where /proc shows it. An
 * exclusive lock needs a descriptor open for writing. */
int opener_lock(int fd, const char *path, bool exclusive,
		struct vhdx_err *e) must_check;

/* Takes no lock: BUSY if anybody else holds one of any kind. */
int opener_check_unlocked(int fd, const char *path,
			  struct vhdx_err *e) must_check;

/* The rest of opener_default (opener_names.c). */
int opener_posix_remove(const struct opener *o, const char *path,
			struct vhdx_err *e);
int opener_posix_put(const struct opener *o, struct loop *l, const char *path,
		     const void *data, size_t len, struct vhdx_err *e);
int opener_posix_get(const struct opener *o, struct loop *l, const char *path,
		     size_t max, char **data, size_t *len, bool *foreign,
		     struct vhdx_err *e);
uint64_t opener_posix_free_len(const struct opener *o, const char *path);

#endif
