/* SPDX-License-Identifier: MIT */
/*
 * malloc behind one door. The counters are relaxed atomics: they order
 * nothing, they only have to be exact.
 */
#include "mem.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t seen_cnt; /* since mem_fail_nth() */
static _Atomic uint64_t fail_at;  /* 0: never */
static _Atomic uint64_t live_cnt;

static bool must_fail(void)
{
	uint64_t n = atomic_fetch_add_explicit(&seen_cnt, 1,
					       memory_order_relaxed) + 1;

	return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

static void *counted(void *p)
{
	if (p)
		atomic_fetch_add_explicit(&live_cnt, 1, memory_order_relaxed);
	return p;
}

void *mem_alloc(size_t len)
{
	return must_fail() ? NULL : counted(malloc(len ? len : 1));
}

void *mem_zalloc(size_t len)
{
	return mem_array(1, len);
}

void *mem_array(size_t cnt, size_t len)
{
	size_t total;

	if (ckd_mul(cnt, len, &total))
		return NULL;
	return must_fail() ? NULL : counted(calloc(1, total ? total : 1));
}

void *mem_resize(void *p, size_t cnt, size_t len)
{
	size_t total;
	void *q;

	if (ckd_mul(cnt, len, &total) || must_fail())
		return NULL;
	q = realloc(p, total ? total : 1);
	return p ? q : counted(q);
}

/* If the first bytes are zero and each equals the one 64 further on, all are;
 * memcmp() stops at the first difference. */
bool mem_is_zero(const void *p, size_t len)
{
	static const uint8_t zeros[64];
	const uint8_t *b = p;

	if (len < sizeof(zeros))
		return memcmp(b, zeros, len) == 0;
	return memcmp(b, zeros, sizeof(zeros)) == 0 &&
	       memcmp(b, b + sizeof(zeros), len - sizeof(zeros)) == 0;
}

void *mem_aligned(size_t align, size_t len)
{
	void *p = NULL;

	ASSERT(is_pow2(align) && align >= sizeof(void *));
	if (must_fail() || posix_memalign(&p, align, len ? len : 1) != 0)
		return NULL;
	return counted(p);
}

char *mem_strdup(const char *s)
{
	size_t len = strlen(s) + 1;
	char *p = mem_alloc(len);

	return p ? memcpy(p, s, len) : NULL;
}

void mem_free(void *p)
{
	if (p)
		atomic_fetch_sub_explicit(&live_cnt, 1, memory_order_relaxed);
	free(p);
}

uint64_t mem_fail_nth(uint64_t n)
{
	atomic_store_explicit(&fail_at, n, memory_order_relaxed);
	return atomic_exchange_explicit(&seen_cnt, 0, memory_order_relaxed);
}

uint64_t mem_live_cnt(void)
{
	return atomic_load_explicit(&live_cnt, memory_order_relaxed);
}
