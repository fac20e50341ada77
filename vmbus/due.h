/* SPDX-License-Identifier: MIT */
/*
 * What is due: notes of what the server has to do next, built into what they
 * are about, on one queue in the order they arose. Queueing allocates nothing
 * and cannot fail; a note is on the queue once at most.
 */
#ifndef DUE_H
#define DUE_H

#include "list.h"

enum due_kind {
	/* Messages: they die with the connection. */
	DUE_REPLY,	/* the server's */
	DUE_ALL_OFFERS,
	DUE_OFFER,	/* a channel's notice */
	DUE_RESCIND,
	DUE_RESULT,	/* a channel's */
	DUE_TORN,	/* a GPADL's */
	DUE_RETARGET,	/* a channel's */
	/* Orders. */
	DUE_OPEN,	/* a channel's */
	DUE_CLOSE,
	DUE_GONE,	/* a device's */
	DUE_TELL,	/* the server's */
};

struct due {
	struct list node;
	enum due_kind kind;
};

static inline void due_init(struct due *d, enum due_kind kind)
{
	list_init(&d->node);
	d->kind = kind;
}

static inline bool due_waits(const struct due *d)
{
	return !list_empty(&d->node);
}

static inline void due_drop(struct due *d)
{
	list_del(&d->node);
}

#endif
