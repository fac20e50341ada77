/* SPDX-License-Identifier: MIT */
/*
 * A few threads that make blocking system calls on behalf of one loop. A job
 * is a loop task: its fn runs on a worker, leaves in t->fn the function that
 * is to follow on the loop, and the task is then posted there. Jobs start in
 * the order they were submitted and run side by side, so they are not ordered
 * among themselves. Nothing is allocated per job.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include "loop.h"

#define WORKERS_MAX 8

struct workers;

int workers_new(struct loop *l, struct workers **out,
		struct vhdx_err *e) must_check;

/* [loop] t is idle, t->fn is the job. Where the host does not give us a single
 * thread, the job runs inside this call. */
void workers_submit(struct workers *w, struct loop_task *t);

/* [loop] Joins the threads; no job may be under way. NULL allowed. */
void workers_free(struct workers *w);

/* [loop] The loop's own workers, made on first use, freed with the loop. */
int loop_workers(struct loop *l, struct workers **out,
		 struct vhdx_err *e) must_check;

#endif
