/* SPDX-License-Identifier: MIT */
/*
 * Requests live in slots, slots belong to a lane, a lane is what one submitter
 * does: its own row of places, its own share of depth and count.
 *
 *   idle --slot_start--> in flight --io_done--> in flight again, or idle
 *
 * Without threads the one lane is the owner's, and a completion starts the
 * next request on the spot. With them each lane is a thread's, which posts; the
 * owner completes, measures, and hands the slots back (lane.finished). What is
 * not marked otherwise belongs to the lane's thread in struct lane, and to the
 * owner in struct bench.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "intr.h"

#define BUF_ALIGN 4096u
#define LOOK_NS UINT64_C(50000000) /* between looks for a signal: a syscall */
#define TURN_MS 20 /* with threads, whose end no completion may tell */

struct slot {
	struct lane *lane;
	struct slot *next; /* in idle or finished */
	struct vhdx_req req;
	struct vhdx_err err;
	struct iovec iov;
	uint64_t begin_ns;
};

struct lane {
	struct bench *bench;
	uint64_t next_voff, step_len; /* < size */
	uint64_t random_state, random_step;
	uint64_t left;	      /* to submit */
	uint64_t until_flush; /* writes left; only with an interval */
	unsigned in_flight;
	struct slot *idle;
	struct slot flush;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct slot *finished; /* under lock */
};

struct bench {
	struct bench_plan plan; /* constant */
	struct vhdx_blk *blk;
	void (*submit)(struct vhdx_blk *blk, struct vhdx_req *req);
	struct bench_result *result;
	uint64_t size_len;  /* constant */
	uint64_t place_cnt; /* constant; random */
	uint64_t last_ns;   /* the newest completion */
	uint64_t looked_ns;
	atomic_int code; /* the owner's, and a reason for lanes to stop */
	struct vhdx_err err;
	struct lane *lanes;
	uint64_t lane_cnt;
	atomic_uint running; /* threads */
	struct slot *slots;
	uint8_t *buf;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- places -------------------------------------------------------------- */

#define GAMMA UINT64_C(0x9e3779b97f4a7c15)

/* splitmix64: any of its numbers can be had without those before it. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t random_place(struct lane *l)
{
	const struct bench *b = l->bench;
	l->random_state += l->random_step;
	/* 0 .. place_cnt - 1, without a division. */
	unsigned __int128 wide =
		(unsigned __int128)mix(l->random_state) * b->place_cnt;
	return b->plan.voff + (uint64_t)(wide >> 64) * b->plan.bs_len;
}

static uint64_t next_place(struct lane *l)
{
	const struct bench *b = l->bench;
	if (b->plan.random)
		return random_place(l);
	uint64_t voff = l->next_voff;
	l->next_voff += l->step_len;
	if (l->next_voff >= b->size_len)
		l->next_voff -= b->size_len;
	return voff > b->size_len - b->plan.bs_len ? 0 : voff;
}

/* ---- requests ------------------------------------------------------------ */

static void slot_start(struct slot *s, uint64_t ns)
{
	struct lane *l = s->lane;
	s->req.voff = next_place(l);
	s->begin_ns = ns;
	l->left--;
	l->until_flush -= l->bench->plan.flush_interval != 0;
	l->in_flight++;
	l->bench->submit(l->bench->blk, &s->req);
}

static bool flush_is_due(const struct lane *l)
{
	return l->bench->plan.flush_interval && l->until_flush == 0;
}

static bool may_start(const struct lane *l)
{
	return !l->bench->code && l->left && !flush_is_due(l);
}

static void start_idle(struct lane *l, uint64_t ns)
{
	while (l->idle && may_start(l)) {
		struct slot *s = l->idle;
		l->idle = s->next;
		slot_start(s, ns);
	}
}

/* [owner] */
static void note_done(struct bench *b, const struct slot *s)
{
	b->last_ns = now_ns();
	if (s->req.op == VHDX_OP_FLUSH)
		b->result->flushes++;
	else
		hist_add(&b->result->hist, b->last_ns - s->begin_ns);
	if (!s->req.result || b->code)
		return;
	b->err = s->err;
	b->code = s->req.result;
}

static void flush_if_due(struct lane *l)
{
	if (l->bench->code || l->in_flight || !flush_is_due(l))
		return;
	l->in_flight++;
	l->bench->submit(l->bench->blk, &l->flush.req);
}

/* The lane has its slot back. */
static void slot_back(struct slot *s)
{
	struct lane *l = s->lane;
	l->in_flight--;
	if (s == &l->flush) {
		l->until_flush = l->bench->plan.flush_interval;
		return;
	}
	s->next = l->idle;
	l->idle = s;
}

static void io_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct lane *l = s->lane;
	note_done(l->bench, s);
	slot_back(s);
	start_idle(l, l->bench->last_ns);
	flush_if_due(l);
}

/* ---- threads ------------------------------------------------------------- */

/* [owner] */
static void posted_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct lane *l = s->lane;
	note_done(l->bench, s);
	pthread_mutex_lock(&l->lock);
	if (!l->finished)
		pthread_cond_signal(&l->news);
	s->next = l->finished;
	l->finished = s;
	pthread_mutex_unlock(&l->lock);
}

static struct slot *wait_for_slots(struct lane *l)
{
	pthread_mutex_lock(&l->lock);
	while (!l->finished)
		pthread_cond_wait(&l->news, &l->lock);
	struct slot *all = l->finished;
	l->finished = NULL;
	pthread_mutex_unlock(&l->lock);
	return all;
}

static void *lane_thread(void *arg)
{
	struct lane *l = arg;
	start_idle(l, now_ns());
	while (l->in_flight) {
		struct slot *s = wait_for_slots(l), *next;
		for (; s; s = next) {
			next = s->next;
			slot_back(s);
		}
		start_idle(l, now_ns());
		flush_if_due(l);
	}
	atomic_fetch_sub(&l->bench->running, 1);
	return NULL;
}

/* ---- all of it ----------------------------------------------------------- */

static void slot_init(struct lane *l, struct slot *s, enum vhdx_op op)
{
	const struct bench_plan *p = &l->bench->plan;
	s->lane = l;
	s->req.op = op;
	s->req.len = op == VHDX_OP_FLUSH ? 0 : p->bs_len;
	s->req.iov = &s->iov;
	s->req.iov_cnt = 1;
	s->req.err = &s->err;
	s->req.done = p->threads ? posted_done : io_done;
	s->req.opaque = s;
}

/* One buffer serves all writes: what is written does not matter, only that it
 * is not zeros. Reads get one each: a target may not be shared. */
static bool slots_new(struct bench *b)
{
	const struct bench_plan *p = &b->plan;
	bool shared = p->op == VHDX_OP_WRITE;
	size_t one = ((size_t)p->bs_len + BUF_ALIGN - 1) / BUF_ALIGN *
		     BUF_ALIGN;
	size_t cnt = shared ? 1 : (size_t)p->depth;
	b->slots = calloc((size_t)p->depth, sizeof(*b->slots));
	b->buf = aligned_alloc(BUF_ALIGN, cnt * one);
	if (!b->slots || !b->buf)
		return false;
	memset(b->buf, 0x5a, cnt * one);
	for (size_t i = 0; i < (size_t)p->depth; i++) {
		struct lane *l = &b->lanes[i % b->lane_cnt];
		struct slot *s = &b->slots[i];
		slot_init(l, s, p->op);
		s->iov.iov_base = b->buf + (shared ? 0 : i * one);
		s->iov.iov_len = (size_t)p->bs_len;
		s->next = l->idle;
		l->idle = s;
	}
	return true;
}

static void lane_init(struct bench *b, uint64_t t)
{
	const struct bench_plan *p = &b->plan;
	struct lane *l = &b->lanes[t];
	uint64_t n = b->lane_cnt, step_len = p->step_len % b->size_len;
	l->bench = b;
	l->next_voff = p->voff;
	for (uint64_t i = 0; i < t; i++)
		l->next_voff = (l->next_voff + step_len) % b->size_len;
	for (uint64_t i = 0; i < n; i++)
		l->step_len = (l->step_len + step_len) % b->size_len;
	l->random_step = n * GAMMA;
	l->random_state = p->seed + (t + 1) * GAMMA - l->random_step;
	l->left = p->cnt / n + (t < p->cnt % n);
	l->until_flush = p->flush_interval;
	slot_init(l, &l->flush, VHDX_OP_FLUSH);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->news, NULL);
}

static void stop(struct bench *b, int code, const char *text)
{
	b->err = (struct vhdx_err){ .code = code };
	snprintf(b->err.text, sizeof(b->err.text), "%s", text);
	b->code = code;
}

static void look_for_signal(struct bench *b)
{
	if (b->code || b->last_ns - b->looked_ns < LOOK_NS)
		return;
	b->looked_ns = b->last_ns;
	if (intr_caught())
		stop(b, VHDX_E_CANCELED, "interrupted");
}

static void run_alone(struct bench *b)
{
	struct lane *l = &b->lanes[0];
	start_idle(l, b->last_ns);
	while (l->in_flight) {
		vhdx_blk_turn(b->blk, -1);
		look_for_signal(b);
	}
}

static void run_threads(struct bench *b)
{
	uint64_t cnt = 0;
	for (; cnt < b->lane_cnt; cnt++) {
		struct lane *l = &b->lanes[cnt];
		atomic_fetch_add(&b->running, 1);
		if (!pthread_create(&l->thread, NULL, lane_thread, l))
			continue;
		atomic_fetch_sub(&b->running, 1);
		stop(b, VHDX_E_NOMEM, "the host gives no more threads");
		break;
	}
	while (atomic_load(&b->running)) {
		vhdx_blk_turn(b->blk, TURN_MS);
		look_for_signal(b);
	}
	while (cnt)
		pthread_join(b->lanes[--cnt].thread, NULL);
}

static void run(struct bench *b)
{
	uint64_t begin_ns = now_ns();
	b->last_ns = b->looked_ns = begin_ns;
	if (b->plan.threads)
		run_threads(b);
	else
		run_alone(b);
	b->result->ns = b->last_ns - begin_ns;
	b->result->done = b->result->hist.cnt;
}

static struct bench *bench_new(struct vhdx_blk *blk,
			       const struct bench_plan *plan)
{
	struct vhdx_geometry g;
	struct bench *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	vhdx_blk_geometry(blk, &g);
	b->plan = *plan;
	b->blk = blk;
	b->submit = plan->threads ? vhdx_blk_post : vhdx_blk_submit;
	b->size_len = g.size_len;
	b->place_cnt = (g.size_len - plan->voff) / plan->bs_len;
	b->lane_cnt = plan->threads ? plan->threads : 1;
	b->lanes = calloc((size_t)b->lane_cnt, sizeof(*b->lanes));
	for (uint64_t t = 0; b->lanes && t < b->lane_cnt; t++)
		lane_init(b, t);
	return b;
}

static void bench_free(struct bench *b)
{
	if (!b)
		return;
	free(b->lanes);
	free(b->slots);
	free(b->buf);
	free(b);
}

int bench_run(struct vhdx_blk *blk, const struct bench_plan *plan,
	      struct bench_result *out, struct vhdx_err *e)
{
	struct bench *b = bench_new(blk, plan);
	if (!b || !b->lanes || !slots_new(b)) {
		bench_free(b);
		*e = (struct vhdx_err){ .code = VHDX_E_NOMEM,
					.text = "out of memory" };
		return VHDX_E_NOMEM;
	}
	memset(out, 0, sizeof(*out));
	b->result = out;
	run(b);
	int code = b->code;
	*e = b->err;
	bench_free(b);
	return code;
}
