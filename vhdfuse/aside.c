/* SPDX-License-Identifier: MIT */
#include "aside.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct jobs {
	struct aside_job *first, **end;
};

struct aside {
	pthread_t thread;
	bool running;
	unsigned busy_cnt; /* the loop's */
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool stop;		/* these under the lock */
	struct jobs to_do, worked;
};

static void jobs_init(struct jobs *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void jobs_add(struct jobs *l, struct aside_job *j)
{
	j->next = NULL;
	*l->end = j;
	l->end = &j->next;
}

static struct aside_job *jobs_take(struct jobs *l)
{
	struct aside_job *j = l->first;
	if (j && !(l->first = j->next))
		l->end = &l->first;
	return j;
}

struct aside *aside_new(void)
{
	struct aside *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->fd < 0) {
		free(a);
		return NULL;
	}
	jobs_init(&a->to_do);
	jobs_init(&a->worked);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->more, NULL);
	return a;
}

static void *on_the_side(void *arg)
{
	struct aside *a = arg;
	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		struct aside_job *j = jobs_take(&a->to_do);
		if (!j) {
			pthread_cond_wait(&a->more, &a->lock);
			continue;
		}
		pthread_mutex_unlock(&a->lock);
		j->work(j);
		pthread_mutex_lock(&a->lock);
		jobs_add(&a->worked, j);
		eventfd_write(a->fd, 1);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* The program's signals are for its own thread. */
static bool start(struct aside *a)
{
	sigset_t all, old;
	if (a->running)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	a->running = pthread_create(&a->thread, NULL, on_the_side, a) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return a->running;
}

bool aside_do(struct aside *a, struct aside_job *j)
{
	if (!start(a))
		return false;
	a->busy_cnt++;
	pthread_mutex_lock(&a->lock);
	jobs_add(&a->to_do, j);
	pthread_cond_signal(&a->more);
	pthread_mutex_unlock(&a->lock);
	return true;
}

int aside_fd(const struct aside *a)
{
	return a->fd;
}

void aside_turn(struct aside *a)
{
	eventfd_t cnt;
	(void)eventfd_read(a->fd, &cnt);
	for (;;) {
		pthread_mutex_lock(&a->lock);
		struct aside_job *j = jobs_take(&a->worked);
		pthread_mutex_unlock(&a->lock);
		if (!j)
			return;
		a->busy_cnt--;
		j->done(j);
	}
}

bool aside_is_busy(const struct aside *a)
{
	return a->busy_cnt > 0;
}

void aside_free(struct aside *a)
{
	if (!a)
		return;
	if (a->running) {
		pthread_mutex_lock(&a->lock);
		a->stop = true;
		pthread_cond_signal(&a->more);
		pthread_mutex_unlock(&a->lock);
		pthread_join(a->thread, NULL);
	}
	pthread_cond_destroy(&a->more);
	pthread_mutex_destroy(&a->lock);
	close(a->fd);
	free(a);
}
