/* SPDX-License-Identifier: MIT */
/*
 * What every test uses on top of CUnit: suites as tables, checks that print
 * the library's own error text, reproducible randomness, temporary folders.
 * A test's name is a claim; its body is arrange, act, assert.
 */
#ifndef T_H
#define T_H

#include <CUnit/CUnit.h>

#include "base.h"
#include "vhdx.h"

struct t_test {
	const char *name;
	void (*fn)(void);
};
#define T_TEST(fn) { #fn, fn }
#define T_END { NULL, NULL }

/* tests/unit/test_X.c defines: const struct t_suite t_suite_X = { ... }; */
struct t_suite {
	const char *name;
	const struct t_test *tests; /* ends with T_END */
};

/* The error of the last T_OK/T_FAILS; pass &t_err to the call under test. */
extern struct vhdx_err t_err;

/* expr returns 0; else the error text is printed and the test ends. */
#define T_OK(expr)                                                          \
	do {                                                                \
		int t_rc_ = (expr);                                         \
		if (t_rc_)                                                  \
			t_print_err(__FILE__, __LINE__, #expr, t_rc_);      \
		CU_ASSERT_FATAL(t_rc_ == 0);                                \
	} while (0)

/* expr returns exactly `code`, and t_err's text contains `part` ("" = any). */
#define T_FAILS(expr, want, part)                                           \
	do {                                                                \
		int t_rc_ = (expr);                                         \
		if (!t_failed_as(__FILE__, __LINE__, #expr, t_rc_, (want),  \
				 (part)))                                   \
			CU_FAIL_FATAL(#expr);                               \
	} while (0)

#define T_EQ_U64(a, b)                                                      \
	do {                                                                \
		uint64_t t_a_ = (uint64_t)(a), t_b_ = (uint64_t)(b);        \
		if (t_a_ != t_b_)                                           \
			t_print_u64(__FILE__, __LINE__, #a, t_a_, t_b_);    \
		CU_ASSERT_FATAL(t_a_ == t_b_);                              \
	} while (0)

#define T_TRUE(x) CU_ASSERT_FATAL(!!(x))

void t_print_err(const char *file, int line, const char *expr, int code);
void t_print_u64(const char *file, int line, const char *expr, uint64_t a,
		 uint64_t b);
bool t_failed_as(const char *file, int line, const char *expr, int code,
		 int want, const char *part);

/* splitmix64: the same seed gives the same numbers everywhere. */
uint64_t t_rand(uint64_t *state);
uint64_t t_rand_below(uint64_t *state, uint64_t n); /* 0 .. n-1 */
void t_fill(void *buf, size_t len, uint64_t seed);  /* non-zero bytes */

/* Golden bytes: hex digits in pairs, blanks ignored. */
void t_hex(uint8_t *out, const char *digits);

/* Behind the string that text[len] holds. */
void t_append(char *text, size_t len, const char *fmt, ...) printf_like(3, 4);

/* A new folder under $TMPDIR, removed with its content at exit. Borrowed. */
const char *t_tmpdir(void);

/* The path of a file of the tree or of ../shared, or NULL where it is not
 * there. Borrowed until the next call. */
const char *t_shared(const char *name);

/* Breaks a rule on purpose. False, and told: there is none of that name in this
 * variant. */
bool t_set_mutation(const char *name);

/* Registers the suites and runs them: [-s suite] [-x suite,suite: not these]
 * [-t test] [-l] [-m mutation]. Returns the exit status. CUnit's summary is
 * printed last. */
int t_main(int argc, char **argv, const struct t_suite *const *suites);

#endif
