/* SPDX-License-Identifier: MIT */
#include "unused.h"

#include "mem.h"
#include "mutation.h"
#include "vhdx_edit.h"

void unused_init(struct vhdx_unused *u, uint64_t size_len)
{
	*u = (struct vhdx_unused){ .size_len = size_len };
}

void unused_free(struct vhdx_unused *u)
{
	mem_free(u->v);
	u->v = NULL;
	u->cnt = u->cap = 0;
}

int vhdx_unused_add(struct vhdx_unused *u, uint64_t voff, uint64_t len,
		    struct vhdx_err *e)
{
	struct unused_range *v;
	uint64_t end;

	if (ckd_add(voff, len, &end) || end > u->size_len)
		return err_set(e, VHDX_E_RANGE, "offset %llu, length %llu: the "
			       "disk has %llu bytes", (unsigned long long)voff,
			       (unsigned long long)len,
			       (unsigned long long)u->size_len);
	if (!len)
		return 0;
	if (u->cnt && u->v[u->cnt - 1].end == voff) {
		u->v[u->cnt - 1].end = end;
		return 0;
	}
	if (u->cnt == u->cap) {
		v = mem_resize(u->v, u->cap ? u->cap * 2 : 64, sizeof(*v));
		if (!v)
			return err_set(e, VHDX_E_NOMEM, "no memory for %llu "
				       "unused ranges",
				       (unsigned long long)u->cnt);
		u->v = v;
		u->cap = u->cap ? u->cap * 2 : 64;
	}
	u->v[u->cnt++] = (struct unused_range){ voff, end };
	return 0;
}

static int by_voff(const void *a, const void *b)
{
	const struct unused_range *x = a, *y = b;

	return (x->voff > y->voff) - (x->voff < y->voff);
}

void unused_sort(struct vhdx_unused *u)
{
	uint64_t kept = 0;

	if (!u->cnt)
		return;
	qsort(u->v, u->cnt, sizeof(*u->v), by_voff);
	for (uint64_t i = 1; i < u->cnt; i++) {
		if (u->v[i].voff > u->v[kept].end)
			u->v[++kept] = u->v[i];
		else
			u->v[kept].end = u64_max(u->v[kept].end, u->v[i].end);
	}
	u->cnt = kept + 1;
}

bool unused_covers(const struct vhdx_unused *u, uint64_t voff, uint64_t len)
{
	uint64_t from = 0, to = u ? u->cnt : 0;

	/* The last range that starts at or before voff. */
	while (from < to) {
		uint64_t mid = from + (to - from) / 2;

		if (u->v[mid].voff <= voff)
			from = mid + 1;
		else
			to = mid;
	}
	if (MUTATED(COMPACT_UNUSED_WHOLE))
		len = 1;
	return from && voff + len <= u->v[from - 1].end;
}
