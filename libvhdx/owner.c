/* SPDX-License-Identifier: MIT */
/*
 * A bound is a layer that every walk reaches. The disk is cut into granules of
 * 2 MiB (larger ones on disks above 4 TiB), a granule into 512 pieces. Each
 * granule has one bound, and a row with a bound for each piece once a layer
 * holds a part of it only; rows replace each other.
 *
 * Bounds come from surveys. A granule is surveyed a layer at a time, and only
 * down to where a read has to go: the layer is asked for all that no layer
 * above it holds, and what it does not hold gets the next layer as its bound.
 *
 *   owner_start -> layer known to hold something -----------> the reader asks
 *        |              ^                                     that layer
 *        v              | owner_surveyed: next layer, or next question
 *     open: a question about the rest of the granule
 *
 *  O1  Described are layers that nobody writes: from `top` on, which is 1
 *      where the leaf is writable, for then its answer may change.
 *  O2  A bound d of a range means: for every byte of it each layer from top to
 *      d - 1 says MAP_PARENT, and the layer below that one is long enough to
 *      be asked. So a walk that starts at d ends where one from top ends.
 *  O3  A bound is raised by one layer's answer, for pieces (or the granule)
 *      that had that layer as their bound and that the answer covers whole.
 *      A row that is gone only means that its pieces are surveyed again.
 *  O4  What lies beyond the disk as it was at open is not described.
 *
 * Several readers may survey one granule at once: O3 holds for each step alone,
 * so it does not matter whose answer comes first.
 */
#include "owner.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

#define LAYERS_MIN 3u /* described; fewer are asked in no time */
#define GRANULE_SHIFT_MIN 21u /* 2 MiB */
#define GRANULE_CNT_MAX (UINT64_C(1) << 21)
#define PIECES_SHIFT 9u
#define PIECES (1u << PIECES_SHIFT) /* of a granule */
#ifdef VHDKIT_AUDIT
#define ROW_CNT_MAX UINT64_C(4) /* tests are to see them replaced */
#else
#define ROW_CNT_MAX (UINT64_C(1) << 15)
#endif

enum state {
	OPEN,  /* layer `bound` has not been asked yet */
	WHOLE, /* it holds all of the granule, or cannot tell */
	MIXED, /* it holds a part: the row knows more */
};

struct granule {
	uint8_t bound; /* 0 means top */
	uint8_t state;
};

struct row {
	uint32_t tag;	/* number of the granule + 1; 0: empty */
	uint16_t layer; /* pieces with this bound, or a greater one, are open */
	uint8_t bound[PIECES];
};

_Static_assert(CHAIN_MAX <= UINT8_MAX + 1, "a bound is a byte");

/* What a layer said last to somebody who goes forward. */
struct answer {
	uint64_t voff, len;
	enum map_kind kind;
	struct file *file;
	uint64_t file_off;
};

struct owner {
	const struct chain *chain;
	unsigned top;
	uint64_t size_len; /* O4 */
	unsigned granule_shift, piece_shift; /* lengths are powers of two */
	uint64_t row_mask;
	struct granule *granules;
	struct row *rows;
	struct answer last[CHAIN_MAX];
};

int owner_new(const struct chain *c, struct owner **out, struct vhdx_err *e)
{
	bool asked = c->layers[0]->writable && !MUTATED(OWNER_LEAF_ASKED);
	unsigned top = asked ? 1 : 0;
	uint64_t granule_cnt, row_cnt = 1;
	struct owner *o;

	*out = NULL;
	if (c->cnt < top + LAYERS_MIN)
		return 0;
	o = mem_zalloc(sizeof(*o));
	if (!o)
		return err_set(e, VHDX_E_NOMEM, "no memory for a chain");
	o->chain = c;
	o->top = top;
	o->size_len = c->layers[0]->size_len;
	o->granule_shift = GRANULE_SHIFT_MIN;
	while (o->size_len >> o->granule_shift >= GRANULE_CNT_MAX)
		o->granule_shift++;
	o->piece_shift = o->granule_shift - PIECES_SHIFT;
	granule_cnt = (o->size_len >> o->granule_shift) + 1;
	while (row_cnt < ROW_CNT_MAX && row_cnt < granule_cnt)
		row_cnt *= 2;
	o->row_mask = row_cnt - 1;
	o->granules = mem_array(granule_cnt, sizeof(*o->granules));
	o->rows = mem_array(row_cnt, sizeof(*o->rows));
	if (!o->granules || !o->rows) {
		owner_free(o);
		return err_set(e, VHDX_E_NOMEM, "no memory to index a chain "
			       "of %u layers", c->cnt);
	}
	*out = o;
	return 0;
}

void owner_free(struct owner *o)
{
	if (!o)
		return;
	mem_free(o->granules);
	mem_free(o->rows);
	mem_free(o);
}

unsigned owner_top(const struct owner *o)
{
	return o->top;
}

/* ---- where things are ---------------------------------------------------- */

static struct granule *granule_at(const struct owner *o, uint64_t voff)
{
	return &o->granules[voff >> o->granule_shift];
}

static unsigned bound_of(const struct owner *o, const struct granule *g)
{
	return g->bound > o->top ? g->bound : o->top;
}

static uint64_t granule_start(const struct owner *o, uint64_t voff)
{
	return voff >> o->granule_shift << o->granule_shift;
}

static uint64_t granule_end(const struct owner *o, uint64_t voff)
{
	return u64_min(((voff >> o->granule_shift) + 1) << o->granule_shift,
		       o->size_len);
}

static struct row *row_slot(const struct owner *o, uint64_t voff)
{
	return &o->rows[voff >> o->granule_shift & o->row_mask];
}

static uint32_t tag_at(const struct owner *o, uint64_t voff)
{
	return (uint32_t)(voff >> o->granule_shift) + 1;
}

/* NULL: there is none, or no more. */
static struct row *row_at(const struct owner *o, uint64_t voff)
{
	struct row *r = row_slot(o, voff);

	return r->tag == tag_at(o, voff) ? r : NULL;
}

static struct row *row_new(struct owner *o, uint64_t voff)
{
	struct row *r = row_slot(o, voff);

	r->tag = tag_at(o, voff);
	r->layer = (uint16_t)bound_of(o, granule_at(o, voff));
	memset(r->bound, r->layer, sizeof(r->bound));
	return r;
}

/* The first piece in [from, to) whose bound is, or is not, `bound`; else to. */
static unsigned find_bound(const struct row *r, unsigned from, unsigned to,
			   unsigned bound)
{
	const uint8_t *at = NULL;

	if (from < to)
		at = memchr(r->bound + from, (int)bound, to - from);
	return at ? (unsigned)(at - r->bound) : to;
}

static unsigned find_other(const struct row *r, unsigned from, unsigned to,
			   unsigned bound)
{
	uint64_t same = bound * UINT64_C(0x0101010101010101), word;

	for (; to - from >= sizeof(word); from += sizeof(word)) {
		memcpy(&word, r->bound + from, sizeof(word));
		if (word != same)
			break;
	}
	while (from < to && r->bound[from] == bound)
		from++;
	return from;
}

/* ---- a walk -------------------------------------------------------------- */

/* Asks layer *depth for the granule from piece `from` on. */
static void ask(const struct owner *o, struct owner_walk *w,
		struct image_map *m, unsigned from)
{
	w->survey = true;
	m->voff = granule_start(o, w->voff) +
		  ((uint64_t)from << o->piece_shift);
	m->len = granule_end(o, w->voff) - m->voff;
}

/* Leaves the rest to the reader. `len` is what one bound holds for. */
static void settle(struct owner_walk *w, struct image_map *m, uint64_t len)
{
	w->survey = false;
	m->voff = w->voff;
	m->len = u64_min(w->want, len);
}

static void aim_by_row(const struct owner *o, const struct row *r,
		       struct owner_walk *w, struct image_map *m,
		       unsigned *depth)
{
	uint64_t in_granule = w->voff - granule_start(o, w->voff), len;
	uint64_t reach = u64_min(in_granule + w->want,
				 UINT64_C(1) << o->granule_shift);
	unsigned first = (unsigned)(in_granule >> o->piece_shift);
	unsigned end = (unsigned)((reach - 1) >> o->piece_shift) + 1;

	*depth = r->bound[first];
	if (*depth + 1 < o->chain->cnt && *depth >= r->layer) {
		ask(o, w, m, find_bound(r, 0, PIECES, *depth));
		return;
	}
	end = find_other(r, first, end, *depth);
	len = ((uint64_t)end << o->piece_shift) - in_granule;
	settle(w, m, u64_min(len, granule_end(o, w->voff) - w->voff));
}

/* The next question: the reader's own, if the layer that holds the start of
 * the extent is known. */
static void aim(struct owner *o, struct owner_walk *w, struct image_map *m,
		unsigned *depth)
{
	const struct granule *g = granule_at(o, w->voff);
	struct row *r = row_at(o, w->voff);

	if (!r && g->state == MIXED)
		r = row_new(o, w->voff);
	if (r) {
		aim_by_row(o, r, w, m, depth);
		return;
	}
	*depth = bound_of(o, g);
	if (g->state == OPEN && *depth + 1 < o->chain->cnt)
		ask(o, w, m, 0);
	else
		settle(w, m, granule_end(o, w->voff) - w->voff);
}

void owner_start(struct owner *o, struct owner_walk *w, struct image_map *m,
		 unsigned *depth)
{
	w->active = m->voff < o->size_len;
	if (!w->active)
		return;
	w->voff = m->voff;
	w->want = m->len;
	aim(o, w, m, depth);
}

/* How far, from m->voff on, walks go past the layer by what m says. An error
 * is left to the reader: what he wants may lie elsewhere. */
static uint64_t past(const struct owner *o, const struct image_map *m,
		     unsigned layer)
{
	uint64_t below_len = o->chain->layers[layer + 1]->size_len;

	if (m->res || m->kind != MAP_PARENT)
		return m->voff;
	return u64_max(m->voff, u64_min(m->voff + m->len, below_len));
}

/* The whole granule was asked for. True: nothing more is to be known of this
 * layer. */
static bool surveyed_whole(const struct owner *o, struct granule *g,
			   const struct image_map *m, unsigned layer)
{
	uint64_t end = granule_end(o, m->voff);
	uint64_t to = past(o, m, layer);

	if (bound_of(o, g) != layer || g->state != OPEN)
		return true; /* somebody else was faster */
	if (MUTATED(OWNER_WHOLE_GRANULES) && to > m->voff)
		to = end;
	if (to == end)
		g->bound = (uint8_t)(layer + 1);
	else if (m->res || (to == m->voff && m->voff + m->len == end))
		g->state = WHOLE;
	else
		g->state = MIXED;
	return g->state != MIXED;
}

/* O3 for the pieces of a row; returns the next one to ask the layer about. */
static unsigned surveyed_pieces(const struct owner *o, struct row *r,
				const struct image_map *m, unsigned layer)
{
	uint64_t start = granule_start(o, m->voff);
	uint64_t end = granule_end(o, m->voff), to = past(o, m, layer);
	uint64_t piece_len = UINT64_C(1) << o->piece_shift;
	unsigned from, stop, next;

	if (to == end || MUTATED(OWNER_WHOLE_PIECES))
		to = align_up(to, piece_len);
	from = (unsigned)((m->voff - start) >> o->piece_shift);
	stop = (unsigned)((to - start) >> o->piece_shift);
	while ((from = find_bound(r, from, stop, layer)) < stop) {
		unsigned other = find_other(r, from, stop, layer);

		memset(r->bound + from, (int)layer + 1, other - from);
		from = other;
	}
	to = m->res ? end : m->voff + m->len;
	next = (unsigned)((align_up(to, piece_len) - start) >> o->piece_shift);
	next = find_bound(r, next, PIECES, layer);
	end = u64_min(end, o->chain->layers[layer]->size_len);
	return start + next * piece_len < end ? next : PIECES;
}

void owner_surveyed(struct owner *o, struct owner_walk *w, struct image_map *m,
		    unsigned *depth)
{
	struct granule *g = granule_at(o, w->voff);
	struct row *r = row_at(o, w->voff);
	unsigned layer = *depth, next = PIECES;

	if (!r && m->voff != granule_start(o, w->voff)) {
		/* The row went to another granule: enough is enough. */
		*depth = bound_of(o, g);
		settle(w, m, granule_end(o, w->voff) - w->voff);
		m->res = 0;
		return;
	}
	if (!r && !surveyed_whole(o, g, m, layer))
		r = row_new(o, w->voff);
	if (r)
		next = surveyed_pieces(o, r, m, layer);
	m->res = 0;
	if (next < PIECES) {
		ask(o, w, m, next);
		return;
	}
	if (r && r->layer <= layer)
		r->layer = (uint16_t)(layer + 1);
	aim(o, w, m, depth);
}

/* ---- walks that go forward ----------------------------------------------- */

bool owner_recalls(const struct owner *o, struct owner_walk *w, unsigned depth,
		   struct image_map *m)
{
	const struct answer *a = &o->last[depth];

	w->forward = false;
	if (depth < o->top || m->voff >= o->size_len)
		return false;
	if (m->voff < a->voff || m->voff - a->voff >= a->len) {
		w->forward = true;
		w->want = m->len;
		m->len = o->chain->layers[depth]->size_len - m->voff;
		return false;
	}
	m->kind = a->kind;
	m->file = a->file;
	m->file_off = a->file_off + (m->voff - a->voff);
	m->len = u64_min(m->len, a->len - (m->voff - a->voff));
	return true;
}

void owner_heard(struct owner *o, struct owner_walk *w, unsigned depth,
		 struct image_map *m)
{
	w->forward = false;
	if (!m->res)
		o->last[depth] = (struct answer){ m->voff, m->len, m->kind,
						  m->file, m->file_off };
	m->len = u64_min(m->len, w->want);
}
