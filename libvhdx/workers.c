/* SPDX-License-Identifier: MIT */
/*
 * The threads behind a loop. One mutex guards the queue and the counts; it is
 * never held while a job runs. A thread is started when more jobs are queued
 * than threads are idle, and stays until workers_free(): a loop lives about as
 * long as an open image.
 */
#include "workers.h"

#include <pthread.h>
#include <signal.h>

#include "mem.h"

struct workers {
	struct loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list queue;
	unsigned queued, idle;
	bool stop;
	unsigned thread_cnt;
	pthread_t threads[WORKERS_MAX];
};

int workers_new(struct loop *l, struct workers **out, struct vhdx_err *e)
{
	struct workers *w = mem_zalloc(sizeof(*w));

	if (!w)
		return err_set(e, VHDX_E_NOMEM, "workers: out of memory");
	w->loop = l;
	list_init(&w->queue);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	*out = w;
	return 0;
}

static void *worker(void *arg)
{
	struct workers *w = arg;
	struct loop_task *t;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		w->idle++;
		while (w->queued == 0 && !w->stop)
			pthread_cond_wait(&w->more, &w->lock);
		w->idle--;
		if (w->queued == 0)
			break;
		t = list_first(&w->queue, struct loop_task, node);
		list_del(&t->node);
		w->queued--;
		pthread_mutex_unlock(&w->lock);
		t->fn(t);
		loop_post(w->loop, t);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* The program's signals are for its own threads. */
static void start_thread(struct workers *w)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&w->threads[w->thread_cnt], NULL, worker, w) == 0)
		w->thread_cnt++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void workers_submit(struct workers *w, struct loop_task *t)
{
	ASSERT(list_empty(&t->node) && t->fn);
	pthread_mutex_lock(&w->lock);
	if (w->idle <= w->queued && w->thread_cnt < WORKERS_MAX)
		start_thread(w);
	if (w->thread_cnt > 0) {
		list_add_tail(&w->queue, &t->node);
		w->queued++;
		pthread_cond_signal(&w->more);
		t = NULL;
	}
	pthread_mutex_unlock(&w->lock);
	if (t) {
		t->fn(t);
		loop_defer(w->loop, t);
	}
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	ASSERT(w->queued == 0);
	w->stop = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->thread_cnt; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}
