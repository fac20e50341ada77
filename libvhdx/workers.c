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

enum { JOB, LANE, KINDS };

struct jobs {
	struct list list; /* of struct loop_task; LANE: of workers_lane */
	unsigned cnt;
};

struct workers {
	struct loop_source source;
	struct loop *loop;
	uint64_t round;
	struct jobs fresh[KINDS]; /* the loop's, of this round */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct jobs queue[KINDS]; /* LANE: with jobs, and not busy */
	bool lane_next;		  /* the kinds take turns */
	unsigned idle;
	bool stop;
	unsigned thread_cnt;
	pthread_t threads[WORKERS_MAX];
};

static void jobs_init(struct jobs *j)
{
	list_init(&j->list);
	j->cnt = 0;
}

static void jobs_add(struct jobs *j, struct list *node)
{
	list_add_tail(&j->list, node);
	j->cnt++;
}

static bool any(const struct jobs *of_kinds)
{
	return of_kinds[JOB].cnt || of_kinds[LANE].cnt;
}

static void jobs_move(struct jobs *to, struct jobs *from)
{
	list_splice(&to->list, &from->list);
	to->cnt += from->cnt;
	from->cnt = 0;
}

static struct list *jobs_take(struct jobs *j)
{
	struct list *node = j->list.next;

	list_del(node);
	j->cnt--;
	return node;
}

/* ---- the threads --------------------------------------------------------- */

/* What one thread does in one go; returns the lane that it is of, or NULL. */
static struct workers_lane *take(struct workers *w, struct list *run)
{
	bool is_lane = !w->queue[JOB].cnt ||
		       (w->lane_next && w->queue[LANE].cnt);
	struct workers_lane *lane;

	w->lane_next = !is_lane;
	if (!is_lane) {
		list_add_tail(run, jobs_take(&w->queue[JOB]));
		return NULL;
	}
	lane = list_entry(jobs_take(&w->queue[LANE]), struct workers_lane,
			  node);
	lane->busy = true;
	for (unsigned n = lane->run; n && !list_empty(&lane->jobs); n--) {
		struct list *job = lane->jobs.next;

		list_del(job);
		list_add_tail(run, job);
	}
	return lane;
}

static void wait_for_work(struct workers *w)
{
	w->idle++;
	while (!any(w->queue) && !w->stop)
		pthread_cond_wait(&w->more, &w->lock);
	w->idle--;
}

/* Before the loop hears of the job: the lane may be gone when it has. */
static void leave_lane(struct workers *w, struct workers_lane *lane)
{
	pthread_mutex_lock(&w->lock);
	lane->busy = false;
	if (!list_empty(&lane->jobs))
		jobs_add(&w->queue[LANE], &lane->node);
	pthread_mutex_unlock(&w->lock);
}

static void *worker(void *arg)
{
	struct workers *w = arg;
	struct list run, *it;

	list_init(&run);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct workers_lane *lane;

		wait_for_work(w);
		if (!any(w->queue))
			break;
		lane = take(w, &run);
		pthread_mutex_unlock(&w->lock);
		list_for_each(it, &run) {
			struct loop_task *t =
				list_entry(it, struct loop_task, node);

			t->fn(t);
		}
		if (lane)
			leave_lane(w, lane);
		loop_post_list(w->loop, &run);
		pthread_mutex_lock(&w->lock);
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

/* Beside those that are at work. */
static unsigned wanted_threads(const struct workers *w)
{
	return w->queue[JOB].cnt + w->queue[LANE].cnt;
}

static void run_here(struct workers *w, struct list *jobs)
{
	while (!list_empty(jobs)) {
		struct loop_task *t =
			list_first(jobs, struct loop_task, node);

		list_del(&t->node);
		t->fn(t);
		loop_defer(w->loop, t);
	}
}

static void run_all_here(struct workers *w)
{
	run_here(w, &w->queue[JOB].list);
	w->queue[JOB].cnt = 0;
	while (w->queue[LANE].cnt)
		run_here(w, &list_entry(jobs_take(&w->queue[LANE]),
					struct workers_lane, node)->jobs);
}

/* Starts what threads are missing, and returns how many are to be woken. */
static uint64_t staff(struct workers *w)
{
	unsigned wanted = wanted_threads(w);

	for (unsigned n = w->idle; n < wanted && w->thread_cnt < WORKERS_MAX;
	     n++)
		start_thread(w);
	if (!w->thread_cnt)
		run_all_here(w);
	return u64_min(w->idle, wanted);
}

static void hand_over_lanes(struct workers *w)
{
	while (w->fresh[LANE].cnt) {
		struct workers_lane *lane =
			list_entry(jobs_take(&w->fresh[LANE]),
				   struct workers_lane, fresh_node);
		bool waits = lane->busy || !list_empty(&lane->jobs);

		list_splice(&lane->jobs, &lane->fresh);
		if (!waits)
			jobs_add(&w->queue[LANE], &lane->node);
	}
}

static void hand_over(struct workers *w)
{
	uint64_t wake;

	if (!any(w->fresh))
		return;
	w->round++;
	pthread_mutex_lock(&w->lock);
	jobs_move(&w->queue[JOB], &w->fresh[JOB]);
	hand_over_lanes(w);
	wake = staff(w);
	pthread_mutex_unlock(&w->lock);
	/* Behind it, or they would wake up to wait for the lock. */
	while (wake--)
		pthread_cond_signal(&w->more);
}

static void submitted(struct workers *w)
{
	if (!loop_in_turn(w->loop))
		hand_over(w);
}

void workers_submit(struct workers *w, struct loop_task *t)
{
	ASSERT(list_empty(&t->node) && t->fn);
	jobs_add(&w->fresh[JOB], &t->node);
	submitted(w);
}

void workers_lane_init(struct workers_lane *lane, unsigned run)
{
	list_init(&lane->node);
	list_init(&lane->fresh_node);
	list_init(&lane->jobs);
	list_init(&lane->fresh);
	lane->run = run;
	lane->busy = false;
}

void workers_submit_to_lane(struct workers *w, struct workers_lane *lane,
			    struct loop_task *t)
{
	ASSERT(list_empty(&t->node) && t->fn);
	if (list_empty(&lane->fresh))
		jobs_add(&w->fresh[LANE], &lane->fresh_node);
	list_add_tail(&lane->fresh, &t->node);
	submitted(w);
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
	ASSERT(!any(w->queue) && !any(w->fresh));
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
	for (int k = 0; k < KINDS; k++) {
		jobs_init(&w->fresh[k]);
		jobs_init(&w->queue[k]);
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	loop_add_source(l, &w->source);
	*out = w;
	return 0;
}
