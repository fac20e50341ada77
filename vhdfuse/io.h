/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing: a request of the kernel becomes one or a few of the
 * library, and is answered when the last of them is complete. Nothing waits.
 *
 *  I1  A change of a part of a sector has its sectors for itself (span.h).
 *  I2  An answer to fsync or close says that a flush of the whole chain, begun
 *      after every change answered before, has succeeded.
 *  I3  An error of the library reaches the one who asked, as an errno; and an
 *      error of a flush every one who asks until a flush succeeds.
 */
#ifndef IO_H
#define IO_H

#include "mnt.h"

/* They take m->incoming if they need it, and answer freq sooner or later. */
void io_read(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	     uint64_t len);
/* buf: in m->incoming. */
void io_write(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	      const char *buf, uint64_t len, bool durable);
/* The range is zeros afterwards. */
void io_zero(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	     uint64_t len);
void io_flush(struct mnt *m, fuse_req_t freq);
/* SEEK_DATA, SEEK_HOLE */
void io_seek(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	     bool data);

/* Goes on with one of the requests that the library is done with: most are
 * answered by that. False: there are none. */
bool io_go_on(struct mnt *m);

#endif
