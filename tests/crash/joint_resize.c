/* SPDX-License-Identifier: MIT */
/*
 * Another size while the power fails: the disk has the old one or the new one,
 * and what both have in common is the same. Before a smaller one counts, what
 * it cuts off may be gone already.
 */
#include "joint_ops.h"

#include "resizing.h"

static uint64_t new_size(struct joint *j, const struct disk *d)
{
	uint64_t size = d->view.size, sec = d->sector_len ? d->sector_len : 512;
	uint64_t to;

	switch (joint_below(j, 6)) {
	case 0: /* another sector bitmap */
		to = 4 * GIB + joint_below(j, 4 * MIB);
		break;
	case 1: /* a larger BAT */
		to = 130 * GIB + joint_below(j, MIB);
		break;
	case 2:
	case 3:
		to = sec + joint_below(j, size);
		break;
	default:
		to = size + joint_below(j, 4 * MIB);
	}
	return u64_max(align_down(to, sec), sec);
}

bool joint_resize_plan(struct joint *j)
{
	int leaf = joint_chain(j, (unsigned)joint_below(j, 3), false);
	struct memimg view;
	struct promise *p;

	if (leaf < 0 || (joint_below(j, 2) && !joint_churn(j, leaf)))
		return false;
	j->subject = leaf;
	/* From there and back again: what was large has a large BAT. */
	j->size_len = new_size(j, &j->ds.d[leaf]);
	if (resizing_can(&j->ds, leaf, j->size_len) &&
	    joint_below(j, 3) == 0) {
		if (!joint_resize_now(j, leaf, j->size_len))
			return false;
		j->size_len = new_size(j, &j->ds.d[leaf]);
	}
	if (!resizing_can(&j->ds, leaf, j->size_len))
		j->size_len = j->ds.d[leaf].view.size + MIB;
	joint_promise_all(j);
	p = &j->p[leaf];
	p->by_size = p->strict = true;
	memimg_clone(&view, &j->ds.d[leaf].view);
	if (j->size_len < view.size)
		memimg_zero(&view, j->size_len, view.size - j->size_len);
	joint_version(p, &view, 0, UINT64_MAX);
	memimg_resize(&view, j->size_len);
	joint_version(p, &view, 0, UINT64_MAX);
	memimg_free(&view);
	return true;
}

int joint_resize_run(struct joint *j, const struct opener *o, bool first,
		     struct vhdx_err *e)
{
	(void)first;
	return resizing_run(o, j->loop, j->ds.d[j->subject].path, j->size_len,
			    e);
}
