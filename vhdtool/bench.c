/* SPDX-License-Identifier: MIT */
/*
 * Requests live in slots, slots belong to a lane, a lane is what one submitter
 * does: its own row of places, its own share of depth and count.
 *
 *   idle --slot_start--> in flight --io_done--> in flight again, or idle
 *
 * Without threads the one lane is the owner's, and a completion starts the
 * next request on the spot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "intr.h"

#define BUF_ALIGN 4096u
#define LOOK_NS UINT64_C(50000000) /* between looks for a signal: a syscall */

struct slot {
	struct lane *lane;
	struct slot *next; /* in idle */
	struct vhdx_req req;
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
};

struct bench {
	struct bench_plan plan;
	struct vhdx_blk *blk;
	struct bench_result *result;
	uint64_t size_len;
	uint64_t place_cnt; /* random */
	uint64_t last_ns;   /* the newest completion */
	uint64_t looked_ns;
	int code;
	struct vhdx_err err;
	struct vhdx_err req_err; /* of the request that is being completed */
	struct lane lane;
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
	vhdx_blk_submit(l->bench->blk, &s->req);
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

static void note_result(struct bench *b, const struct vhdx_req *req)
{
	if (!req->result || b->code)
		return;
	b->code = req->result;
	b->err = b->req_err;
}

static void flush_if_due(struct lane *l)
{
	if (l->bench->code || l->in_flight || !flush_is_due(l))
		return;
	l->in_flight++;
	vhdx_blk_submit(l->bench->blk, &l->flush.req);
}

static void io_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct lane *l = s->lane;
	struct bench *b = l->bench;
	b->last_ns = now_ns();
	hist_add(&b->result->hist, b->last_ns - s->begin_ns);
	note_result(b, req);
	l->in_flight--;
	if (may_start(l)) {
		slot_start(s, b->last_ns);
		return;
	}
	s->next = l->idle;
	l->idle = s;
	flush_if_due(l);
}

static void flush_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	struct lane *l = s->lane;
	struct bench *b = l->bench;
	b->last_ns = now_ns();
	b->result->flushes++;
	note_result(b, req);
	l->in_flight--;
	l->until_flush = b->plan.flush_interval;
	start_idle(l, b->last_ns);
}

/* ---- all of it ----------------------------------------------------------- */

static void slot_init(struct bench *b, struct slot *s, enum vhdx_op op,
		      void (*done)(struct vhdx_req *req))
{
	s->lane = &b->lane;
	s->req.op = op;
	s->req.len = op == VHDX_OP_FLUSH ? 0 : b->plan.bs_len;
	s->req.iov = &s->iov;
	s->req.iov_cnt = 1;
	s->req.err = &b->req_err; /* filled and read on one thread */
	s->req.done = done;
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
		struct slot *s = &b->slots[i];
		slot_init(b, s, p->op, io_done);
		s->iov.iov_base = b->buf + (shared ? 0 : i * one);
		s->iov.iov_len = (size_t)p->bs_len;
		s->next = b->lane.idle;
		b->lane.idle = s;
	}
	slot_init(b, &b->lane.flush, VHDX_OP_FLUSH, flush_done);
	return true;
}

/* Lane t of n. */
static void lane_init(struct bench *b, struct lane *l, uint64_t t, uint64_t n)
{
	const struct bench_plan *p = &b->plan;
	uint64_t step_len = p->step_len % b->size_len;
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
}

static void look_for_signal(struct bench *b)
{
	if (b->code || b->last_ns - b->looked_ns < LOOK_NS)
		return;
	b->looked_ns = b->last_ns;
	if (!intr_caught())
		return;
	b->code = VHDX_E_CANCELED;
	snprintf(b->err.text, sizeof(b->err.text), "interrupted");
}

static void run(struct bench *b)
{
	uint64_t begin_ns = now_ns();
	b->last_ns = b->looked_ns = begin_ns;
	start_idle(&b->lane, begin_ns);
	while (b->lane.in_flight) {
		vhdx_blk_turn(b->blk, -1);
		look_for_signal(b);
	}
	b->result->ns = b->last_ns - begin_ns;
	b->result->done = b->result->hist.cnt;
}

static void bench_free(struct bench *b)
{
	if (!b)
		return;
	free(b->slots);
	free(b->buf);
	free(b);
}

int bench_run(struct vhdx_blk *blk, const struct bench_plan *plan,
	      struct bench_result *out, struct vhdx_err *e)
{
	struct vhdx_geometry g;
	struct bench *b = calloc(1, sizeof(*b));
	vhdx_blk_geometry(blk, &g);
	memset(out, 0, sizeof(*out));
	if (b) {
		b->plan = *plan;
		b->blk = blk;
		b->result = out;
		b->size_len = g.size_len;
		b->place_cnt = (g.size_len - plan->voff) / plan->bs_len;
		lane_init(b, &b->lane, 0, 1);
	}
	if (!b || !slots_new(b)) {
		bench_free(b);
		memset(e, 0, sizeof(*e));
		e->code = VHDX_E_NOMEM;
		snprintf(e->text, sizeof(e->text), "out of memory");
		return e->code;
	}
	run(b);
	int code = b->code;
	*e = b->err;
	bench_free(b);
	return code;
}
