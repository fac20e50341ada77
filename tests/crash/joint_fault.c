/* SPDX-License-Identifier: MIT */
/*
 * The operation once more for every N, with the Nth thing that it asks of any
 * file, or of any name, failing. Then: the error names the file, the chain is
 * as usable as after a power failure, with power lost on top or not, and the
 * operation started again completes.
 */
#include "joint.h"

#include <errno.h>
#include <string.h>

#include "guid.h"
#include "t.h"

#define FAULTS_MAX 40 /* per seed; where there are more, a sample of them */
#define STATES 2

struct jfault {
	struct joint j;
	struct tally *t;
	struct fault_rule rule;
	uint64_t nth;
};

static void set_rule(struct jfault *f)
{
	uint64_t dice = f->j.seed * 31 + f->nth;
	unsigned style = (unsigned)t_rand_below(&dice, 4);

	f->rule = (struct fault_rule){ .nth = f->nth };
	f->rule.ops = FAULT_ANY | FAULT_NAMES;
	f->rule.extent = (enum fault_extent)t_rand_below(&dice,
							  FAULT_DONE + 1);
	f->rule.sticky = style == 0;
	f->rule.sys_errno = style < 2 ? ENOSPC : EIO;
}

static void look_and_finish(struct jfault *f, const struct crash_tree *t)
{
	struct opener_crash o;
	struct crash_tree now;
	struct vhdx_err e;
	int rc;

	joint_look(&f->j, t, UINT64_MAX - 1);
	if (f->j.v->bad)
		return;
	opener_crash_init(&o, NULL, t);
	rc = f->j.op->run(&f->j, &o.opener, false, &e);
	if (rc && !(rc == VHDX_E_NOTFOUND && !f->j.p[f->j.subject].after)) {
		verdict_set(f->j.v, "started again: %s", e.text);
		return;
	}
	opener_crash_now(&o, &now);
	joint_look_final(&f->j, &now);
	crash_tree_free(&now);
	if (!f->j.v->bad)
		opener_crash_fini(&o);
	f->t->recoveries++;
}

static void judge(struct jfault *f, struct opener_crash *o, int rc,
		  const struct vhdx_err *e)
{
	const char *name = strrchr(o->failed_path, '/');
	struct verdict *v = f->j.v;
	struct crash_tree t;

	if (rc && !o->failed_cnt)
		verdict_set(v, "nothing failed below, and yet: %s", e->text);
	else if (rc && !strstr(e->text, f->rule.sticky ? "/sim/" : name + 1))
		verdict_set(v, "the error does not name the file %s: %s",
			    name + 1, e->text);
	if (opener_crash_open_cnt(o))
		verdict_set(v, "a file is left open");
	opener_crash_now(o, &t);
	if (!rc && !v->bad)
		joint_look_final(&f->j, &t);
	if (!v->bad)
		look_and_finish(f, &t);
	crash_tree_free(&t);
	for (uint64_t n = 0; n < STATES && !v->bad; n++) {
		opener_crash_build(o, crash_now(o->world),
				   n + f->nth % 2 * 7, &t);
		if (!rc)
			joint_look_final(&f->j, &t);
		if (!v->bad)
			look_and_finish(f, &t);
		crash_tree_free(&t);
	}
}

/* True if something was made to fail, and all was well. */
static bool one_fault(struct jfault *f, const struct crash_tree *tree)
{
	struct opener_crash o;
	struct vhdx_err e;
	bool failed;
	int rc;

	set_rule(f);
	guid_seed_for_tests(f->j.seed ^ f->nth << 32);
	opener_crash_init(&o, NULL, tree);
	f->j.world = o.world;
	o.fault = f->rule;
	rc = f->j.op->run(&f->j, &o.opener, true, &e);
	o.fault.nth = 0;
	failed = o.failed_cnt > 0;
	f->t->fault_runs++;
	judge(f, &o, rc, &e);
	if (f->j.v->bad)
		return false;
	opener_crash_fini(&o);
	return failed;
}

/* How many operations there are to fail: a run with none failing. */
static uint64_t count(struct jfault *f)
{
	struct opener_crash o;
	struct vhdx_err e;
	uint64_t left;

	opener_crash_init(&o, NULL, &f->j.tree);
	f->j.world = o.world;
	o.fault = (struct fault_rule){ .ops = FAULT_ANY | FAULT_NAMES,
				       .nth = UINT32_MAX };
	if (f->j.op->run(&f->j, &o.opener, true, &e))
		verdict_set(f->j.v, "%s", e.text);
	left = UINT32_MAX - o.fault.nth;
	if (!f->j.v->bad)
		opener_crash_fini(&o);
	return left;
}

static void sweep(struct jfault *f, const struct only_fault *only)
{
	uint64_t cnt = only->nth ? 1 : count(f);
	uint64_t step = div_up(cnt, FAULTS_MAX);

	f->nth = only->nth ? only->nth : 1 + joint_below(&f->j, step);
	for (; !f->j.v->bad; f->nth += step)
		if (!one_fault(f, &f->j.tree) || only->nth)
			break;
}

bool joint_fault_run(const struct joint_op *op, uint64_t seed,
		     const struct only_fault *only, struct tally *t,
		     struct verdict *v)
{
	static struct jfault f; /* large */
	struct vhdx_err e;

	f = (struct jfault){ .j = { .op = op, .seed = seed, .rng = seed,
				    .v = v }, .t = t };
	*v = (struct verdict){ 0 };
	if (op->no_faults)
		return true;
	guid_seed_for_tests(seed + 1);
	if (loop_new(&f.j.loop, &e))
		abort();
	if (op->plan(&f.j))
		sweep(&f, only);
	if (v->bad) {
		verdict_add(v, "\n  repeat with: crash --profile %s --seed "
			    "%ju --faults --nth %ju", op->name,
			    (uintmax_t)seed, (uintmax_t)f.nth);
		return false; /* loop and files may be in use: leave them */
	}
	joint_free(&f.j);
	loop_free(f.j.loop);
	return true;
}
