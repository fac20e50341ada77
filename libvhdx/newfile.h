/* SPDX-License-Identifier: MIT */
/*
 * A file that gets its name only when it is complete. Until newfile_commit()
 * nobody sees it; a process that dies before leaves nothing behind where the
 * file system supports O_TMPFILE, else one hidden file ".NAME.XXXXXXXX.tmp".
 *
 * The new file is locked exclusively from the first moment until both its
 * `struct file` is closed and commit or abort has returned. A file that is
 * about to be replaced is locked as well, so that it is in nobody's use.
 */
#ifndef NEWFILE_H
#define NEWFILE_H

#include "file.h"

struct newfile;

/* *out is empty and writable; its owner closes it BEFORE newfile_commit(), at
 * any time relative to newfile_abort(). EXISTS if the path exists, unless
 * `force`: then a regular file there is replaced at commit (through a symbolic
 * link, what it points to); BUSY if another process has that locked. */
int newfile_begin(struct loop *l, const char *path, bool force,
		  struct newfile **n, struct file **out,
		  struct vhdx_err *e) must_check;

/* Makes the content durable, gives it its name in one step, makes the name
 * durable. Frees n. On error the path is as it was before, except when just
 * the last step failed; the text says so. */
int newfile_commit(struct newfile *n, struct vhdx_err *e) must_check;

/* From now on nothing waits for the host to make it durable: neither syncs of
 * f, which is n's, nor newfile_commit(). */
void newfile_no_sync(struct newfile *n, struct file *f);

void newfile_abort(struct newfile *n); /* NULL allowed; frees n */

/* As on a file system without O_TMPFILE. */
void newfile_no_tmpfile_for_tests(bool on);

#endif
