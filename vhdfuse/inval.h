/* SPDX-License-Identifier: MIT */
/*
 * What the kernel has cached of one file, and what was written through another
 * that shows the same bytes (disk and p1). The kernel is told to forget it;
 * that call may wait for a read of ours to be answered, so it is a thread's,
 * never the loop's. A write is answered before, lest two writers wait for each
 * other; an fsync or close of the writer is answered after.
 */
#ifndef INVAL_H
#define INVAL_H

#include <stdint.h>

struct inval;
struct node;
struct fuse_req;
struct fuse_session;

/* NULL: out of memory. */
struct inval *inval_new(struct fuse_session *se);
/* The session must be unmounted, so that no call can wait. NULL allowed. */
void inval_free(struct inval *v);

/* A range of the node, bytes. The node lives until it is done with:
 * node->inval_wanted. */
void inval_range(struct inval *v, struct node *n, uint64_t off, uint64_t len);

/* Answers freq with err once all is forgotten that was asked for so far. */
void inval_then_reply(struct inval *v, struct fuse_req *freq, int err);

#endif
