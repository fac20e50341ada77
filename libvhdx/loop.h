/* SPDX-License-Identifier: MIT */
/*
 * The event loop: one thread runs it, and all state of the disks that belong
 * to it is touched on that thread only. Work is a struct loop_task embedded in
 * its owner; nothing is allocated per task. Tasks run in the order they were
 * deferred; a task deferred while tasks run waits for the next turn.
 */
#ifndef LOOP_H
#define LOOP_H

#include "err.h"
#include "list.h"

struct loop;

struct loop_task {
	struct list node; /* self-linked when idle */
	void (*fn)(struct loop_task *t);
};

int loop_new(struct loop **out, struct vhdx_err *e) must_check;
void loop_free(struct loop *l); /* NULL allowed; nothing may be pending */

static inline void loop_task_init(struct loop_task *t,
				  void (*fn)(struct loop_task *))
{
	list_init(&t->node);
	t->fn = fn;
}

/* [loop] Runs t->fn on the next turn. t must be idle. */
void loop_defer(struct loop *l, struct loop_task *t);

/* [any] The same from another thread; wakes the loop. */
void loop_post(struct loop *l, struct loop_task *t);

/* [loop] Runs what is ready; if nothing is, waits up to timeout_ms (-1: for
 * ever, 0: not); a signal ends the wait. Returns the number of tasks run. A
 * task may turn the loop itself. */
int loop_turn(struct loop *l, int timeout_ms);

/* [any] Several at once, in their order; `tasks` is empty afterwards. */
void loop_post_list(struct loop *l, struct list *tasks);

/* One more place that tasks come from (aio.c) or go to (workers.c): each turn
 * asks it, when it begins and when it ends. */
struct loop_source {
	struct list node;
	/* Starts what is queued, hands what is complete to loop_ready(). */
	void (*poll)(struct loop_source *s);
	void (*free)(struct loop_source *s); /* by loop_free() */
};

/* [loop] What it waits for in the kernel is to make loop_fd() readable. There
 * is one of a kind, that is with the same poll; NULL while there is none. */
void loop_add_source(struct loop *l, struct loop_source *s);
struct loop_source *loop_find_source(const struct loop *l,
				     void (*poll)(struct loop_source *s));

/* [loop] As loop_defer(), but does not wake a poll on loop_fd(): for a source
 * whose kernel side does, or which is being asked by a turn. */
void loop_ready(struct loop *l, struct loop_task *t);

/* [loop] Within a turn, at whose end the source is asked. */
bool loop_in_turn(const struct loop *l);

/* Readable when loop_turn() has work, and until a turn has found that there is
 * none any more. Valid for the loop's life. */
int loop_fd(const struct loop *l);

#endif
