/* SPDX-License-Identifier: MIT */
/* Steps that change whole images, and what the model makes of them. */
#include "forest.h"

#include <string.h>

#include "disk_set.h"
#include "relink.h"

/* ---- a parent that moves --------------------------------------------------- */

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

	if (i < 0 || f->ds.d[i].format != VHDX_FORMAT_VHDX)
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

/* ---- what a guest sees beside the data -------------------------------------- */

bool forest_set(struct forest *f)
{
	const struct vhdx_set_opts opts = { .disk_id = "new" };
	int i = forest_pick(f, true);
	struct vhdx_set_result res;
	struct vhdx_err e;

	if (i < 0 || f->ds.d[i].format != VHDX_FORMAT_VHDX)
		return false;
	forest_tell(f, "set the id of %s", f->ds.d[i].path);
	if (forest_ok(f, set_image(&f->o.opener, f->loop, f->ds.d[i].path,
				   &opts, &res, &e), &e))
		forest_verify(f, i);
	return true;
}
