/* SPDX-License-Identifier: MIT */
/*
 * A fixed number of page-aligned buffers of one length, for what cannot be
 * moved where it is. Their address space is taken when the pool is made, their
 * memory when a buffer is first used. Whoever finds none waits, in order.
 */
#ifndef BUFPOOL_H
#define BUFPOOL_H

#include "err.h"
#include "list.h"

#define BUFPOOL_CNT 16u
#define BUFPOOL_LEN (256 * KIB)

struct bufpool;

struct bufpool_wait {
	struct list node;
	/* The wait is over, buf is the waiter's. Not to be put back within. */
	void (*granted)(struct bufpool_wait *w, uint8_t *buf);
};

int bufpool_new(struct bufpool **out, struct vhdx_err *e) must_check;
void bufpool_free(struct bufpool *p); /* all are back; NULL allowed */

/* NULL: there is none, and w->granted will be called from a bufpool_put(). */
uint8_t *bufpool_get(struct bufpool *p, struct bufpool_wait *w);
void bufpool_put(struct bufpool *p, uint8_t *buf);

#endif
