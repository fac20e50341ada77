/* SPDX-License-Identifier: MIT */
/* Steps that change whole images, and what the model makes of them. */
#include "forest.h"

#include <string.h>

#include "compact.h"
#include "disk_set.h"
#include "merging.h"
#include "relink.h"
#include "resizing.h"

/* ---- a parent that moves ------------------------------------------------ */

/* Under its new name everybody below is told. */
static void move_file(struct forest *f, struct disk *d, const char *to)
{
	struct crash_tree t;
	struct memimg img;

	opener_crash_now(&f->o, &t);
	memimg_clone(&img, crash_tree_find(&t, d->path));
	crash_tree_remove(&t, d->path);
	memimg_clone(crash_tree_add(&t, to), &img);
	memimg_free(&img);
	opener_crash_fini(&f->o);
	opener_crash_init(&f->o, NULL, &t);
	crash_tree_free(&t);
	strcpy(d->path, to);
}

bool forest_set_parent(struct forest *f)
{
	const struct vhdx_set_parent_opts opts = { 0 };
	int i = forest_pick(f, false);
	char to[OPENER_CRASH_PATH];
	struct vhdx_set_parent_result res;
	struct vhdx_err e;
	struct disk *d;

	if (i < 0)
		return false;
	d = &f->ds.d[i];
	/* A child that moves may not find its own parent by its old words. */
	forest_new_path(f, d->format, to);
	forest_tell(f, "%s becomes %s", d->path, to);
	move_file(f, d, to);
	if (d->parent >= 0 &&
	    !forest_ok(f, set_parent_image(&f->o.opener, f->loop, d->path,
					   f->ds.d[d->parent].path, &opts,
					   &res, &e), &e))
		return true;
	for (unsigned k = 0; k < f->ds.cnt && !f->v->bad; k++)
		if (f->ds.d[k].there && f->ds.d[k].parent == i)
			forest_ok(f, set_parent_image(&f->o.opener, f->loop,
						      f->ds.d[k].path,
						      d->path, &opts, &res,
						      &e), &e);
	if (!f->v->bad)
		forest_verify(f, i);
	return true;
}

/* ---- what a guest sees beside the data ---------------------------------- */

bool forest_set(struct forest *f)
{
	const struct vhdx_set_opts opts = { .disk_id = "new" };
	int i = forest_pick(f, true);
	struct vhdx_set_result res;
	struct vhdx_err e;

	if (i < 0)
		return false;
	forest_tell(f, "set the id of %s", f->ds.d[i].path);
	if (forest_ok(f, set_image(&f->o.opener, f->loop, f->ds.d[i].path,
				   &opts, &res, &e), &e))
		forest_verify(f, i);
	return true;
}

/* ---- merging ------------------------------------------------------------ */

/* Would break other children: is refused, and no byte has changed. */
static void merge_refused(struct forest *f, int i, unsigned n)
{
	uint64_t before = crash_now(f->o.world);
	struct vhdx_err e;
	int rc = merging_run(&f->o.opener, f->loop, f->ds.d[i].path, NULL, n,
			     false, &e);

	if (rc != VHDX_E_LINKAGE)
		verdict_set(f->v, "a merge that breaks other children gives "
			    "%s: %s", vhdx_code_name(rc), rc ? e.text : "");
	if (crash_now(f->o.world) != before)
		verdict_set(f->v, "a refused merge has changed something");
}

static void merge_now(struct forest *f, int i, unsigned n, bool keep)
{
	int to = merging_layer(&f->ds, i, n);
	char between[FOREST_DEPTH][OPENER_CRASH_PATH];
	unsigned cnt = 0;
	struct vhdx_err e;
	int rc;

	for (int k = f->ds.d[i].parent; k != to; k = f->ds.d[k].parent)
		strcpy(between[cnt++], f->ds.d[k].path);
	rc = merging_run(&f->o.opener, f->loop, f->ds.d[i].path,
			 f->ds.d[to].path, 0, keep, &e);
	if (!forest_ok(f, rc, &e))
		return;
	merging_model(&f->ds, i, n, keep);
	/* With keep they are left, as somebody's backup: not ours. */
	while (keep && cnt-- > 0)
		forest_ok(f, f->o.opener.remove(&f->o.opener, between[cnt],
						&e), &e);
	forest_verify(f, to);
	for (unsigned k = 0; k < f->ds.cnt && !f->v->bad; k++)
		if (f->ds.d[k].there && f->ds.d[k].parent == to)
			forest_verify(f, (int)k);
}

bool forest_merge(struct forest *f)
{
	int i = forest_pick(f, false);
	bool keep = forest_below(f, 5) == 0;
	unsigned n;

	if (i < 0 || f->ds.d[i].parent < 0)
		return false;
	n = 1 + (unsigned)forest_below(f, forest_depth(f, i));
	if (!resizing_can(&f->ds, merging_layer(&f->ds, i, n),
			  f->ds.d[i].view.size))
		return false;
	/* What stays between would show wrong data in a VHD: it is refused. */
	keep &= n == 1 || f->ds.d[i].format == VHDX_FORMAT_VHDX;
	forest_tell(f, "merge %s, %u deep%s", f->ds.d[i].path, n,
		    keep ? ", keep" : "");
	if (merging_breaks(&f->ds, i, n))
		merge_refused(f, i, n);
	else
		merge_now(f, i, n, keep);
	return true;
}

/* ---- compacting --------------------------------------------------------- */

static void churn(struct forest *f, int i)
{
	struct disk *d = &f->ds.d[i];
	struct vhdx_blk *blk = disks_open(&f->ds, d->path, true, f->v);
	struct vhdx_err e;

	if (!blk)
		return;
	disks_churn(d, blk, &f->rng, f->v);
	forest_ok(f, vhdx_blk_close(blk, &e), &e);
}

bool forest_compact(struct forest *f)
{
	const struct vhdx_compact_opts opts = { 0 };
	int i = forest_pick(f, false);
	struct vhdx_compact_result res;
	const struct disk *d;
	struct vhdx_err e;
	int rc;

	if (i < 0)
		return false;
	d = &f->ds.d[i];
	forest_tell(f, "compact %s", d->path);
	if (!disks_child_cnt(&f->ds, i) && d->block_len <= 4 * MIB &&
	    forest_below(f, 2))
		churn(f, i);
	if (f->v->bad)
		return true;
	rc = compact_image(&f->o.opener, f->loop, d->path, &opts, &res, &e);
	/* Fixed images, and raw ones, have nothing to give. */
	if (rc == VHDX_E_UNSUPPORTED || !forest_ok(f, rc, &e))
		return true;
	if (res.file_len_after > res.file_len)
		verdict_set(f->v, "compact made the file longer");
	forest_verify(f, i);
	return true;
}

/* ---- resizing ----------------------------------------------------------- */

bool forest_resize(struct forest *f)
{
	int i = forest_pick(f, true);
	uint64_t size, to;
	struct vhdx_err e;
	struct disk *d;

	if (i < 0)
		return false;
	d = &f->ds.d[i];
	size = d->view.size;
	/* A VHD only grows. */
	to = size + forest_below(f, 3 * MIB);
	if (d->format == VHDX_FORMAT_VHDX && forest_below(f, 2))
		to = forest_below(f, size);
	if (forest_below(f, 6) == 0)
		to = 130 * GIB + forest_below(f, MIB);
	to = u64_max(align_down(to, 4 * KIB), 4 * KIB);
	if (!resizing_can(&f->ds, i, to) ||
	    (d->format == VHDX_FORMAT_VHD && to < size))
		return false;
	forest_tell(f, "resize %s: %ju to %ju bytes", d->path,
		    (uintmax_t)size, (uintmax_t)to);
	if (!forest_ok(f, resizing_run(&f->o.opener, f->loop, d->path, to, &e),
		       &e))
		return true;
	memimg_resize(&d->view, to);
	forest_verify(f, i);
	return true;
}
