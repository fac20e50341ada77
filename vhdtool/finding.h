/* SPDX-License-Identifier: MIT */
/*
 * What a check finds, for people and for programs, and the numbers that its
 * summary and its exit status rest on: both come from the same count.
 */
#ifndef FINDING_H
#define FINDING_H

#include <jansson.h>

#include "vhdx.h"

struct tally {
	json_t *list; /* NULL: findings are printed as they come */
	uint64_t notes, warnings, errors;
	uint64_t repairable, repaired;
	uint64_t errors_left;
};

/* subject: the file, where several are checked; or NULL. */
void finding_take(struct tally *t, const char *subject,
		  const struct vhdx_finding *f);

/* "PATH: vhdx, 3 blocks allocated; ...", and what to do about a dirty log. */
void finding_summary(const char *path, const struct tally *t,
		     const struct vhdx_check_result *r);

/* What to run to have mended what can be: command is without the options of
 * repairing, "check --chain"; nothing if nothing can be. */
void finding_next_step(const char *command, const char *path, bool repair,
		       bool dry_run, const struct tally *t);

/* The file's findings as an object; takes over t->list. */
json_t *finding_json(const char *path, const struct tally *t,
		     const struct vhdx_check_result *r);

#endif
