/* SPDX-License-Identifier: MIT */
/* What is done to a chain while its power fails, and what it promises. */
#include "joint_ops.h"

#include <string.h>

#include "compact.h"
#include "disk_set.h"
#include "relink.h"
#include "t.h"

static const char *subject_path(const struct joint *j)
{
	return j->ds.d[j->subject].path;
}

/* ---- writing to the leaf ------------------------------------------------ */

/* The leaf's siblings and parents stay as they are. */
static bool write_plan(struct joint *j)
{
	int leaf = joint_chain(j, 1 + (unsigned)joint_below(j, 3), false);

	if (leaf < 0 || joint_child(j, j->ds.d[leaf].parent, "twin") < 0)
		return false;
	joint_promise_all(j);
	j->subject = leaf;
	j->p[leaf].mixed = true;
	j->p[leaf].strict = true;
	j->op_seed = t_rand(&j->rng);
	return true;
}

static void write_requests(struct joint *j, struct vhdx_blk *blk)
{
	struct disk d = j->ds.d[j->subject];
	struct promise *p = &j->p[j->subject];
	uint64_t rng = j->op_seed;
	struct vhdx_err e;

	memimg_clone(&d.view, &j->ds.d[j->subject].view);
	for (unsigned i = 0; i + 2 < VERSIONS_MAX && !j->v->bad; i++) {
		uint64_t began = crash_now(j->world);

		if (t_rand_below(&rng, 6)) {
			disks_request(&d, blk, &rng, j->v);
			joint_version(p, &d.view, began, UINT64_MAX);
		} else if (vhdx_blk_flush(blk, &e)) {
			verdict_set(j->v, "flush: %s", e.text);
		} else {
			p->v[p->version_cnt - 1].durable = crash_now(j->world);
		}
	}
	memimg_free(&d.view);
}

static int write_run(struct joint *j, const struct opener *o, bool first,
		     struct vhdx_err *e)
{
	struct disks ds = { .opener = o, .loop = j->loop };
	struct promise *p = &j->p[j->subject];
	struct vhdx_blk *blk = disks_open(&ds, subject_path(j), true, j->v);
	int rc;

	if (!blk)
		return err_set(e, VHDX_E_FAILED, "%s", j->v->text);
	if (first)
		write_requests(j, blk);
	rc = vhdx_blk_close(blk, e);
	if (!rc && first)
		p->v[p->version_cnt - 1].durable = crash_now(j->world);
	return rc;
}

/* ---- another parent ----------------------------------------------------- */

/* A session on the copy gives it another identity, and no other content. */
static bool other_identity(struct joint *j)
{
	struct opener_crash o;
	struct disks ds = { .opener = &o.opener, .loop = j->loop };
	uint8_t sector[4096];
	struct vhdx_blk *blk;
	struct vhdx_err e;

	opener_crash_init(&o, NULL, &j->tree);
	blk = disks_open(&ds, j->target, true, j->v);
	if (!blk)
		return false;
	if (vhdx_blk_read(blk, 0, sector, sizeof(sector), &e) ||
	    vhdx_blk_write(blk, 0, sector, sizeof(sector), &e) ||
	    vhdx_blk_close(blk, &e))
		verdict_set(j->v, "%s: %s", j->target, e.text);
	crash_tree_free(&j->tree);
	opener_crash_now(&o, &j->tree);
	opener_crash_fini(&o);
	return !j->v->bad;
}

/* A copy of the parent, under another name, takes its place. */
static bool relink_plan(struct joint *j)
{
	int leaf = joint_chain(j, 1 + (unsigned)joint_below(j, 2), false);
	int parent;

	if (leaf < 0)
		return false;
	/* The child of the last but one has the leaf on it. */
	j->subject = joint_below(j, 2) && leaf > 1 ? leaf - 1 : leaf;
	parent = j->ds.d[j->subject].parent;
	snprintf(j->target, sizeof(j->target), "/sim/a longer name%.5s",
		 strrchr(j->ds.d[parent].path, '.'));
	memimg_clone(crash_tree_add(&j->tree, j->target),
		     crash_tree_find(&j->tree, j->ds.d[parent].path));
	if (joint_below(j, 2) && !other_identity(j))
		return false;
	joint_promise_all(j);
	j->p[j->subject].strict = true;
	return true;
}

static int relink_run(struct joint *j, const struct opener *o, bool first,
		      struct vhdx_err *e)
{
	const struct vhdx_set_parent_opts opts = { .ignore_id = true };
	struct vhdx_set_parent_result res;

	(void)first;
	return set_parent_image(o, j->loop, subject_path(j), j->target, &opts,
				&res, e);
}

/* ---- another identity of the virtual disk ------------------------------- */

static bool set_plan(struct joint *j)
{
	j->subject = joint_chain(j, 1 + (unsigned)joint_below(j, 2), false);
	if (j->subject < 0)
		return false;
	joint_promise_all(j); /* not strict: what is set already is only read */
	return true;
}

static int set_run(struct joint *j, const struct opener *o, bool first,
		   struct vhdx_err *e)
{
	const struct vhdx_set_opts opts = {
		.disk_id = "12345678-9abc-def0-1234-56789abcdef0" };
	struct vhdx_set_result res;

	(void)first;
	return set_image(o, j->loop, subject_path(j), &opts, &res, e);
}

/* ---- compacting ---------------------------------------------------------- */

/* A base or a child, with or without children; much of it is discarded, zeroed
 * or written with zeros. */
static bool compact_plan(struct joint *j)
{
	int leaf = joint_chain(j, (unsigned)joint_below(j, 3), false);

	/* A fixed disk has nothing to give. */
	if (leaf >= 0 && j->ds.d[leaf].fixed)
		leaf = joint_child(j, leaf, "c1");
	if (leaf < 0 || !joint_churn(j, leaf))
		return false;
	if (joint_below(j, 2) && joint_child(j, leaf, "on it") < 0)
		return false;
	j->subject = leaf;
	joint_promise_all(j);
	j->p[leaf].strict = true;
	return true;
}

static int compact_run(struct joint *j, const struct opener *o, bool first,
		       struct vhdx_err *e)
{
	const struct vhdx_compact_opts opts = { 0 };
	struct vhdx_compact_result res;

	(void)first;
	return compact_image(o, j->loop, subject_path(j), &opts, &res, e);
}

#define VHDX VHDX_FORMAT_VHDX
#define VHD VHDX_FORMAT_VHD

#define OP(id, fmt, fn, ...) \
	{ .name = id, .format = fmt, .plan = fn##_plan, .run = fn##_run, \
	  __VA_ARGS__ }

const struct joint_op joint_ops[] = {
	OP("j-write", VHDX, write, .no_faults = true),
	OP("j-writevhd", VHD, write, .no_faults = true),
	OP("j-relink", VHDX, relink),
	OP("j-relinkvhd", VHD, relink),
	OP("j-merge", VHDX, joint_merge, .in_use = true),
	OP("j-mergevhd", VHD, joint_merge, .in_use = true),
	OP("j-compact", VHDX, compact),
	OP("j-compactvhd", VHD, compact),
	OP("j-resize", VHDX, joint_resize),
	OP("j-resizevhd", VHD, joint_resize),
	OP("j-set", VHDX, set),
	OP("j-setvhd", VHD, set),
};
const size_t joint_op_cnt = ARRAY_LEN(joint_ops);
