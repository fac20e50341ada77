/* SPDX-License-Identifier: MIT */
/*
 * The crash suite: runs cases until the time is up, on two processes, and
 * reports by profile: what case.h does with one disk, and joint.h with a chain.
 * A case that aborts or hangs is a failure like any other; it takes its process
 * with it, and a new one goes on behind it.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "forest.h"
#include "joint.h"
#include "mutation.h"
#include "t_kinds.h"

#define CASE_SECONDS 240 /* a case that takes longer hangs, on any machine */

/* In memory shared by all processes. */
struct worker {
	struct tally tally[T_KINDS_MAX];
	size_t profile; /* of the running case */
	uint64_t seed;
	uint64_t next; /* case to go on with after an abort */
};

static struct options {
	bool disks, chains; /* only those */
	struct only only;
	struct only_fault only_fault;
	bool faults_only;
} opt;

static struct worker *shared; /* one each */

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

	if (t_opt.kind != T_KINDS_ALL)
		return t_opt.kind == p;
	return !is_forest(p) && !(disk ? opt.chains : opt.disks);
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
	uint64_t seed = t_opt.seed + round * T_KINDS_WORKERS + self;
	struct tally *t = &w->tally[p];
	struct t_result *r = t_result(self, p);
	struct verdict v = { 0 };
	bool good = true;

	if (!wanted(p) || r->failed)
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
	r->failed = true;
	r->seed = seed;
	snprintf(r->text, sizeof(r->text), "%s", v.text);
}

static void work(unsigned self)
{
	struct worker *w = &shared[self];
	bool done = false;

	while (!done) {
		uint64_t i = w->next++;

		one_case(w, self, i);
		done = t_now_ms() >= t_kinds_until();
		if (t_opt.once)
			done = i / kind_cnt() > 0;
		if (t_opt.expect_failure && t_any_failed())
			done = true;
	}
}

static pid_t start_worker(unsigned self)
{
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (pid)
		return pid;
	work(self);
	_exit(0);
}

/* True if another process should go on where this one died. */
static bool worker_died(unsigned self, int status)
{
	struct worker *w = &shared[self];
	struct t_result *r = t_result(self, w->profile);
	char died[60];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	r->failed = true;
	r->seed = w->seed;
	t_status_text(status, died, sizeof(died));
	snprintf(r->text, sizeof(r->text), "%s %s\n  "
		 "repeat with: crash --profile %s --seed %ju --once",
		 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
			 ? "it hangs" : "it dies",
		 died, kind_name(w->profile), (uintmax_t)w->seed);
	return !t_opt.expect_failure && !t_opt.once;
}

static void run_all(void)
{
	unsigned cnt = t_opt.once ? 1 : T_KINDS_WORKERS, alive = cnt;
	pid_t pids[T_KINDS_WORKERS];

	shared = t_kinds_memory(T_KINDS_WORKERS * sizeof(*shared));
	fflush(NULL);
	for (unsigned i = 0; i < cnt; i++)
		pids[i] = start_worker(i);
	while (alive) {
		int status;
		pid_t pid = wait(&status);

		for (unsigned i = 0; i < cnt; i++) {
			if (pids[i] != pid)
				continue;
			alive--;
			if (!worker_died(i, status))
				continue;
			pids[i] = start_worker(i);
			alive++;
		}
	}
}

/* ---- the report --------------------------------------------------------- */

static struct tally total(size_t p)
{
	struct tally sum = { 0 };

	for (unsigned k = 0; k < T_KINDS_WORKERS; k++) {
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

enum { O_AT = T_O_OWN, O_STATE, O_AT2, O_STATE2, O_FAULTS, O_OP, O_NTH,
       O_LISTM, O_DISKS, O_CHAINS };

static const struct option longs[] = {
	T_KINDS_OPTIONS,
	{ "at", 1, NULL, O_AT },	 { "state", 1, NULL, O_STATE },
	{ "at2", 1, NULL, O_AT2 },	 { "state2", 1, NULL, O_STATE2 },
	{ "faults", 0, NULL, O_FAULTS }, { "op", 1, NULL, O_OP },
	{ "nth", 1, NULL, O_NTH },	 { "disks", 0, NULL, O_DISKS },
	{ "chains", 0, NULL, O_CHAINS },
	{ "list-mutations", 0, NULL, O_LISTM }, { 0 }
};

static uint64_t number(void)
{
	return strtoull(optarg, NULL, 0);
}

/* -1: go on. */
static int one_option(int o)
{
	switch (o) {
	case O_AT:
		opt.only.given = t_opt.once = true;
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
		opt.faults_only = t_opt.once = true;
		opt.only_fault.nth = number();
		return -1;
	case O_OP:
		opt.only_fault.op = (enum file_op)number();
		return -1;
	case O_DISKS:
		opt.disks = true;
		return -1;
	case O_CHAINS:
		opt.chains = true;
		return -1;
	default: /* O_LISTM */
		return list_mutations();
	}
}

int main(int argc, char **argv)
{
	static const struct t_kinds suite = {
		.prog = "crash", .usage = usage,
		.suite = "power failures and failing disks",
		.cnt = kind_cnt, .name = kind_name, .wanted = wanted,
		.run = run_all, .print_tally = print_tally,
		.options = longs, .own_option = one_option,
	};

	t_opt.seconds = 20;
	t_opt.seed = 1;
	return t_kinds_main(&suite, argc, argv);
}
