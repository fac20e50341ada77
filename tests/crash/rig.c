/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include "t.h"

#define SUBSET (UINT64_C(1) << 63) /* the rest of the number is the subset */
#define SUBSETS_OF 3		   /* open changes: try all subsets */

void rig_init(struct rig *r, const struct memimg *img, uint64_t seed)
{
	static const unsigned delays[] = { 0, 1, 1, 2, 3, 6 };
	struct crash_opts o = { .seed = seed };

	o.max_delay = delays[t_rand_below(&seed, ARRAY_LEN(delays))];
	o.no_punch = t_rand_below(&seed, 2);
	r->world = crash_world_new(&o);
	r->disk = crash_disk_new(r->world, "disk", img);
}

void rig_fini(struct rig *r)
{
	crash_world_free(r->world);
}

struct file *rig_open(struct rig *r, struct loop *l)
{
	struct file *f;

	if (crash_disk_open(r->disk, l, &f, NULL))
		abort();
	return f;
}

uint64_t rig_pos(void *rig)
{
	return crash_now(((struct rig *)rig)->world);
}

/* ---- instants ---------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

size_t rig_instants(struct rig *r, uint64_t max, uint64_t *rng, uint64_t *out)
{
	uint64_t now = crash_now(r->world), before = 0, *all, *full;
	size_t cnt = 0, full_cnt = 0;

	all = malloc((now + 2) * sizeof(*all));
	full = malloc((now + 2) * sizeof(*full));
	ASSERT(all && full);
	for (uint64_t k = 0;; k = crash_next(r->world, k)) {
		uint64_t open = crash_op_cnt(r->disk, k);

		if (open < before) /* a sync completed here */
			full[full_cnt++] = all[cnt - 1];
		before = open;
		all[cnt++] = k;
		if (k == now || crash_next(r->world, k) == k)
			break;
	}
	for (size_t i = 0; i < u64_min(cnt, max); i++) {
		out[i] = all[cnt <= max ? i : t_rand_below(rng, cnt)];
		if (cnt > max && full_cnt && t_rand_below(rng, 3))
			out[i] = full[t_rand_below(rng, full_cnt)];
	}
	free(all);
	free(full);
	cnt = u64_min(cnt, max);
	qsort(out, cnt, sizeof(*out), ascending);
	return cnt;
}

/* ---- contents ---------------------------------------------------------- */

uint64_t rig_state_cnt(struct rig *r, uint64_t k, uint64_t max)
{
	uint64_t open = crash_op_cnt(r->disk, k);

	if (open > SUBSETS_OF)
		return max;
	return (UINT64_C(1) << open) + (open ? 2 : 0); /* and some torn */
}

uint64_t rig_state_number(struct rig *r, uint64_t k, uint64_t n, uint64_t *rng)
{
	uint64_t open = crash_op_cnt(r->disk, k);

	if (open <= SUBSETS_OF && n < UINT64_C(1) << open)
		return SUBSET | n;
	return n < 2 ? n : 2 + t_rand_below(rng, UINT32_MAX);
}

/* Whole changes only: all but one, only one, the later ones only, the earlier
 * ones only. */
static uint64_t mask_of(uint64_t style, uint64_t open, uint64_t *rng)
{
	uint64_t bit = UINT64_C(1) << t_rand_below(rng, open);

	switch (style) {
	case 0:
		return ~bit;
	case 1:
		return bit;
	case 2:
		return ~(bit - 1);
	default:
		return bit - 1;
	}
}

void rig_state(struct rig *r, uint64_t k, uint64_t number, struct memimg *out)
{
	uint64_t open = crash_op_cnt(r->disk, k), rng = number;
	uint64_t style = t_rand_below(&rng, 10);
	struct crash_pick p = { CRASH_SEED, t_rand(&rng) };

	if (number < 2)
		p.kind = number ? CRASH_ALL : CRASH_NONE;
	else if (number & SUBSET)
		p = (struct crash_pick){ CRASH_OPS, number & ~SUBSET };
	else if (style < 4 && open && open <= 64)
		p = (struct crash_pick){ CRASH_OPS,
					 mask_of(style, open, &rng) };
	crash_build(r->disk, k, &p, out);
}
