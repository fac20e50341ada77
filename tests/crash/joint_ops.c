/* SPDX-License-Identifier: MIT */
/* What is done to a chain while its power fails, and what it promises. */
#include "joint.h"

#include <string.h>

#include "chain.h"
#include "t.h"

static const char *subject_path(const struct joint *j)
{
	return j->ds.d[j->subject].path;
}

/* ---- writing to the leaf -------------------------------------------------- */

/* The leaf's siblings and parents stay as they are. */
static bool write_plan(struct joint *j)
{
	int leaf = joint_chain(j, VHDX_FORMAT_VHDX,
			       1 + (unsigned)joint_below(j, 3), false);

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

/* ---- another parent ------------------------------------------------------- */

/* A copy of the parent, under another name, takes its place. */
static bool relink_plan(struct joint *j)
{
	int leaf = joint_chain(j, VHDX_FORMAT_VHDX,
			       1 + (unsigned)joint_below(j, 2), false);
	int parent;

	if (leaf < 0)
		return false;
	/* The child of the last but one has the leaf on it. */
	j->subject = joint_below(j, 2) && leaf > 1 ? leaf - 1 : leaf;
	parent = j->ds.d[j->subject].parent;
	strcpy(j->target, "/sim/a longer name for a copy.vhdx");
	memimg_clone(crash_tree_add(&j->tree, j->target),
		     crash_tree_find(&j->tree, j->ds.d[parent].path));
	joint_promise_all(j);
	j->p[j->subject].strict = true;
	return true;
}

static int relink_run(struct joint *j, const struct opener *o, bool first,
		      struct vhdx_err *e)
{
	struct chain_opts co = { .flags = VHDX_OPEN_WRITE | VHDX_OPEN_ALONE };
	struct parent_edit edit = { .path = j->target };
	struct chain *c;
	int rc = chain_open(o, j->loop, subject_path(j), &co, &c, e), rc2;

	(void)first;
	if (rc)
		return rc;
	edit.linkage = c->layers[0]->parent->linkage[0];
	rc = c->layers[0]->ops->set_parent(c->layers[0], &edit, e);
	rc2 = chain_close(c, rc ? NULL : e);
	return rc ? rc : rc2;
}

const struct joint_op joint_ops[] = {
	{ "j-write", write_plan, write_run, true },
	{ "j-relink", relink_plan, relink_run, false },
};
const size_t joint_op_cnt = ARRAY_LEN(joint_ops);
