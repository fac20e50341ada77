/* SPDX-License-Identifier: MIT */
/*
 * One case of the crash suite: a profile and a seed. Runs the workload on a
 * recording disk, then lets power fail at many moments, in many ways, and looks
 * at what recovery makes of it; now and then lets power fail again during the
 * recovery. All of it follows from the seed.
 */
#ifndef CASE_H
#define CASE_H

#include "recover.h"

struct tally {
	uint64_t cases, moments, states, recoveries, fault_runs;
};

/* What to look at; zero-initialised: everything the seed chooses. */
struct only {
	bool given;
	uint64_t at, state;   /* one moment, one state */
	bool again;	      /* and a second failure during recovery */
	uint64_t at2, state2;
};

/* True if all went well. Else `v` holds the finding and the way to repeat it,
 * and the offending image is in a file named there. */
bool case_run(const struct profile *pf, uint64_t seed, const struct only *only,
	      struct tally *t, struct verdict *v);

/* The same workload, short, with the Nth file operation of a kind failing, for
 * every kind and N (fault.c). */
struct only_fault {
	enum file_op op;
	uint64_t nth; /* 0: all */
};

bool fault_run(const struct profile *pf, uint64_t seed,
	       const struct only_fault *only, struct tally *t,
	       struct verdict *v);

/* Power fails while an image that is shared with us is being recovered
 * (foreign.c). True also if it is not there. */
bool foreign_run(const char *name, uint64_t seed, struct tally *t,
		 struct verdict *v);

/* An empty image as the profile wants it; a child of another program's making
 * for every other seed. */
void make_image(struct loop *l, const struct profile *pf, uint64_t seed,
		struct memimg *out);

#endif
