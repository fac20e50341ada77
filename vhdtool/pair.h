/* SPDX-License-Identifier: MIT */
/*
 * Waiting for two block devices at once, each with a loop of its own, and for
 * Ctrl-C; and walking a device extent by extent without blocking.
 *
 * Nothing spins and nothing is missed: both loops are turned first, and only
 * when neither had work does pair_wait() sleep, on everything that can end the
 * wait.
 */
#ifndef PAIR_H
#define PAIR_H

#include "vhdx.h"

/* Runs completions of a and b (b may be NULL). Returns after some work, a
 * signal, or a progress tick. */
void pair_wait(struct vhdx_blk *a, struct vhdx_blk *b);

/* The extent that a position lies in, fetched in the background. */
struct walk {
	struct vhdx_blk *blk;
	uint64_t size_len;
	struct vhdx_extent extent; /* covers [extent.voff, +len) */
	struct vhdx_req req;
	struct vhdx_err err;
	bool busy;   /* a request is in flight */
	int result;  /* of the last request */
};

void walk_init(struct walk *w, struct vhdx_blk *blk, uint64_t size_len);

/* Whether w->extent covers voff. If not, and none is under way, asks for it.
 * Beyond size_len everything is an endless ZERO extent. Not to be called again
 * once w->result is set. */
bool walk_at(struct walk *w, uint64_t voff);

/* Bytes from voff to the end of the extent. */
uint64_t walk_left(const struct walk *w, uint64_t voff);

/* What has to be read: also what only an absent parent holds, which is an
 * error then, and never to be taken for zeros. */
static inline bool walk_is_data(const struct walk *w)
{
	return w->extent.kind == VHDX_EXTENT_DATA ||
	       w->extent.kind == VHDX_EXTENT_PARENT;
}

#endif
