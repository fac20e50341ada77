/* SPDX-License-Identifier: MIT */
#include "joint.h"

#include <string.h>
#include <unistd.h>

#include "guid.h"
#include "t.h"

#define MOMENTS 12 /* looked at per case, at most */
#define STATES 5   /* per moment, at most */
#define MOMENTS_AGAIN 3
#define STATES_AGAIN 2

struct jcase {
	struct joint j;
	const struct only *only;
	struct tally *t;
	uint64_t done; /* the instant at which the operation had returned */
	/* For the reproducer. */
	uint64_t at, state, at2, state2;
	bool crashed, again;
	char where[CRASH_TEXT_LEN];
};

static struct crash_opts habits(uint64_t seed)
{
	static const unsigned delays[] = { 0, 0, 1, 2, 4 };
	struct crash_opts o = { .seed = seed };

	o.max_delay = delays[t_rand_below(&seed, ARRAY_LEN(delays))];
	o.no_punch = t_rand_below(&seed, 2);
	return o;
}

/* ---- instants ----------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static size_t all_instants(struct opener_crash *o, uint64_t **out)
{
	uint64_t now = crash_now(o->world), *all;
	size_t cnt = 0;

	all = malloc((now + 2) * sizeof(*all));
	ASSERT(all);
	for (uint64_t k = 0; cnt == 0 || k != all[cnt - 1];
	     k = crash_next(o->world, k))
		all[cnt++] = k;
	*out = all;
	return cnt;
}

/* All of them if they are at most max; else one out of each of max stretches,
 * so that every phase of a long operation is hit, and in each by preference one
 * at which much is open. */
static size_t instants(struct opener_crash *o, uint64_t max, uint64_t *rng,
		       uint64_t *out)
{
	uint64_t *all;
	size_t cnt = all_instants(o, &all), n = (size_t)u64_min(cnt, max);

	for (size_t i = 0; i < n; i++) {
		size_t from = i * cnt / n, room = (i + 1) * cnt / n - from;
		uint64_t best = 0;

		out[i] = all[from + t_rand_below(rng, room)];
		for (int tries = 0; tries < 2 && room > 1; tries++) {
			uint64_t k = all[from + t_rand_below(rng, room)];
			uint64_t open = opener_crash_changes(o, k);

			if (open > best) {
				best = open;
				out[i] = k;
			}
		}
	}
	free(all);
	qsort(out, n, sizeof(*out), ascending);
	return n;
}

/* ---- after a power failure ---------------------------------------------- */

/* Somebody opens a leaf for writing before the operation is started again. */
static void recover_some(struct jcase *c, struct disks *ds,
			 const struct crash_tree *t, uint64_t rng)
{
	struct joint *j = &c->j;

	for (unsigned i = 0; i < j->promise_cnt && !j->v->bad; i++) {
		const struct promise *p = &j->p[i];
		struct vhdx_blk *blk;
		struct vhdx_err e;

		if (!p->steady || t_rand_below(&rng, 3))
			continue;
		for (unsigned k = 0; k < t->cnt; k++) {
			if (strcmp(t->files[k].path, p->path) != 0)
				continue;
			blk = disks_open(ds, p->path, true, j->v);
			if (blk && vhdx_blk_close(blk, &e))
				verdict_set(j->v, "%s: closing: %s", p->path,
					    e.text);
		}
	}
}

/* J6: the subject, if it is there and nobody stands on it. */
static bool write_between(struct jcase *c, struct disks *ds,
			  const struct crash_tree *t, uint64_t rng)
{
	struct joint *j = &c->j;
	struct promise *p = &j->p[j->subject];
	bool there = false;

	for (unsigned k = 0; k < t->cnt; k++)
		there |= strcmp(t->files[k].path, p->path) == 0;
	if (!there || !j->op->in_use || disks_child_cnt(&j->ds, j->subject))
		return false;
	ds->d[0] = j->ds.d[j->subject];
	ds->cnt = 1;
	memimg_clone(&ds->d[0].view, &p->v[p->version_cnt - 1].view);
	disks_fill(ds, 0, &rng, 4, j->v);
	joint_version(p, &ds->d[0].view, 0, 0);
	joint_version(&j->p[j->shown_by], &ds->d[0].view, 0, 0);
	disks_free(ds);
	return true;
}

static void forget_version(struct promise *p)
{
	memimg_free(&p->v[--p->version_cnt].view);
}

/* Runs the operation again on a tree; *o keeps the record. */
static void rerun(struct jcase *c, const struct crash_tree *t, uint64_t seed,
		  bool recover, bool write, struct opener_crash *o)
{
	struct promise *p = &c->j.p[c->j.subject];
	bool wrote = false;
	struct crash_opts opts = habits(seed);
	struct disks ds = { .loop = c->j.loop };
	struct crash_tree now;
	struct vhdx_err e;
	int rc;

	opener_crash_init(o, &opts, t);
	ds.opener = &o->opener;
	if (recover)
		recover_some(c, &ds, t, seed);
	if (write && !c->j.v->bad)
		wrote = write_between(c, &ds, t, seed);
	if (c->j.v->bad)
		return;
	rc = c->j.op->run(&c->j, &o->opener, false, &e);
	/* Its subject is gone: it was complete; the tree tells. */
	if (rc && !(rc == VHDX_E_NOTFOUND &&
		    !c->j.p[c->j.subject].after))
		verdict_set(c->j.v, "started again: %s", e.text);
	if (opener_crash_open_cnt(o))
		verdict_set(c->j.v, "a file is left open");
	opener_crash_now(o, &now);
	if (!c->j.v->bad)
		joint_look_final(&c->j, &now);
	crash_tree_free(&now);
	c->t->recoveries++;
	if (wrote) {
		forget_version(&c->j.p[c->j.shown_by]);
		forget_version(p);
	}
}

static void fail_again_at(struct jcase *c, struct opener_crash *first,
			  uint64_t at, uint64_t state, uint64_t since)
{
	struct opener_crash o;
	struct crash_tree t;

	c->at2 = at;
	c->state2 = state;
	opener_crash_build(first, at, state, &t);
	joint_look(&c->j, &t, since);
	if (!c->j.v->bad) {
		rerun(c, &t, state + 1, false, false, &o);
		if (!c->j.v->bad)
			opener_crash_fini(&o);
	}
	crash_tree_free(&t);
}

static void fail_again(struct jcase *c, struct opener_crash *first,
		       uint64_t since)
{
	uint64_t at[MOMENTS_AGAIN], rng = c->state ^ c->at;
	size_t cnt;

	c->again = true;
	if (c->only->again) {
		fail_again_at(c, first, c->only->at2, c->only->state2, since);
		return;
	}
	cnt = instants(first, MOMENTS_AGAIN, &rng, at);
	for (size_t i = 0; i < cnt; i++)
		for (uint64_t n = 0; n < STATES_AGAIN && !c->j.v->bad; n++)
			fail_again_at(c, first, at[i],
				      opener_crash_state(first, at[i],
						t_rand_below(&rng, 4), &rng),
				      since);
	if (!c->j.v->bad)
		c->again = false;
}

static void dump(const struct jcase *c, const struct crash_tree *t)
{
	const char *dir = getenv("CRASH_DUMP");
	static char buf[MEMIMG_PAGE];

	for (unsigned i = 0; dir && i < t->cnt; i++) {
		char path[256];
		uint64_t at, n;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir,
			 strrchr(t->files[i].path, '/') + 1);
		f = fopen(path, "wb");
		if (!f)
			return;
		for (at = 0; at < t->files[i].img.size; at += n) {
			n = u64_min(sizeof(buf), t->files[i].img.size - at);
			memimg_read(&t->files[i].img, at, buf, (size_t)n);
			fwrite(buf, 1, (size_t)n, f);
		}
		fclose(f);
		fprintf(stderr, "%s: %s as found after power failed\n",
			c->j.op->name, path);
	}
}

static void fail_once(struct jcase *c, struct opener_crash *run, uint64_t at,
		      uint64_t state)
{
	struct joint *j = &c->j;
	struct opener_crash o;
	struct crash_tree t;
	bool write;

	c->at = at;
	c->state = state;
	c->t->states++;
	memimg_free(&j->seen);
	crash_event_text(run->world, at, c->where);
	opener_crash_build(run, at, state, &t);
	if (at >= c->done)
		joint_look_final(j, &t); /* J5 */
	if (!j->v->bad)
		joint_look(j, &t, at);
	if (!j->v->bad) {
		write = at % 3 == 1;
		rerun(c, &t, state ^ at, state & 1, write, &o);
		/* The writing is no part of what may fail again. */
		if (!j->v->bad && !(write && j->op->in_use) &&
		    (joint_below(j, 6) == 0 || c->only->again))
			fail_again(c, &o, at);
		if (!j->v->bad)
			opener_crash_fini(&o);
	}
	if (j->v->bad)
		dump(c, &t);
	crash_tree_free(&t);
}

static void fail_everywhere(struct jcase *c, struct opener_crash *run)
{
	struct joint *j = &c->j;
	uint64_t at[MOMENTS];
	size_t cnt = instants(run, MOMENTS, &j->rng, at);

	for (size_t i = 0; i < cnt && !j->v->bad; i++) {
		uint64_t n = opener_crash_state_cnt(run, at[i], STATES);

		c->t->moments++;
		for (uint64_t s = 0; s < n && !j->v->bad; s++)
			fail_once(c, run, at[i],
				  opener_crash_state(run, at[i], s, &j->rng));
	}
}

/* ---- a case ------------------------------------------------------------- */

static void add_reproducer(struct jcase *c)
{
	struct verdict *v = c->j.v;

	verdict_add(v, "\n  repeat with: crash --profile %s --seed %ju",
		    c->j.op->name, (uintmax_t)c->j.seed);
	if (!c->crashed)
		return;
	verdict_add(v, " --at %ju --state %ju", (uintmax_t)c->at,
		    (uintmax_t)c->state);
	if (c->again)
		verdict_add(v, " --at2 %ju --state2 %ju", (uintmax_t)c->at2,
			    (uintmax_t)c->state2);
	verdict_add(v, "\n  power failed after %s", c->where);
}

/* The first run, undisturbed. */
static void run_once(struct jcase *c, struct opener_crash *o)
{
	struct joint *j = &c->j;
	struct crash_opts opts = habits(j->seed);
	struct crash_tree now;
	struct vhdx_err e;

	opener_crash_init(o, &opts, &j->tree);
	j->world = o->world;
	if (j->op->run(j, &o->opener, true, &e)) {
		verdict_set(j->v, "%s", e.text);
		return;
	}
	if (opener_crash_open_cnt(o))
		verdict_set(j->v, "a file is left open");
	c->done = crash_now(o->world);
	opener_crash_now(o, &now);
	joint_look_final(j, &now);
	crash_tree_free(&now);
}

bool joint_run(const struct joint_op *op, uint64_t seed,
	       const struct only *only, struct tally *t, struct verdict *v)
{
	static struct jcase c; /* large */
	struct opener_crash run;
	struct vhdx_err e;

	c = (struct jcase){ .j = { .op = op, .seed = seed, .rng = seed,
				   .v = v }, .only = only, .t = t };
	*v = (struct verdict){ 0 };
	guid_seed_for_tests(seed + 1);
	if (loop_new(&c.j.loop, &e))
		abort();
	t->cases++;
	if (op->plan(&c.j))
		run_once(&c, &run);
	if (!v->bad) {
		c.crashed = true;
		if (only->given)
			fail_once(&c, &run, only->at, only->state);
		else
			fail_everywhere(&c, &run);
	}
	if (v->bad) {
		add_reproducer(&c);
		return false; /* loop and files may be in use: leave them */
	}
	opener_crash_fini(&run);
	joint_free(&c.j);
	loop_free(c.j.loop);
	return true;
}
