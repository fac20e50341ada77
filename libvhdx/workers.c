/* SPDX-License-Identifier: MIT */
/*
 * The threads behind a loop. One mutex guards the queues and the counts; it is
 * never held while a job runs. A thread is started when more are wanted than
 * are idle, and stays until the loop ends: a loop lives about as long as an
 * open image.
 */
#include "workers.h"

#include <pthread.h>
#include <signal.h>

#include "mem.h"

#define SHORT_RUN 8u /* of short jobs, by one thread */

struct jobs {
	struct list list;
	unsigned cnt;
};

struct workers {
	struct loop_source source;
	struct loop *loop;
	uint64_t round;
	struct jobs fresh, fresh_short; /* the loop's, of this round */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct jobs queue, queue_short;
	unsigned idle;
	unsigned at_short; /* threads */
	bool short_next;   /* the two queues take turns */
	bool stop;
	unsigned thread_cnt;
	pthread_t threads[WORKERS_MAX];
};

static void jobs_init(struct jobs *j)
{
	list_init(&j->list);
	j->cnt = 0;
}

static void jobs_add(struct jobs *j, struct loop_task *t)
{
	ASSERT(list_empty(&t->node) && t->fn);
	list_add_tail(&j->list, &t->node);
	j->cnt++;
}

static void jobs_move(struct jobs *to, struct jobs *from)
{
	list_splice(&to->list, &from->list);
	to->cnt += from->cnt;
	from->cnt = 0;
}

static struct loop_task *jobs_take(struct jobs *j)
{
	struct loop_task *t = list_first(&j->list, struct loop_task, node);

	list_del(&t->node);
	j->cnt--;
	return t;
}

/* ---- the threads --------------------------------------------------------- */

static bool has_work(const struct workers *w)
{
	return w->queue.cnt || w->queue_short.cnt;
}

/* What one thread does in one go. True: short jobs. */
static bool take(struct workers *w, struct list *run)
{
	unsigned n = SHORT_RUN;
	bool is_short = !w->queue.cnt || (w->short_next && w->queue_short.cnt);

	w->short_next = !is_short;
	if (!is_short)
		list_add_tail(run, &jobs_take(&w->queue)->node);
	else
		while (n-- && w->queue_short.cnt)
			list_add_tail(run, &jobs_take(&w->queue_short)->node);
	return is_short;
}

static void *worker(void *arg)
{
	struct workers *w = arg;
	struct list run, *it;
	bool is_short;

	list_init(&run);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		w->idle++;
		while (!has_work(w) && !w->stop)
			pthread_cond_wait(&w->more, &w->lock);
		w->idle--;
		if (!has_work(w))
			break;
		is_short = take(w, &run);
		w->at_short += is_short;
		pthread_mutex_unlock(&w->lock);
		list_for_each(it, &run) {
			struct loop_task *t =
				list_entry(it, struct loop_task, node);

			t->fn(t);
		}
		loop_post_list(w->loop, &run);
		pthread_mutex_lock(&w->lock);
		w->at_short -= is_short;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* The program's signals are for its own threads, but those of a crash: blocked,
 * they would not reach the handler that cleans up. */
static void start_thread(struct workers *w)
{
	sigset_t all, old;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&w->threads[w->thread_cnt], NULL, worker, w) == 0)
		w->thread_cnt++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- the loop's side ----------------------------------------------------- */

/* Beside those that are at work. One that is at short jobs comes back soon. */
static unsigned wanted_threads(const struct workers *w)
{
	unsigned runs = (w->queue_short.cnt + SHORT_RUN - 1) / SHORT_RUN;

	return w->queue.cnt + (runs > w->at_short ? runs - w->at_short : 0);
}

static void run_here(struct workers *w, struct jobs *j)
{
	while (j->cnt) {
		struct loop_task *t = jobs_take(j);

		t->fn(t);
		loop_defer(w->loop, t);
	}
}

/* Starts what threads are missing, and returns how many are to be woken. */
static uint64_t staff(struct workers *w)
{
	unsigned wanted = wanted_threads(w);

	for (unsigned n = w->idle; n < wanted && w->thread_cnt < WORKERS_MAX;
	     n++)
		start_thread(w);
	if (!w->thread_cnt) {
		run_here(w, &w->queue);
		run_here(w, &w->queue_short);
	}
	return u64_min(w->idle, wanted);
}

static void hand_over(struct workers *w)
{
	uint64_t wake;

	if (!w->fresh.cnt && !w->fresh_short.cnt)
		return;
	w->round++;
	pthread_mutex_lock(&w->lock);
	jobs_move(&w->queue, &w->fresh);
	jobs_move(&w->queue_short, &w->fresh_short);
	wake = staff(w);
	pthread_mutex_unlock(&w->lock);
	/* Behind it, or they would wake up to wait for the lock. */
	while (wake--)
		pthread_cond_signal(&w->more);
}

static void submit(struct workers *w, struct jobs *j, struct loop_task *t)
{
	jobs_add(j, t);
	if (!loop_in_turn(w->loop))
		hand_over(w);
}

void workers_submit(struct workers *w, struct loop_task *t)
{
	submit(w, &w->fresh, t);
}

void workers_submit_short(struct workers *w, struct loop_task *t)
{
	submit(w, &w->fresh_short, t);
}

uint64_t workers_round(const struct workers *w)
{
	return w->round;
}

static void workers_poll(struct loop_source *s)
{
	hand_over(container_of(s, struct workers, source));
}

static void workers_free(struct loop_source *s)
{
	struct workers *w = container_of(s, struct workers, source);

	pthread_mutex_lock(&w->lock);
	ASSERT(!has_work(w) && !w->fresh.cnt && !w->fresh_short.cnt);
	w->stop = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->thread_cnt; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

int loop_workers(struct loop *l, struct workers **out, struct vhdx_err *e)
{
	struct loop_source *s = loop_find_source(l, workers_poll);
	struct workers *w;

	if (s) {
		*out = container_of(s, struct workers, source);
		return 0;
	}
	w = mem_zalloc(sizeof(*w));
	if (!w)
		return err_set(e, VHDX_E_NOMEM, "workers: out of memory");
	w->loop = l;
	w->source.poll = workers_poll;
	w->source.free = workers_free;
	jobs_init(&w->fresh);
	jobs_init(&w->fresh_short);
	jobs_init(&w->queue);
	jobs_init(&w->queue_short);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	loop_add_source(l, &w->source);
	*out = w;
	return 0;
}
