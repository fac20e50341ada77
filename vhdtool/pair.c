/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <string.h>

#include "intr.h"
#include "pair.h"
#include "progress.h"

void pair_wait(struct vhdx_blk *a, struct vhdx_blk *b)
{
	int work = vhdx_blk_turn(a, 0);
	if (b)
		work += vhdx_blk_turn(b, 0);
	if (work > 0)
		return;
	/* poll() ignores negative descriptors. A signal that has been taken
	 * note of is no reason to wake up again. */
	struct pollfd fds[3] = {
		{ .fd = vhdx_blk_fd(a), .events = POLLIN },
		{ .fd = b ? vhdx_blk_fd(b) : -1, .events = POLLIN },
		{ .fd = intr_caught() ? -1 : intr_fd(), .events = POLLIN },
	};
	(void)poll(fds, 3, progress_tick_ms());
}

void walk_init(struct walk *w, struct vhdx_blk *blk, uint64_t size_len)
{
	memset(w, 0, sizeof(*w));
	w->blk = blk;
	w->size_len = size_len;
}

static void map_done(struct vhdx_req *req)
{
	struct walk *w = req->opaque;
	w->busy = false;
	w->result = req->result;
	if (req->result)
		w->extent.len = 0;
}

static void ask(struct walk *w, uint64_t voff)
{
	w->req = (struct vhdx_req){
		.op = VHDX_OP_MAP,
		.voff = voff,
		.len = w->size_len - voff,
		.extent = &w->extent,
		.err = &w->err,
		.done = map_done,
		.opaque = w,
	};
	w->busy = true;
	w->extent.len = 0;
	vhdx_blk_submit(w->blk, &w->req);
}

bool walk_at(struct walk *w, uint64_t voff)
{
	if (w->busy)
		return false;
	if (voff >= w->size_len) {
		w->extent = (struct vhdx_extent){
			.kind = VHDX_EXTENT_ZERO,
			.voff = voff,
			.len = UINT64_MAX - voff,
		};
		return true;
	}
	if (voff >= w->extent.voff && voff - w->extent.voff < w->extent.len)
		return true;
	ask(w, voff);
	return false;
}

uint64_t walk_left(const struct walk *w, uint64_t voff)
{
	return w->extent.voff + w->extent.len - voff;
}
