/* SPDX-License-Identifier: MIT */
/*
 * The frame of the suites that run random cases until the time is up: their
 * cases are of some kinds, each a test in the report. Cases run in processes of
 * their own, so what they find is in memory that is shared.
 */
#ifndef T_KINDS_H
#define T_KINDS_H

#include <getopt.h>

#include "base.h"

#define T_KINDS_MAX 64
#define T_KINDS_WORKERS 2
#define T_KINDS_ALL SIZE_MAX

struct t_kinds {
	const char *prog, *suite, *usage;
	size_t (*cnt)(void);
	const char *(*name)(size_t kind); /* may be overwritten by the next */
	bool (*wanted)(size_t kind);
	void (*run)(void); /* all cases */
	void (*print_tally)(void);
	const struct option *options; /* T_KINDS_OPTIONS and its own */
	int (*own_option)(int o); /* -1: go on; else the exit
				   status */
};

enum { T_O_SECONDS = 256, T_O_SEED, T_O_PROFILE, T_O_ONCE, T_O_MUTATION,
       T_O_EXPECT, T_O_LIST, T_O_OWN };

#define T_KINDS_OPTIONS                                                 \
	{ "seconds", 1, NULL, T_O_SECONDS },                            \
	{ "seed", 1, NULL, T_O_SEED },                                  \
	{ "profile", 1, NULL, T_O_PROFILE },                            \
	{ "once", 0, NULL, T_O_ONCE },                                  \
	{ "mutation", 1, NULL, T_O_MUTATION },                          \
	{ "expect-failure", 0, NULL, T_O_EXPECT },                      \
	{ "list-profiles", 0, NULL, T_O_LIST }

/* What the command line says; seconds and seed begin as the suite has them. */
extern struct t_kinds_opt {
	unsigned seconds;
	uint64_t seed;
	size_t kind; /* T_KINDS_ALL, or which */
	bool once, expect_failure;
} t_opt;

/* Runs the cases and reports, with --expect-failure in one line, for a mutation
 * proof. Returns the exit status. */
int t_kinds_main(const struct t_kinds *s, int argc, char **argv);

uint64_t t_kinds_until(void); /* when the time is up, as t_now_ms() */
uint64_t t_now_ms(void);

struct t_result {
	bool failed;
	uint64_t seed;
	char text[2400];
};

struct t_result *t_result(unsigned worker, size_t kind);
bool t_any_failed(void);

/* The second half of "it dies". */
void t_status_text(int status, char *out, size_t len);

/* Zeros, shared with the processes started from now on. */
void *t_kinds_memory(size_t len);

#endif
