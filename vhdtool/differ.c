/* SPDX-License-Identifier: MIT */
/*
 * The cursor goes through both maps in step; every piece in which at least one
 * side has data takes a slot, which reads the side or sides that have some and
 * compares when it is complete. The cursor only goes up, and after a difference
 * everything below it is already in a slot: waiting for those gives the first.
 */
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "differ.h"
#include "img.h"
#include "intr.h"
#include "pair.h"
#include "progress.h"

#define SLOT_CNT 16
#define CHUNK_LEN (512u * 1024u)

struct side {
	struct slot *slot;
	struct vhdx_req req;
	struct iovec iov;
	uint8_t *buf;
	bool is_data;
	struct vhdx_err err;
};

struct slot {
	struct slot *next;
	struct differ *differ;
	uint64_t voff, len;
	int reading; /* sides not complete */
	bool failed;
	struct side side[2];
};

struct differ {
	struct walk walk[2];
	uint64_t size_len; /* of the longer one */
	uint64_t cursor;
	const char *host_path[2]; /* last asked whether they are one file */
	bool one_file;
	struct slot *idle;
	int in_flight; /* slots */
	int code;
	struct vhdx_err *err;
	struct differ_result *result;
	struct slot slots[SLOT_CNT];
	uint8_t *bufs;
};

static void fail(struct differ *d, int code, const struct vhdx_err *err,
		 bool b_failed)
{
	if (d->code)
		return;
	d->code = code;
	d->result->b_failed = b_failed;
	*d->err = *err;
}

/* Offset of the first byte that is not the same in both sides, or len. */
static uint64_t first_difference(const struct slot *s)
{
	static const uint8_t zeros[COPY_GRAIN];
	const struct side *a = &s->side[0], *b = &s->side[1];
	for (uint64_t pos = 0; pos < s->len; pos += COPY_GRAIN) {
		size_t n = (size_t)(s->len - pos < COPY_GRAIN ? s->len - pos
							      : COPY_GRAIN);
		const uint8_t *p = a->is_data ? a->buf + pos : zeros;
		const uint8_t *q = b->is_data ? b->buf + pos : zeros;
		if (memcmp(p, q, n) == 0)
			continue;
		while (*p == *q) {
			p++;
			q++;
			pos++;
		}
		return pos;
	}
	return s->len;
}

static void read_done(struct vhdx_req *req)
{
	struct side *side = req->opaque;
	struct slot *s = side->slot;
	struct differ *d = s->differ;
	if (req->result) {
		fail(d, req->result, &side->err, side == &s->side[1]);
		s->failed = true;
	}
	if (--s->reading > 0)
		return;
	if (!s->failed) {
		uint64_t at = first_difference(s);
		if (at < s->len && s->voff + at < d->result->first_voff)
			d->result->first_voff = s->voff + at;
	}
	d->in_flight--;
	s->next = d->idle;
	d->idle = s;
}

static void submit(struct differ *d, struct slot *s, int i)
{
	struct side *side = &s->side[i];
	uint64_t len = d->walk[i].size_len - s->voff;
	if (len > s->len)
		len = s->len;
	memset(side->buf + len, 0, (size_t)(s->len - len));
	side->iov = (struct iovec){ side->buf, (size_t)len };
	side->req.op = VHDX_OP_READ;
	side->req.flags = 0;
	side->req.voff = s->voff;
	side->req.len = len;
	side->req.iov = &side->iov;
	side->req.iov_cnt = 1;
	side->req.err = &side->err;
	side->req.done = read_done;
	side->req.opaque = side;
	vhdx_blk_submit(d->walk[i].blk, &side->req);
}

/* A piece is whole grains, which an extent need not be: a side without data
 * at the cursor may have some before the end of the piece. */
static void start(struct differ *d, struct slot *s, uint64_t len)
{
	s->voff = d->cursor;
	s->len = len;
	s->failed = false;
	s->reading = 0;
	for (int i = 0; i < 2; i++) {
		struct walk *w = &d->walk[i];
		s->side[i].is_data = d->cursor < w->size_len &&
				     (walk_is_data(w) ||
				      walk_left(w, d->cursor) < len);
		s->reading += s->side[i].is_data;
	}
	d->cursor += len;
	d->in_flight++;
	for (int i = 0; i < 2; i++) {
		if (s->side[i].is_data)
			submit(d, s, i);
	}
}

static bool walks_ready(struct differ *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->walk[i].result) {
			fail(d, d->walk[i].result, &d->walk[i].err, i == 1);
			return false;
		}
	}
	/* Both are asked, so that both answers are under way. */
	bool a = walk_at(&d->walk[0], d->cursor);
	bool b = walk_at(&d->walk[1], d->cursor);
	return a && b;
}

/* At the cursor both disks show the same bytes of one host file. */
static bool is_shared(struct differ *d)
{
	const struct vhdx_extent *a = &d->walk[0].extent;
	const struct vhdx_extent *b = &d->walk[1].extent;
	if (a->kind != VHDX_EXTENT_DATA || b->kind != VHDX_EXTENT_DATA ||
	    a->host_off + (d->cursor - a->voff) !=
		    b->host_off + (d->cursor - b->voff))
		return false;
	if (d->host_path[0] != a->host_path ||
	    d->host_path[1] != b->host_path) {
		d->host_path[0] = a->host_path;
		d->host_path[1] = b->host_path;
		d->one_file = img_same_file(a->host_path, b->host_path);
	}
	return d->one_file;
}

/* The next piece: its length, and whether it has to be read. */
static uint64_t piece(struct differ *d, bool *is_data)
{
	uint64_t rest = d->size_len - d->cursor;
	uint64_t len = rest;
	*is_data = false;
	for (int i = 0; i < 2; i++) {
		uint64_t left = walk_left(&d->walk[i], d->cursor);
		if (left < len)
			len = left;
		*is_data |= walk_is_data(&d->walk[i]);
	}
	if (is_shared(d))
		*is_data = false;
	if (!*is_data && len == rest)
		return len;
	if (!*is_data && len >= COPY_GRAIN)
		return len - len % COPY_GRAIN;
	*is_data = true;
	if (len >= CHUNK_LEN)
		return CHUNK_LEN;
	len = (len + COPY_GRAIN - 1) / COPY_GRAIN * COPY_GRAIN;
	return len < rest ? len : rest;
}

static void advance(struct differ *d)
{
	while (!d->code && d->result->first_voff == DIFFER_NONE &&
	       d->cursor < d->size_len) {
		if (!walks_ready(d))
			return;
		bool is_data;
		uint64_t len = piece(d, &is_data);
		if (!is_data) {
			d->cursor += len;
			continue;
		}
		struct slot *s = d->idle;
		if (!s)
			return;
		d->idle = s->next;
		start(d, s, len);
	}
}

static bool busy(const struct differ *d)
{
	if (d->in_flight || d->walk[0].busy || d->walk[1].busy)
		return true;
	return !d->code && d->result->first_voff == DIFFER_NONE &&
	       d->cursor < d->size_len;
}

static void pump(struct differ *d)
{
	for (;;) {
		if (intr_caught()) {
			struct vhdx_err err = { .code = VHDX_E_CANCELED,
						.off = UINT64_MAX,
						.text = "interrupted" };
			fail(d, VHDX_E_CANCELED, &err, false);
		}
		advance(d);
		if (!busy(d))
			return;
		progress_update(d->cursor);
		pair_wait(d->walk[0].blk, d->walk[1].blk);
	}
}

static struct differ *differ_new(void)
{
	struct differ *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->bufs = aligned_alloc(4096, (size_t)SLOT_CNT * 2 * CHUNK_LEN);
	if (!d->bufs) {
		free(d);
		return NULL;
	}
	for (int i = 0; i < SLOT_CNT; i++) {
		struct slot *s = &d->slots[i];
		s->differ = d;
		for (int j = 0; j < 2; j++) {
			s->side[j].slot = s;
			s->side[j].buf = d->bufs +
					 (size_t)(2 * i + j) * CHUNK_LEN;
		}
		s->next = d->idle;
		d->idle = s;
	}
	return d;
}

int differ_run(struct vhdx_blk *a, struct vhdx_blk *b,
	       struct differ_result *result, struct vhdx_err *e)
{
	struct vhdx_geometry ga, gb;
	vhdx_blk_geometry(a, &ga);
	vhdx_blk_geometry(b, &gb);
	struct differ *d = differ_new();
	if (!d) {
		*e = (struct vhdx_err){ .code = VHDX_E_NOMEM,
					.off = UINT64_MAX,
					.text = "out of memory" };
		return VHDX_E_NOMEM;
	}
	*result = (struct differ_result){ .first_voff = DIFFER_NONE };
	d->size_len = ga.size_len > gb.size_len ? ga.size_len : gb.size_len;
	d->err = e;
	d->result = result;
	walk_init(&d->walk[0], a, ga.size_len);
	walk_init(&d->walk[1], b, gb.size_len);
	pump(d);
	int code = d->code;
	free(d->bufs);
	free(d);
	return code;
}
