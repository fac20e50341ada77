/* SPDX-License-Identifier: MIT */
/*
 * Inside the block device: what a request is from submit to done, for the two
 * files that share it. blk_gate.c lets requests in and gives them up, blk.c
 * carries them out.
 *
 *   vhdx_blk_post ----> POSTED --+  (the owner's next turn)
 *   vhdx_blk_submit -------------+--> GATED --> LOCKING --> MOVING --+
 *                                |    no room   the range   extents  |
 *                                |                                   v
 *                                +------- a flush -----------> FLUSHING
 *                                +------- nonsense ----+             |
 *                                                      v             v
 *                                            ENDED (done() on the next turn)
 *
 * G1  No more than BLK_DEPTH requests stand between GATED and ENDED, and they
 *     pass the gate in the order they came. A flush does not ask there: it
 *     costs the host little, and whoever waits at the gate waits for it.
 * G2  A request is given up where it stands if it has nothing under way, else
 *     at its next extent: what the host or the image has begun is waited for.
 */
#ifndef BLK_H
#define BLK_H

#include <stdatomic.h>

#include "chain.h"
#include "owner.h"
#include "range.h"

#define BLK_DEPTH 256u

enum breq_state {
	BREQ_POSTED,
	BREQ_GATED,
	BREQ_LOCKING,
	BREQ_MOVING,
	BREQ_FLUSHING,
	BREQ_ENDED,
};

struct breq {
	struct list node; /* of blk->active; nobody's while POSTED */
	struct list gate; /* of blk->gated */
	struct vhdx_req *req;
	struct vhdx_blk *blk;
	struct loop_task task; /* arrives, then ends */
	enum breq_state state;
	bool canceled;	/* G2 */
	bool inside;	/* counts in blk->inside */
	bool scanned;	/* COPY: the source has data from pos on */
	unsigned depth; /* the layer being asked */
	int res;
	uint64_t pos; /* bytes done */
	struct range_lock lock;
	struct owner_walk walk;
	struct image_map map;
	struct file_io io;
	struct image_flush flush;
};

struct vhdx_blk {
	struct chain *chain; /* owned */
	struct image *img;   /* the leaf: layer 0 */
	struct owner *owner; /* owned; NULL: a short chain has none */
	struct loop *loop;
	bool own_loop;
	struct range_set ranges;
	struct list active;
	struct list gated;    /* in the order they came */
	unsigned inside;      /* G1 */
	atomic_uint posted;   /* not yet on `active` */
};

/* [loop] Carries b out from its first extent, holding its range; or flushes. */
void blk_move(struct breq *b);
void blk_flush(struct breq *b);

/* [loop] b ends with res; its range is given back. done() runs later. */
void blk_finish(struct breq *b);
void blk_fail(struct breq *b, int res, const struct vhdx_err *err);
void blk_fail_canceled(struct breq *b);

/* [loop] b is over: one that waits may pass the gate. */
void blk_leave_gate(struct breq *b);

#endif
