/* SPDX-License-Identifier: MIT */
/*
 * A request goes FREE -> POSTING -> FLYING -> FREE. The submitter takes it to
 * FLYING when vhdx_blk_post() has returned, unless done() was faster; from then
 * on, until done(), the owner may give it up.
 */
#include "crew.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "request.h"
#include "t.h"

#define PATIENCE_MS 60000 /* longer than any host needs for one operation */
#define IDLE_TURNS 2000

struct submitter {
	struct crew *crew;
	pthread_t thread;
	uint64_t rng;
	unsigned left; /* to be submitted */
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned free_cnt; /* under the lock */
	struct request reqs[CREW_DEPTH_MAX];
};

struct crew {
	struct site *site;
	struct truth *truth;
	struct vhdx_blk *blk;
	const struct crew_opts *opts;
	struct plan plan;
	struct crew_result *res;
	pthread_t owner;
	uint64_t rng;	    /* the owner's */
	const char *inside; /* the call that the owner is in */
	uint64_t failed_before; /* of the site's failures */
	uint64_t failed_since;	/* E3: a moment; 0: not so */
	uint64_t total;
	atomic_ullong begun, posted, ended;
	struct submitter subs[CREW_MAX + 1]; /* 0: the owner */
};

static struct crew *running; /* for crew_tell() */

static const char *const op_names[] = {
	[VHDX_OP_READ] = "read", [VHDX_OP_WRITE] = "write",
	[VHDX_OP_FLUSH] = "flush", [VHDX_OP_DISCARD] = "discard",
	[VHDX_OP_WRITE_ZEROES] = "write-zeroes", [VHDX_OP_MAP] = "map",
};

static uint64_t below(struct crew *c, uint64_t n)
{
	return t_rand_below(&c->rng, n);
}

/* ---- the end of a request ----------------------------------------------- */

static _Noreturn void blame(const struct request *r, const char *what)
{
	report_finding("%s at %ju, %ju bytes%s: %s", op_names[r->req.op],
		       (uintmax_t)r->req.voff, (uintmax_t)r->req.len,
		       r->req.flags & VHDX_REQ_FUA ? ", FUA" : "", what);
}

static _Noreturn void blame_result(const struct request *r, const char *what)
{
	char text[700];

	snprintf(text, sizeof(text), "ends with %s%s%s, %s",
		 vhdx_code_name(r->req.result), r->req.result ? ": " : "",
		 r->req.result ? r->err.text : "", what);
	blame(r, text);
}

static void judge_failure(struct crew *c, const struct request *r)
{
	bool reads = r->op.kind == TRUTH_READ;

	switch (r->req.result) {
	case VHDX_E_CANCELED:
		if (!r->cancel_asked)
			blame_result(r, "but was never given up");
		if (r->req.op != VHDX_OP_FLUSH)
			c->res->canceled++;
		return;
	case VHDX_E_IO:
	case VHDX_E_NOSPC:
	case VHDX_E_FAILED:
		break;
	default:
		blame_result(r, "which says nothing about a failing host");
	}
	if (site_failed_cnt(c->site) == c->failed_before)
		blame_result(r, "but no operation has failed");
	if (reads && !(c->opts->fault.ops & 1u << FILE_READ))
		blame_result(r, "but reading does not fail");
	c->res->failed++;
	if (!c->failed_since && (r->req.op == VHDX_OP_FLUSH ||
				 r->req.result == VHDX_E_FAILED))
		c->failed_since = truth_now(c->truth);
}

static void judge_success(struct crew *c, const struct request *r)
{
	if (c->failed_since && r->op.kind != TRUTH_READ &&
	    r->op.start > c->failed_since && (r->req.len ||
	    r->req.op == VHDX_OP_FLUSH))
		blame_result(r, "although the device had failed before");
}

static void judge_extent(const struct request *r)
{
	const struct vhdx_extent *x = &r->extent;

	if (x->voff != r->req.voff || !x->len || x->len > r->req.len)
		blame(r, "the extent is another one");
	if (x->kind == VHDX_EXTENT_PARENT)
		blame(r, "the extent is the parent's, which is open");
}

static void end_read(struct crew *c, struct request *r)
{
	const char *text = NULL;
	const uint8_t *buf;
	struct truth_bad bad;

	if (r->req.op == VHDX_OP_MAP) {
		judge_extent(r);
		if (r->extent.kind == VHDX_EXTENT_DATA) {
			truth_end(c->truth, &r->op, TRUTH_OK);
			return;
		}
		r->op.len = align_down(r->extent.len, UNIT_LEN);
		buf = NULL;
	} else {
		buf = request_gather(r, &text);
	}
	if (text)
		blame(r, text);
	if (!truth_end_read(c->truth, &r->op, buf, &bad))
		blame(r, bad.text);
}

/* The truth is told of it, or asked. */
static void judge(struct crew *c, struct request *r)
{
	int res = r->req.result;

	if (r->want) {
		if (res != r->want &&
		    !(res == VHDX_E_CANCELED && r->cancel_asked))
			blame_result(r, "where it should be refused");
		return;
	}
	if (res)
		judge_failure(c, r);
	else
		judge_success(c, r);
	if (!res && r->op.kind == TRUTH_READ)
		end_read(c, r);
	else
		truth_end(c->truth, &r->op,
			  !res			   ? TRUTH_OK
			  : res == VHDX_E_CANCELED ? TRUTH_CANCELED
						   : TRUTH_FAILED);
}

static void submit_one(struct submitter *s);
static void cancel_one(struct crew *c);

static void ended(struct vhdx_req *req)
{
	struct request *r = container_of(req, struct request, req);
	struct submitter *s = r->submitter;
	struct crew *c = s->crew;

	if (!pthread_equal(pthread_self(), c->owner))
		blame(r, "done() runs on a thread that is not the owner");
	if (c->inside)
		report_finding("done() runs from inside %s()", c->inside);
	if (atomic_load(&r->state) == REQUEST_FREE)
		blame(r, "done() runs a second time");
	judge(c, r);
	request_seal(r);
	atomic_fetch_add(&r->ended_cnt, 1);
	atomic_store(&r->state, REQUEST_FREE);
	pthread_mutex_lock(&s->lock);
	s->free_cnt++;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
	c->res->ended++;
	if (s == c->subs && s->left && below(c, 3) == 0)
		submit_one(s);
	if (below(c, 32) == 0)
		cancel_one(c);
	atomic_fetch_add(&c->ended, 1);
}

/* ---- submitting --------------------------------------------------------- */

static struct request *take_free(struct submitter *s)
{
	unsigned i = (unsigned)t_rand_below(&s->rng, s->crew->opts->depth);

	pthread_mutex_lock(&s->lock);
	while (!s->free_cnt)
		pthread_cond_wait(&s->freed, &s->lock);
	s->free_cnt--;
	pthread_mutex_unlock(&s->lock);
	while (atomic_load(&s->reqs[i].state) != REQUEST_FREE)
		i = (i + 1) % s->crew->opts->depth;
	return &s->reqs[i];
}

static struct request *prepare_one(struct submitter *s)
{
	struct request *r = take_free(s);
	const char *text;

	s->left--;
	if (!request_prepare(r, &s->crew->plan, s->crew->truth, &s->rng,
			     &text))
		blame(r, text);
	r->req.done = ended;
	r->submitter = s;
	atomic_fetch_add(&s->crew->begun, 1);
	return r;
}

/* The owner; one is free. */
static void submit_one(struct submitter *s)
{
	struct crew *c = s->crew;
	struct request *r = prepare_one(s);

	atomic_store(&r->state, REQUEST_FLYING);
	c->inside = "vhdx_blk_submit";
	vhdx_blk_submit(c->blk, &r->req);
	c->inside = NULL;
	atomic_fetch_add(&c->posted, 1);
}

static void *submitter_main(void *arg)
{
	struct submitter *s = arg;
	struct crew *c = s->crew;

	while (s->left) {
		struct request *r = prepare_one(s);
		int was = REQUEST_POSTING;

		atomic_store(&r->state, REQUEST_POSTING);
		vhdx_blk_post(c->blk, &r->req);
		atomic_compare_exchange_strong(&r->state, &was,
					       REQUEST_FLYING);
		atomic_fetch_add(&c->posted, 1);
		if (t_rand_below(&s->rng, 16) == 0)
			usleep((unsigned)t_rand_below(&s->rng, 400));
	}
	return NULL;
}

/* ---- the owner ---------------------------------------------------------- */

static void cancel_one(struct crew *c)
{
	struct submitter *s = &c->subs[below(c, c->opts->threads + 1)];
	struct request *r = &s->reqs[below(c, c->opts->depth)];

	if (!c->opts->cancels || atomic_load(&r->state) != REQUEST_FLYING)
		return;
	r->cancel_asked = true;
	c->inside = "vhdx_blk_cancel";
	vhdx_blk_cancel(c->blk, &r->req);
	if (below(c, 8) == 0)
		vhdx_blk_cancel(c->blk, &r->req);
	c->inside = NULL;
}

/* E4 */
static void drain(struct crew *c)
{
	static unsigned before[CREW_MAX + 1][CREW_DEPTH_MAX];
	static bool flew[CREW_MAX + 1][CREW_DEPTH_MAX];

	for (unsigned i = 0; i <= c->opts->threads; i++)
		for (unsigned k = 0; k < c->opts->depth; k++) {
			struct request *r = &c->subs[i].reqs[k];

			before[i][k] = atomic_load(&r->ended_cnt);
			flew[i][k] = atomic_load(&r->state) == REQUEST_FLYING;
		}
	vhdx_blk_drain(c->blk);
	c->res->drains++;
	for (unsigned i = 0; i <= c->opts->threads; i++)
		for (unsigned k = 0; k < c->opts->depth; k++) {
			struct request *r = &c->subs[i].reqs[k];

			if (flew[i][k] &&
			    atomic_load(&r->ended_cnt) == before[i][k])
				blame(r, "a drain has left it behind");
		}
}

static bool in_flight(struct crew *c)
{
	return atomic_load(&c->begun) > atomic_load(&c->ended);
}

/* All that a simulated host does it does in turns: where nothing happens in
 * many of them, nothing ever will. */
static void turn_sim(struct crew *c)
{
	char text[1000];

	for (unsigned i = 0; i < IDLE_TURNS; i++)
		if (vhdx_blk_turn(c->blk, 0) || !in_flight(c))
			return;
	crew_tell(text, sizeof(text));
	report_finding("nothing moves any more: %s", text);
}

static void turn(struct crew *c)
{
	struct pollfd p = { vhdx_blk_fd(c->blk), POLLIN, 0 };
	uint64_t how = below(c, 4);
	char text[1000];

	if (c->site->backing == BACK_SIM && !c->opts->threads) {
		turn_sim(c);
		return;
	}
	if (how < 2 || atomic_load(&c->ended) == c->total ||
	    (c->subs[0].left && !in_flight(c))) {
		vhdx_blk_turn(c->blk, 0);
		return;
	}
	if (how == 2 && poll(&p, 1, PATIENCE_MS) > 0) {
		vhdx_blk_turn(c->blk, 0);
		return;
	}
	if (how == 3) {
		vhdx_blk_turn(c->blk, PATIENCE_MS);
		return;
	}
	crew_tell(text, sizeof(text));
	report_finding("vhdx_blk_fd() is silent: %s", text);
}

static void fail_something(struct crew *c)
{
	struct fault_rule rule = c->opts->fault;

	if (rule.nth && !site_fault_waits(c->site) && below(c, 40) == 0) {
		rule.nth = 1 + below(c, rule.nth);
		site_fault(c->site, rule);
	}
}

static void cut_power(struct crew *c, struct crash_tree *tree)
{
	truth_cut(c->truth);
	site_cut(c->site, below(c, UINT32_MAX), tree);
	c->res->was_cut = true;
}

static bool over(const struct crew *c, bool early)
{
	return atomic_load(early ? &c->posted : &c->ended) == c->total;
}

static void own_loop(struct crew *c, struct crash_tree *tree)
{
	bool early = below(c, 2); /* the close finds requests in flight */
	struct submitter *own = c->subs;
	uint64_t cut_at = below(c, c->total + 1);
	uint64_t burst = below(c, 4) ? 6 : 2 * c->opts->depth;

	while (!over(c, early)) {
		for (uint64_t n = below(c, burst); n && own->left; n--)
			if (own->free_cnt)
				submit_one(own);
		for (uint64_t n = below(c, 3); n; n--)
			cancel_one(c);
		fail_something(c);
		if (c->opts->cut && !c->res->was_cut &&
		    atomic_load(&c->ended) >= cut_at)
			cut_power(c, tree);
		if (below(c, 150) == 0)
			drain(c);
		else if (!over(c, early))
			turn(c);
	}
	if (c->opts->cut && !c->res->was_cut)
		cut_power(c, tree);
}

/* ---- the session -------------------------------------------------------- */

static void start(struct crew *c)
{
	const struct crew_opts *o = c->opts;

	for (unsigned i = 0; i <= o->threads; i++) {
		struct submitter *s = &c->subs[i];

		s->crew = c;
		s->rng = t_rand(&c->rng);
		s->left = o->requests;
		s->free_cnt = o->depth;
		pthread_mutex_init(&s->lock, NULL);
		pthread_cond_init(&s->freed, NULL);
	}
	c->total = (uint64_t)o->requests * (o->threads + 1);
	running = c;
	for (unsigned i = 1; i <= o->threads; i++)
		if (pthread_create(&c->subs[i].thread, NULL, submitter_main,
				   &c->subs[i]))
			abort();
}

/* The device is closed: everything has ended, and stays as it is. */
static void finish(struct crew *c)
{
	const struct crew_opts *o = c->opts;

	running = NULL;
	if (atomic_load(&c->ended) != c->total)
		report_finding("%ju requests of %ju have ended when the "
			       "device is closed",
			       (uintmax_t)atomic_load(&c->ended),
			       (uintmax_t)c->total);
	for (unsigned i = 0; i <= o->threads; i++) {
		struct submitter *s = &c->subs[i];

		if (i)
			pthread_join(s->thread, NULL);
		for (unsigned k = 0; k < o->depth; k++) {
			const char *text = request_touched(&s->reqs[k]);

			if (text)
				blame(&s->reqs[k], text);
			free(s->reqs[k].mem);
		}
		pthread_mutex_destroy(&s->lock);
		pthread_cond_destroy(&s->freed);
	}
}

int crew_session(struct site *s, struct truth *t, struct vhdx_blk *blk,
		 const struct crew_opts *opts, uint64_t seed,
		 struct crash_tree *tree, struct crew_result *res)
{
	struct crew *c = calloc(1, sizeof(*c));
	struct vhdx_geometry g;
	struct vhdx_err e;
	int rc;

	ASSERT(c);
	*res = (struct crew_result){ 0 };
	c->site = s;
	c->truth = t;
	c->blk = blk;
	c->opts = opts;
	c->res = res;
	c->owner = pthread_self();
	c->rng = seed;
	c->failed_before = site_failed_cnt(s);
	vhdx_blk_geometry(blk, &g);
	plan_init(&c->plan, &g, &c->rng);
	start(c);
	own_loop(c, tree);
	rc = vhdx_blk_close(blk, &e);
	site_fault(s, (struct fault_rule){ 0 });
	finish(c);
	res->device_failed = c->failed_since;
	if (rc && site_failed_cnt(s) == c->failed_before)
		report_finding("closing: %s", e.text);
	if (!rc && res->device_failed)
		report_finding("a device that failed calls everything durable "
			       "when it is closed");
	free(c);
	return rc;
}

void crew_tell(char *text, size_t len)
{
	static const char *const states[] = { "free", "on its way",
					      "in flight" };
	struct crew *c = running;
	size_t used = 0;

	*text = 0;
	for (unsigned i = 0; c && i <= c->opts->threads; i++)
		for (unsigned k = 0; k < c->opts->depth; k++) {
			const struct request *r = &c->subs[i].reqs[k];
			int st = atomic_load(&r->state);

			if (st == REQUEST_FREE || used + 80 > len)
				continue;
			used += (size_t)snprintf(
				text + used, len - used,
				"\n    %s %ju+%ju %s%s", op_names[r->req.op],
				(uintmax_t)r->req.voff, (uintmax_t)r->req.len,
				states[st],
				r->cancel_asked ? ", given up" : "");
		}
}
