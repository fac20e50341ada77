/* SPDX-License-Identifier: MIT */
#include "model_priv.h"

#define NEIGHBOUR 4096u /* touched ranges grow to this, and by as much */

static void *grow(void *p, size_t cnt, size_t *max, size_t each)
{
	if (cnt < *max)
		return p;
	*max = *max ? *max * 2 : 4;
	p = realloc(p, *max * each);
	ASSERT(p);
	return p;
}

/* Operation 0: the past. All it did is durable. */
static void push_past(struct model *m)
{
	m->ops[0] = (struct op){ .kind = MODEL_ZERO, .ok = true };
	m->op_cnt = 1;
	m->op_open = 1;
	m->tick = 1;
}

struct model *model_new(uint64_t size_len, uint64_t seed, bool child)
{
	struct model *m = calloc(1, sizeof(*m));

	ASSERT(m);
	m->size_len = size_len;
	m->seed = seed;
	m->child = child;
	m->past_zero = calloc(div_up(size_len, WINDOW_EVERY),
			      window_len(size_len) / UNIT_LEN / 8 + 1);
	m->op_max = 256;
	m->ops = calloc(m->op_max, sizeof(*m->ops));
	m->hash_mask = 1023;
	m->hash = calloc(m->hash_mask + 1, sizeof(*m->hash));
	ASSERT(m->ops && m->hash && m->past_zero);
	push_past(m);
	return m;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->unit_cnt; i++)
		free(m->units[i].ev);
	free(m->units);
	free(m->ops);
	free(m->hash);
	free(m->ranges);
	free(m->past_zero);
	free(m);
}

uint32_t model_op_cnt(const struct model *m)
{
	return m->op_cnt - 1;
}

/* ---- units ------------------------------------------------------------ */

static size_t slot_of(const struct model *m, uint64_t lba)
{
	size_t h = (size_t)((lba * UINT64_C(0x9e3779b97f4a7c15)) >> 20);

	for (h &= m->hash_mask; m->hash[h]; h = (h + 1) & m->hash_mask)
		if (m->units[m->hash[h] - 1].lba == lba)
			break;
	return h;
}

static void rehash(struct model *m)
{
	free(m->hash);
	m->hash_mask = m->hash_mask * 2 + 1;
	m->hash = calloc(m->hash_mask + 1, sizeof(*m->hash));
	ASSERT(m->hash);
	for (size_t i = 0; i < m->unit_cnt; i++)
		m->hash[slot_of(m, m->units[i].lba)] = (uint32_t)i + 1;
}

static bool alters(enum model_kind kind)
{
	return kind != MODEL_FLUSH && kind != MODEL_READ;
}

static bool clears(const struct op *o, uint64_t lba)
{
	return (o->kind == MODEL_ZERO || o->kind == MODEL_DISCARD) &&
	       lba * UNIT_LEN >= o->voff && lba * UNIT_LEN - o->voff < o->len;
}

static void add_event(struct unit *u, struct event ev)
{
	size_t max = u->max;

	u->ev = grow(u->ev, u->cnt, &max, sizeof(*u->ev));
	u->max = (unsigned)max;
	u->ev[u->cnt++] = ev;
}

static void add_op(const struct model *m, struct unit *u, uint32_t op)
{
	const struct op *o = &m->ops[op];

	add_event(u, (struct event){
		.op = op, .start = o->start, .end = o->done,
		.gen = o->kind == MODEL_WRITE ? m->gen_base + op : 0,
		.weak = o->kind == MODEL_DISCARD ||
			(o->done != NEVER && !o->ok) });
}

/* Of a unit in a window. */
static uint64_t past_bit(const struct model *m, uint64_t lba)
{
	uint64_t every = WINDOW_EVERY / UNIT_LEN;

	return lba / every * (window_len(m->size_len) / UNIT_LEN) + lba % every;
}

uint32_t model_past_gen(const struct model *m, uint64_t lba)
{
	uint64_t bit;

	if (!m->child || !parent_has(m->size_len, lba))
		return 0;
	bit = past_bit(m, lba);
	return m->past_zero[bit / 8] >> bit % 8 & 1 ? 0 : GEN_PARENT;
}

/* What a unit that nothing was written to has been through. In a disk without
 * a parent what has ended made no difference. */
static void unit_begin(const struct model *m, struct unit *u, uint64_t lba)
{
	*u = (struct unit){ .lba = lba };
	add_event(u, (struct event){ .gen = model_past_gen(m, lba) });
	for (uint32_t i = m->child ? 1 : m->op_open; i < m->op_cnt; i++)
		if ((m->child || m->ops[i].done == NEVER) &&
		    clears(&m->ops[i], lba))
			add_op(m, u, i);
}

/* In a base disk only writes make units: zeros and discards add nothing to a
 * unit that was never written, except that they may still beat the write that
 * makes it. In a child they do add something, so they make a few of the units
 * they touch. */
static struct unit *unit_get(struct model *m, uint64_t lba)
{
	size_t h = slot_of(m, lba);
	struct unit *u;

	if (m->hash[h])
		return &m->units[m->hash[h] - 1];
	m->units = grow(m->units, m->unit_cnt, &m->unit_max,
			sizeof(*m->units));
	u = &m->units[m->unit_cnt++];
	unit_begin(m, u, lba);
	m->hash[h] = (uint32_t)m->unit_cnt;
	m->ranges_stale = true;
	if (m->unit_cnt * 2 > m->hash_mask)
		rehash(m);
	return &m->units[m->unit_cnt - 1];
}

struct unit *model_unit(const struct model *m, uint64_t lba, struct unit *tmp)
{
	uint32_t i = m->hash[slot_of(m, lba)];

	tmp->ev = NULL;
	if (i)
		return &m->units[i - 1];
	unit_begin(m, tmp, lba);
	return tmp;
}

/* The known units of an operation, one by one; *pos starts at 0. */
static struct unit *next_unit(struct model *m, uint32_t op, uint64_t *pos)
{
	const struct op *o = &m->ops[op];
	uint64_t first = o->voff / UNIT_LEN, cnt = o->len / UNIT_LEN;

	while (cnt > m->unit_cnt && *pos < m->unit_cnt) {
		struct unit *u = &m->units[(*pos)++];

		if (u->lba >= first && u->lba - first < cnt)
			return u;
	}
	while (cnt <= m->unit_cnt && *pos < cnt) {
		uint32_t i = m->hash[slot_of(m, first + (*pos)++)];

		if (i)
			return &m->units[i - 1];
	}
	return NULL;
}

/* Always the same few of a range, so that they meet again. */
static void make_samples(struct model *m, uint64_t voff, uint64_t len)
{
	uint64_t first = voff / UNIT_LEN, end = (voff + len) / UNIT_LEN;
	uint64_t every = u64_min(MIB, window_len(m->size_len)) / UNIT_LEN;

	unit_get(m, first);
	unit_get(m, end - 1);
	for (uint64_t at = align_up(first, every); at < end; at += every)
		for (uint64_t n = 0; n < 3 && at + n * 331 < end; n++)
			unit_get(m, at + n * 331);
}

/* ---- operations ------------------------------------------------------- */

uint32_t model_begin(struct model *m, enum model_kind kind, uint64_t voff,
		     uint64_t len, bool fua, uint64_t pos)
{
	uint32_t op = m->op_cnt;
	size_t max = m->op_max;
	struct unit *u;
	uint64_t it = 0;

	if (kind == MODEL_WRITE)
		for (uint64_t i = 0; i < len / UNIT_LEN; i++)
			unit_get(m, voff / UNIT_LEN + i);
	else if (m->child && alters(kind))
		make_samples(m, voff, len);
	m->ops = grow(m->ops, m->op_cnt, &max, sizeof(*m->ops));
	m->op_max = (uint32_t)max;
	m->op_cnt++;
	m->ops[op] = (struct op){ kind, fua, false, voff, len, m->tick++,
				  NEVER, pos, NEVER };
	while (alters(kind) && (u = next_unit(m, op, &it)))
		add_op(m, u, op);
	return op;
}

void model_fill(const struct model *m, uint32_t op, uint8_t *buf)
{
	const struct op *o = &m->ops[op];

	for (uint64_t i = 0; i < o->len / UNIT_LEN; i++)
		value_fill(buf + i * UNIT_LEN, o->voff / UNIT_LEN + i,
			   m->gen_base + op, m->seed);
}

static void flush_done(struct model *m, const struct op *flush, uint64_t pos)
{
	for (uint32_t i = 1; i < m->op_cnt; i++) {
		struct op *o = &m->ops[i];

		if (o->ok && o->done < flush->start && o->durable_pos > pos)
			o->durable_pos = pos;
	}
}

static struct event *event_of(struct unit *u, uint32_t op)
{
	unsigned i = 0;

	while (u->ev[i].op != op)
		ASSERT(++i < u->cnt);
	return &u->ev[i];
}

void model_end(struct model *m, uint32_t op, bool ok, uint64_t pos)
{
	struct op *o = &m->ops[op];
	struct unit *u;
	uint64_t it = 0;

	ASSERT(o->done == NEVER);
	o->done = m->tick++;
	o->ok = ok;
	if (o->kind == MODEL_FLUSH && ok)
		flush_done(m, o, pos);
	while (m->op_open < m->op_cnt && m->ops[m->op_open].done != NEVER)
		m->op_open++;
	if (!alters(o->kind))
		return;
	if (ok && o->fua)
		o->durable_pos = pos;
	while ((u = next_unit(m, op, &it))) {
		struct event *ev = event_of(u, op);

		ev->end = o->done;
		if (!ok)
			ev->weak = true;
	}
}

/* ---- ranges ----------------------------------------------------------- */

static int by_lba(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

const struct model_range *model_touched(struct model *m, size_t *cnt)
{
	if (m->ranges_stale) {
		uint64_t *lba = calloc(m->unit_cnt + 1, sizeof(*lba));

		free(m->ranges);
		m->ranges = calloc(m->unit_cnt + 1, sizeof(*m->ranges));
		ASSERT(lba && m->ranges);
		for (size_t i = 0; i < m->unit_cnt; i++)
			lba[i] = m->units[i].lba;
		qsort(lba, m->unit_cnt, sizeof(*lba), by_lba);
		m->range_cnt = 0;
		for (size_t i = 0; i < m->unit_cnt; i++) {
			uint64_t off = align_down(lba[i] * UNIT_LEN, NEIGHBOUR);
			uint64_t end = off + 2 * NEIGHBOUR;
			struct model_range *r = m->ranges + m->range_cnt;

			off -= off ? NEIGHBOUR : 0;
			end = u64_min(end, m->size_len);
			if (m->range_cnt && off <= r[-1].voff + r[-1].len)
				r[-1].len = end - r[-1].voff;
			else
				m->ranges[m->range_cnt++] =
					(struct model_range){ off, end - off };
		}
		free(lba);
		m->ranges_stale = false;
	}
	*cnt = m->range_cnt;
	return m->ranges;
}

typedef void read_fn(void *arg, uint64_t voff, uint8_t *buf, uint64_t len);

/* The past of the units that are not known: has it the parent's content? */
static void rebase_past(struct model *m, read_fn *read, void *arg,
			uint64_t voff)
{
	static uint8_t buf[256 * KIB];
	uint64_t len = u64_min(sizeof(buf), m->size_len - voff);

	read(arg, voff, buf, len);
	for (uint64_t i = 0; i < len / UNIT_LEN; i++) {
		struct value v = value_of(buf + i * UNIT_LEN, m->seed);
		uint64_t bit = past_bit(m, voff / UNIT_LEN + i);

		if (v.kind == VALUE_ZERO)
			m->past_zero[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

static void rebase_windows(struct model *m, read_fn *read, void *arg)
{
	for (uint64_t w = 0; w < m->size_len; w += WINDOW_EVERY)
		for (uint64_t at = 0; at < window_len(m->size_len) &&
				      w + at < m->size_len; at += 256 * KIB)
			rebase_past(m, read, arg, w + at);
}

void model_rebase(struct model *m,
		  void (*read)(void *arg, uint64_t voff, uint8_t *buf,
			       uint64_t len), void *arg)
{
	size_t cnt;
	const struct model_range *r = model_touched(m, &cnt);

	for (size_t i = 0; i < cnt; i++) {
		uint8_t *buf = malloc(r[i].len);

		ASSERT(buf);
		read(arg, r[i].voff, buf, r[i].len);
		for (uint64_t k = 0; k < r[i].len / UNIT_LEN; k++) {
			uint64_t lba = r[i].voff / UNIT_LEN + k;
			struct value v = value_of(buf + k * UNIT_LEN, m->seed);
			uint32_t slot = m->hash[slot_of(m, lba)];

			if (!slot)
				continue;
			m->units[slot - 1].cnt = 1;
			m->units[slot - 1].ev[0] = (struct event){
				.gen = v.kind == VALUE_WRITE ? v.gen : 0 };
		}
		free(buf);
	}
	if (m->child)
		rebase_windows(m, read, arg);
	m->gen_base += m->op_cnt;
	push_past(m);
}
