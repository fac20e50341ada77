/* SPDX-License-Identifier: MIT */
/*
 * Merging while the power fails. The child, its children, and all that the
 * target stands on show what they showed, at any instant; the target and what
 * is in between are nobody's until it is done.
 */
#include "joint_ops.h"

#include <string.h>

#include "merging.h"

/* Who stands on what is not to be touched, or to be re-linked. */
static bool add_relatives(struct joint *j, int target)
{
	static const char *const names[] = { "g1", "g2" };
	uint64_t cnt = joint_below(j, 3);
	int below = j->ds.d[target].parent;

	for (uint64_t i = 0; i < cnt; i++)
		if (joint_child(j, j->subject, names[i]) < 0)
			return false;
	return below < 0 || joint_below(j, 2) ||
	       joint_child(j, below, "uncle") >= 0;
}

static void promise_merge(struct joint *j, int target)
{
	struct promise *p = &j->p[j->subject], *a = &j->p[target];

	p->after = j->keep;
	p->heir = j->keep ? -1 : target;
	j->shown_by = target;
	a->steady = false;
	a->strict = true;
	joint_version(a, &j->ds.d[j->subject].view, UINT64_MAX, UINT64_MAX);
	for (int k = j->ds.d[j->subject].parent; k != target;
	     k = j->ds.d[k].parent) {
		j->p[k].after = j->keep;
		j->p[k].steady = false;
		j->p[k].version_cnt = 0;
	}
}

bool joint_merge_plan(struct joint *j)
{
	unsigned depth = 1 + (unsigned)joint_below(j, 3);
	int leaf = joint_chain(j, depth, false), target;

	if (leaf < 0)
		return false;
	j->depth = 1 + (unsigned)joint_below(j, depth);
	j->subject = leaf;
	/* What stays between would show wrong data in a VHD: it is refused. */
	j->keep = joint_below(j, 4) == 0 &&
		  (j->depth == 1 || j->op->format == VHDX_FORMAT_VHDX);
	target = merging_layer(&j->ds, leaf, j->depth);
	if (!add_relatives(j, target))
		return false;
	joint_promise_all(j);
	promise_merge(j, target);
	/* A child that stays stands on the target itself afterwards. */
	if ((j->keep && j->depth > 1) || joint_below(j, 2))
		strcpy(j->target, j->ds.d[target].path);
	return true;
}

int joint_merge_run(struct joint *j, const struct opener *o, bool first,
		    struct vhdx_err *e)
{
	(void)first;
	return merging_run(o, j->loop, j->ds.d[j->subject].path,
			   *j->target ? j->target : NULL,
			   *j->target ? 0 : j->depth, j->keep, e);
}
