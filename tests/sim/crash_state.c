/* SPDX-License-Identifier: MIT */
/*
 * The other half of the crash disk: from the record to legal contents.
 *
 * At instant k the newest complete sync decides what must be there. Its base
 * is the content after the longest run of changes, in the order they took
 * effect, that it covers without a gap. From there on every change is applied
 * in that order: covered ones wholly, the others as the choice says. So a
 * content costs a clone of the base and the few changes after it.
 */
#include <string.h>

#include "crash_record.h"
#include "t.h"

/* ---- instants ---------------------------------------------------------- */

uint64_t crash_now(const struct crash_world *w)
{
	return w->event_cnt;
}

uint64_t crash_next(const struct crash_world *w, uint64_t k)
{
	for (uint64_t i = k + 1; i <= w->event_cnt; i++) {
		const struct crash_event *ev = &w->events[i - 1];

		if (!ev->op || ev->completed == (ev->op->op == FILE_SYNC))
			return i;
	}
	return w->event_cnt;
}

void crash_event_text(const struct crash_world *w, uint64_t k,
		      char out[CRASH_TEXT_LEN])
{
	static const char *const names[] = {
		[FILE_WRITE] = "write", [FILE_SYNC] = "sync",
		[FILE_TRUNCATE] = "truncate", [FILE_ZERO] = "zero",
		[FILE_PUNCH] = "punch",
	};
	const struct crash_event *ev;

	if (k == 0 || k > w->event_cnt) {
		snprintf(out, CRASH_TEXT_LEN, "event %llu: none",
			 (unsigned long long)k);
		return;
	}
	ev = &w->events[k - 1];
	if (!ev->op) {
		snprintf(out, CRASH_TEXT_LEN, "event %llu: %s",
			 (unsigned long long)k, ev->mark);
		return;
	}
	snprintf(out, CRASH_TEXT_LEN, "event %llu: %.60s: %s %llu+%llu %s",
		 (unsigned long long)k, ev->op->disk->name, names[ev->op->op],
		 (unsigned long long)ev->op->off,
		 (unsigned long long)ev->op->len,
		 ev->completed ? "completed" : "submitted");
}

/* ---- one change -------------------------------------------------------- */

uint64_t crash_sector_cnt(const struct crash_op *op)
{
	if (op->len == 0)
		return 0;
	return (op->off + op->len - 1) / CRASH_SECTOR -
	       op->off / CRASH_SECTOR + 1;
}

static uint64_t atom_cnt(const struct crash_op *op)
{
	return crash_sector_cnt(op) + (op->grows || op->op == FILE_TRUNCATE);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t s = a ^ (b * UINT64_C(0xd6e8feb86659fd93));

	return t_rand(&s);
}

/* Sectors [*i, return value) share one fate, *kept. At random, the pieces of
 * a large change are larger, to bound their number. */
static uint64_t fate_run(const struct crash_fate *f, uint64_t i, uint64_t cnt,
			 bool *kept)
{
	uint64_t piece = div_up(cnt, 256);

	switch (f->kind) {
	case FATE_PREFIX:
	case FATE_SUFFIX:
		*kept = (i < f->arg) == (f->kind == FATE_PREFIX);
		return i < f->arg ? u64_min(f->arg, cnt) : cnt;
	case FATE_RANDOM:
		*kept = mix(f->arg, i / piece) & 1;
		return u64_min((i / piece + 1) * piece, cnt);
	case FATE_MASK:
		*kept = f->arg >> i & 1;
		return i + 1;
	case FATE_LOST:
	case FATE_WHOLE:
		break;
	}
	*kept = f->kind == FATE_WHOLE;
	return cnt;
}

static void apply_data(struct memimg *m, const struct crash_op *op,
		       const struct crash_fate *fate)
{
	uint64_t cnt = crash_sector_cnt(op), first = op->off / CRASH_SECTOR;
	uint64_t next;

	for (uint64_t i = 0; i < cnt; i = next) {
		uint64_t from, to;
		bool kept;

		next = fate_run(fate, i, cnt, &kept);
		from = u64_max((first + i) * CRASH_SECTOR, op->off);
		to = u64_min((first + next) * CRASH_SECTOR, op->off + op->len);
		if (kept && op->op == FILE_WRITE)
			memimg_write(m, from, op->data + (from - op->off),
				     (size_t)(to - from));
		else if (kept)
			memimg_zero(m, from, to - from);
	}
}

void crash_apply(struct memimg *m, uint64_t *size, const struct crash_op *op,
		 const struct crash_fate *fate)
{
	apply_data(m, op, fate);
	if (!fate->size)
		return;
	if (op->op == FILE_TRUNCATE) {
		if (op->off < *size)
			memimg_zero(m, op->off, MEMIMG_MAX_LEN - op->off);
		*size = op->off;
	} else if (op->grows) {
		*size = u64_max(*size, op->off + op->len);
	}
}

/* ---- the window at an instant ------------------------------------------ */

static const struct crash_op *newest_sync(const struct crash_disk *d,
					  uint64_t k)
{
	const struct crash_op *best = NULL;

	for (size_t i = d->syncs.cnt; i-- > 0;) {
		const struct crash_op *s = d->syncs.v[i];

		if (s->completed <= k &&
		    (!best || s->submitted > best->submitted))
			best = s;
		/* Whatever completed before this one was submitted is older. */
		if (best && s->completed < best->submitted)
			break;
	}
	return best;
}

static void window_add(struct crash_window *w, const struct crash_op *op,
		       bool must)
{
	if (w->cnt == w->room) {
		w->room = w->room ? 2 * w->room : 64;
		w->slots = realloc(w->slots, w->room * sizeof(w->slots[0]));
		ASSERT(w->slots);
	}
	w->slots[w->cnt++] = (struct crash_slot){ op, must };
	if (must)
		return;
	w->op_cnt++;
	w->atom_cnt += atom_cnt(op);
}

static struct crash_window *window_at(struct crash_disk *d, uint64_t k)
{
	struct crash_window *w = &d->window;
	const struct crash_op *s;

	if (w->k == k && w->seen == crash_now(d->world))
		return w;
	s = newest_sync(d, k);
	*w = (struct crash_window){ .k = k, .seen = crash_now(d->world),
				    .slots = w->slots, .room = w->room };
	w->base = s ? &s->base : &d->initial;
	for (size_t i = s ? s->base_idx : 0; i < d->order.cnt; i++) {
		const struct crash_op *op = d->order.v[i];

		if (op->submitted <= k)
			window_add(w, op, s && op->completed < s->submitted);
	}
	/* What has not taken effect so far. */
	for (size_t i = 0; d->waiting > 0 && i < d->all.cnt; i++) {
		const struct crash_op *op = d->all.v[i];

		if (op->submitted <= k && !op->executed &&
		    op->op != FILE_SYNC)
			window_add(w, op, false);
	}
	return w;
}

uint64_t crash_op_cnt(struct crash_disk *d, uint64_t k)
{
	return window_at(d, k)->op_cnt;
}

uint64_t crash_atom_cnt(struct crash_disk *d, uint64_t k)
{
	return window_at(d, k)->atom_cnt;
}

/* ---- choices ----------------------------------------------------------- */

struct chooser {
	const struct crash_pick *pick;
	uint64_t bit;	 /* OPS, ATOMS: the next one */
	uint64_t rand;	 /* SEED */
	uint64_t odds;	 /* SEED: of 16, how many changes survive */
	bool size_apart; /* SEED */
};

static struct crash_fate random_fate(struct chooser *c,
				     const struct crash_op *op)
{
	bool there = t_rand_below(&c->rand, 16) < c->odds;
	struct crash_fate f = { there ? FATE_WHOLE : FATE_LOST, 0, there };
	uint64_t cnt = crash_sector_cnt(op);

	if (cnt > 1 && t_rand_below(&c->rand, 4) == 0) {
		f.kind = FATE_PREFIX + (enum crash_fate_kind)
				t_rand_below(&c->rand, 3);
		f.arg = f.kind == FATE_RANDOM ? t_rand(&c->rand)
				: 1 + t_rand_below(&c->rand, cnt - 1);
	}
	if (c->size_apart)
		f.size = t_rand(&c->rand) & 1;
	return f;
}

static struct crash_fate choose(struct chooser *c, const struct crash_op *op)
{
	struct crash_fate f = { FATE_LOST, 0, false };
	uint64_t n = atom_cnt(op);

	switch (c->pick->kind) {
	case CRASH_NONE:
		break;
	case CRASH_ALL:
		f = (struct crash_fate){ FATE_WHOLE, 0, true };
		break;
	case CRASH_OPS:
		if (c->bit < 64 && c->pick->arg >> c->bit++ & 1)
			f = (struct crash_fate){ FATE_WHOLE, 0, true };
		break;
	case CRASH_ATOMS:
		ASSERT(c->bit + n <= 64);
		f.kind = FATE_MASK;
		f.arg = n ? c->pick->arg >> c->bit : 0;
		f.size = n > crash_sector_cnt(op) && f.arg >> (n - 1) & 1;
		c->bit += n;
		break;
	case CRASH_SEED:
		return random_fate(c, op);
	}
	return f;
}

void crash_build(struct crash_disk *d, uint64_t k,
		 const struct crash_pick *pick, struct memimg *out)
{
	static const uint64_t odds[] = { 1, 4, 8, 12, 15 };
	static const struct crash_fate whole = { FATE_WHOLE, 0, true };
	const struct crash_window *w = window_at(d, k);
	struct chooser c = { .pick = pick, .rand = pick->arg };
	uint64_t size = w->base->size;

	if (pick->kind == CRASH_SEED) {
		c.odds = odds[t_rand_below(&c.rand, ARRAY_LEN(odds))];
		c.size_apart = t_rand(&c.rand) & 1;
	}
	memimg_clone(out, w->base);
	for (size_t i = 0; i < w->cnt; i++) {
		const struct crash_slot *s = &w->slots[i];
		struct crash_fate f = s->must ? whole : choose(&c, s->op);

		crash_apply(out, &size, s->op, &f);
		/* Durable means readable, even if it did not grow the file
		 * because of an earlier write whose own growth is lost. */
		if (s->must && s->op->op == FILE_WRITE)
			size = u64_max(size, s->op->off + s->op->len);
	}
	out->size = size;
	memimg_zero(out, size, MEMIMG_MAX_LEN - size);
}

/* ---- going through them ------------------------------------------------ */

void crash_iter_init(struct crash_iter *it, struct crash_disk *d, uint64_t k,
		     uint64_t max, uint64_t seed)
{
	*it = (struct crash_iter){ .disk = d, .k = k, .max = max,
				   .seed = seed };
}

bool crash_iter_all(const struct crash_iter *it)
{
	uint64_t n = crash_atom_cnt(it->disk, it->k);

	return n < 32 && UINT64_C(1) << n <= it->max;
}

static struct crash_pick sample(const struct crash_iter *it, uint64_t i)
{
	uint64_t ops = crash_op_cnt(it->disk, it->k);

	if (i == 0)
		return (struct crash_pick){ CRASH_NONE, 0 };
	if (i == 1)
		return (struct crash_pick){ CRASH_ALL, 0 };
	i -= 2;
	if (ops <= 64 && ops <= it->max / 4) {
		if (i < ops)
			return (struct crash_pick){ CRASH_OPS,
						    UINT64_C(1) << i };
		i -= ops;
		if (i < ops)
			return (struct crash_pick){ CRASH_OPS,
						    ~(UINT64_C(1) << i) };
	}
	return (struct crash_pick){ CRASH_SEED, mix(it->seed, i) };
}

bool crash_iter_next(struct crash_iter *it, struct memimg *out)
{
	bool all = crash_iter_all(it);
	uint64_t i = it->next;

	if (i == (all ? UINT64_C(1) << crash_atom_cnt(it->disk, it->k)
		      : it->max))
		return false;
	it->next++;
	it->pick = all ? (struct crash_pick){ CRASH_ATOMS, i } : sample(it, i);
	crash_build(it->disk, it->k, &it->pick, out);
	return true;
}
