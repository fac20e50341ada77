/* SPDX-License-Identifier: MIT */
/*
 * Work that blocks, on a thread of its own, so that the bus thread does not
 * wait: begun and ended there, done elsewhere. One that hangs holds up nobody
 * but who asked for it.
 */
#ifndef JOB_H
#define JOB_H

#include <pthread.h>

#include "base.h"

#define JOBS_MAX 16u /* under way at a time */

struct jobs;
struct evloop;
struct vhdx_err;

/* The caller's from job_start() to done(). */
struct job {
	void (*work)(struct job *j); /* on its thread */
	void (*done)(struct job *j); /* [bus thread], once; may free it */

	/* private */
	struct jobs *jobs;
	struct job *next;
	pthread_t thread;
};

/* [bus thread] all of it. */
int jobs_create(struct evloop *loop, struct jobs **out,
		struct vhdx_err *e) must_check;
/* Waits for all that are under way; done() is called for each. NULL allowed. */
void jobs_destroy(struct jobs *s);

/* BUSY: too many are under way. */
int job_start(struct jobs *s, struct job *j, struct vhdx_err *e) must_check;

#endif
