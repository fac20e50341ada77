/* SPDX-License-Identifier: MIT */
/*
 * Another size while the power fails: the disk has the old one or the new one,
 * and shows all of it. Only where more goes than one log entry can say, what is
 * cut off may be gone before the smaller size counts.
 */
#include "joint_ops.h"

#include "resizing.h"

/* Up to here one log entry carries all that changes in the BAT. */
#define ATOMIC_LEN (40 * GIB)

static uint64_t sectors(const struct disk *d, uint64_t len)
{
	uint64_t sec = d->sector_len ? d->sector_len : 512;

	return u64_max(align_down(len, sec), sec);
}

static uint64_t smaller(struct joint *j, const struct disk *d)
{
	return sectors(d, joint_below(j, d->view.size));
}

/* A VHD only grows. */
static bool may_shrink(const struct joint *j)
{
	return j->op->format == VHDX_FORMAT_VHDX;
}

static uint64_t larger(struct joint *j, const struct disk *d)
{
	uint64_t more = joint_below(j, 4 * MIB);

	switch (joint_below(j, 6)) {
	case 0: /* another sector bitmap */
		return sectors(d, u64_max(4 * GIB, d->view.size) + more);
	case 1:
	case 2: /* a larger BAT */
		return sectors(d, u64_max(d->block_len * UINT64_C(130) * KIB,
					  d->view.size) + more);
	default:
		return sectors(d, d->view.size + MIB / 8 + more);
	}
}

/* Sometimes it has been smaller or larger before: what was cut off must not
 * come back, nor a parent show where it did not; and its BAT has moved. */
static bool resized_before(struct joint *j, int i)
{
	const struct disk *d = &j->ds.d[i];
	uint64_t size;

	switch (joint_below(j, 4)) {
	case 0:
		size = may_shrink(j) ? smaller(j, d) : larger(j, d);
		break;
	case 1:
		size = larger(j, d);
		break;
	default:
		return true;
	}
	return !resizing_can(&j->ds, i, size) || joint_resize_now(j, i, size);
}

bool joint_resize_plan(struct joint *j)
{
	int leaf = joint_chain(j, (unsigned)joint_below(j, 3), false);
	struct memimg view;
	struct promise *p;

	if (leaf < 0 || (joint_below(j, 2) && !joint_churn(j, leaf)))
		return false;
	if (!resized_before(j, leaf))
		return false;
	j->subject = leaf;
	j->size_len = !may_shrink(j) || joint_below(j, 3)
		? larger(j, &j->ds.d[leaf]) : smaller(j, &j->ds.d[leaf]);
	if (!resizing_can(&j->ds, leaf, j->size_len))
		j->size_len = j->ds.d[leaf].view.size + MIB;
	joint_promise_all(j);
	p = &j->p[leaf];
	p->by_size = p->strict = true;
	memimg_clone(&view, &j->ds.d[leaf].view);
	if (view.size > ATOMIC_LEN && j->size_len < view.size) {
		memimg_zero(&view, j->size_len, view.size - j->size_len);
		joint_version(p, &view, 0, UINT64_MAX);
	}
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
