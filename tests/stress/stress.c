/* SPDX-License-Identifier: MIT */
/*
 * The stress suite: random overlapping requests from several threads, with
 * cancels, drains, closes and failing hosts, against a model of what each
 * sector may show; every request ends exactly once (case.h, crew.h, truth.h).
 * Runs cases until the time is up, each in a process of its own: one that dies
 * or hangs is a failure like any other.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "crew.h"
#include "report.h"
#include "t.h"
#include "t_kinds.h"

#define CASE_SECONDS 150 /* longer than crew.c is patient */
#define FOUND 3
#define MUTANT_SECONDS 15 /* a mutant that hangs is caught */
#define STRIDE 11u /* through the profiles: prime to their number */

static const char *only; /* NULL, or part of the names of those that run */

static struct case_tally *tally; /* shared with the cases' processes */

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
	if (t_opt.kind != T_KINDS_ALL)
		return t_opt.kind == p;
	return !only || strstr(profile_name(p), only);
}

/* ---- findings ----------------------------------------------------------- */

void report_finding(const char *fmt, ...)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	struct t_result *r = t_result(0, running);
	va_list ap;

	while (atomic_flag_test_and_set(&told))
		pause(); /* another thread was first */
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
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
	struct t_result *r = t_result(0, p);
	char died[60];
	size_t used;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	r->failed = true;
	r->seed = seed;
	t_status_text(status, died, sizeof(died));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != FOUND)
		snprintf(r->text, sizeof(r->text), "it dies %s", died);
	used = strlen(r->text);
	snprintf(r->text + used, sizeof(r->text) - used, "\n  repeat with: "
		 "stress --profile %s --seed %ju --once", profile_name(p),
		 (uintmax_t)seed);
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
		alarm(t_opt.expect_failure ? MUTANT_SECONDS : CASE_SECONDS);
		case_run(&pf, seed, &tally[p]);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	judge_child(p, seed, status);
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
	make_folders();
	tally = t_kinds_memory(T_KINDS_MAX * sizeof(*tally));
	for (uint64_t i = 0;; i++) {
		size_t p = (size_t)(i * STRIDE % profile_cnt());

		if (wanted(p) && !t_result(0, p)->failed)
			one_case(p, t_opt.seed + i / profile_cnt());
		if (t_opt.expect_failure && t_any_failed())
			return;
		if (t_opt.once ? i + 1 == profile_cnt() :
				 t_now_ms() >= t_kinds_until())
			return;
	}
}

/* ---- the report --------------------------------------------------------- */

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
	       (uintmax_t)t_opt.seed, "profile", "cases", "sessions",
	       "requests", "cancelled", "failed", "broken", "cuts");
	for (size_t p = 0; p < profile_cnt(); p++) {
		const struct case_tally *t = &tally[p];

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
}

/* ---- options ------------------------------------------------------------ */

static const char usage[] =
	"stress [--seconds N] [--seed S] [--profile P | --only PART] [--once]\n"
	"       [--mutation NAME] [--expect-failure]\n"
	"stress --list-profiles\n";

static const struct option longs[] = {
	T_KINDS_OPTIONS, { "only", 1, NULL, T_O_OWN }, { 0 }
};

static int set_only(int o)
{
	(void)o;
	only = optarg;
	return -1;
}

int main(int argc, char **argv)
{
	static const struct t_kinds suite = {
		.prog = "stress", .usage = usage,
		.suite = "many requests at once",
		.cnt = profile_cnt, .name = profile_name, .wanted = wanted,
		.run = run_all, .print_tally = print_tally,
		.options = longs, .own_option = set_only,
	};

	t_opt.seconds = 10;
	t_opt.seed = 1;
	return t_kinds_main(&suite, argc, argv);
}
