/* SPDX-License-Identifier: MIT */
/*
 * The stress suite: random overlapping requests from several threads, with
 * cancels, drains, closes and failing hosts, against a model of what each
 * sector may show; every request ends exactly once (case.h, crew.h, truth.h).
 * Runs cases until the time is up, each in a process of its own: one that dies
 * or hangs is a failure like any other.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "case.h"
#include "crew.h"
#include "mutation.h"
#include "report.h"
#include "t.h"

#define PROFILES_MAX 64
#define ALL SIZE_MAX
#define CASE_SECONDS 150 /* longer than crew.c is patient */
#define FOUND 3
#define MUTANT_SECONDS 15 /* a mutant that hangs is caught */
#define STRIDE 11u /* through the profiles: prime to their number */

static struct options {
	unsigned seconds;
	uint64_t seed;
	size_t profile; /* ALL, or which */
	const char *only; /* NULL, or part of the names of those that run */
	bool once, expect_failure;
} opt = { .seconds = 10, .seed = 1, .profile = ALL };

/* In memory shared with the cases' processes. */
static struct shared {
	struct case_tally tally[PROFILES_MAX];
	struct {
		bool failed;
		uint64_t seed;
		char text[2400];
	} results[PROFILES_MAX];
} *shared;

static size_t running;

/* ---- profiles ----------------------------------------------------------- */

static size_t profile_cnt(void)
{
	return kind_cnt * BACK_CNT * 2;
}

static struct case_profile profile_of(size_t p)
{
	return (struct case_profile){ .kind = &kinds[p % kind_cnt],
				      .backing = (enum backing)(p / kind_cnt %
								BACK_CNT),
				      .threads = p / kind_cnt / BACK_CNT };
}

static const char *profile_name(size_t p)
{
	static char name[40];
	struct case_profile pf = profile_of(p);

	snprintf(name, sizeof(name), "%s-%s%s", pf.kind->name,
		 backing_names[pf.backing], pf.threads ? "-threads" : "");
	return name;
}

static bool wanted(size_t p)
{
	if (opt.profile != ALL)
		return opt.profile == p;
	return !opt.only || strstr(profile_name(p), opt.only);
}

/* ---- findings ----------------------------------------------------------- */

void report_finding(const char *fmt, ...)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	char *text = shared->results[running].text;
	va_list ap;

	while (atomic_flag_test_and_set(&told))
		pause(); /* another thread was first */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(shared->results[running].text), fmt, ap);
	va_end(ap);
	_exit(FOUND);
}

/* The threads may hold any lock, and the process is lost: good enough. */
static void hangs(int sig)
{
	char text[1600];

	(void)sig;
	crew_tell(text, sizeof(text));
	report_finding("it hangs: %s", text);
}

static void judge_child(size_t p, uint64_t seed, int status)
{
	char *text = shared->results[p].text;
	size_t len = sizeof(shared->results[p].text), used;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	shared->results[p].failed = true;
	shared->results[p].seed = seed;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != FOUND)
		snprintf(text, len, "it dies (signal %d, status %d)",
			 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
			 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	used = strlen(text);
	snprintf(text + used, len - used, "\n  repeat with: stress --profile "
		 "%s --seed %ju --once", profile_name(p), (uintmax_t)seed);
}

/* ---- running ------------------------------------------------------------ */

static void one_case(size_t p, uint64_t seed)
{
	struct case_profile pf = profile_of(p);
	int status;
	pid_t pid;

	running = p;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		signal(SIGALRM, hangs);
		alarm(opt.expect_failure ? MUTANT_SECONDS : CASE_SECONDS);
		case_run(&pf, seed, &shared->tally[p]);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	judge_child(p, seed, status);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool any_failed(void)
{
	for (size_t p = 0; p < profile_cnt(); p++)
		if (shared->results[p].failed)
			return true;
	return false;
}

/* This process's: they outlive the cases. Memory syncs fast, so that more is
 * seen; but it is no disk. */
static void make_folders(void)
{
	site_folders[0] = site_folders[1] = t_tmpdir();
	if (access("/dev/shm", W_OK) == 0 &&
	    setenv("TMPDIR", "/dev/shm", 1) == 0)
		site_folders[1] = t_tmpdir();
}

/* All profiles in turn, unlike ones after each other, then the next seed. */
static void run_all(void)
{
	uint64_t until = now_ms() + opt.seconds * UINT64_C(1000);

	make_folders();
	for (uint64_t i = 0;; i++) {
		size_t p = (size_t)(i * STRIDE % profile_cnt());

		if (wanted(p) && !shared->results[p].failed)
			one_case(p, opt.seed + i / profile_cnt());
		if (opt.expect_failure && any_failed())
			return;
		if (opt.once ? i + 1 == profile_cnt() : now_ms() >= until)
			return;
	}
}

/* ---- the report --------------------------------------------------------- */

static size_t reporting;

static void test_profile(void)
{
	bool good = !shared->results[reporting].failed;

	if (!good)
		fprintf(stderr, "\n%s: %s\n", profile_name(reporting),
			shared->results[reporting].text);
	while (++reporting < profile_cnt() && !wanted(reporting))
		;
	CU_ASSERT(good);
}

static void print_row(const char *name, const struct case_tally *t)
{
	printf("  %-24s %6ju %8ju %9ju %9ju %7ju %7ju %6ju\n", name,
	       (uintmax_t)t->cases, (uintmax_t)t->sessions,
	       (uintmax_t)t->requests, (uintmax_t)t->canceled,
	       (uintmax_t)t->failed, (uintmax_t)t->broken,
	       (uintmax_t)t->cuts);
}

static void print_tally(void)
{
	struct case_tally sum = { 0 };

	printf("\n  seed %ju\n  %-24s %6s %8s %9s %9s %7s %7s %6s\n",
	       (uintmax_t)opt.seed, "profile", "cases", "sessions",
	       "requests", "cancelled", "failed", "broken", "cuts");
	for (size_t p = 0; p < profile_cnt(); p++) {
		const struct case_tally *t = &shared->tally[p];

		if (!t->sessions)
			continue;
		print_row(profile_name(p), t);
		sum.cases += t->cases;
		sum.sessions += t->sessions;
		sum.requests += t->requests;
		sum.canceled += t->canceled;
		sum.failed += t->failed;
		sum.broken += t->broken;
		sum.cuts += t->cuts;
	}
	print_row("all", &sum);
	fflush(stdout);
}

static int report(void)
{
	CU_pSuite suite;
	unsigned failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite("many requests at once", NULL, NULL);
	for (size_t p = 0; p < profile_cnt(); p++)
		if (wanted(p))
			CU_add_test(suite, profile_name(p), test_profile);
	while (!wanted(reporting))
		reporting++;
	print_tally();
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures ? 1 : 0;
}

/* What a mutation proof wants to know: one line. */
static int report_caught(void)
{
	for (size_t p = 0; p < profile_cnt(); p++) {
		const char *text = shared->results[p].text;

		if (!shared->results[p].failed)
			continue;
		printf("caught by stress %s, seed %ju: %.*s\n",
		       profile_name(p), (uintmax_t)shared->results[p].seed,
		       (int)strcspn(text, "\n"), text);
		return 0;
	}
	printf("MISSED\n");
	return 1;
}

/* ---- options ------------------------------------------------------------ */

static const char usage[] =
	"stress [--seconds N] [--seed S] [--profile P | --only PART] [--once]\n"
	"       [--mutation NAME] [--expect-failure]\n"
	"stress --list-profiles\n";

static bool set_profile(const char *name)
{
	for (size_t p = 0; p < profile_cnt(); p++)
		if (strcmp(profile_name(p), name) == 0) {
			opt.profile = p;
			return true;
		}
	fprintf(stderr, "stress: no profile is called %s\n", name);
	return false;
}

static bool set_mutation(const char *name)
{
#ifdef VHDKIT_MUTATE
	for (int m = MUT_NONE + 1; m < MUT_CNT; m++)
		if (strcmp(mutation_name((enum mutation)m), name) == 0) {
			mutation_active = (enum mutation)m;
			return true;
		}
	fprintf(stderr, "stress: no mutation is called %s\n", name);
#else
	fprintf(stderr, "stress: %s: mutations need VARIANT=mut\n", name);
#endif
	return false;
}

static int list_profiles(void)
{
	for (size_t p = 0; p < profile_cnt(); p++)
		puts(profile_name(p));
	return 0;
}

static const struct option longs[] = {
	{ "seconds", 1, NULL, 's' },  { "seed", 1, NULL, 'r' },
	{ "profile", 1, NULL, 'p' },  { "only", 1, NULL, 'y' },
	{ "once", 0, NULL, 'o' },
	{ "mutation", 1, NULL, 'm' }, { "expect-failure", 0, NULL, 'x' },
	{ "list-profiles", 0, NULL, 'l' }, { 0 }
};

/* -1: go on. */
static int one_option(int o)
{
	switch (o) {
	case 's':
		opt.seconds = (unsigned)strtoul(optarg, NULL, 0);
		return -1;
	case 'r':
		opt.seed = strtoull(optarg, NULL, 0);
		return -1;
	case 'p':
		return set_profile(optarg) ? -1 : 2;
	case 'y':
		opt.only = optarg;
		return -1;
	case 'o':
		opt.once = true;
		return -1;
	case 'm':
		return set_mutation(optarg) ? -1 : 2;
	case 'x':
		opt.expect_failure = true;
		return -1;
	case 'l':
		return list_profiles();
	default:
		fputs(usage, stderr);
		return 2;
	}
}

int main(int argc, char **argv)
{
	int o;

	ASSERT(profile_cnt() <= PROFILES_MAX);
	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		int rc = one_option(o);

		if (rc >= 0)
			return rc;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	run_all();
	return opt.expect_failure ? report_caught() : report();
}
