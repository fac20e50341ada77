/* SPDX-License-Identifier: MIT */
/*
 * One case: a disk of some kind lives through a few sessions, each of them
 * opened, worked on by a crew, closed; some end badly. After each the whole
 * disk is read and compared with what it may show, and the file is checked.
 */
#ifndef CASE_H
#define CASE_H

#include "site.h"

struct case_profile {
	const struct kind *kind;
	enum backing backing;
	bool threads; /* else the owner alone: on BACK_SIM all follows from the
			 seed */
};

struct case_tally {
	uint64_t cases, sessions, requests, canceled, failed, broken, cuts;
};

/* Runs in a process of its own, which a finding ends (report.h). */
void case_run(const struct case_profile *p, uint64_t seed,
	      struct case_tally *tally);

#endif
