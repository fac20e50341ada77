/* SPDX-License-Identifier: MIT */
/*
 * The copy of a merge: walks the source's map and keeps many transfers in
 * flight, in the order of the disk. A slot, with its buffer, goes
 *
 *	IDLE --map says data--> FILLING --full, or a gap--> reading
 *	reading --done--> writing (or, all zeros: write-zeroes) --done--> IDLE
 *	IDLE --a large extent--> copying --done--> IDLE, or, all zeros:
 *		write-zeroes, or, if that is no way: reading
 *	IDLE --map says zeros--> write-zeroes or discard --done--> IDLE
 *
 * One map request is out at any time. A large extent the device copies from
 * file to file, so that the host can share it. Other data that is contiguous in
 * the disk is one transfer, however many blocks or layers it comes from. What
 * reads as zeros in the source overwrites, as it hides what the target has
 * there (M4).
 *
 * Now and then a flush runs beside the transfers. The order of things does not
 * need it (M5 has its own); but the host writes what is there while the copy
 * goes on, instead of all of it at the end.
 *
 * After an error nothing new is submitted; what is in flight is waited for,
 * because the buffers are in the devices' hands.
 */
#include <string.h>

#include "mem.h"
#include "merge.h"
#include "mutation.h"

#define SLOT_CNT 32u
#define CHUNK_LEN (512 * KIB)
#define COPY_MIN (16 * KIB) /* an extent is large from here on */
#define REPORT_LEN (16 * MIB)
#ifdef VHDKIT_AUDIT
#define FLUSH_LEN (256 * KIB) /* small disks are to see it */
#else
#define FLUSH_LEN (64 * MIB)
#endif

struct slot {
	struct list node; /* of idle; self-linked otherwise */
	struct mcopy *c;
	struct vhdx_req req;
	struct vhdx_copy copy;
	struct iovec iov;
	uint8_t *buf;
	uint64_t voff, len; /* bytes */
	struct vhdx_err err;
};

struct mcopy {
	struct merge *m;
	struct vhdx_blk *src, *dst;
	bool unmaps; /* whole unmapped blocks may be discarded */
	uint64_t block_len; /* of dst */
	uint64_t size_len;
	uint64_t cursor; /* all below is skipped, done or in a slot */
	struct vhdx_req map;
	struct vhdx_err map_err;
	struct vhdx_extent x; /* at cursor, if known */
	bool mapping, known;
	bool no_copy; /* the device cannot */
	struct slot *filling; /* or NULL */
	struct list idle;
	unsigned in_flight;
	uint64_t done_len, reported_len;
	struct vhdx_req flush;
	struct vhdx_err flush_err;
	bool flushing;
	uint64_t flushed_len; /* done_len when the last flush began */
	int code; /* first failure */
	struct vhdx_err err;
	struct slot slots[SLOT_CNT];
	uint8_t *bufs; /* owned */
};

static void fail(struct mcopy *c, int code, const struct vhdx_err *err)
{
	if (c->code)
		return;
	c->code = code;
	c->err = *err;
}

/* ---- one slot ---------------------------------------------------------- */

static void submit(struct slot *s, struct vhdx_blk *blk, enum vhdx_op op,
		   void (*done)(struct vhdx_req *req))
{
	s->iov = (struct iovec){ s->buf, s->len };
	s->req.op = op;
	s->req.flags = op == VHDX_OP_COPY ? VHDX_REQ_UNLESS_ZEROS : 0;
	s->req.copy = &s->copy;
	s->req.voff = s->voff;
	s->req.len = s->len;
	s->req.iov = &s->iov;
	s->req.iov_cnt = 1;
	s->req.extent = NULL;
	s->req.err = &s->err;
	s->req.done = done;
	s->req.opaque = s;
	s->c->in_flight++;
	vhdx_blk_submit(blk, &s->req);
}

static void written(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct mcopy *c = s->c;

	c->in_flight--;
	if (req->result)
		fail(c, req->result, &s->err);
	else
		c->done_len += s->len;
	list_add_tail(&c->idle, &s->node);
}

static bool is_zero(const uint8_t *b, uint64_t len)
{
	return b[0] == 0 && memcmp(b, b + 1, len - 1) == 0;
}

static void was_read(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct mcopy *c = s->c;

	c->in_flight--;
	if (req->result)
		fail(c, req->result, &s->err);
	if (c->code)
		list_add_tail(&c->idle, &s->node);
	else if (is_zero(s->buf, s->len))
		submit(s, c->dst, VHDX_OP_WRITE_ZEROES, written);
	else
		submit(s, c->dst, VHDX_OP_WRITE, written);
}

static void copied(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct mcopy *c = s->c;

	if (req->result == VHDX_E_UNSUPPORTED && !s->copy.data_len) {
		c->in_flight--;
		c->no_copy = true;
		submit(s, c->src, VHDX_OP_READ, was_read);
	} else if (!req->result && !s->copy.data_len) {
		c->in_flight--;
		submit(s, c->dst, VHDX_OP_WRITE_ZEROES, written);
	} else {
		written(req);
	}
}

static struct slot *take_idle(struct mcopy *c)
{
	struct slot *s;

	if (list_empty(&c->idle))
		return NULL;
	s = list_first(&c->idle, struct slot, node);
	list_del(&s->node);
	s->voff = c->cursor;
	s->len = 0;
	return s;
}

static void read_filled(struct mcopy *c)
{
	struct slot *s = c->filling;

	c->filling = NULL;
	if (s)
		submit(s, c->src, VHDX_OP_READ, was_read);
}

/* ---- the walk ---------------------------------------------------------- */

static void mapped(struct vhdx_req *req)
{
	struct mcopy *c = req->opaque;

	c->in_flight--;
	c->mapping = false;
	c->known = true;
	if (req->result)
		fail(c, req->result, &c->map_err);
}

static void start_map(struct mcopy *c)
{
	c->map.op = VHDX_OP_MAP;
	c->map.flags = 0;
	c->map.voff = c->cursor;
	c->map.len = c->size_len - c->cursor;
	c->map.iov = NULL;
	c->map.iov_cnt = 0;
	c->map.extent = &c->x;
	c->map.err = &c->map_err;
	c->map.done = mapped;
	c->map.opaque = c;
	c->mapping = true;
	c->in_flight++;
	vhdx_blk_submit(c->src, &c->map);
}

static void advance_cursor(struct mcopy *c, uint64_t len)
{
	c->cursor += len;
	c->x.voff += len;
	c->x.host_off += len;
	c->x.len -= len;
	c->known = c->x.len > 0;
}

/* The first len bytes of the extent. */
static void copy_extent(struct mcopy *c, struct slot *s, uint64_t len)
{
	s->len = len;
	s->copy = (struct vhdx_copy){ .from = c->src, .depth = c->x.depth,
				      .host_off = c->x.host_off };
	submit(s, c->dst, VHDX_OP_COPY, copied);
	advance_cursor(c, len);
}

/* False: no slot is free. */
static bool take_data(struct mcopy *c)
{
	uint64_t len;

	if (!c->filling)
		c->filling = take_idle(c);
	if (!c->filling)
		return false;
	/* Chunks end at multiples of their size: fewer of them share a block
	 * of the target. */
	len = u64_min(c->x.len, CHUNK_LEN - c->cursor % CHUNK_LEN);
	if (len >= COPY_MIN && !c->filling->len && !c->no_copy) {
		copy_extent(c, c->filling, len);
		c->filling = NULL;
		return true;
	}
	c->filling->len += len;
	advance_cursor(c, len);
	if (c->cursor % CHUNK_LEN == 0)
		read_filled(c);
	return true;
}

/* A discard of a whole block makes zeros of it and keeps the news that nobody
 * needs it; of a part it may do nothing, so that is zeroed. */
static bool take_zeros(struct mcopy *c)
{
	uint64_t in_block = c->unmaps ? c->cursor % c->block_len : 0;
	uint64_t len = c->x.len;
	bool discard = c->unmaps && c->x.kind == VHDX_EXTENT_UNMAPPED;
	struct slot *s = take_idle(c);

	if (!s)
		return false;
	if (discard && in_block)
		len = u64_min(len, c->block_len - in_block);
	else if (discard && len >= c->block_len)
		len -= len % c->block_len;
	s->len = len;
	submit(s, c->dst, discard && !in_block && len >= c->block_len ?
	       VHDX_OP_DISCARD : VHDX_OP_WRITE_ZEROES, written);
	advance_cursor(c, len);
	return true;
}

/* Takes the extent at the cursor, or a part of it. False: has to wait. */
static bool take_extent(struct mcopy *c)
{
	if (c->x.kind == VHDX_EXTENT_DATA)
		return take_data(c);
	read_filled(c);
	if (c->x.kind != VHDX_EXTENT_PARENT && !MUTATED(MERGE_ZEROS))
		return take_zeros(c);
	advance_cursor(c, c->x.len);
	return true;
}

/* Submits all that can be submitted now. */
static void advance(struct mcopy *c)
{
	while (!c->code && !c->mapping && c->cursor < c->size_len) {
		if (!c->known)
			start_map(c);
		else if (!take_extent(c))
			return;
	}
	if (!c->code && c->cursor == c->size_len)
		read_filled(c);
}

static void flushed(struct vhdx_req *req)
{
	struct mcopy *c = req->opaque;

	c->in_flight--;
	c->flushing = false;
	if (req->result)
		fail(c, req->result, &c->flush_err);
}

static void flush_if_due(struct mcopy *c)
{
	if (c->code || c->flushing || c->done_len < c->flushed_len + FLUSH_LEN)
		return;
	c->flushed_len = c->done_len;
	c->flush.op = VHDX_OP_FLUSH;
	c->flush.flags = 0;
	c->flush.err = &c->flush_err;
	c->flush.done = flushed;
	c->flush.opaque = c;
	c->flushing = true;
	c->in_flight++;
	vhdx_blk_submit(c->dst, &c->flush);
}

static void report(struct mcopy *c)
{
	const struct vhdx_progress *p = &c->m->opts->progress;
	const struct vhdx_merge_result *res = c->m->result;
	struct vhdx_err err;
	int rc;

	if (!p->fn || c->code || c->done_len < c->reported_len)
		return;
	c->reported_len = c->done_len + REPORT_LEN;
	if (p->fn(p->arg, c->done_len, res->data_len + res->zero_len)) {
		rc = err_set(&err, VHDX_E_CANCELED, "interrupted");
		fail(c, rc, &err);
	}
}

static void pump(struct mcopy *c)
{
	for (;;) {
		report(c);
		flush_if_due(c);
		advance(c);
		if (!c->in_flight)
			return;
		loop_turn(c->m->loop, -1);
	}
}

static struct mcopy *mcopy_new(void)
{
	struct mcopy *c = mem_zalloc(sizeof(*c));

	if (c)
		c->bufs = mem_aligned(4096, SLOT_CNT * CHUNK_LEN);
	if (!c || !c->bufs) {
		mem_free(c);
		return NULL;
	}
	list_init(&c->idle);
	for (unsigned i = 0; i < SLOT_CNT; i++) {
		c->slots[i].c = c;
		c->slots[i].buf = c->bufs + i * CHUNK_LEN;
		list_add_tail(&c->idle, &c->slots[i].node);
	}
	return c;
}

int merge_copy(struct merge *m, struct vhdx_blk *src, struct vhdx_blk *dst,
	       bool unmaps, struct vhdx_err *e)
{
	struct mcopy *c = mcopy_new();
	struct vhdx_geometry g;
	int rc;

	if (!c)
		return err_set(e, VHDX_E_NOMEM, "no memory to copy with");
	vhdx_blk_geometry(dst, &g);
	c->m = m;
	c->src = src;
	c->dst = dst;
	c->unmaps = unmaps && g.block_len;
	c->block_len = g.block_len;
	c->size_len = m->size_len;
	pump(c);
	rc = c->code ? err_copy(e, &c->err, c->code) : 0;
	mem_free(c->bufs);
	mem_free(c);
	return rc;
}
