/* SPDX-License-Identifier: MIT */
/*
 * A fixed set of slots, each a buffer that goes
 *
 *	IDLE --start_copy--> copying --copy_done--> IDLE
 *	                           \--UNSUPPORTED--> READY
 *	IDLE --start_read--> reading --read_done--> READY
 *	READY --next_write--> writing --write_done--> READY
 *	READY --next_write, nothing left to write--> reading the rest, or IDLE
 *
 * The device copies from file to file, and nothing passes through here, where
 * that is possible: then a slot is only a request.
 *
 * Completions only move a slot from one list to the other; all submitting is
 * done by the main loop, so no completion ever runs inside another's work.
 * A slot needs nothing but its own two devices to go on: there is no circle to
 * wait in. After an error or Ctrl-C nothing new is submitted, and what is in
 * flight is waited for, because the buffers are in the devices' hands.
 */
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "intr.h"
#include "pair.h"
#include "progress.h"

#define SLOT_CNT 16
#define CHUNK_LEN (1024u * 1024u)
#define COPY_LEN (4u * CHUNK_LEN) /* of a copy by the device */
/* More of them only wait for each other: hosts let one write to a file. */
#define COPY_CNT 4

struct slot {
	struct slot *next; /* in idle or ready */
	struct copy *copy;
	struct vhdx_req req;
	struct iovec iov;
	uint8_t *buf;
	struct vhdx_copy range;
	uint64_t rest_len;  /* behind the chunk, still to be read, bytes */
	uint64_t voff, len; /* the chunk, bytes */
	uint64_t pos;	    /* in the chunk: scanned and written up to here */
	struct vhdx_err err;
};

struct copy {
	struct vhdx_blk *src, *dst; /* dst NULL: only measure */
	uint64_t size_len;
	uint64_t cursor; /* all below is skipped, copied or in a slot */
	struct walk walk;
	struct slot *idle, *ready;
	int in_flight; /* slots that are reading, writing or copying */
	int copying;   /* of those, by the device */
	int code;      /* first failure */
	struct vhdx_err *err;
	struct copy_result *result;
	struct slot slots[SLOT_CNT];
	uint8_t *bufs;
};

static void push(struct slot **list, struct slot *s)
{
	s->next = *list;
	*list = s;
}

static struct slot *pop(struct slot **list)
{
	struct slot *s = *list;
	if (s)
		*list = s->next;
	return s;
}

static void fail(struct copy *c, int code, const struct vhdx_err *err,
		 bool dst_failed)
{
	if (c->code)
		return;
	c->code = code;
	c->result->dst_failed = dst_failed;
	if (c->err)
		*c->err = *err;
}

static void submit(struct slot *s, struct vhdx_blk *blk, enum vhdx_op op,
		   uint64_t pos, uint64_t len, void (*done)(struct vhdx_req *))
{
	s->iov = (struct iovec){ .iov_base = s->buf + pos,
				 .iov_len = (size_t)len };
	s->req.op = op;
	s->req.flags = op == VHDX_OP_COPY ? VHDX_REQ_ONTO_ZEROS : 0;
	s->req.copy = &s->range;
	s->req.voff = s->voff + pos;
	s->req.len = len;
	s->req.iov = &s->iov;
	s->req.iov_cnt = 1;
	s->req.err = &s->err;
	s->req.done = done;
	s->req.opaque = s;
	s->copy->in_flight++;
	vhdx_blk_submit(blk, &s->req);
}

static void read_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct copy *c = s->copy;
	c->in_flight--;
	if (req->result)
		fail(c, req->result, &s->err, false);
	push(req->result ? &c->idle : &c->ready, s);
}

static void write_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct copy *c = s->copy;
	c->in_flight--;
	if (req->result)
		fail(c, req->result, &s->err, true);
	push(req->result ? &c->idle : &c->ready, s);
}

/* The next chunk of what the slot has to read. */
static void read_rest(struct copy *c, struct slot *s)
{
	s->voff += s->len;
	s->len = s->rest_len < CHUNK_LEN ? s->rest_len : CHUNK_LEN;
	s->rest_len -= s->len;
	s->pos = 0;
	submit(s, c->src, VHDX_OP_READ, 0, s->len, read_done);
}

static void copy_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct copy *c = s->copy;
	c->in_flight--;
	c->copying--;
	c->result->data_len += s->range.data_len;
	if (req->result == VHDX_E_UNSUPPORTED && s->range.data_len == 0) {
		s->rest_len = s->len;
		s->len = s->pos = 0;
		push(&c->ready, s);
		return;
	}
	if (req->result)
		fail(c, req->result, &s->err, !s->range.from_failed);
	push(&c->idle, s);
}

static void next_write(struct copy *c, struct slot *s)
{
	uint64_t run_len;
	if (!copy_next_run(s->buf, s->len, &s->pos, &run_len)) {
		if (s->rest_len)
			read_rest(c, s);
		else
			push(&c->idle, s);
		return;
	}
	uint64_t pos = s->pos;
	s->pos += run_len;
	c->result->data_len += run_len;
	if (c->dst)
		submit(s, c->dst, VHDX_OP_WRITE, pos, run_len, write_done);
	else
		push(&c->ready, s);
}

/* Chunks end at multiples of their size, so that a block of the target is not
 * shared by more of them than it must be. */
static uint64_t chunk_len(const struct copy *c, uint64_t max)
{
	return max - c->cursor % max;
}

/* What is in the host file at the cursor, as far as it is whole grains: the
 * target's sectors may be larger than the source's. False: there are none. */
static bool start_copy(struct copy *c, struct slot *s)
{
	const struct vhdx_extent *x = &c->walk.extent;
	uint64_t left = walk_left(&c->walk, c->cursor);
	uint64_t len = chunk_len(c, COPY_LEN);
	if (left < len)
		len = left;
	if (c->cursor + len < c->size_len)
		len -= len % COPY_GRAIN;
	if (!len || !c->dst || x->kind != VHDX_EXTENT_DATA)
		return false;
	s->voff = c->cursor;
	s->len = len;
	c->cursor += len;
	s->range = (struct vhdx_copy){
		.from = c->src,
		.depth = x->depth,
		.host_off = x->host_off + (s->voff - x->voff),
	};
	c->copying++;
	submit(s, c->dst, VHDX_OP_COPY, 0, len, copy_done);
	return true;
}

/* Whole grains even where the source's extents are not. */
static void start_read(struct copy *c, struct slot *s)
{
	uint64_t left = walk_left(&c->walk, c->cursor);
	uint64_t len = chunk_len(c, CHUNK_LEN);
	if (left < len)
		len = (left + COPY_GRAIN - 1) / COPY_GRAIN * COPY_GRAIN;
	if (len > c->size_len - c->cursor)
		len = c->size_len - c->cursor;
	s->voff = c->cursor;
	s->len = len;
	s->pos = 0;
	s->rest_len = 0;
	c->cursor += len;
	submit(s, c->src, VHDX_OP_READ, 0, len, read_done);
}

/* Steps over the whole grains of an extent without data. False: the cursor is
 * in front of data, or of a grain that may hold some. */
static bool skip(struct copy *c)
{
	if (walk_is_data(&c->walk))
		return false;
	uint64_t left = walk_left(&c->walk, c->cursor);
	if (left >= c->size_len - c->cursor)
		left = c->size_len - c->cursor;
	else
		left -= left % COPY_GRAIN;
	c->cursor += left;
	return left > 0;
}

/* Submits all that can be submitted now. */
static void advance(struct copy *c)
{
	struct slot *s;
	while (!c->code && (s = pop(&c->ready)))
		next_write(c, s);
	while (!c->code && c->cursor < c->size_len) {
		if (c->walk.result) {
			fail(c, c->walk.result, &c->walk.err, false);
			return;
		}
		if (!walk_at(&c->walk, c->cursor))
			return;
		if (skip(c))
			continue;
		s = c->copying < COPY_CNT ? pop(&c->idle) : NULL;
		if (!s)
			return;
		if (!start_copy(c, s))
			start_read(c, s);
	}
}

static bool busy(const struct copy *c)
{
	if (c->in_flight || c->walk.busy)
		return true;
	return !c->code && (c->ready || c->cursor < c->size_len);
}

static void cancel_if_asked(struct copy *c)
{
	if (c->code || !intr_caught())
		return;
	struct vhdx_err err = { .code = VHDX_E_CANCELED, .off = UINT64_MAX,
				.text = "interrupted" };
	fail(c, VHDX_E_CANCELED, &err, false);
}

static void pump(struct copy *c)
{
	for (;;) {
		cancel_if_asked(c);
		advance(c);
		if (!busy(c))
			return;
		progress_update(c->cursor);
		pair_wait(c->src, c->dst);
	}
}

static void flush_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	s->copy->in_flight--;
	if (req->result)
		fail(s->copy, req->result, &s->err, true);
}

/* In the background as well, so that Ctrl-C is heard: the first flush of a
 * large copy can take minutes. It cannot be taken back, but need not be
 * followed by anything. */
static void flush(struct copy *c)
{
	submit(&c->slots[0], c->dst, VHDX_OP_FLUSH, 0, 0, flush_done);
	while (c->in_flight) {
		cancel_if_asked(c);
		pair_wait(c->src, c->dst);
	}
}

static struct copy *copy_new(void)
{
	struct copy *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->bufs = aligned_alloc(4096, (size_t)SLOT_CNT * CHUNK_LEN);
	if (!c->bufs) {
		free(c);
		return NULL;
	}
	for (int i = SLOT_CNT - 1; i >= 0; i--) {
		c->slots[i].copy = c;
		c->slots[i].buf = c->bufs + (size_t)i * CHUNK_LEN;
		push(&c->idle, &c->slots[i]);
	}
	return c;
}

int copy_run(struct vhdx_blk *src, struct vhdx_blk *dst, uint64_t size_len,
	     struct copy_result *result, struct vhdx_err *e)
{
	struct copy *c = copy_new();
	if (!c) {
		*e = (struct vhdx_err){ .code = VHDX_E_NOMEM,
					.off = UINT64_MAX,
					.text = "out of memory" };
		return VHDX_E_NOMEM;
	}
	*result = (struct copy_result){ 0 };
	c->src = src;
	c->dst = dst;
	c->size_len = size_len;
	c->err = e;
	c->result = result;
	walk_init(&c->walk, src, size_len);
	pump(c);
	if (!c->code && dst)
		flush(c);
	int code = c->code;
	free(c->bufs);
	free(c);
	return code;
}

int copy_measure(struct vhdx_blk *src, uint64_t size_len, bool exact,
		 uint64_t *data_len, struct vhdx_err *e)
{
	*data_len = 0;
	if (exact) {
		struct copy_result result;
		int rc = copy_run(src, NULL, size_len, &result, e);
		*data_len = result.data_len;
		return rc;
	}
	for (uint64_t voff = 0; voff < size_len;) {
		struct vhdx_extent x;
		int rc = vhdx_blk_map(src, voff, size_len - voff, &x, e);
		if (rc)
			return rc;
		if (x.kind == VHDX_EXTENT_DATA)
			*data_len += x.len;
		voff += x.len;
	}
	return 0;
}
