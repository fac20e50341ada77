/* SPDX-License-Identifier: MIT */
/*
 * How requests get in, wait, and are given up (blk.h has the picture). All of
 * it runs on the owner's thread but vhdx_blk_post(), which touches nothing but
 * the request, a counter and the loop's mailbox.
 */
#include "blk.h"
#include "mutation.h"

/* ---- is it a sound request? ---------------------------------------------- */

static int check_range(const struct image *img, const struct vhdx_req *req,
		       struct vhdx_err *e)
{
	uint64_t end;

	if (!is_aligned(req->voff, img->sector_len) ||
	    !is_aligned(req->len, img->sector_len))
		return err_set(e, VHDX_E_RANGE,
			       "offset %llu, length %llu: both must be "
			       "multiples of the sector size %u",
			       (unsigned long long)req->voff,
			       (unsigned long long)req->len, img->sector_len);
	if (ckd_add(req->voff, req->len, &end) || end > img->size_len)
		return err_set(e, VHDX_E_RANGE,
			       "offset %llu, length %llu reaches beyond the "
			       "end of the disk at %llu",
			       (unsigned long long)req->voff,
			       (unsigned long long)req->len,
			       (unsigned long long)img->size_len);
	return 0;
}

static int check_buffers(const struct vhdx_req *req, struct vhdx_err *e)
{
	uint64_t sum = 0;

	for (int i = 0; i < req->iov_cnt && sum < req->len; i++)
		sum += req->iov[i].iov_len;
	if (sum >= req->len)
		return 0;
	return err_set(e, VHDX_E_INVAL, "buffers of %llu bytes for %llu",
		       (unsigned long long)sum, (unsigned long long)req->len);
}

static int check_copy(const struct image *img, const struct vhdx_req *req,
		      struct vhdx_err *e)
{
	const struct vhdx_copy *c = req->copy;
	const struct chain *from;
	const struct file *file;
	uint64_t end;

	if (!c || !c->from)
		return err_set(e, VHDX_E_INVAL, "a copy from no device");
	from = c->from->chain;
	if (c->depth >= from->cnt || from->layers[c->depth]->writable)
		return err_set(e, VHDX_E_INVAL, "layer %u of %u cannot be "
			       "copied from: it must be there and open "
			       "read-only", c->depth, from->cnt);
	if (ckd_add(c->host_off, req->len, &end))
		return err_set(e, VHDX_E_RANGE, "the file offset %llu is too "
			       "large", (unsigned long long)c->host_off);
	file = from->layers[c->depth]->file;
	if (file_can_copy(img->file, file))
		return 0;
	return err_set(e, VHDX_E_UNSUPPORTED,
		       "%s: no way to copy from %s directly", img->file->path,
		       file->path);
}

static int check(const struct image *img, const struct vhdx_req *req,
		 struct vhdx_err *e)
{
	bool changes = req->op == VHDX_OP_WRITE || req->op == VHDX_OP_DISCARD ||
		       req->op == VHDX_OP_WRITE_ZEROES ||
		       req->op == VHDX_OP_COPY;
	int rc;

	if (req->op == VHDX_OP_FLUSH)
		return 0;
	if (changes && !img->writable)
		return err_set(e, VHDX_E_READONLY,
			       "the image is opened read-only");
	rc = check_range(img, req, e);
	if (rc)
		return rc;
	if (req->op == VHDX_OP_MAP && (!req->len || !req->extent))
		return err_set(e, VHDX_E_INVAL, "an empty range to map");
	if (req->op == VHDX_OP_READ || req->op == VHDX_OP_WRITE)
		return check_buffers(req, e);
	if (req->op == VHDX_OP_COPY)
		return check_copy(img, req, e);
	return 0;
}

/* ---- in ------------------------------------------------------------------ */

static struct breq *breq_of(struct vhdx_req *req)
{
	return (struct breq *)(void *)req->priv;
}

static void locked(struct range_lock *rl)
{
	blk_move(container_of(rl, struct breq, lock));
}

/* Through the gate. */
static void enter(struct breq *b)
{
	struct image *img = b->blk->img;
	uint64_t unit = img->block_len ? img->block_len : img->sector_len;

	b->inside = true;
	b->blk->inside++;
	b->state = BREQ_LOCKING;
	b->lock.exclusive = b->req->op == VHDX_OP_DISCARD ||
			    b->req->op == VHDX_OP_WRITE_ZEROES;
	if (MUTATED(BLK_UNMAP_ALONE))
		b->lock.exclusive = false;
	b->lock.start = align_down(b->req->voff, unit);
	b->lock.end = align_up(b->req->voff + b->req->len, unit);
	b->lock.granted = locked;
	if (range_lock(&b->blk->ranges, &b->lock))
		blk_move(b);
}

static bool has_room(const struct vhdx_blk *blk)
{
	return blk->inside < BLK_DEPTH;
}

void blk_leave_gate(struct breq *b)
{
	struct vhdx_blk *blk = b->blk;
	struct breq *next;

	if (!b->inside)
		return;
	b->inside = false;
	blk->inside--;
	if (list_empty(&blk->gated))
		return;
	next = list_first(&blk->gated, struct breq, gate);
	list_del(&next->gate);
	enter(next);
}

static void start(struct breq *b)
{
	struct vhdx_blk *blk = b->blk;

	if (b->req->op == VHDX_OP_FLUSH) {
		if (blk->img->writable)
			blk_flush(b);
		else
			blk_finish(b);
	} else if (has_room(blk)) {
		enter(b);
	} else {
		b->state = BREQ_GATED;
		list_add_tail(&blk->gated, &b->gate);
	}
}

static void prepare(struct breq *b, struct vhdx_blk *blk, struct vhdx_req *req)
{
	b->req = req;
	b->blk = blk;
	b->canceled = false;
	b->inside = false;
	b->pos = 0;
	b->depth = 0;
	b->res = 0;
	b->walk = (struct owner_walk){ 0 };
	b->lock.held = false;
	b->io.res = 0;
	b->scanned = false;
	if (req->op == VHDX_OP_COPY && req->copy) {
		req->copy->data_len = 0;
		req->copy->from_failed = false;
	}
	list_init(&b->gate);
	loop_task_init(&b->io.task, NULL);
	loop_task_init(&b->task, NULL);
}

static void arrive(struct breq *b)
{
	struct vhdx_err e;
	int rc;

	list_add_tail(&b->blk->active, &b->node);
	rc = check(b->blk->img, b->req, &e);
	if (rc)
		blk_fail(b, rc, &e);
	else if (b->canceled)
		blk_fail_canceled(b);
	else
		start(b);
}

void vhdx_blk_submit(struct vhdx_blk *blk, struct vhdx_req *req)
{
	struct breq *b = breq_of(req);

	prepare(b, blk, req);
	arrive(b);
}

static void posted_task(struct loop_task *t)
{
	struct breq *b = container_of(t, struct breq, task);

	atomic_fetch_sub(&b->blk->posted, 1);
	arrive(b);
}

void vhdx_blk_post(struct vhdx_blk *blk, struct vhdx_req *req)
{
	struct breq *b = breq_of(req);

	prepare(b, blk, req);
	b->state = BREQ_POSTED;
	b->task.fn = posted_task;
	atomic_fetch_add(&blk->posted, 1);
	loop_post(blk->loop, &b->task); /* and req may be gone */
}

/* ---- out ----------------------------------------------------------------- */

void vhdx_blk_cancel(struct vhdx_blk *blk, struct vhdx_req *req)
{
	struct breq *b = breq_of(req);

	ASSERT(b->blk == blk);
	switch (b->state) {
	case BREQ_GATED:
		list_del(&b->gate);
		if (!MUTATED(BLK_CANCEL_ANSWERS))
			blk_fail_canceled(b);
		break;
	case BREQ_LOCKING:
		range_withdraw(&blk->ranges, &b->lock);
		blk_fail_canceled(b);
		break;
	case BREQ_POSTED:
	case BREQ_MOVING:
		if (MUTATED(BLK_CANCEL_WAITS) && b->state == BREQ_MOVING)
			blk_fail_canceled(b);
		b->canceled = true;
		break;
	case BREQ_FLUSHING:
	case BREQ_ENDED:
		break;
	}
}

void vhdx_blk_drain(struct vhdx_blk *blk)
{
	while (!list_empty(&blk->active) ||
	       (atomic_load(&blk->posted) && !MUTATED(BLK_DRAIN_POSTED)))
		loop_turn(blk->loop, -1);
}
