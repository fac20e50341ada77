/* SPDX-License-Identifier: MIT */
/*
 * Who else owns the space that an entry claims. The map only knows that it is
 * taken; the other owner is a structure with a fixed place or another entry,
 * which one more walk over the BAT finds. That walk is made only when there is
 * something to tell, and only for what is told in full.
 */
#include "check_bat.h"

#include <inttypes.h>

#include "le.h"

void bat_clash_add(struct bat_check *b, uint64_t idx, uint64_t mib)
{
	if (b->clash_cnt < ARRAY_LEN(b->clash))
		b->clash[b->clash_cnt++] = (struct bat_clash){
			.idx = idx,
			.mib = mib,
			.owner = UINT64_MAX,
		};
	else
		b->many[KIND_OVERLAP].cnt++;
}

static int by_mib(const void *a, const void *b)
{
	const struct bat_clash *x = a, *y = b;

	return x->mib < y->mib ? -1 : x->mib > y->mib;
}

static int by_idx(const void *a, const void *b)
{
	const struct bat_clash *x = a, *y = b;

	return x->idx < y->idx ? -1 : x->idx > y->idx;
}

/* The first clash at or after MiB `mib`, of those sorted by it. */
static unsigned lower_bound(const struct bat_check *b, uint64_t mib)
{
	unsigned lo = 0, hi = b->clash_cnt;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (b->clash[mid].mib < mib)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The bytes of the file that an entry owns in the first pass; 0: none. */
static uint64_t owned_len(const struct bat_check *b, struct bat_slot s,
			  uint64_t entry)
{
	unsigned state = bat_entry_state(entry);

	if (s.behind)
		return 0;
	if (s.bitmap)
		return state == BAT_SB_PRESENT && b->v->has_parent ? MIB : 0;
	return state == BAT_FULLY_PRESENT || state == BAT_PARTIALLY_PRESENT ?
		       b->v->block_len : 0;
}

static int find_owners(struct bat_check *b, uint64_t first, uint8_t *entries,
		       uint32_t cnt, struct vhdx_err *e)
{
	(void)e;
	for (uint32_t i = 0; i < cnt; i++) {
		uint64_t entry = get_le64(entries + 8 * (size_t)i);
		uint64_t len = owned_len(b, bat_slot_at(b, first + i), entry);
		uint64_t mib = bat_entry_off(entry) / MIB;

		for (unsigned k = len ? lower_bound(b, mib) : b->clash_cnt;
		     k < b->clash_cnt && b->clash[k].mib < mib + len / MIB; k++)
			if (b->clash[k].owner == UINT64_MAX &&
			    b->clash[k].idx != first + i)
				b->clash[k].owner = first + i;
	}
	return 0;
}

static void say_clash(struct bat_check *b, const struct bat_clash *c)
{
	struct bat_slot s = bat_slot_at(b, c->owner);
	const char *what = vck_structure_at(b->v, c->mib * MIB, MIB);

	if (what)
		bat_say(b, KIND_OVERLAP, c->idx, CHECK_NO_FIX,
			"overlaps %s at file offset %" PRIu64, what,
			c->mib * MIB);
	else
		bat_say(b, KIND_OVERLAP, c->idx, CHECK_NO_FIX,
			"overlaps %s %" PRIu64 " at file offset %" PRIu64,
			s.bitmap ? "sector bitmap" : "block", s.blk,
			c->mib * MIB);
}

int bat_clash_say(struct bat_check *b, struct vhdx_err *e)
{
	uint64_t rest = b->many[KIND_OVERLAP].cnt;
	int rc;

	if (!b->clash_cnt)
		return 0;
	qsort(b->clash, b->clash_cnt, sizeof(*b->clash), by_mib);
	rc = bat_walk(b, find_owners, e);
	if (rc)
		return rc;
	qsort(b->clash, b->clash_cnt, sizeof(*b->clash), by_idx);
	b->many[KIND_OVERLAP].cnt = 0;
	for (unsigned i = 0; i < b->clash_cnt; i++)
		say_clash(b, &b->clash[i]);
	b->many[KIND_OVERLAP].cnt += rest;
	return 0;
}
