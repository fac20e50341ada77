/* SPDX-License-Identifier: MIT */
/*
 * Next-fit over one bit per MiB: sequential writers get sequential space, and
 * a search costs one pass over the bitmap at worst, which the free count
 * avoids when there is not enough anyway.
 */
#include "space.h"

#include <string.h>

#include "mem.h"

static bool bit_get(const uint64_t *map, uint64_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static void bits_set(uint64_t *map, uint64_t from, uint64_t cnt, bool v)
{
	for (uint64_t i = from; i < from + cnt; i++) {
		if (v)
			map[i / 64] |= UINT64_C(1) << (i % 64);
		else
			map[i / 64] &= ~(UINT64_C(1) << (i % 64));
	}
}

/* First bit with value v in [from, to), or `to`. */
static uint64_t bits_find(const uint64_t *map, uint64_t from, uint64_t to,
			  bool v)
{
	while (from < to) {
		uint64_t w = map[from / 64];

		w = (v ? w : ~w) >> (from % 64);
		if (w)
			return u64_min(to,
				       from + (uint64_t)__builtin_ctzll(w));
		from = (from / 64 + 1) * 64;
	}
	return to;
}

int space_reserve(struct space *s, uint64_t new_len, struct vhdx_err *e)
{
	uint64_t need = div_up(new_len, MIB), cap;
	uint64_t *used, *zero;

	if (need <= s->cap)
		return 0;
	cap = align_up(need + need / 8, 4096);
	used = mem_zalloc(cap / 8);
	zero = mem_zalloc(cap / 8);
	if (!used || !zero) {
		mem_free(used);
		mem_free(zero);
		return err_set(e, VHDX_E_NOMEM,
			       "no memory for the space map of a file of "
			       "%llu bytes", (unsigned long long)new_len);
	}
	if (s->cap) {
		memcpy(used, s->used, s->cap / 8);
		memcpy(zero, s->zero, s->cap / 8);
	}
	mem_free(s->used);
	mem_free(s->zero);
	s->used = used;
	s->zero = zero;
	s->cap = cap;
	return 0;
}

int space_init(struct space *s, uint64_t file_len, struct vhdx_err *e)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = space_reserve(s, file_len, e);
	if (rc)
		return rc;
	s->mib_cnt = div_up(file_len, MIB);
	s->free_cnt = s->mib_cnt;
	return 0;
}

void space_fini(struct space *s)
{
	mem_free(s->used);
	mem_free(s->zero);
	memset(s, 0, sizeof(*s));
}

bool space_take(struct space *s, uint64_t off, uint64_t len)
{
	uint64_t from = off / MIB, to = (off + len) / MIB;

	if (to > s->mib_cnt || bits_find(s->used, from, to, true) != to)
		return false;
	bits_set(s->used, from, to - from, true);
	bits_set(s->zero, from, to - from, false);
	s->free_cnt -= to - from;
	return true;
}

/* A free run of cnt MiB that starts in [from, to), or mib_cnt. */
static uint64_t find_run(const struct space *s, uint64_t from, uint64_t to,
			 uint64_t cnt)
{
	while (from < to) {
		uint64_t start = bits_find(s->used, from, to, false);
		uint64_t limit = u64_min(s->mib_cnt, start + cnt);

		if (start == to)
			break;
		from = bits_find(s->used, start, limit, true);
		if (from == limit && limit - start == cnt)
			return start;
		if (from == limit) /* the end of the file */
			break;
	}
	return s->mib_cnt;
}

bool space_alloc(struct space *s, uint64_t len, uint64_t *off, bool *zero)
{
	uint64_t cnt = len / MIB, at;

	if (s->free_cnt < cnt)
		return false;
	at = find_run(s, s->cursor, s->mib_cnt, cnt);
	if (at == s->mib_cnt)
		at = find_run(s, 0, u64_min(s->cursor, s->mib_cnt), cnt);
	if (at == s->mib_cnt)
		return false;
	*zero = bits_find(s->zero, at, at + cnt, false) == at + cnt;
	*off = at * MIB;
	ASSERT(space_take(s, *off, len));
	s->cursor = at + cnt;
	return true;
}

bool space_alloc_low(struct space *s, uint64_t len, uint64_t from,
		     uint64_t limit, uint64_t *off)
{
	uint64_t at = find_run(s, from / MIB, u64_min(limit / MIB, s->mib_cnt),
			       len / MIB);

	if (at * MIB + len > limit || at == s->mib_cnt)
		return false;
	*off = at * MIB;
	return space_take(s, *off, len);
}

void space_next_free(const struct space *s, uint64_t from, uint64_t *off,
		     uint64_t *len)
{
	uint64_t at = bits_find(s->used, from / MIB, s->mib_cnt, false);

	*off = at * MIB;
	*len = (bits_find(s->used, at, s->mib_cnt, true) - at) * MIB;
}

void space_grow(struct space *s, uint64_t new_len)
{
	uint64_t to = new_len / MIB;

	ASSERT(to <= s->cap);
	if (to <= s->mib_cnt)
		return;
	bits_set(s->used, s->mib_cnt, to - s->mib_cnt, false);
	bits_set(s->zero, s->mib_cnt, to - s->mib_cnt, true);
	s->free_cnt += to - s->mib_cnt;
	s->mib_cnt = to;
}

void space_release(struct space *s, uint64_t off, uint64_t len, bool zero)
{
	uint64_t from = off / MIB, cnt = len / MIB;

	for (uint64_t i = from; i < from + cnt; i++)
		ASSERT(bit_get(s->used, i));
	bits_set(s->used, from, cnt, false);
	bits_set(s->zero, from, cnt, zero);
	s->free_cnt += cnt;
}

uint64_t space_end(const struct space *s)
{
	for (uint64_t w = div_up(s->mib_cnt, 64); w > 0; w--) {
		uint64_t used = s->used[w - 1];

		if (used)
			return (w * 64 - (uint64_t)__builtin_clzll(used)) * MIB;
	}
	return 0;
}
