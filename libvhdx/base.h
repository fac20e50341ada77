/* SPDX-License-Identifier: MIT */
/*
 * The few helpers every file needs: sizes, alignment, overflow-checked
 * arithmetic, assertions and the mutation knob. Everything here is a macro or
 * a one-line inline; nothing allocates or fails.
 *
 * Numbers that come from a file are combined only through ckd_*().
 */
#ifndef BASE_H
#define BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define TIB (KIB * GIB)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)(void *)((char *)(p) - offsetof(type, member)))
#define must_check __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/* For our own bugs only; never on bytes from a file, guest or socket. */
#define ASSERT(x)                                                          \
	do {                                                               \
		if (__builtin_expect(!(x), 0)) {                           \
			fprintf(stderr, "%s:%d: assertion failed: %s\n",   \
				__FILE__, __LINE__, #x);                   \
			abort();                                           \
		}                                                          \
	} while (0)

/* True on overflow, and *r is then not to be used. */
#define ckd_add(a, b, r) __builtin_add_overflow((a), (b), (r))
#define ckd_sub(a, b, r) __builtin_sub_overflow((a), (b), (r))
#define ckd_mul(a, b, r) __builtin_mul_overflow((a), (b), (r))

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* a is a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t a)
{
	return v & ~(a - 1);
}

/* a is a power of two and v + a does not overflow. */
static inline uint64_t align_up(uint64_t v, uint64_t a)
{
	return (v + a - 1) & ~(a - 1);
}

static inline bool is_aligned(uint64_t v, uint64_t a)
{
	return (v & (a - 1)) == 0;
}

static inline bool is_pow2(uint64_t v)
{
	return v && (v & (v - 1)) == 0;
}

static inline uint64_t div_up(uint64_t v, uint64_t d)
{
	return v / d + (v % d != 0);
}

#endif
