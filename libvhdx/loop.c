/* SPDX-License-Identifier: MIT */
/*
 * The event loop. Two queues feed it: `ready`, touched on the loop's thread
 * only, and `posted`, the mailbox of all other threads. One eventfd tells a
 * sleeper, or the caller's own poll loop, that either has something.
 *
 * P1  Outside a turn no queue is non-empty with the eventfd unreadable, except
 *     while a submitter stands between queueing and writing the eventfd. So
 *     nobody sleeps on work.
 * P2  The eventfd is emptied only by a turn that found nothing to run. A loop
 *     that is kept busy makes no system call at all; the price is that the fd
 *     stays readable for one turn too long.
 */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mem.h"

struct loop {
	struct list ready;
	struct loop_task mark; /* see loop_turn */
	int event_fd;
	atomic_bool signalled; /* the eventfd is readable, or is about to be */
	pthread_mutex_t lock;  /* guards posted */
	struct list posted;
	struct list sources;
	unsigned turns; /* nested ones under way */
};

int loop_new(struct loop **out, struct vhdx_err *e)
{
	struct loop *l = mem_zalloc(sizeof(*l));

	if (!l)
		return err_set(e, VHDX_E_NOMEM, "event loop: out of memory");
	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->event_fd < 0) {
		int rc = err_sys(e, errno, "event loop: eventfd");

		mem_free(l);
		return rc;
	}
	list_init(&l->ready);
	list_init(&l->posted);
	list_init(&l->sources);
	loop_task_init(&l->mark, NULL);
	atomic_init(&l->signalled, false);
	pthread_mutex_init(&l->lock, NULL);
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (!list_empty(&l->sources)) {
		struct loop_source *s =
			list_first(&l->sources, struct loop_source, node);

		list_del(&s->node);
		s->free(s);
	}
	ASSERT(list_empty(&l->ready));
	ASSERT(list_empty(&l->posted));
	pthread_mutex_destroy(&l->lock);
	close(l->event_fd);
	mem_free(l);
}

static void wake(struct loop *l)
{
	if (!atomic_exchange(&l->signalled, true))
		ASSERT(eventfd_write(l->event_fd, 1) == 0);
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	ASSERT(list_empty(&t->node) && t->fn);
	list_add_tail(&l->ready, &t->node);
	wake(l);
}

void loop_post(struct loop *l, struct loop_task *t)
{
	pthread_mutex_lock(&l->lock);
	ASSERT(list_empty(&t->node) && t->fn);
	list_add_tail(&l->posted, &t->node);
	/* Under the lock: once it is released the loop may run the task, and
	 * the task's owner may free the loop. */
	wake(l);
	pthread_mutex_unlock(&l->lock);
}

void loop_post_list(struct loop *l, struct list *tasks)
{
	pthread_mutex_lock(&l->lock);
	list_splice(&l->posted, tasks);
	wake(l); /* see loop_post() */
	pthread_mutex_unlock(&l->lock);
}

static void take_posted(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	list_splice(&l->ready, &l->posted);
	pthread_mutex_unlock(&l->lock);
}

static void poll_sources(struct loop *l)
{
	struct list *it;

	list_for_each(it, &l->sources) {
		struct loop_source *s = list_entry(it, struct loop_source,
						   node);

		s->poll(s);
	}
}

static void wait_for_work(struct loop *l, int timeout_ms)
{
	struct pollfd p = { .fd = l->event_fd, .events = POLLIN };
	eventfd_t ignored;

	/* Empty first, then look again: a post that still saw `signalled` set
	 * has queued its task before the exchange, and take_posted sees it. */
	(void)eventfd_read(l->event_fd, &ignored);
	atomic_exchange(&l->signalled, false);
	take_posted(l);
	poll_sources(l);
	if (!list_empty(&l->ready) || timeout_ms == 0)
		return;
	/* A signal ends the wait: the caller may have been asked to stop. */
	if (poll(&p, 1, timeout_ms) > 0) {
		take_posted(l);
		poll_sources(l);
	}
}

/*
 * A task may turn the loop itself (the blocking calls of file.h do), so the
 * tasks of one turn cannot be moved to a list of its own: the inner turn might
 * wait for one of them. A mark on the ready list, a task without fn, shows
 * where the turn ends instead. An inner turn moves the mark and uses it up,
 * which ends the outer turn early; nothing is lost by that.
 */
int loop_turn(struct loop *l, int timeout_ms)
{
	struct list *mark = &l->mark.node;
	int cnt = 0;

	l->turns++;
	list_del(mark);
	take_posted(l);
	poll_sources(l);
	if (list_empty(&l->ready))
		wait_for_work(l, timeout_ms);
	list_add_tail(&l->ready, mark);
	while (!list_empty(mark)) {
		struct loop_task *t =
			list_first(&l->ready, struct loop_task, node);

		list_del(&t->node);
		if (t == &l->mark)
			break;
		cnt++;
		t->fn(t);
	}
	poll_sources(l); /* what was queued meanwhile starts now */
	l->turns--;
	return cnt;
}

void loop_add_source(struct loop *l, struct loop_source *s)
{
	ASSERT(!loop_find_source(l, s->poll));
	list_add_tail(&l->sources, &s->node);
}

struct loop_source *loop_find_source(const struct loop *l,
				     void (*poll)(struct loop_source *s))
{
	struct list *it;

	list_for_each(it, &l->sources) {
		struct loop_source *s = list_entry(it, struct loop_source,
						   node);

		if (s->poll == poll)
			return s;
	}
	return NULL;
}

void loop_ready(struct loop *l, struct loop_task *t)
{
	ASSERT(list_empty(&t->node) && t->fn);
	list_add_tail(&l->ready, &t->node);
}

bool loop_in_turn(const struct loop *l)
{
	return l->turns != 0;
}

int loop_fd(const struct loop *l)
{
	return l->event_fd;
}
