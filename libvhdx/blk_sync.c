/* SPDX-License-Identifier: MIT */
/*
 * The blocking calls of vhdx_blk.h: a request, submitted and waited for. There
 * is no second implementation of anything.
 */
#include "err.h"

struct wait {
	void (*done)(struct vhdx_req *req);
	void *opaque;
	bool over;
};

static void run_done(struct vhdx_req *req)
{
	struct wait *w = req->opaque;

	w->over = true;
}

int vhdx_blk_run(struct vhdx_blk *blk, struct vhdx_req *req)
{
	struct wait w = { req->done, req->opaque, false };

	req->done = run_done;
	req->opaque = &w;
	vhdx_blk_submit(blk, req);
	while (!w.over)
		vhdx_blk_turn(blk, -1);
	req->done = w.done;
	req->opaque = w.opaque;
	if (req->done)
		req->done(req);
	return req->result;
}

static int run(struct vhdx_blk *blk, enum vhdx_op op, uint64_t voff,
	       uint64_t len, void *buf, struct vhdx_err *e)
{
	struct iovec iov = { buf, len };
	struct vhdx_req req;

	req.op = op;
	req.flags = 0;
	req.voff = voff;
	req.len = len;
	req.iov = &iov;
	req.iov_cnt = buf ? 1 : 0;
	req.extent = NULL;
	req.err = e;
	req.done = NULL;
	req.opaque = NULL;
	return vhdx_blk_run(blk, &req);
}

int vhdx_blk_read(struct vhdx_blk *blk, uint64_t voff, void *buf, uint64_t len,
		  struct vhdx_err *e)
{
	return run(blk, VHDX_OP_READ, voff, len, buf, e);
}

int vhdx_blk_write(struct vhdx_blk *blk, uint64_t voff, const void *buf,
		   uint64_t len, struct vhdx_err *e)
{
	/* An iovec cannot say that a write only reads its buffer. */
	union {
		const void *in;
		void *out;
	} u = { .in = buf };

	return run(blk, VHDX_OP_WRITE, voff, len, u.out, e);
}

int vhdx_blk_flush(struct vhdx_blk *blk, struct vhdx_err *e)
{
	return run(blk, VHDX_OP_FLUSH, 0, 0, NULL, e);
}

int vhdx_blk_discard(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
		     struct vhdx_err *e)
{
	return run(blk, VHDX_OP_DISCARD, voff, len, NULL, e);
}

int vhdx_blk_write_zeroes(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
			  struct vhdx_err *e)
{
	return run(blk, VHDX_OP_WRITE_ZEROES, voff, len, NULL, e);
}

static int map_one(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
		   struct vhdx_extent *out, struct vhdx_err *e)
{
	struct vhdx_req req;

	req.op = VHDX_OP_MAP;
	req.flags = 0;
	req.voff = voff;
	req.len = len;
	req.iov = NULL;
	req.iov_cnt = 0;
	req.extent = out;
	req.err = e;
	req.done = NULL;
	req.opaque = NULL;
	return vhdx_blk_run(blk, &req);
}

static bool continues(const struct vhdx_extent *a, const struct vhdx_extent *b)
{
	return a->kind == b->kind && a->depth == b->depth &&
	       (a->kind != VHDX_EXTENT_DATA ||
		(a->host_path == b->host_path &&
		 a->host_off + a->len == b->host_off));
}

int vhdx_blk_map(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
		 struct vhdx_extent *out, struct vhdx_err *e)
{
	struct vhdx_extent next;
	int rc = map_one(blk, voff, len, out, e);

	while (!rc && out->len < len) {
		rc = map_one(blk, voff + out->len, len - out->len, &next, e);
		if (rc || !continues(out, &next))
			break;
		out->len += next.len;
	}
	return rc;
}
