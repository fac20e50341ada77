/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <CUnit/Basic.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mutation.h"

struct vhdx_err t_err;

void t_print_err(const char *file, int line, const char *expr, int code)
{
	fprintf(stderr, "\n%s:%d: %s failed: %s: %s (%s:%d)\n", file, line,
		expr, vhdx_code_name(code), t_err.text,
		t_err.func ? t_err.func : "?", t_err.line);
}

void t_print_u64(const char *file, int line, const char *expr, uint64_t a,
		 uint64_t b)
{
	fprintf(stderr, "\n%s:%d: %s is %llu (0x%llx), not %llu (0x%llx)\n",
		file, line, expr, (unsigned long long)a, (unsigned long long)a,
		(unsigned long long)b, (unsigned long long)b);
}

bool t_failed_as(const char *file, int line, const char *expr, int code,
		 int want, const char *part)
{
	bool ok = code == want && strstr(t_err.text, part);

	if (!ok)
		fprintf(stderr, "\n%s:%d: %s gave %s: %s\n  wanted %s: ...%s\n",
			file, line, expr, vhdx_code_name(code), t_err.text,
			vhdx_code_name(want), part);
	return ok;
}

uint64_t t_rand(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t t_rand_below(uint64_t *state, uint64_t n)
{
	return t_rand(state) % n;
}

void t_fill(void *buf, size_t len, uint64_t seed)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			t_rand(&seed);
		p[i] = (uint8_t)((seed >> (8 * (i % 8))) | 1);
	}
}

void t_hex(uint8_t *out, const char *digits)
{
	unsigned v;

	while (sscanf(digits, " %2x", &v) == 1) {
		*out++ = (uint8_t)v;
		digits += strspn(digits, " ") + 2;
	}
}

void t_append(char *text, size_t len, const char *fmt, ...)
{
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + used, len - used, fmt, ap);
	va_end(ap);
}

static char tmpdirs[1024][64];
static int tmpdir_cnt;
static pid_t tmpdirs_pid; /* a child that ends leaves them */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tmpdirs(void)
{
	for (int i = 0; i < tmpdir_cnt && getpid() == tmpdirs_pid; i++)
		nftw(tmpdirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *t_tmpdir(void)
{
	const char *base = getenv("TMPDIR");

	if (!base || strlen(base) > 40)
		base = "/var/tmp";
	if (tmpdir_cnt == 0) {
		tmpdirs_pid = getpid();
		atexit(remove_tmpdirs);
	}
	if (tmpdir_cnt == (int)(sizeof(tmpdirs) / sizeof(tmpdirs[0])))
		abort();
	snprintf(tmpdirs[tmpdir_cnt], sizeof(tmpdirs[0]), "%s/vhdkit-XXXXXX",
		 base);
	if (!mkdtemp(tmpdirs[tmpdir_cnt]))
		abort();
	return tmpdirs[tmpdir_cnt++];
}

const char *t_shared(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "../shared/%s", name);
	return access(path, R_OK) == 0 ? path : NULL;
}

static bool add_suite(const struct t_suite *s, const char *only_test)
{
	CU_pSuite cs = CU_add_suite(s->name, NULL, NULL);

	if (!cs)
		return false;
	for (const struct t_test *t = s->tests; t->name; t++)
		if (!only_test || strcmp(only_test, t->name) == 0)
			CU_add_test(cs, t->name, t->fn);
	return true;
}

bool t_set_mutation(const char *name)
{
	for (int m = MUT_NONE + 1; m < MUT_CNT; m++)
		if (strcmp(mutation_name((enum mutation)m), name) == 0) {
#ifdef VHDKIT_MUTATE
			mutation_active = (enum mutation)m;
			return true;
#endif
		}
	fprintf(stderr, "%s: no such mutation in this variant\n", name);
	return false;
}

/* Whether name is one of those in "a,b,c". */
static bool is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (n == len && strncmp(list, name, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

int t_main(int argc, char **argv, const struct t_suite *const *suites)
{
	const char *suite = NULL, *test = NULL, *without = NULL;
	bool list = false;
	int opt;

	while ((opt = getopt(argc, argv, "s:t:lm:x:")) != -1) {
		if (opt == 's')
			suite = optarg;
		else if (opt == 't')
			test = optarg;
		else if (opt == 'x')
			without = optarg;
		else if (opt == 'l')
			list = true;
		else if (opt == 'm' && t_set_mutation(optarg))
			continue;
		else
			return 2;
	}
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	for (; *suites; suites++) {
		if ((suite && strcmp(suite, (*suites)->name) != 0) ||
		    is_listed(without, (*suites)->name))
			continue;
		for (const struct t_test *t = (*suites)->tests;
		     list && t->name; t++)
			printf("%s %s\n", (*suites)->name, t->name);
		if (!list && !add_suite(*suites, test))
			return 1;
	}
	if (list)
		return 0;
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();

	bool ok = CU_get_number_of_tests_run() > 0 &&
		  CU_get_number_of_failures() == 0;

	CU_cleanup_registry();
	return ok ? 0 : 1;
}
