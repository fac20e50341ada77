/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "loop.h"
#include "mem.h"
#include "t.h"
#include "workers.h"

struct step {
	struct loop_task task;
	struct loop *loop;
	int order; /* when it ran: 1, 2, ... */
	int again; /* defers itself so many times */
	int sum;
};

static int clock_now;

static struct step *step_of(struct loop_task *t)
{
	return container_of(t, struct step, task);
}

static void step_run(struct loop_task *t)
{
	struct step *s = step_of(t);

	s->order = ++clock_now;
	s->sum++;
	if (s->again-- > 0)
		loop_defer(s->loop, &s->task);
}

static void step_init(struct step *s, struct loop *l)
{
	*s = (struct step){ .loop = l };
	loop_task_init(&s->task, step_run);
	clock_now = 0;
}

static struct loop *new_loop(void)
{
	struct loop *l = NULL;

	T_OK(loop_new(&l, &t_err));
	return l;
}

static bool fd_readable(struct loop *l)
{
	struct pollfd p = { .fd = loop_fd(l), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void tasks_run_in_the_order_deferred(void)
{
	struct loop *l = new_loop();
	struct step a, b;

	step_init(&a, l);
	step_init(&b, l);
	loop_defer(l, &b.task);
	loop_defer(l, &a.task);
	T_EQ_U64(loop_turn(l, 0), 2);
	T_EQ_U64(b.order, 1);
	T_EQ_U64(a.order, 2);
	loop_free(l);
}

static void task_deferred_by_a_task_waits_for_the_next_turn(void)
{
	struct loop *l = new_loop();
	struct step a;

	step_init(&a, l);
	a.again = 1;
	loop_defer(l, &a.task);
	T_EQ_U64(loop_turn(l, 0), 1);
	T_EQ_U64(a.sum, 1);
	T_EQ_U64(loop_turn(l, 0), 1);
	T_EQ_U64(a.sum, 2);
	loop_free(l);
}

static void fd_is_readable_while_a_deferred_task_waits(void)
{
	struct loop *l = new_loop();
	struct step a;

	step_init(&a, l);
	a.again = 1;
	T_TRUE(!fd_readable(l));
	loop_defer(l, &a.task);
	T_TRUE(fd_readable(l));
	(void)loop_turn(l, 0);
	T_TRUE(fd_readable(l)); /* it deferred itself again */
	(void)loop_turn(l, 0);
	loop_free(l);
}

static void fd_is_not_readable_after_a_turn_without_work(void)
{
	struct loop *l = new_loop();
	struct step a;

	step_init(&a, l);
	loop_defer(l, &a.task);
	T_EQ_U64(loop_turn(l, 0), 1);
	T_EQ_U64(loop_turn(l, 0), 0);
	T_TRUE(!fd_readable(l));
	loop_defer(l, &a.task);
	T_TRUE(fd_readable(l));
	T_EQ_U64(loop_turn(l, 0), 1);
	loop_free(l);
}

static void turn_without_work_returns_after_its_timeout(void)
{
	struct loop *l = new_loop();

	T_EQ_U64(loop_turn(l, 0), 0);
	T_EQ_U64(loop_turn(l, 1), 0);
	loop_free(l);
}

struct outer {
	struct loop_task task;
	struct step *inner;
	int inner_order;
};

static void turn_until_inner_ran(struct loop_task *t)
{
	struct outer *o = container_of(t, struct outer, task);

	while (!o->inner->order)
		(void)loop_turn(o->inner->loop, -1);
	o->inner_order = o->inner->order;
}

static void task_may_turn_the_loop_for_one_queued_behind_it(void)
{
	struct loop *l = new_loop();
	struct step s;
	struct outer o = { .inner = &s };

	step_init(&s, l);
	loop_task_init(&o.task, turn_until_inner_ran);
	loop_defer(l, &o.task);
	loop_defer(l, &s.task);
	while (!s.order)
		(void)loop_turn(l, -1);
	T_EQ_U64(o.inner_order, 1);
	T_EQ_U64(s.sum, 1);
	loop_free(l);
}

enum { POSTERS = 4, POSTS = 2000 };

struct poster {
	struct loop *loop;
	struct step steps[POSTS];
};

static void *post_all(void *arg)
{
	struct poster *p = arg;

	for (int i = 0; i < POSTS; i++)
		loop_post(p->loop, &p->steps[i].task);
	return NULL;
}

static void every_post_of_every_thread_runs_once(void)
{
	static struct poster p[POSTERS];
	struct loop *l = new_loop();
	pthread_t th[POSTERS];
	int ran = 0;

	for (int i = 0; i < POSTERS; i++) {
		p[i].loop = l;
		for (int j = 0; j < POSTS; j++)
			step_init(&p[i].steps[j], l);
		T_TRUE(!pthread_create(&th[i], NULL, post_all, &p[i]));
	}
	while (ran < POSTERS * POSTS)
		ran += loop_turn(l, -1);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(th[i], NULL);
	T_EQ_U64(clock_now, POSTERS * POSTS);
	for (int i = 0; i < POSTERS; i++)
		for (int j = 0; j < POSTS; j++)
			T_EQ_U64(p[i].steps[j].sum, 1);
	loop_free(l);
}

struct job {
	struct loop_task task;
	pthread_t ran_on, done_on;
	int *left;
};

static void job_done(struct loop_task *t)
{
	struct job *j = container_of(t, struct job, task);

	j->done_on = pthread_self();
	--*j->left;
}

static void job_run(struct loop_task *t)
{
	container_of(t, struct job, task)->ran_on = pthread_self();
	t->fn = job_done;
}

static void jobs_run_on_workers_and_finish_on_the_loop(void)
{
	struct loop *l = new_loop();
	struct workers *w;
	struct job jobs[100];
	int left = 100;

	T_OK(loop_workers(l, &w, &t_err));
	for (int i = 0; i < 100; i++) {
		jobs[i].left = &left;
		loop_task_init(&jobs[i].task, job_run);
		workers_submit(w, &jobs[i].task);
	}
	while (left > 0)
		(void)loop_turn(l, -1);
	for (int i = 0; i < 100; i++) {
		T_TRUE(!pthread_equal(jobs[i].ran_on, pthread_self()));
		T_TRUE(pthread_equal(jobs[i].done_on, pthread_self()));
	}
	loop_free(l);
}

static struct workers *handed_to;
static struct workers_lane many_lane;
static struct job many[50];

static void submit_many(struct loop_task *t)
{
	uint64_t round = workers_round(handed_to);

	(void)t;
	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		loop_task_init(&many[i].task, job_run);
		if (i % 3)
			workers_submit_to_lane(handed_to, &many_lane,
					       &many[i].task);
		else
			workers_submit(handed_to, &many[i].task);
	}
	T_EQ_U64(workers_round(handed_to), round);
}

static void jobs_of_one_turn_are_handed_over_together(void)
{
	struct loop *l = new_loop();
	struct loop_task t;
	int left = ARRAY_LEN(many);

	workers_lane_init(&many_lane, 8);
	T_OK(loop_workers(l, &handed_to, &t_err));
	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i].left = &left;
	loop_task_init(&t, submit_many);
	loop_defer(l, &t);
	while (left > 0)
		(void)loop_turn(l, -1);
	T_EQ_U64(workers_round(handed_to), 1);
	loop_free(l);
}

static pthread_barrier_t meeting;

static void job_meet(struct loop_task *t)
{
	pthread_barrier_wait(&meeting);
	t->fn = job_done;
}

static void blocked_jobs_do_not_hold_up_others(void)
{
	struct loop *l = new_loop();
	struct workers *w;
	struct job jobs[WORKERS_MAX];
	int left = WORKERS_MAX;

	/* Each waits for all: this ends only if they run side by side. */
	pthread_barrier_init(&meeting, NULL, WORKERS_MAX);
	T_OK(loop_workers(l, &w, &t_err));
	for (int i = 0; i < WORKERS_MAX; i++) {
		jobs[i].left = &left;
		loop_task_init(&jobs[i].task, job_meet);
		workers_submit(w, &jobs[i].task);
	}
	while (left > 0)
		(void)loop_turn(l, -1);
	pthread_barrier_destroy(&meeting);
	loop_free(l);
}

static atomic_int lane_place;

struct lane_job {
	struct job job;
	bool waits;
	int place;
};

static void job_in_lane(struct loop_task *t)
{
	struct lane_job *j = container_of(t, struct lane_job, job.task);

	for (int i = 0; j->waits && i < 2; i++)
		pthread_barrier_wait(&meeting);
	j->place = atomic_fetch_add(&lane_place, 1);
	t->fn = job_done;
}

static void lane_jobs_init(struct lane_job *jobs, int *left)
{
	atomic_store(&lane_place, 0);
	for (int i = 0; i < *left; i++) {
		jobs[i].job.left = left;
		jobs[i].waits = i == 0;
		loop_task_init(&jobs[i].job.task, job_in_lane);
	}
}

static void run_job(struct loop *l, struct workers *w,
		    void (*fn)(struct loop_task *t))
{
	int left = 1;
	struct job j = { .left = &left };

	loop_task_init(&j.task, fn);
	workers_submit(w, &j.task);
	while (left)
		(void)loop_turn(l, -1);
}

static void job_of_a_lane_waits_for_the_one_before_it(void)
{
	struct loop *l = new_loop();
	struct workers_lane *lane = mem_alloc(sizeof(*lane));
	struct lane_job jobs[3];
	struct workers *w;
	int left = 3;

	pthread_barrier_init(&meeting, NULL, 2);
	workers_lane_init(lane, 1);
	T_OK(loop_workers(l, &w, &t_err));
	lane_jobs_init(jobs, &left);
	workers_submit_to_lane(w, lane, &jobs[0].job.task);
	run_job(l, w, job_meet); /* it runs, and waits for another */
	workers_submit_to_lane(w, lane, &jobs[1].job.task);
	workers_submit_to_lane(w, lane, &jobs[2].job.task);
	for (int i = 0; i < 20; i++) /* others come by meanwhile */
		run_job(l, w, job_run);
	run_job(l, w, job_meet);
	while (left)
		(void)loop_turn(l, -1);
	mem_free(lane); /* the last is back: no thread needs it */
	for (int i = 0; i < 3; i++)
		T_EQ_U64((unsigned)jobs[i].place, (unsigned)i);
	pthread_barrier_destroy(&meeting);
	loop_free(l);
}

static void two_lanes_and_a_job_of_none_run_side_by_side(void)
{
	struct loop *l = new_loop();
	struct workers_lane lanes[2];
	struct workers *w;
	struct job jobs[3];
	int left = 3;

	pthread_barrier_init(&meeting, NULL, 3);
	T_OK(loop_workers(l, &w, &t_err));
	for (int i = 0; i < 3; i++) {
		jobs[i].left = &left;
		loop_task_init(&jobs[i].task, job_meet);
	}
	for (int i = 0; i < 2; i++) {
		workers_lane_init(&lanes[i], 1);
		workers_submit_to_lane(w, &lanes[i], &jobs[i].task);
	}
	workers_submit(w, &jobs[2].task);
	while (left > 0)
		(void)loop_turn(l, -1);
	pthread_barrier_destroy(&meeting);
	loop_free(l);
}

static const struct t_test tests[] = {
	T_TEST(tasks_run_in_the_order_deferred),
	T_TEST(task_deferred_by_a_task_waits_for_the_next_turn),
	T_TEST(fd_is_readable_while_a_deferred_task_waits),
	T_TEST(fd_is_not_readable_after_a_turn_without_work),
	T_TEST(turn_without_work_returns_after_its_timeout),
	T_TEST(task_may_turn_the_loop_for_one_queued_behind_it),
	T_TEST(every_post_of_every_thread_runs_once),
	T_TEST(jobs_run_on_workers_and_finish_on_the_loop),
	T_TEST(jobs_of_one_turn_are_handed_over_together),
	T_TEST(blocked_jobs_do_not_hold_up_others),
	T_TEST(job_of_a_lane_waits_for_the_one_before_it),
	T_TEST(two_lanes_and_a_job_of_none_run_side_by_side),
	T_END,
};

const struct t_suite t_suite_loop = { "loop", tests };
