/* SPDX-License-Identifier: MIT */
/*
 * The only allocator of the library, so that a test can make any allocation
 * fail and can count what is left over. NULL on failure; the caller raises
 * VHDX_E_NOMEM. Callable from any thread; the test hooks are not.
 */
#ifndef MEM_H
#define MEM_H

#include "base.h"

/* Not initialised. len 0 gives a pointer that may be freed. */
void *mem_alloc(size_t len) must_check;

/* Zeroed. */
void *mem_zalloc(size_t len) must_check;

/* Zeroed; cnt * len, NULL also when that overflows. */
void *mem_array(size_t cnt, size_t len) must_check;

/* p (NULL allowed) grown or shrunk to cnt * len, the new part not
 * initialised; on failure NULL, and p is as it was. */
void *mem_resize(void *p, size_t cnt, size_t len) must_check;

/* Aligned to `align` (a power of two, at least 8); not initialised. */
void *mem_aligned(size_t align, size_t len) must_check;

char *mem_strdup(const char *s) must_check;

void mem_free(void *p); /* NULL allowed */

/* All of it. */
bool mem_is_zero(const void *p, size_t len);

/* Tests: the n-th allocation from now fails (1 = the next), once; 0: none.
 * Returns how many allocations the last setting saw. */
uint64_t mem_fail_nth(uint64_t n);

/* Tests: allocations not freed yet. */
uint64_t mem_live_cnt(void);

#endif
