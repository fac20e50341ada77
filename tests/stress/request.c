/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <string.h>

#include "t.h"

#define UNREAD 0xee /* in buffers, before they are read into and after */
#define SEAL 0xa5   /* in the library's part of a request that is done */
#define GAP_MAX 33

/* ---- what --------------------------------------------------------------- */

void plan_init(struct plan *p, const struct vhdx_geometry *g, uint64_t *rng)
{
	uint64_t unit = g->block_len ? g->block_len : MIB;

	*p = (struct plan){ .geom = *g, .neat = (unsigned)t_rand_below(rng,
								       9) };
	for (int i = 0; i < PLAN_PLACES; i++) {
		p->places[i] = t_rand_below(rng, g->size_len);
		if (i & 1) /* where one block ends and another begins */
			p->places[i] = align_up(p->places[i], unit);
		p->places[i] = align_down(u64_min(p->places[i],
						  g->size_len - 1),
					  g->sector_len);
	}
	p->weights[VHDX_OP_READ] = 20 + (unsigned)t_rand_below(rng, 30);
	p->weights[VHDX_OP_WRITE] = 20 + (unsigned)t_rand_below(rng, 40);
	p->weights[VHDX_OP_FLUSH] = (unsigned)t_rand_below(rng, 12);
	p->weights[VHDX_OP_DISCARD] = (unsigned)t_rand_below(rng, 10);
	p->weights[VHDX_OP_WRITE_ZEROES] = (unsigned)t_rand_below(rng, 10);
	p->weights[VHDX_OP_MAP] = (unsigned)t_rand_below(rng, 8);
}

static enum vhdx_op pick_op(const struct plan *p, uint64_t *rng)
{
	unsigned sum = 0, op = 0;
	uint64_t n;

	for (int i = 0; i <= VHDX_OP_MAP; i++)
		sum += p->weights[i];
	n = t_rand_below(rng, sum);
	while (n >= p->weights[op])
		n -= p->weights[op++];
	return (enum vhdx_op)op;
}

static void pick_range(const struct plan *p, uint64_t *rng, uint64_t *voff,
		       uint64_t *len)
{
	uint64_t s = p->geom.sector_len, size = p->geom.size_len;
	uint64_t unit = p->geom.block_len ? p->geom.block_len : MIB;
	uint64_t style = t_rand_below(rng, 32), back;

	*voff = align_down(t_rand_below(rng, size), s);
	*len = s * (1 + t_rand_below(rng, 16));
	if (style < 20) {
		*voff = p->places[t_rand_below(rng, PLAN_PLACES)];
		back = s * t_rand_below(rng, 16);
		*voff = *voff > back ? *voff - back : 0;
		*voff += s * t_rand_below(rng, 8);
	} else if (style < 24) {
		*len = s * (1 + t_rand_below(rng, 192 * KIB / s));
	} else if (style < 30) {
		*voff = align_down(*voff, 4 * KIB);
		*len = 4 * KIB * (1 + t_rand_below(rng, 16));
	} else if (style == 30) {
		*voff = align_down(*voff, unit);
		*len = unit;
	} else {
		*len = 0;
	}
	*voff = u64_min(*voff, size - s);
	*len = u64_min(*len, size - *voff);
}

/* What changes a map is a whole block. */
static void pick_unmap(const struct plan *p, uint64_t *rng, uint64_t *voff,
		       uint64_t *len)
{
	uint64_t unit = p->geom.block_len ? p->geom.block_len : MIB;

	pick_range(p, rng, voff, len);
	if (t_rand_below(rng, 3) == 0)
		return;
	*voff = align_down(*voff, unit);
	*len = unit * (1 + t_rand_below(rng, 5) / 4);
	if (t_rand_below(rng, 6) == 0)
		*len += p->geom.sector_len * (1 + t_rand_below(rng, 16));
	*len = u64_min(*len, p->geom.size_len - *voff);
}

/* ---- buffers ------------------------------------------------------------ */

static void make_room(struct request *r, size_t len)
{
	r->mem_len = len;
	if (len <= r->mem_max)
		return;
	free(r->mem);
	r->mem_max = align_up(len, 64 * KIB);
	r->mem = aligned_alloc(4096, r->mem_max);
	ASSERT(r->mem);
}

static void neat_buffer(struct request *r, uint64_t len)
{
	make_room(r, align_up(len + 1, 4096));
	r->iov[0] = (struct iovec){ r->mem, len };
	r->req.iov_cnt = 1;
}

/* Pieces of any length, some empty, with gaps between them, and now and then
 * more than is needed. */
static void odd_buffers(struct request *r, uint64_t len, uint64_t *rng)
{
	int cnt = 1 + (int)t_rand_below(rng, REQUEST_IOV - 1);
	uint64_t left = len;
	uint8_t *at;

	make_room(r, len + REQUEST_IOV * GAP_MAX + 64);
	at = r->mem;
	for (int i = 0; i < cnt; i++) {
		uint64_t n = i + 1 < cnt ? t_rand_below(rng, left + 1) : left;

		at += t_rand_below(rng, GAP_MAX);
		r->iov[i] = (struct iovec){ at, n };
		at += n;
		left -= n;
	}
	if (t_rand_below(rng, 4) == 0)
		r->iov[cnt - 1].iov_len += 24;
	r->req.iov_cnt = cnt;
}

/* The next piece of the transfer, behind `*pos` bytes; 0: that was all. */
static size_t next_piece(const struct request *r, int i, uint64_t pos)
{
	if (i == r->req.iov_cnt)
		return 0;
	return u64_min(r->iov[i].iov_len, r->req.len - pos);
}

static void scatter(struct request *r, const uint8_t *from)
{
	uint64_t pos = 0;

	for (int i = 0; i < r->req.iov_cnt; i++) {
		size_t n = next_piece(r, i, pos);

		memcpy(r->iov[i].iov_base, from + pos, n);
		pos += n;
	}
}

static bool all_are(const uint8_t *p, size_t len, uint8_t b)
{
	return !len || (p[0] == b && memcmp(p, p + 1, len - 1) == 0);
}

/* One per thread that owns or submits. */
static uint8_t *scratch(void)
{
	static _Thread_local uint8_t buf[REQUEST_MAX + MIB];

	return buf;
}

const uint8_t *request_gather(const struct request *r, const char **text)
{
	const uint8_t *before = r->mem;
	uint8_t *to = scratch();
	uint64_t pos = 0;

	for (int i = 0; i < r->req.iov_cnt; i++) {
		const uint8_t *p = r->iov[i].iov_base;
		size_t n = next_piece(r, i, pos);

		if (!all_are(before, (size_t)(p - before), UNREAD)) {
			*text = "wrote between its buffers";
			return NULL;
		}
		memcpy(to + pos, p, n);
		before = p + n;
		pos += n;
	}
	if (all_are(before, (size_t)(r->mem + r->mem_len - before), UNREAD))
		return to;
	*text = "wrote behind its buffers";
	return NULL;
}

/* ---- one request -------------------------------------------------------- */

void request_seal(struct request *r)
{
	memset(r->req.priv, SEAL, sizeof(r->req.priv));
	if (r->req.op == VHDX_OP_READ)
		memset(r->mem, UNREAD, r->mem_len);
	r->used = true;
}

const char *request_touched(const struct request *r)
{
	if (!r->used)
		return NULL;
	if (!all_are((const uint8_t *)r->req.priv, sizeof(r->req.priv), SEAL))
		return "the request was written to after its done()";
	if (r->req.op == VHDX_OP_READ &&
	    !all_are(r->mem, r->mem_len, UNREAD))
		return "a buffer was read into after done()";
	return NULL;
}

/* Something wrong with it, that must be told. */
static void spoil(struct request *r, const struct plan *p, uint64_t *rng)
{
	bool data = r->req.op == VHDX_OP_READ || r->req.op == VHDX_OP_WRITE;

	if (p->geom.read_only && r->op.kind != TRUTH_READ) {
		r->want = VHDX_E_READONLY;
		return;
	}
	if (t_rand_below(rng, 64) || !r->req.len)
		return;
	switch (t_rand_below(rng, 3)) {
	case 0:
		r->req.voff += p->geom.sector_len / 2;
		r->want = VHDX_E_RANGE;
		break;
	case 1:
		r->req.voff = align_down(UINT64_MAX, p->geom.sector_len) -
			      p->geom.sector_len * t_rand_below(rng, 9);
		r->want = VHDX_E_RANGE;
		break;
	default:
		r->req.iov_cnt = 0;
		r->want = data ? VHDX_E_INVAL : 0;
		break;
	}
}

static const enum truth_kind truths[] = {
	[VHDX_OP_READ] = TRUTH_READ,	   [VHDX_OP_WRITE] = TRUTH_WRITE,
	[VHDX_OP_FLUSH] = TRUTH_FLUSH,	   [VHDX_OP_DISCARD] = TRUTH_DISCARD,
	[VHDX_OP_WRITE_ZEROES] = TRUTH_ZERO, [VHDX_OP_MAP] = TRUTH_READ };

static void pick(struct request *r, const struct plan *p, uint64_t *rng)
{
	uint64_t voff = 0, len = 0;
	enum vhdx_op op = pick_op(p, rng);

	if (op == VHDX_OP_DISCARD || op == VHDX_OP_WRITE_ZEROES)
		pick_unmap(p, rng, &voff, &len);
	else if (op != VHDX_OP_FLUSH)
		pick_range(p, rng, &voff, &len);
	if (op == VHDX_OP_MAP)
		len = u64_max(len, p->geom.sector_len);
	r->req = (struct vhdx_req){ .op = op, .voff = voff, .len = len,
				    .iov = r->iov, .err = &r->err,
				    .extent = &r->extent };
	r->op = (struct truth_op){ .kind = truths[op], .voff = voff,
				   .len = len };
	if (op != VHDX_OP_READ && op != VHDX_OP_FLUSH && op != VHDX_OP_MAP &&
	    t_rand_below(rng, 16) == 0) {
		r->req.flags = VHDX_REQ_FUA;
		r->op.fua = true;
	}
	if (op != VHDX_OP_READ && op != VHDX_OP_WRITE)
		return;
	if (t_rand_below(rng, 8) < p->neat)
		neat_buffer(r, len);
	else
		odd_buffers(r, len, rng);
}

bool request_prepare(struct request *r, const struct plan *p,
		     struct truth *t, uint64_t *rng, const char **text)
{
	*text = request_touched(r);
	if (*text)
		return false;
	pick(r, p, rng);
	r->want = 0;
	r->cancel_asked = false;
	if (r->req.op != VHDX_OP_FLUSH)
		spoil(r, p, rng);
	r->tracked = !r->want;
	if (r->tracked)
		truth_begin(t, &r->op);
	if (r->req.op == VHDX_OP_READ)
		memset(r->mem, UNREAD, r->mem_len);
	if (r->req.op == VHDX_OP_WRITE && r->tracked) {
		truth_fill(t, &r->op, scratch());
		scatter(r, scratch());
	}
	return true;
}
