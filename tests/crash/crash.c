/* SPDX-License-Identifier: MIT */
/*
 * The crash suite: runs cases until the time is up, on two processes, and
 * reports by profile: what case.h does with one disk, and joint.h with a chain.
 * A case that aborts or hangs is a failure like any other; it takes its process
 * with it, and a new one goes on behind it.
 */
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "case.h"
#include "forest.h"
#include "joint.h"
#include "mutation.h"

#define WORKERS 2
#define PROFILES_MAX 64
#define ALL SIZE_MAX
#define CASE_SECONDS 240 /* a case that takes longer hangs, on any machine */

struct result {
	bool failed;
	char text[2000];
};

/* In memory shared by all processes. */
struct worker {
	struct tally tally[PROFILES_MAX];
	size_t profile; /* of the running case */
	uint64_t seed;
	uint64_t next; /* case to go on with after an abort */
	struct result results[PROFILES_MAX];
};

static struct options {
	unsigned seconds;
	uint64_t seed;
	size_t profile; /* ALL, or which */
	bool disks, chains; /* only those */
	struct only only;
	struct only_fault only_fault;
	bool faults_only, once, expect_failure;
} opt = { .seconds = 20, .seed = 1, .profile = ALL };

static struct worker *shared; /* WORKERS of them */

/* The profiles, then the operations on chains, then the forests. */
static size_t kind_cnt(void)
{
	return profile_cnt + joint_op_cnt + 1;
}

static bool is_forest(size_t p)
{
	return p == profile_cnt + joint_op_cnt;
}

static const char *kind_name(size_t p)
{
	if (is_forest(p))
		return "forest";
	return p < profile_cnt ? profiles[p].name
			       : joint_ops[p - profile_cnt].name;
}

/* Forests have to be asked for by name. */
static bool wanted(size_t p)
{
	bool disk = p < profile_cnt;

	if (opt.profile != ALL)
		return opt.profile == p;
	return !is_forest(p) && !(disk ? opt.chains : opt.disks);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool run_kind(size_t p, uint64_t seed, struct tally *t,
		     struct verdict *v)
{
	if (is_forest(p))
		return forest_run(seed, t, v);
	if (p >= profile_cnt)
		return joint_run(&joint_ops[p - profile_cnt], seed, &opt.only,
				 t, v);
	return case_run(&profiles[p], seed, &opt.only, t, v);
}

static bool run_faults(size_t p, uint64_t seed, struct tally *t,
		       struct verdict *v)
{
	if (is_forest(p))
		return true;
	if (p >= profile_cnt)
		return joint_fault_run(&joint_ops[p - profile_cnt], seed,
				       &opt.only_fault, t, v);
	return fault_run(&profiles[p], seed, &opt.only_fault, t, v);
}

/* Case number i of a worker: all kinds in turn, then the next seed. */
static void one_case(struct worker *w, unsigned self, uint64_t i)
{
	size_t p = (size_t)(i % kind_cnt());
	uint64_t round = i / kind_cnt();
	uint64_t seed = opt.seed + round * WORKERS + self;
	struct tally *t = &w->tally[p];
	struct verdict v = { 0 };
	bool good = true;

	if (!wanted(p) || w->results[p].failed)
		return;
	w->profile = p;
	w->seed = seed;
	alarm(CASE_SECONDS);
	if (p < profile_cnt && profiles[p].foreign) {
		good = foreign_run(profiles[p].foreign, seed, t, &v);
	} else {
		if (!opt.faults_only)
			good = run_kind(p, seed, t, &v);
		if (good && (round % 4 == 0 || opt.faults_only))
			good = run_faults(p, seed, t, &v);
	}
	alarm(0);
	if (good)
		return;
	w->results[p].failed = true;
	snprintf(w->results[p].text, sizeof(w->results[p].text), "%s", v.text);
}

static bool any_failed(void)
{
	for (unsigned k = 0; k < WORKERS; k++)
		for (size_t p = 0; p < kind_cnt(); p++)
			if (shared[k].results[p].failed)
				return true;
	return false;
}

static void work(unsigned self, uint64_t until)
{
	struct worker *w = &shared[self];
	bool done = false;

	while (!done) {
		uint64_t i = w->next++;

		one_case(w, self, i);
		done = now_ms() >= until;
		if (opt.once)
			done = i / kind_cnt() > 0;
		if (opt.expect_failure && any_failed())
			done = true;
	}
}

static pid_t start_worker(unsigned self, uint64_t until)
{
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (pid)
		return pid;
	work(self, until);
	_exit(0);
}

/* True if another process should go on where this one died. */
static bool worker_died(unsigned self, int status)
{
	struct worker *w = &shared[self];
	struct result *r = &w->results[w->profile];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	r->failed = true;
	snprintf(r->text, sizeof(r->text), "%s (signal %d, status %d)\n  "
		 "repeat with: crash --profile %s --seed %ju --once",
		 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
			 ? "it hangs" : "it dies",
		 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		 WIFEXITED(status) ? WEXITSTATUS(status) : 0,
		 kind_name(w->profile), (uintmax_t)w->seed);
	return !opt.expect_failure && !opt.once;
}

static void run_all(void)
{
	uint64_t until = now_ms() + opt.seconds * UINT64_C(1000);
	unsigned cnt = opt.once ? 1 : WORKERS, alive = cnt;
	pid_t pids[WORKERS];

	fflush(NULL);
	for (unsigned i = 0; i < cnt; i++)
		pids[i] = start_worker(i, until);
	while (alive) {
		int status;
		pid_t pid = wait(&status);

		for (unsigned i = 0; i < cnt; i++) {
			if (pids[i] != pid)
				continue;
			alive--;
			if (!worker_died(i, status))
				continue;
			pids[i] = start_worker(i, until);
			alive++;
		}
	}
}

/* ---- the report --------------------------------------------------------- */

static size_t reporting;

static void test_profile(void)
{
	bool good = true;

	for (unsigned k = 0; k < WORKERS; k++) {
		const struct result *r = &shared[k].results[reporting];

		if (!r->failed)
			continue;
		fprintf(stderr, "\n%s: %s\n", kind_name(reporting),
			r->text);
		good = false;
	}
	while (++reporting < kind_cnt() && !wanted(reporting))
		;
	CU_ASSERT(good);
}

static struct tally total(size_t p)
{
	struct tally sum = { 0 };

	for (unsigned k = 0; k < WORKERS; k++) {
		const struct tally *t = &shared[k].tally[p];

		sum.cases += t->cases;
		sum.moments += t->moments;
		sum.states += t->states;
		sum.recoveries += t->recoveries;
		sum.fault_runs += t->fault_runs;
	}
	return sum;
}

static void print_row(const char *name, const struct tally *t)
{
	printf("  %-10s %9ju %9ju %9ju %11ju %11ju\n", name,
	       (uintmax_t)t->cases, (uintmax_t)t->moments,
	       (uintmax_t)t->states, (uintmax_t)t->recoveries,
	       (uintmax_t)t->fault_runs);
}

static void print_tally(void)
{
	struct tally sum = { 0 };

	printf("\n  %-10s %9s %9s %9s %11s %11s\n", "profile", "workloads",
	       "moments", "states", "recoveries", "fault runs");
	for (size_t p = 0; p < kind_cnt(); p++) {
		struct tally t = total(p);

		if (!t.cases && !t.fault_runs)
			continue;
		print_row(kind_name(p), &t);
		sum.cases += t.cases;
		sum.moments += t.moments;
		sum.states += t.states;
		sum.recoveries += t.recoveries;
		sum.fault_runs += t.fault_runs;
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
	suite = CU_add_suite("power failures and failing disks", NULL, NULL);
	for (size_t p = 0; p < kind_cnt(); p++)
		if (wanted(p))
			CU_add_test(suite, kind_name(p), test_profile);
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
	for (unsigned k = 0; k < WORKERS; k++)
		for (size_t p = 0; p < kind_cnt(); p++) {
			const struct result *r = &shared[k].results[p];

			if (!r->failed)
				continue;
			printf("caught by %s, seed %ju: %.*s\n",
			       kind_name(p), (uintmax_t)shared[k].seed,
			       (int)strcspn(r->text, "\n"), r->text);
			return 0;
		}
	printf("MISSED\n");
	return 1;
}

/* ---- options ------------------------------------------------------------ */

static const char usage[] =
	"crash [--seconds N] [--seed S] [--profile P | --disks | --chains] "
	"[--once]\n"
	"      [--at K --state X [--at2 K --state2 X]]\n"
	"      [--faults [--op O --nth N]]\n"
	"      [--mutation NAME] [--expect-failure]\n"
	"crash --list-mutations | --list-profiles\n";

static int list_mutations(void)
{
	for (int m = MUT_NONE + 1; m < MUT_CNT; m++)
		printf("%s\t%s\n", mutation_name((enum mutation)m),
		       mutation_text((enum mutation)m));
	return 0;
}

static int list_profiles(void)
{
	for (size_t p = 0; p < kind_cnt(); p++)
		puts(kind_name(p));
	return 0;
}

static bool set_profile(const char *name)
{
	for (size_t p = 0; p < kind_cnt(); p++)
		if (strcmp(kind_name(p), name) == 0) {
			opt.profile = p;
			return true;
		}
	fprintf(stderr, "crash: no profile is called %s\n", name);
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
	fprintf(stderr, "crash: no mutation is called %s\n", name);
#else
	fprintf(stderr, "crash: %s: mutations need VARIANT=mut\n", name);
#endif
	return false;
}

enum { O_SECONDS = 256, O_SEED, O_PROFILE, O_AT, O_STATE, O_AT2, O_STATE2,
       O_FAULTS, O_OP, O_NTH, O_ONCE, O_MUTATION, O_EXPECT, O_LISTM, O_LISTP,
       O_DISKS, O_CHAINS };

static const struct option longs[] = {
	{ "seconds", 1, NULL, O_SECONDS }, { "seed", 1, NULL, O_SEED },
	{ "profile", 1, NULL, O_PROFILE }, { "at", 1, NULL, O_AT },
	{ "state", 1, NULL, O_STATE },	   { "at2", 1, NULL, O_AT2 },
	{ "state2", 1, NULL, O_STATE2 },   { "faults", 0, NULL, O_FAULTS },
	{ "op", 1, NULL, O_OP },	   { "nth", 1, NULL, O_NTH },
	{ "once", 0, NULL, O_ONCE },
	{ "disks", 0, NULL, O_DISKS },
	{ "chains", 0, NULL, O_CHAINS },
	{ "mutation", 1, NULL, O_MUTATION },
	{ "expect-failure", 0, NULL, O_EXPECT },
	{ "list-mutations", 0, NULL, O_LISTM },
	{ "list-profiles", 0, NULL, O_LISTP }, { 0 }
};

static uint64_t number(void)
{
	return strtoull(optarg, NULL, 0);
}

/* -1: go on. */
static int one_option(int o)
{
	switch (o) {
	case O_SECONDS:
		opt.seconds = (unsigned)number();
		return -1;
	case O_SEED:
		opt.seed = number();
		return -1;
	case O_PROFILE:
		return set_profile(optarg) ? -1 : 2;
	case O_AT:
		opt.only.given = opt.once = true;
		opt.only.at = number();
		return -1;
	case O_STATE:
		opt.only.state = number();
		return -1;
	case O_AT2:
		opt.only.again = true;
		opt.only.at2 = number();
		return -1;
	case O_STATE2:
		opt.only.state2 = number();
		return -1;
	case O_FAULTS:
		opt.faults_only = true;
		return -1;
	case O_NTH:
		opt.faults_only = opt.once = true;
		opt.only_fault.nth = number();
		return -1;
	case O_OP:
		opt.only_fault.op = (enum file_op)number();
		return -1;
	case O_ONCE:
		opt.once = true;
		return -1;
	case O_MUTATION:
		return set_mutation(optarg) ? -1 : 2;
	case O_DISKS:
		opt.disks = true;
		return -1;
	case O_CHAINS:
		opt.chains = true;
		return -1;
	case O_EXPECT:
		opt.expect_failure = true;
		return -1;
	case O_LISTM:
		return list_mutations();
	case O_LISTP:
		return list_profiles();
	default:
		fputs(usage, stderr);
		return 2;
	}
}

int main(int argc, char **argv)
{
	int o;

	ASSERT(kind_cnt() <= PROFILES_MAX);
	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		int rc = one_option(o);

		if (rc >= 0)
			return rc;
	}
	shared = mmap(NULL, WORKERS * sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	run_all();
	return opt.expect_failure ? report_caught() : report();
}
