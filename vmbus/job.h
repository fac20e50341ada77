/* SPDX-License-Identifier: MIT */
/*
 * What the server has to do next: jobs, built into what they are about, on one
 * queue in the order they arose. Queueing allocates nothing and cannot fail;
 * one job is on the queue once at most.
 */
#ifndef JOB_H
#define JOB_H

#include "list.h"

enum job_kind {
	/* Messages: they die with the connection. */
	JOB_REPLY,	/* the server's */
	JOB_ALL_OFFERS,
	JOB_OFFER,	/* a channel's notice */
	JOB_RESCIND,
	JOB_RESULT,	/* a channel's */
	JOB_TORN,	/* a GPADL's */
	JOB_RETARGET,	/* a channel's */
	/* Orders. */
	JOB_OPEN,	/* a channel's */
	JOB_CLOSE,
	JOB_GONE,	/* a device's */
	JOB_TELL,	/* the server's */
};

struct job {
	struct list node;
	enum job_kind kind;
};

static inline void job_init(struct job *j, enum job_kind kind)
{
	list_init(&j->node);
	j->kind = kind;
}

static inline bool job_waits(const struct job *j)
{
	return !list_empty(&j->node);
}

static inline void job_drop(struct job *j)
{
	list_del(&j->node);
}

#endif
