/* SPDX-License-Identifier: MIT */
#include "merging.h"

#include "merge.h"

int merging_layer(const struct disks *ds, int i, unsigned n)
{
	while (i >= 0 && n-- > 0)
		i = ds->d[i].parent;
	return i;
}

bool merging_breaks(const struct disks *ds, int i, unsigned n)
{
	for (unsigned k = 1; k <= n; k++)
		if (disks_child_cnt(ds, merging_layer(ds, i, k)) > 1)
			return true;
	return false;
}

void merging_model(struct disks *ds, int i, unsigned n, bool keep)
{
	int to = merging_layer(ds, i, n);
	struct disk *d = &ds->d[i], *a = &ds->d[to];

	memimg_free(&a->view);
	memimg_clone(&a->view, &d->view);
	for (int k = d->parent; k != to; k = ds->d[k].parent) {
		ds->d[k].there = false;
		memimg_free(&ds->d[k].view);
	}
	d->parent = to;
	if (keep)
		return;
	for (unsigned k = 0; k < ds->cnt; k++)
		if (ds->d[k].there && ds->d[k].parent == i)
			ds->d[k].parent = to;
	d->there = false;
	memimg_free(&d->view);
}

int merging_run(const struct opener *o, struct loop *l, const char *child,
		const char *into, unsigned depth, bool keep,
		struct vhdx_err *e)
{
	char names[OPENER_CRASH_MAX][OPENER_CRASH_PATH];
	const char *files[OPENER_CRASH_MAX];
	struct vhdx_merge_opts opts = { .into = into, .depth = depth,
					.keep = keep, .children = files };
	struct vhdx_merge_result res;

	opts.children_cnt = opener_crash_list(
		container_of(o, struct opener_crash, opener), names);
	for (unsigned i = 0; i < opts.children_cnt; i++)
		files[i] = names[i];
	return merge_chain(o, l, child, &opts, &res, e);
}
