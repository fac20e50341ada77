/* SPDX-License-Identifier: MIT */
/*
 * A unit's events are the requests that touched it and may still show. `start`
 * and `end` order them within the unit; once a quiet read has shown who won,
 * the winner counts as having happened just then. `done` stays what it was. An
 * event is `firm` if it certainly happened.
 */
#include "truth.h"

#include <pthread.h>
#include <string.h>

#include "t.h"

#define NEVER UINT64_MAX
#define GARBAGE (UINT32_MAX - 1)
#define HALVES_MAX 64

struct event {
	uint32_t gen; /* 0: zeros */
	uint32_t op;  /* number; 0: the past */
	uint64_t start, end, done; /* ticks */
	enum truth_kind kind;
	bool firm, ok, failed, fua;
};

struct unit {
	struct event *ev; /* owned */
	unsigned cnt, max;
};

struct truth {
	pthread_mutex_t lock;
	uint64_t size_len, seed;
	bool halves; /* T4 */
	uint64_t tick;
	uint32_t gen;	     /* the last one given */
	uint64_t flushed;    /* what ended with success before is durable */
	uint64_t cut;	     /* NEVER, or when power failed */
	struct list reads;   /* in flight, oldest first */
	struct unit *units;
};

struct truth *truth_new(uint64_t size_len, uint64_t seed, bool halves)
{
	struct truth *t = calloc(1, sizeof(*t));

	ASSERT(t);
	t->size_len = size_len;
	t->seed = seed;
	t->halves = halves;
	t->tick = 1;
	t->gen = 1000; /* below: what the disk begins with */
	t->cut = NEVER;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->reads);
	t->units = calloc(size_len / UNIT_LEN, sizeof(*t->units));
	ASSERT(t->units);
	for (uint64_t i = 0; i < size_len / UNIT_LEN; i++)
		truth_rebase(t, i, 0);
	return t;
}

void truth_free(struct truth *t)
{
	if (!t)
		return;
	for (uint64_t i = 0; i < t->size_len / UNIT_LEN; i++)
		free(t->units[i].ev);
	free(t->units);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- events ------------------------------------------------------------- */

static void add_event(struct unit *u, struct event ev)
{
	if (u->cnt == u->max) {
		u->max = u->max ? 2 * u->max : 2;
		u->ev = realloc(u->ev, u->max * sizeof(*u->ev));
		ASSERT(u->ev);
	}
	u->ev[u->cnt++] = ev;
}

static bool is_durable(const struct truth *t, const struct event *ev)
{
	return ev->firm && ev->ok &&
	       (ev->done < t->flushed || (ev->fua && ev->done < t->cut));
}

/* What ended before the latest of these began cannot show any more. Of those
 * that had ended by `tick`, and are durable if that matters. */
static uint64_t floor_of(const struct truth *t, const struct unit *u,
			 uint64_t tick, bool durable)
{
	uint64_t floor = 0;

	for (unsigned i = 0; i < u->cnt; i++) {
		const struct event *ev = &u->ev[i];

		if (ev->firm && ev->done < tick &&
		    (!durable || is_durable(t, ev)))
			floor = u64_max(floor, ev->start);
	}
	return floor;
}

/* Forgets what no read, now or later, nor a power failure can show. */
static void prune(struct truth *t, struct unit *u)
{
	uint64_t oldest = t->tick, floor;
	unsigned n = 0;

	if (u->cnt < 2)
		return;
	if (!list_empty(&t->reads))
		oldest = list_first(&t->reads, struct truth_op, node)->start;
	floor = floor_of(t, u, oldest, true);
	for (unsigned i = 0; i < u->cnt; i++)
		if (u->ev[i].end >= floor)
			u->ev[n++] = u->ev[i];
	u->cnt = n;
}

void truth_rebase(struct truth *t, uint64_t lba, uint32_t gen)
{
	struct unit *u = &t->units[lba];

	u->cnt = 0;
	add_event(u, (struct event){ .gen = gen, .kind = TRUTH_WRITE,
				     .firm = true, .ok = true, .fua = true });
	t->cut = NEVER;
}

/* ---- requests ----------------------------------------------------------- */

static bool alters(const struct truth_op *op)
{
	return op->kind != TRUTH_READ && op->kind != TRUTH_FLUSH;
}

static void begin_altering(struct truth *t, const struct truth_op *op)
{
	for (uint64_t i = 0; i < op->len / UNIT_LEN; i++) {
		struct unit *u = &t->units[op->voff / UNIT_LEN + i];

		prune(t, u);
		add_event(u, (struct event){
			.gen = op->kind == TRUTH_WRITE ? op->gen : 0,
			.op = op->gen, .start = op->start, .end = NEVER,
			.done = NEVER, .kind = op->kind, .fua = op->fua });
	}
}

void truth_begin(struct truth *t, struct truth_op *op)
{
	pthread_mutex_lock(&t->lock);
	op->start = t->tick++;
	list_init(&op->node);
	if (op->kind == TRUTH_READ)
		list_add_tail(&t->reads, &op->node);
	if (alters(op)) {
		op->gen = ++t->gen;
		begin_altering(t, op);
	}
	pthread_mutex_unlock(&t->lock);
}

void truth_fill(const struct truth *t, const struct truth_op *op,
		uint8_t *buf)
{
	for (uint64_t i = 0; i < op->len / UNIT_LEN; i++)
		value_fill(buf + i * UNIT_LEN, op->voff / UNIT_LEN + i,
			   op->gen, t->seed);
}

static void end_event(struct unit *u, uint32_t op, uint64_t tick,
		      enum truth_end how)
{
	struct event *ev = u->ev;

	while (ev->op != op)
		ASSERT(++ev < u->ev + u->cnt);
	ev->end = ev->done = tick;
	ev->ok = how == TRUTH_OK;
	ev->failed = how == TRUTH_FAILED;
	ev->firm = ev->ok && ev->kind != TRUTH_DISCARD;
}

void truth_end(struct truth *t, struct truth_op *op, enum truth_end how)
{
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	now = t->tick++;
	if (op->kind == TRUTH_READ)
		list_del(&op->node);
	if (op->kind == TRUTH_FLUSH && how == TRUTH_OK && t->cut == NEVER)
		t->flushed = u64_max(t->flushed, op->start);
	for (uint64_t i = 0; alters(op) && i < op->len / UNIT_LEN; i++)
		end_event(&t->units[op->voff / UNIT_LEN + i], op->gen, now,
			  how);
	pthread_mutex_unlock(&t->lock);
}

uint64_t truth_now(struct truth *t)
{
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	now = t->tick++;
	pthread_mutex_unlock(&t->lock);
	return now;
}

void truth_cut(struct truth *t)
{
	pthread_mutex_lock(&t->lock);
	t->cut = t->tick++;
	pthread_mutex_unlock(&t->lock);
}

/* ---- what a read may show ----------------------------------------------- */

static uint32_t gen_of(const struct truth *t, const uint8_t *unit,
		       uint64_t lba)
{
	struct value v = value_of(unit, t->seed);

	if (v.kind == VALUE_ZERO)
		return 0;
	return v.kind == VALUE_WRITE && v.lba == lba ? v.gen : GARBAGE;
}

uint32_t truth_gen(const struct truth *t, const uint8_t *unit)
{
	struct value v = value_of(unit, t->seed);

	return v.kind == VALUE_ZERO ? 0 : v.gen;
}

static void event_text(const struct truth *t, const struct event *ev,
		       uint64_t floor, char *out, size_t len)
{
	static const char *const names[] = {
		[TRUTH_WRITE] = "write", [TRUTH_ZERO] = "zeroes",
		[TRUTH_DISCARD] = "discard" };

	if (ev->op)
		t_append(out, len, "\n    %s %u [%ju, ", names[ev->kind],
			 ev->op, (uintmax_t)ev->start);
	else
		t_append(out, len, "\n    the past, %u [%ju, ", ev->gen,
			 (uintmax_t)ev->start);
	if (ev->end == NEVER)
		t_append(out, len, "in flight]");
	else
		t_append(out, len, "%ju]%s%s", (uintmax_t)ev->end,
			 ev->failed ? " failed" : ev->ok ? "" : " cancelled",
			 is_durable(t, ev) ? " durable" : "");
	t_append(out, len, "%s", ev->end >= floor ? " may show" : "");
}

static void complain(const struct truth *t, uint64_t lba, const uint8_t *unit,
		     uint64_t floor, struct truth_bad *bad)
{
	static const uint8_t zeros[UNIT_LEN];
	struct value v = value_of(unit ? unit : zeros, t->seed);
	const struct unit *u = &t->units[lba];
	size_t len = sizeof(bad->text);
	char found[100];

	value_text(&v, lba, found, sizeof(found));
	snprintf(bad->text, len, "sector %ju shows %s; of these", lba, found);
	for (unsigned i = u->cnt > 8 ? u->cnt - 8 : 0; i < u->cnt; i++)
		event_text(t, &u->ev[i], floor, bad->text, len);
}

/* T2. A read that began at `now` saw `winner` in quiet. */
static void settle(struct unit *u, unsigned winner, uint64_t now)
{
	for (unsigned i = 0; i < u->cnt; i++)
		if (u->ev[i].failed)
			return;
	u->ev[winner].firm = true;
	u->ev[winner].start = now;
	u->ev[winner].end = now;
}

/* A read, and what it is allowed of a unit. */
struct look {
	const struct truth_op *rd;
	uint64_t done, floor;
};

static bool may_show(const struct event *ev, const struct look *k)
{
	return ev->start < k->done && ev->end >= k->floor;
}

static bool byte_is_one_of(uint8_t values[][UNIT_LEN], unsigned cnt, size_t at,
			   uint8_t byte)
{
	while (cnt-- > 0)
		if (values[cnt][at] == byte)
			return true;
	return false;
}

/* T4 */
static bool is_half_done(const struct truth *t, const struct look *k,
			 uint64_t lba, const uint8_t *found)
{
	static uint8_t values[HALVES_MAX][UNIT_LEN]; /* under the lock */
	const struct unit *u = &t->units[lba];
	bool meanwhile = false;
	unsigned cnt = 0;

	for (unsigned i = 0; i < u->cnt && cnt < HALVES_MAX; i++) {
		if (!may_show(&u->ev[i], k))
			continue;
		meanwhile |= u->ev[i].done > k->rd->start;
		memset(values[cnt], 0, UNIT_LEN);
		if (u->ev[i].gen)
			value_fill(values[cnt], lba, u->ev[i].gen, t->seed);
		cnt++;
	}
	for (size_t i = 0; i < UNIT_LEN; i++)
		if (!byte_is_one_of(values, cnt, i, found[i]))
			return false;
	return meanwhile;
}

static bool verify_unit(struct truth *t, const struct look *k, uint64_t lba,
			uint32_t gen, const uint8_t *found)
{
	struct unit *u = &t->units[lba];
	unsigned shown = 0, which = 0;
	bool quiet = t->cut == NEVER;

	if (gen == GARBAGE)
		return t->halves && is_half_done(t, k, lba, found);
	for (unsigned i = 0; i < u->cnt; i++) {
		const struct event *ev = &u->ev[i];

		if (ev->done > k->rd->start)
			quiet = false;
		if (may_show(ev, k) && ev->gen == gen) {
			shown++;
			which = i;
		}
	}
	if (quiet && shown == 1)
		settle(u, which, k->rd->start);
	return shown;
}

bool truth_end_read(struct truth *t, struct truth_op *op, const uint8_t *buf,
		    struct truth_bad *bad)
{
	uint64_t cnt = op->len / UNIT_LEN, first = op->voff / UNIT_LEN;
	uint32_t *gens = calloc(cnt + 1, sizeof(*gens));
	struct look k = { .rd = op };
	bool good = true;

	ASSERT(gens);
	for (uint64_t i = 0; buf && i < cnt; i++)
		gens[i] = gen_of(t, buf + i * UNIT_LEN, first + i);
	pthread_mutex_lock(&t->lock);
	k.done = t->tick++;
	for (uint64_t i = 0; good && i < cnt; i++) {
		const uint8_t *found = buf ? buf + i * UNIT_LEN : NULL;

		k.floor = floor_of(t, &t->units[first + i], op->start, false);
		good = verify_unit(t, &k, first + i, gens[i], found);
		if (!good)
			complain(t, first + i, found, k.floor, bad);
	}
	list_del(&op->node);
	if (!good)
		t_append(bad->text, sizeof(bad->text), "\n    and the read "
			 "[%ju, %ju]", (uintmax_t)op->start, (uintmax_t)k.done);
	pthread_mutex_unlock(&t->lock);
	free(gens);
	return good;
}

bool truth_verify_crash(struct truth *t, uint64_t voff, uint64_t len,
			const uint8_t *buf, struct truth_bad *bad)
{
	for (uint64_t i = 0; i < len / UNIT_LEN; i++) {
		uint64_t lba = voff / UNIT_LEN + i, floor;
		const struct unit *u = &t->units[lba];
		uint32_t gen = gen_of(t, buf + i * UNIT_LEN, lba);
		bool good = false;

		floor = floor_of(t, u, NEVER, true);
		for (unsigned k = 0; k < u->cnt; k++)
			good |= u->ev[k].end >= floor && u->ev[k].gen == gen;
		if (!good) {
			complain(t, lba, buf + i * UNIT_LEN, floor, bad);
			return false;
		}
	}
	return true;
}
