/* SPDX-License-Identifier: MIT */
/*
 * Work that blocks, on a thread of its own, so that the bus thread does not
 * wait: begun and ended there, done elsewhere. One that hangs holds up nobody
 * but who asked for it.
 */
#ifndef ERRAND_H
#define ERRAND_H

#include <pthread.h>

#include "base.h"

#define ERRANDS_MAX 16u /* under way at a time */

struct errands;
struct evloop;
struct vhdx_err;

/* The caller's from errand_start() to done(). */
struct errand {
	void (*work)(struct errand *w); /* on its thread */
	void (*done)(struct errand *w); /* [bus thread], once; may free it */

	/* private */
	struct errands *errands;
	struct errand *next;
	pthread_t thread;
};

/* [bus thread] all of it. */
int errands_create(struct evloop *loop, struct errands **out,
		   struct vhdx_err *e) must_check;
/* Waits for all that are under way; done() is called for each. NULL allowed. */
void errands_destroy(struct errands *s);

/* BUSY: too many are under way. */
int errand_start(struct errands *s, struct errand *w,
		 struct vhdx_err *e) must_check;

#endif
