/* SPDX-License-Identifier: MIT */
#include "mibmap.h"

#include "mem.h"

int mibmap_init(struct mibmap *m, uint64_t cnt, struct vhdx_err *e)
{
	m->cnt = u64_min(cnt, MIBMAP_MAX);
	m->bits = mem_array(m->cnt / 64 + 1, sizeof(*m->bits));
	if (!m->bits)
		return err_set(e, VHDX_E_NOMEM,
			       "no memory for a map of %llu MiB",
			       (unsigned long long)m->cnt);
	return 0;
}

void mibmap_free(struct mibmap *m)
{
	mem_free(m->bits);
	*m = (struct mibmap){ 0 };
}

static bool is_taken(const struct mibmap *m, uint64_t mib)
{
	return m->bits[mib / 64] >> (mib % 64) & 1;
}

bool mibmap_taken(const struct mibmap *m, uint64_t off, uint64_t len,
		  uint64_t *mib)
{
	uint64_t end = u64_min(off / MIB + div_up(len, MIB), m->cnt);

	for (*mib = off / MIB; *mib < end; ++*mib)
		if (is_taken(m, *mib))
			return true;
	return false;
}

bool mibmap_take(struct mibmap *m, uint64_t off, uint64_t len, uint64_t *mib)
{
	uint64_t end = u64_min(off / MIB + div_up(len, MIB), m->cnt);
	bool free = !mibmap_taken(m, off, len, mib);

	for (uint64_t i = off / MIB; i < end; i++)
		m->bits[i / 64] |= UINT64_C(1) << (i % 64);
	return free;
}

/* The first MiB at or after `mib` that is taken (or free), or m->cnt. */
static uint64_t next(const struct mibmap *m, uint64_t mib, bool taken)
{
	while (mib < m->cnt) {
		uint64_t w = m->bits[mib / 64] ^ (taken ? 0 : UINT64_MAX);

		w >>= mib % 64;
		if (w)
			return u64_min(mib + (uint64_t)__builtin_ctzll(w),
				       m->cnt);
		mib = mib / 64 * 64 + 64;
	}
	return m->cnt;
}

uint64_t mibmap_free_run(const struct mibmap *m, uint64_t mib, uint64_t *cnt)
{
	uint64_t start = next(m, mib, false);

	*cnt = next(m, start, true) - start;
	return start;
}
