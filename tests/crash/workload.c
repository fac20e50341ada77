/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <stdarg.h>
#include <string.h>

#include "memory_blk.h"
#include "t.h"

struct wl_req {
	struct vhdx_req req;
	struct workload *w;
	struct iovec iov[2];
	struct vhdx_copy copy;
	struct vhdx_err err;
	uint32_t op;
	uint8_t buf[];
};

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < profile_cnt; i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

void workload_init(struct workload *w, const struct profile *pf,
		   struct model *m, uint64_t seed)
{
	*w = (struct workload){ .pf = pf, .model = m, .rng = seed };
}

static uint64_t below(struct workload *w, uint64_t n)
{
	return t_rand_below(&w->rng, n);
}

static void fail(struct workload *w, const char *fmt, ...) printf_like(2, 3);

static void fail(struct workload *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, fmt);
	vsnprintf(w->text, sizeof(w->text), fmt, ap);
	va_end(ap);
}

static const char *const op_names[] = {
	[VHDX_OP_READ] = "read", [VHDX_OP_WRITE] = "write",
	[VHDX_OP_FLUSH] = "flush", [VHDX_OP_DISCARD] = "discard",
	[VHDX_OP_WRITE_ZEROES] = "write-zeroes", [VHDX_OP_COPY] = "copy",
};

static void check_result(struct workload *w, struct wl_req *r)
{
	struct vhdx_req *q = &r->req;
	struct model_bad bad;

	if (q->result) {
		w->errors++;
		w->ok_flushes_since_error = 0;
		if (!w->faults)
			fail(w, "%s at %ju, %ju bytes, failed: %s: %s",
			     op_names[q->op], (uintmax_t)q->voff,
			     (uintmax_t)q->len, vhdx_code_name(q->result),
			     r->err.text);
		return;
	}
	if (q->op == VHDX_OP_FLUSH) {
		w->ok_flushes++;
		w->ok_flushes_since_error++;
	}
	if (q->op == VHDX_OP_READ &&
	    !model_verify_read(w->model, r->op, r->buf, &bad))
		fail(w, "read at %ju, %ju bytes: sector %ju shows %s",
		     (uintmax_t)q->voff, (uintmax_t)q->len, (uintmax_t)bad.lba,
		     bad.text);
}

static void req_done(struct vhdx_req *q)
{
	struct wl_req *r = container_of(q, struct wl_req, req);
	struct workload *w = r->w;

	ASSERT(w->in_flight > 0);
	w->in_flight--;
	model_end(w->model, r->op, q->result == 0, w->pos(w->pos_arg));
	check_result(w, r);
	free(r);
}

/* ---- choosing --------------------------------------------------------- */

static uint64_t pick_len(struct workload *w, uint64_t max)
{
	uint64_t s = w->geom.sector_len, units = u64_max(max / s, 1);

	switch (below(w, 4)) {
	case 0:
		return s;
	case 1:
		return s * (1 + below(w, u64_min(units, 8)));
	default:
		return s * (1 + below(w, units));
	}
}

/* An offset in block terms even for images that have none. */
static uint64_t block_of(const struct workload *w)
{
	return w->geom.block_len ? w->geom.block_len : MIB;
}

static void range_any(struct workload *w, uint64_t *voff, uint64_t *len)
{
	uint64_t s = w->geom.sector_len, blk = block_of(w);

	*len = pick_len(w, w->pf->len_max);
	*voff = below(w, w->geom.size_len / s) * s;
	if (below(w, 5) == 0) /* across a border */
		*voff = align_up(*voff, blk) - u64_min(*voff, *len / 2 / s * s);
	else if (below(w, 3) == 0) /* near the last place of a block */
		*voff = align_down(*voff, blk) + 16 * s * below(w, 4);
}

static void range_hot(struct workload *w, uint64_t *voff, uint64_t *len)
{
	static const uint32_t places[] = { 0, 8192, 65536, 520192, 1040384 };
	uint64_t blk = block_of(w);

	*len = pick_len(w, w->pf->len_max);
	*voff = below(w, div_up(w->geom.size_len, blk)) * blk +
		places[below(w, ARRAY_LEN(places))];
}

/* One page of the BAT maps 512 entries. Mostly the next page, now and then one
 * that was dirtied before. */
static void range_wide(struct workload *w, uint64_t *voff, uint64_t *len)
{
	uint64_t per_page = 512 * block_of(w);
	uint64_t pages = w->geom.size_len / per_page;
	uint64_t page = w->next_page;

	if (below(w, 4) == 0 && w->next_page > 0)
		page = below(w, w->next_page);
	else
		w->next_page = (w->next_page + 1) % pages;
	*len = pick_len(w, w->pf->len_max);
	*voff = page * per_page + below(w, 3) * block_of(w);
}

/* Small pieces near a few places of every block, so that they overlap, share
 * pages of bits, and cross from one block or page into the next. Whoever comes
 * after a write to a whole block goes into that block. */
static void range_child(struct workload *w, uint64_t *voff, uint64_t *len)
{
	uint64_t s = w->geom.sector_len, blk = block_of(w);
	uint64_t win = below(w, div_up(w->geom.size_len, WINDOW_EVERY));
	uint64_t cnt = div_up(window_len(w->geom.size_len), blk);

	*voff = win * WINDOW_EVERY + below(w, cnt) * blk;
	if (w->next_page && below(w, 4)) /* into the block being written */
		*voff = w->next_page * blk;
	w->next_page = 0;
	if (blk <= 2 * MIB && below(w, 50) == 0) {
		*len = blk;
		w->next_page = *voff / blk;
		return;
	}
	*voff += below(w, 8) * (blk / 8) + below(w, 24) * s;
	*len = below(w, 8) ? s * (1 + below(w, 8))
			   : pick_len(w, w->pf->len_max);
	if (*voff && below(w, 5) == 0)
		*voff = align_up(*voff, blk / 4) - s * (1 + below(w, 6));
}

static void pick_range(struct workload *w, uint64_t *voff, uint64_t *len)
{
	if (w->pf->spread == SPREAD_HOT || w->pf->spread == SPREAD_GROW)
		range_hot(w, voff, len);
	else if (w->pf->spread == SPREAD_CHILD)
		range_child(w, voff, len);
	else if (w->pf->spread == SPREAD_WIDE)
		range_wide(w, voff, len);
	else
		range_any(w, voff, len);
	*voff = u64_min(*voff, w->geom.size_len - w->geom.sector_len);
	*len = u64_min(*len, w->geom.size_len - *voff);
}

/* Unmaps like whole blocks best: only those change the map. */
static void pick_unmap(struct workload *w, uint64_t *voff, uint64_t *len)
{
	uint64_t blk = block_of(w);

	pick_range(w, voff, len);
	if (below(w, 4) == 0)
		return;
	*voff = align_down(*voff, blk);
	*len = blk * (below(w, 4) ? 1 : 2);
	if (below(w, 8) == 0) /* and a bit of the next */
		*len += w->geom.sector_len * (1 + below(w, 16));
	*len = u64_min(*len, w->geom.size_len - *voff);
}

static enum vhdx_op pick_op(struct workload *w)
{
	const struct profile *pf = w->pf;
	uint64_t n = below(w, 1000);

	if (n < pf->reads)
		return VHDX_OP_READ;
	n -= pf->reads;
	if (n < pf->flushes)
		return VHDX_OP_FLUSH;
	n -= pf->flushes;
	if (n < pf->discards)
		return VHDX_OP_DISCARD;
	n -= pf->discards;
	return n < pf->zeroes ? VHDX_OP_WRITE_ZEROES : VHDX_OP_WRITE;
}

static const enum model_kind kinds[] = {
	[VHDX_OP_READ] = MODEL_READ, [VHDX_OP_WRITE] = MODEL_WRITE,
	[VHDX_OP_FLUSH] = MODEL_FLUSH, [VHDX_OP_DISCARD] = MODEL_DISCARD,
	[VHDX_OP_WRITE_ZEROES] = MODEL_ZERO,
};

static void submit(struct workload *w, struct vhdx_blk *blk, enum vhdx_op op,
		   uint64_t voff, uint64_t len, bool fua)
{
	bool data = op == VHDX_OP_READ || op == VHDX_OP_WRITE;
	struct wl_req *r = calloc(1, sizeof(*r) + (data ? len : 0));
	uint64_t cut = data ? below(w, len + 1) : 0;

	ASSERT(r);
	r->w = w;
	r->iov[0] = (struct iovec){ r->buf, cut };
	r->iov[1] = (struct iovec){ r->buf + cut, len - cut };
	r->req = (struct vhdx_req){
		.op = op, .flags = fua ? VHDX_REQ_FUA : 0, .voff = voff,
		.len = len, .iov = r->iov, .iov_cnt = 2, .err = &r->err,
		.done = req_done };
	r->op = model_begin(w->model, kinds[op], voff, len, fua,
			    w->pos(w->pos_arg));
	if (op == VHDX_OP_WRITE)
		model_fill(w->model, r->op, r->buf);
	if (op == VHDX_OP_WRITE && r->op % 4 == 3) { /* another way to write */
		r->req.op = VHDX_OP_COPY;
		r->copy = memory_blk_copy(r->buf);
		r->req.copy = &r->copy;
	}
	w->in_flight++;
	vhdx_blk_submit(blk, &r->req);
}

static void submit_one(struct workload *w, struct vhdx_blk *blk)
{
	enum vhdx_op op = pick_op(w);
	uint64_t voff = 0, len = 0;
	bool fua = false;

	if (op == VHDX_OP_DISCARD || op == VHDX_OP_WRITE_ZEROES)
		pick_unmap(w, &voff, &len);
	else if (op != VHDX_OP_FLUSH)
		pick_range(w, &voff, &len);
	if (op != VHDX_OP_FLUSH && op != VHDX_OP_READ)
		fua = below(w, 1000) < w->pf->fua;
	submit(w, blk, op, voff, len, fua);
}

/* A bound, so that a device that never completes is a failure, not a hang. */
static bool turn(struct workload *w, struct vhdx_blk *blk)
{
	unsigned before = w->in_flight;

	for (unsigned i = 0; i < 20000 && w->in_flight == before; i++)
		vhdx_blk_turn(blk, 0);
	if (w->in_flight == before)
		fail(w, "%u requests are never completed", before);
	return !w->failed;
}

static void drain(struct workload *w, struct vhdx_blk *blk)
{
	while (w->in_flight > 0 && turn(w, blk))
		;
}

/* Brings everything home, then lets the file grow for a new block while the
 * only other change is an unmap. */
static void grow_burst(struct workload *w, struct vhdx_blk *blk)
{
	uint64_t len = block_of(w), old = w->next_page * len;

	w->next_page = (w->next_page + 1) % (w->geom.size_len / len);
	for (int i = 0; i < 2; i++) {
		submit(w, blk, VHDX_OP_WRITE, old, 4096, false);
		drain(w, blk);
		submit(w, blk, VHDX_OP_FLUSH, 0, 0, false);
		drain(w, blk);
	}
	submit(w, blk, VHDX_OP_WRITE, w->next_page * len, 4096, false);
	for (uint64_t n = below(w, 3); n; n--)
		vhdx_blk_turn(blk, 0);
	submit(w, blk, VHDX_OP_DISCARD, old, len, below(w, 2));
	for (uint64_t n = below(w, 3); n; n--)
		vhdx_blk_turn(blk, 0);
	submit(w, blk, VHDX_OP_FLUSH, 0, 0, false);
}

/* A write to a whole block that may still be its parent's, another one into the
 * same block, and a flush, before the first can be done. */
static void whole_burst(struct workload *w, struct vhdx_blk *blk)
{
	uint64_t len = block_of(w), s = w->geom.sector_len;
	uint64_t cnt = u64_min(window_len(w->geom.size_len),
			       w->geom.size_len) / len;
	uint64_t voff = below(w, cnt) * len;

	submit(w, blk, VHDX_OP_WRITE, voff, len, false);
	for (uint64_t n = below(w, 3); n; n--)
		vhdx_blk_turn(blk, 0);
	submit(w, blk, VHDX_OP_WRITE, voff + below(w, 8) * (len / 8), s, false);
	for (uint64_t n = below(w, 3); n; n--)
		vhdx_blk_turn(blk, 0);
	submit(w, blk, VHDX_OP_FLUSH, 0, 0, false);
}

void workload_session(struct workload *w, struct vhdx_blk *blk)
{
	vhdx_blk_geometry(blk, &w->geom);
	if (w->pf->spread == SPREAD_CHILD && block_of(w) <= 2 * MIB)
		whole_burst(w, blk);
	for (unsigned i = 0; i < w->pf->requests && !w->failed; i++) {
		uint64_t depth = 1 + below(w, w->pf->depth);

		while (w->in_flight >= depth && turn(w, blk))
			;
		if (w->pf->spread == SPREAD_GROW && below(w, 8) == 0)
			grow_burst(w, blk);
		submit_one(w, blk);
		if (below(w, 3) == 0)
			vhdx_blk_turn(blk, 0);
	}
	drain(w, blk);
}
