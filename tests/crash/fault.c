/* SPDX-License-Identifier: MIT */
/*
 * A short workload, once for every N with the Nth file operation of a kind
 * failing. Then: somebody was told; a device whose sync failed never again
 * calls a flush a success; and the file, as the failing session has left it,
 * with power lost on top, recovers to allowed values.
 */
#include "case.h"

#include <errno.h>
#include <string.h>

#include "file_fault.h"
#include "guid.h"
#include "image.h"
#include "parent.h"
#include "t.h"

#define REQUESTS 24
#define STATES 3

struct frun {
	struct profile pf; /* shortened */
	uint64_t seed;
	enum file_op op; /* that fails */
	struct fault_rule rule;
	uint64_t failed; /* how many did */
	struct loop *loop;
	struct model *model;
	struct rig rig;
	struct workload w;
	bool open_failed;
	struct verdict *v;
	struct tally *t;
};

/* Opening may fail: that is telling. */
static struct vhdx_blk *open_faulty(struct frun *r)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct file_fault *f;
	struct vhdx_blk *blk;
	struct image *img;
	struct vhdx_err e;

	if (file_fault_new(rig_open(&r->rig, r->loop), &f, &e))
		abort();
	f->failed_total = &r->failed;
	fault_set(f, r->rule);
	r->open_failed = image_open(&f->w.file, r->pf.format, &o, &img, &e);
	if (r->open_failed) {
		if (!r->failed)
			verdict_set(r->v, "opening: %s", e.text);
		file_close(&f->w.file);
		return NULL;
	}
	if (device_new(img, r->loop, &r->pf, &blk, &e))
		abort();
	return blk;
}

static void judge_session(struct frun *r, int close_rc)
{
	static const char *const names[] = {
		[FILE_READ] = "read", [FILE_WRITE] = "write",
		[FILE_SYNC] = "sync", [FILE_TRUNCATE] = "size change",
		[FILE_ZERO] = "zero", [FILE_PUNCH] = "punch",
	};
	bool told = r->open_failed || r->w.errors || close_rc;

	if (r->w.failed)
		verdict_set(r->v, "%s", r->w.text);
	if (!r->failed && told)
		verdict_set(r->v, "nothing failed below, but a request or "
			    "the close did");
	/* Punching is advice: who cannot punch has lost nothing. And a full
	 * host can be got along with; the contents tell. */
	if (r->failed && !told && r->op != FILE_PUNCH &&
	    r->rule.sys_errno != ENOSPC)
		verdict_set(r->v, "a failed %s is reported to nobody",
			    names[r->op]);
	if (r->op != FILE_SYNC || !r->failed || r->open_failed)
		return;
	if (close_rc == 0)
		verdict_set(r->v, "a sync failed, and yet the close calls "
			    "everything durable");
	if (r->w.errors && r->w.ok_flushes_since_error)
		verdict_set(r->v, "a flush succeeds after a failed sync");
}

/* What the session left behind, after a reset of the machine. */
static void judge_file(struct frun *r)
{
	uint64_t at = rig_pos(&r->rig), rng = r->seed ^ r->rule.nth;
	struct expect x = { &r->pf, r->model, at, false, 0, false };

	for (uint64_t i = 0; i < STATES && !r->v->bad; i++) {
		struct memimg img;
		struct rig again;

		rig_state(&r->rig, at,
			  i ? rig_state_number(&r->rig, at, 2, &rng) : 1, &img);
		rig_init(&again, &img, 1);
		x.seen = false;
		recover_writable(rig_open(&again, r->loop), &x, r->v);
		if (!r->v->bad)
			clean_verify(r->loop, crash_disk_content(again.disk),
				     &x, r->v);
		r->t->recoveries++;
		memimg_free(&img);
		if (!r->v->bad)
			rig_fini(&again);
	}
}

static void start(struct frun *r)
{
	struct memimg img;

	parent_prepare(&r->pf);
	guid_seed_for_tests(r->seed + 1);
	if (loop_new(&r->loop, NULL))
		abort();
	make_image(r->loop, &r->pf, r->seed, &img);
	r->model = model_new(r->pf.size_len, r->seed, is_child(&r->pf));
	rig_init(&r->rig, &img, r->seed);
	memimg_free(&img);
	workload_init(&r->w, &r->pf, r->model, r->seed);
	r->w.pos = rig_pos;
	r->w.pos_arg = &r->rig;
	r->w.faults = true;
	r->failed = 0;
	r->t->fault_runs++;
}

/* False when the workload has fewer operations than that, or v is bad. */
static bool one_fault(struct frun *r)
{
	struct vhdx_blk *blk;
	struct vhdx_err e;
	int close_rc = 0;

	start(r);
	blk = open_faulty(r);
	if (blk) {
		workload_session(&r->w, blk);
		if (!r->w.failed)
			close_rc = vhdx_blk_close(blk, &e);
	}
	judge_session(r, close_rc);
	parent_verify(&r->pf, r->v);
	if (!r->v->bad)
		judge_file(r);
	if (r->v->bad)
		return false; /* loop and disk may be in use: leave them */
	rig_fini(&r->rig);
	model_free(r->model);
	loop_free(r->loop);
	return r->failed > 0;
}

/* How the Nth one fails: different from N to N and from seed to seed. */
static void set_rule(struct frun *r, uint64_t nth)
{
	uint64_t dice = r->seed * 31 + nth;

	r->rule = (struct fault_rule){ .ops = 1u << r->op, .nth = nth };
	r->rule.extent = (enum fault_extent)t_rand_below(&dice,
							  FAULT_DONE + 1);
	r->rule.sticky = t_rand_below(&dice, 3) == 0;
	r->rule.sys_errno = t_rand_below(&dice, 3) ? EIO : ENOSPC;
}

static bool add_reproducer(const struct frun *r)
{
	verdict_add(r->v, "\n  repeat with: crash --profile %s --seed %ju "
		    "--op %d --nth %ju", r->pf.name, (uintmax_t)r->seed,
		    (int)r->op, (uintmax_t)r->rule.nth);
	return false;
}

bool fault_run(const struct profile *pf, uint64_t seed,
	       const struct only_fault *only, struct tally *t,
	       struct verdict *v)
{
	static const enum file_op ops[] = { FILE_READ, FILE_WRITE, FILE_SYNC,
					    FILE_TRUNCATE, FILE_ZERO,
					    FILE_PUNCH };
	struct frun r = { .pf = *pf, .seed = seed, .t = t, .v = v };

	*v = (struct verdict){ 0 };
	r.pf.requests = (unsigned)u64_min(pf->requests, REQUESTS);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		r.op = only->nth ? only->op : ops[i];
		for (uint64_t nth = only->nth ? only->nth : 1;; nth++) {
			set_rule(&r, nth);
			if (!one_fault(&r) || only->nth)
				break;
		}
		if (v->bad)
			return add_reproducer(&r);
		if (only->nth)
			break;
	}
	return true;
}
