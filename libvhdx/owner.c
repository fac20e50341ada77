/* SPDX-License-Identifier: MIT */
/*
 * A bound is a layer that every walk reaches. Two tables hold bounds, a coarse
 * one for the whole disk and a cache of fine ones for where several layers
 * hold parts of one granule:
 *
 *   coarse  one per granule of 2 MiB (larger on disks above 4 TiB); made by a
 *           survey when the granule is first read: layer after layer is asked
 *           for all of it, until one holds a part
 *   fine    one per 4 KiB, in lines of 256 KiB that replace each other; made
 *           by each walk that went deeper than the coarse bound
 *
 *  O1  Described are layers that nobody writes: from `top` on, which is 1
 *      where the leaf is writable, for then its answer may change.
 *  O2  A bound d of a range means: for every byte of it each layer from top to
 *      d - 1 says MAP_PARENT, and the layer below that one is long enough to
 *      be asked. So a walk that starts at d ends where one from top ends.
 *  O3  A bound is noted for a piece only if the answers it rests on cover the
 *      piece whole; 0 and a line that is gone mean "nothing known".
 *  O4  What lies beyond the disk as it was at open is not described.
 */
#include "owner.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

#define LAYERS_MIN 3u /* described; fewer are asked in no time */
#define COARSE_MIN (2 * MIB)
#define COARSE_CNT_MAX (UINT64_C(1) << 21)
#define FINE_LEN (4 * KIB)
#define LINE_FINE 64u
#define LINE_LEN (LINE_FINE * FINE_LEN)
#define LINE_CNT_MAX (UINT64_C(1) << 17)

struct coarse {
	uint8_t bound;
	bool surveyed; /* layer `bound` holds a part, or is the last */
};

struct line {
	uint32_t tag; /* number of the line + 1; 0: empty */
	uint8_t bound[LINE_FINE];
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
	uint64_t granule_len;
	uint64_t line_mask;
	struct coarse *coarse;
	struct line *lines;
	struct answer last[CHAIN_MAX];
};

int owner_new(const struct chain *c, struct owner **out, struct vhdx_err *e)
{
	bool asked = c->layers[0]->writable && !MUTATED(OWNER_LEAF_ASKED);
	unsigned top = asked ? 1 : 0;
	uint64_t size_len = c->layers[0]->size_len, line_cnt = 1;
	struct owner *o;

	*out = NULL;
	if (c->cnt < top + LAYERS_MIN)
		return 0;
	o = mem_zalloc(sizeof(*o));
	if (!o)
		return err_set(e, VHDX_E_NOMEM, "no memory for a chain");
	o->chain = c;
	o->top = top;
	o->size_len = size_len;
	o->granule_len = COARSE_MIN;
	while (div_up(size_len, o->granule_len) > COARSE_CNT_MAX)
		o->granule_len *= 2;
	while (line_cnt < LINE_CNT_MAX && line_cnt * LINE_LEN < size_len)
		line_cnt *= 2;
	o->line_mask = line_cnt - 1;
	o->coarse = mem_array(div_up(size_len, o->granule_len) + 1,
			      sizeof(*o->coarse));
	o->lines = mem_array(line_cnt, sizeof(*o->lines));
	if (!o->coarse || !o->lines) {
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
	mem_free(o->coarse);
	mem_free(o->lines);
	mem_free(o);
}

unsigned owner_top(const struct owner *o)
{
	return o->top;
}

/* ---- fine bounds --------------------------------------------------------- */

static struct line *line_at(const struct owner *o, uint64_t voff)
{
	return &o->lines[voff / LINE_LEN & o->line_mask];
}

static uint32_t tag_at(uint64_t voff)
{
	return (uint32_t)(voff / LINE_LEN) + 1;
}

/* The least bound of the pieces that [voff, voff + len) touches. */
static unsigned fine_bound(const struct owner *o, uint64_t voff, uint64_t len)
{
	unsigned least = UINT8_MAX;

	for (uint64_t at = align_down(voff, FINE_LEN);
	     least && at < voff + len; at += FINE_LEN) {
		const struct line *l = line_at(o, at);
		unsigned b = l->bound[at / FINE_LEN % LINE_FINE];

		if (l->tag != tag_at(at))
			b = 0;
		least = b < least ? b : least;
	}
	return least;
}

/* O3: the pieces that lie in the range whole. */
static void note_fine(struct owner *o, uint64_t voff, uint64_t len,
		      unsigned bound)
{
	uint64_t from = align_up(voff, FINE_LEN);
	uint64_t to = align_down(voff + len, FINE_LEN);

	if (voff + len == o->size_len)
		to = align_up(voff + len, FINE_LEN);
	if (MUTATED(OWNER_WHOLE_PIECES))
		from = align_down(voff, FINE_LEN);
	for (uint64_t at = from; at < to; at += FINE_LEN) {
		struct line *l = line_at(o, at);

		if (l->tag != tag_at(at)) {
			memset(l->bound, 0, sizeof(l->bound));
			l->tag = tag_at(at);
		}
		l->bound[at / FINE_LEN % LINE_FINE] = (uint8_t)bound;
	}
}

/* ---- a walk -------------------------------------------------------------- */

static struct coarse *coarse_at(const struct owner *o, uint64_t voff)
{
	return &o->coarse[voff / o->granule_len];
}

static uint64_t granule_end(const struct owner *o, uint64_t voff)
{
	return u64_min((voff / o->granule_len + 1) * o->granule_len,
		       o->size_len);
}

/* The next question: about the granule while that is not surveyed; then for
 * the extent from the best bound on. From the coarse one the walk may as well
 * learn about all that follows in the granule (O2 holds for that too). */
static void aim(const struct owner *o, struct owner_walk *w,
		struct image_map *m, unsigned *depth)
{
	const struct coarse *c = coarse_at(o, w->voff);
	uint64_t end = granule_end(o, w->voff);
	unsigned fine;

	*depth = c->bound > o->top ? c->bound : o->top;
	w->survey = !c->surveyed;
	if (w->survey) {
		m->voff = align_down(w->voff, o->granule_len);
		m->len = end - m->voff;
		return;
	}
	fine = fine_bound(o, w->voff, w->want);
	m->voff = w->voff;
	m->len = fine > *depth ? w->want : end - w->voff;
	*depth = fine > *depth ? fine : *depth;
	w->from = *depth;
}

void owner_start(const struct owner *o, struct owner_walk *w,
		 struct image_map *m, unsigned *depth)
{
	w->active = m->voff < o->size_len;
	w->survey = false;
	if (!w->active)
		return;
	w->voff = m->voff;
	w->want = u64_min(m->len, granule_end(o, m->voff) - m->voff);
	aim(o, w, m, depth);
}

/* The layer below is asked for all of the granule too. */
static bool goes_on(const struct owner *o, const struct owner_walk *w,
		    const struct image_map *m, unsigned depth)
{
	uint64_t end = granule_end(o, w->voff);
	bool all = m->voff + m->len == end || MUTATED(OWNER_WHOLE_GRANULES);

	return !m->res && m->kind == MAP_PARENT && all &&
	       depth + 1 < o->chain->cnt &&
	       o->chain->layers[depth + 1]->size_len >= end;
}

/* An error is left to the walk: what it reads may lie elsewhere. */
void owner_surveyed(struct owner *o, struct owner_walk *w, struct image_map *m,
		    unsigned *depth)
{
	struct coarse *c = coarse_at(o, w->voff);

	/* Others may have surveyed the same granule meanwhile. */
	if (!goes_on(o, w, m, *depth))
		c->surveyed = true;
	else if (c->bound <= *depth)
		c->bound = (uint8_t)(*depth + 1);
	m->res = 0;
	aim(o, w, m, depth);
}

void owner_ended(struct owner *o, struct owner_walk *w, struct image_map *m,
		 unsigned depth)
{
	if (depth > w->from)
		note_fine(o, m->voff, m->len, depth);
	m->len = u64_min(m->len, w->want);
	w->active = false;
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
