/* SPDX-License-Identifier: MIT */
#include "t_kinds.h"

#include <CUnit/Basic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "t.h"

struct t_kinds_opt t_opt;

static const struct t_kinds *suite;
static struct t_result *results; /* T_KINDS_MAX a worker */
static uint64_t until;
static size_t reporting;

uint64_t t_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t t_kinds_until(void)
{
	return until;
}

void *t_kinds_memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	return p;
}

struct t_result *t_result(unsigned worker, size_t kind)
{
	return &results[worker * T_KINDS_MAX + kind];
}

static const struct t_result *failure_of(size_t kind)
{
	for (unsigned w = 0; w < T_KINDS_WORKERS; w++)
		if (t_result(w, kind)->failed)
			return t_result(w, kind);
	return NULL;
}

bool t_any_failed(void)
{
	for (size_t k = 0; k < suite->cnt(); k++)
		if (failure_of(k))
			return true;
	return false;
}

void t_status_text(int status, char *out, size_t len)
{
	snprintf(out, len, "(signal %d, status %d)",
		 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

/* ---- the report --------------------------------------------------------- */

static void next_wanted(void)
{
	while (reporting < suite->cnt() && !suite->wanted(reporting))
		reporting++;
}

static void test_kind(void)
{
	bool good = !failure_of(reporting);

	for (unsigned w = 0; w < T_KINDS_WORKERS; w++)
		if (t_result(w, reporting)->failed)
			fprintf(stderr, "\n%s: %s\n", suite->name(reporting),
				t_result(w, reporting)->text);
	reporting++;
	next_wanted();
	CU_ASSERT(good);
}

static int report(void)
{
	CU_pSuite cs;
	unsigned failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	cs = CU_add_suite(suite->suite, NULL, NULL);
	for (size_t k = 0; k < suite->cnt(); k++)
		if (suite->wanted(k))
			CU_add_test(cs, suite->name(k), test_kind);
	next_wanted();
	suite->print_tally();
	fflush(stdout);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures ? 1 : 0;
}

static int report_caught(void)
{
	for (size_t k = 0; k < suite->cnt(); k++) {
		const struct t_result *r = failure_of(k);

		if (!r)
			continue;
		printf("caught by %s %s, seed %ju: %.*s\n", suite->prog,
		       suite->name(k), (uintmax_t)r->seed,
		       (int)strcspn(r->text, "\n"), r->text);
		return 0;
	}
	printf("MISSED\n");
	return 1;
}

/* ---- options ------------------------------------------------------------ */

static bool set_kind(const char *name)
{
	for (size_t k = 0; k < suite->cnt(); k++)
		if (strcmp(suite->name(k), name) == 0) {
			t_opt.kind = k;
			return true;
		}
	fprintf(stderr, "%s: no profile is called %s\n", suite->prog, name);
	return false;
}

static int list_kinds(void)
{
	for (size_t k = 0; k < suite->cnt(); k++)
		puts(suite->name(k));
	return 0;
}

/* -1: go on. */
static int one_option(int o)
{
	switch (o) {
	case T_O_SECONDS:
		t_opt.seconds = (unsigned)strtoul(optarg, NULL, 0);
		return -1;
	case T_O_SEED:
		t_opt.seed = strtoull(optarg, NULL, 0);
		return -1;
	case T_O_PROFILE:
		return set_kind(optarg) ? -1 : 2;
	case T_O_ONCE:
		t_opt.once = true;
		return -1;
	case T_O_MUTATION:
		return t_set_mutation(optarg) ? -1 : 2;
	case T_O_EXPECT:
		t_opt.expect_failure = true;
		return -1;
	case T_O_LIST:
		return list_kinds();
	case '?':
		fputs(suite->usage, stderr);
		return 2;
	default:
		return suite->own_option(o);
	}
}

int t_kinds_main(const struct t_kinds *s, int argc, char **argv)
{
	int o;

	suite = s;
	t_opt.kind = T_KINDS_ALL;
	ASSERT(s->cnt() <= T_KINDS_MAX);
	while ((o = getopt_long(argc, argv, "", s->options, NULL)) != -1) {
		int rc = one_option(o);

		if (rc >= 0)
			return rc;
	}
	results = t_kinds_memory(sizeof(*results) * T_KINDS_WORKERS *
				 T_KINDS_MAX);
	until = t_now_ms() + t_opt.seconds * UINT64_C(1000);
	s->run();
	return t_opt.expect_failure ? report_caught() : report();
}
