/* SPDX-License-Identifier: MIT */
/* What a read may show, M1 to M6. */
#include "model_priv.h"

#include "t.h"

static bool event_shows(const struct event *ev, const struct value *v,
			uint64_t lba)
{
	if (v->kind == VALUE_ZERO)
		return ev->gen == 0;
	return v->kind == VALUE_WRITE && v->lba == lba && ev->gen == v->gen;
}

/* When the latest event that is over by `tick` and overrides, began. */
static uint64_t floor_of_read(const struct model *m, const struct unit *u,
			      uint64_t tick)
{
	uint64_t floor = 0;

	for (unsigned i = 0; i < u->cnt; i++) {
		const struct op *o = &m->ops[u->ev[i].op];

		if (!u->ev[i].weak && o->ok && o->done < tick)
			floor = u64_max(floor, u->ev[i].start);
	}
	return floor;
}

/* Has the event left traces by pos? One that needed no change of the file
 * never does, and none is missed. */
static bool is_before(const struct model *m, const struct event *ev,
		      uint64_t pos)
{
	return ev->op == 0 || m->ops[ev->op].start_pos < pos;
}

static uint64_t floor_of_crash(const struct model *m, const struct unit *u,
			       uint64_t pos)
{
	uint64_t floor = 0;

	for (unsigned i = 0; i < u->cnt; i++) {
		const struct event *ev = &u->ev[i];

		if (!ev->weak && m->ops[ev->op].durable_pos <= pos &&
		    is_before(m, ev, pos))
			floor = u64_max(floor, ev->start);
	}
	return floor;
}

static void history_text(const struct model *m, const struct unit *u,
			 uint64_t floor, char *out, size_t len)
{
	static const char *const names[] = { "write", "zeroes", "discard" };
	unsigned from = u->cnt > 8 ? u->cnt - 8 : 0;

	for (unsigned i = from; i < u->cnt; i++) {
		const struct event *ev = &u->ev[i];
		const struct op *o = &m->ops[ev->op];

		t_append(out, len, "%s%s %u", i == from ? "" : ", ",
			 ev->op ? names[o->kind] :
			 ev->gen == GEN_PARENT ? "parent" : "past",
			 ev->gen && ev->gen != GEN_PARENT ? ev->gen : ev->op);
		t_append(out, len, " [pos %ju", (uintmax_t)o->start_pos);
		if (o->done == NEVER)
			t_append(out, len, ", in flight");
		else if (!o->ok)
			t_append(out, len, ", failed");
		if (o->durable_pos != NEVER)
			t_append(out, len, ", durable at %ju",
				 (uintmax_t)o->durable_pos);
		t_append(out, len, "]%s", ev->end >= floor ? " may show" : "");
	}
}

static bool complain(const struct model *m, const struct unit *u, uint64_t lba,
		     const struct value *v, uint64_t floor,
		     struct model_bad *bad)
{
	bad->lba = lba;
	bad->text[0] = 0;
	value_text(v, lba, bad->text, sizeof(bad->text));
	t_append(bad->text, sizeof(bad->text), "; allowed: ");
	if (u->cnt > 1 || model_past_gen(m, lba))
		history_text(m, u, floor, bad->text, sizeof(bad->text));
	else
		t_append(bad->text, sizeof(bad->text),
			 "zeros only, it was never touched");
	return false;
}

/* M5. A read that began at `now` saw `winner` while nothing else was going on
 * in this unit: it beat whatever it overlapped, and a later discard did
 * nothing. */
static void settle(struct model *m, struct unit *u, unsigned winner,
		   uint64_t now)
{
	uint64_t start = u->ev[winner].start;
	unsigned n = 0;

	for (unsigned i = 0; i < u->cnt; i++) {
		struct event ev = u->ev[i];
		const struct op *o = &m->ops[ev.op];

		if (i == winner && ev.op != 0) {
			ev.weak = !o->ok;
			ev.start = now;
			ev.end = now;
		}
		if (i != winner && o->kind == MODEL_DISCARD && ev.weak &&
		    o->ok && ev.start > start)
			continue;
		u->ev[n++] = ev;
	}
	u->cnt = n;
}

static bool verify_unit(struct model *m, const struct op *rd, struct unit *u,
			const struct value *v, struct model_bad *bad)
{
	uint64_t floor = floor_of_read(m, u, rd->start);
	unsigned shown = 0, which = 0;
	bool quiet = true;

	for (unsigned i = 0; i < u->cnt; i++) {
		const struct op *o = &m->ops[u->ev[i].op];

		if (o->done > rd->start)
			quiet = false;
		if (o->start < rd->done && u->ev[i].end >= floor &&
		    event_shows(&u->ev[i], v, u->lba)) {
			shown++;
			which = i;
		}
	}
	if (!shown)
		return complain(m, u, u->lba, v, floor, bad);
	if (quiet && shown == 1)
		settle(m, u, which, rd->start);
	return true;
}

bool model_verify_read(struct model *m, uint32_t op, const uint8_t *buf,
		       struct model_bad *bad)
{
	const struct op *rd = &m->ops[op];
	bool good = true;

	for (uint64_t i = 0; good && i < rd->len / UNIT_LEN; i++) {
		struct value v = value_of(buf + i * UNIT_LEN, m->seed);
		uint64_t lba = rd->voff / UNIT_LEN + i;
		struct unit tmp;

		good = verify_unit(m, rd, model_unit(m, lba, &tmp), &v, bad);
		free(tmp.ev);
	}
	return good;
}

static bool crash_shows(const struct model *m, const struct unit *u,
			uint64_t pos, const struct value *v,
			struct model_bad *bad)
{
	uint64_t floor = floor_of_crash(m, u, pos);

	for (unsigned k = 0; k < u->cnt; k++)
		if (is_before(m, &u->ev[k], pos) &&
		    u->ev[k].end >= floor && event_shows(&u->ev[k], v, u->lba))
			return true;
	return complain(m, u, u->lba, v, floor, bad);
}

bool model_verify_crash(const struct model *m, uint64_t pos, uint64_t voff,
			const uint8_t *buf, uint64_t len,
			struct model_bad *bad)
{
	bool good = true;

	for (uint64_t i = 0; good && i < len / UNIT_LEN; i++) {
		struct value v = value_of(buf + i * UNIT_LEN, m->seed);
		struct unit tmp;

		good = crash_shows(m, model_unit(m, voff / UNIT_LEN + i, &tmp),
				   pos, &v, bad);
		free(tmp.ev);
	}
	return good;
}
