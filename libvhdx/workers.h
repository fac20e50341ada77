/* SPDX-License-Identifier: MIT */
/*
 * A few threads that make blocking system calls on behalf of one loop. A job
 * is a loop task: its fn runs on a worker, leaves in t->fn the function that
 * is to follow on the loop, and the task is then posted there. Jobs start in
 * the order they were submitted and run side by side, so they are not ordered
 * among themselves. Nothing is allocated per job.
 *
 * What is submitted during a turn is handed over together at the turn's end,
 * which is a round: waking a thread costs more than a short job does.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include "loop.h"

#define WORKERS_MAX 8

struct workers;

/* [loop] The loop's own workers, made on first use, freed with the loop; no job
 * may be under way then. */
int loop_workers(struct loop *l, struct workers **out,
		 struct vhdx_err *e) must_check;

/* [loop] t is idle, t->fn is the job. Where the host does not give us a single
 * thread, the job runs when it would be handed over. */
void workers_submit(struct workers *w, struct loop_task *t);

/* Jobs that the host makes wait for one another anyway, as it lets only one
 * writer at a time into a file: one after the other, in the order in which they
 * were submitted. Several threads would only get into each other's way. */
struct workers_lane {
	struct list node, fresh_node;
	struct list jobs, fresh; /* fresh: of this round */
	unsigned run;
	bool busy;
};

/* run: so many are done in a row, and come back together. More than 1 for jobs
 * that take less time than waking a thread. */
void workers_lane_init(struct workers_lane *lane, unsigned run);

/* [loop] lane lives until the last of its jobs has come back to the loop. */
void workers_submit_to_lane(struct workers *w, struct workers_lane *lane,
			    struct loop_task *t);

/* [loop] A job submitted in this round has not been handed over, and is still
 * the submitter's to change. */
uint64_t workers_round(const struct workers *w);

#endif
