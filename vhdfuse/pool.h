/* SPDX-License-Identifier: MIT */
/*
 * Requests and their buffers: all there will ever be, made at the start. When
 * none is left the kernel's requests wait in the kernel.
 *
 * A slot receives a message and, if it is a write, keeps it until the write is
 * done: nothing is copied. What the kernel sends is a header, then the data;
 * the header is received in front of `data`, so that the data itself begins on
 * a page, as direct I/O wants it.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "span.h"
#include "vhdx.h"

#define POOL_SLOTS 64u
#define POOL_PAGE 4096u
#define POOL_DATA_LEN (1024u * 1024u) /* the largest read or write */

struct mnt;
struct node;
struct fuse_req;

struct slot {
	struct slot *next; /* free, or complete */
	struct mnt *m;
	struct fuse_req *freq;
	struct node *node;
	uint8_t *mem;	  /* where a message is received */
	uint8_t *data;	  /* on a page; POOL_DATA_LEN and two sectors */
	uint8_t *edge[2]; /* a sector each */
	uint64_t voff, len; /* asked for, bytes of the disk */
	uint64_t seq;
	bool head, tail;  /* a sector at that end is changed in part */
	bool whence_data;
	void (*then)(struct slot *s); /* after the request that is under way */
	struct span span;
	struct iovec iov[3];
	struct vhdx_extent extent;
	struct vhdx_err err;
	struct vhdx_req req;
};

/* First in, first out. */
struct slots {
	struct slot *first, **end;
};

struct pool {
	struct slot *slots;
	struct slot *free;
	uint8_t *area;
	size_t area_len;
	unsigned free_cnt;
};

bool pool_init(struct pool *p, struct mnt *m);
void pool_free(struct pool *p);

/* NULL: all are in use. */
struct slot *pool_get(struct pool *p);
void pool_put(struct pool *p, struct slot *s);

void slots_init(struct slots *l);
void slots_add(struct slots *l, struct slot *s);
struct slot *slots_take(struct slots *l); /* NULL: empty */

/* Room at slot->mem. */
size_t pool_mem_len(void);

#endif
