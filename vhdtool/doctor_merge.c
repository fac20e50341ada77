/* SPDX-License-Identifier: MIT */
/*
 * What could be merged. Only leaves are offered, and only where each file on
 * the way has no other child, as far as can be told: then no other disk's
 * content hangs on it. Whether anybody still wants the states that a merge
 * takes away, no program can know.
 */
#include <stdio.h>
#include <stdlib.h>

#include "doctor.h"
#include "msg.h"

/* How many levels up the leaf can go; none if a merge on the way, or above, is
 * to be finished first. */
static unsigned levels(const struct doctor *d, size_t leaf)
{
	unsigned cnt = 0;
	const struct doctor_node *n = d->nodes;
	for (size_t at = leaf; at != VHDX_NO_IMAGE; at = n[at].parent)
		if (doctor_has_journal(d, d->forest->images[at].path))
			return 0;
	for (size_t at = leaf; n[at].parent != VHDX_NO_IMAGE; cnt++) {
		at = n[at].parent;
		size_t child = n[at].child;
		if (n[child].next != VHDX_NO_IMAGE ||
		    d->forest->images[at].code ||
		    d->forest->images[at].copy_cnt > 1)
			break;
	}
	return cnt;
}

/* Whether all the folders on the way were scanned: else the merge has to look
 * for other children itself. */
static bool all_seen(const struct doctor *d, size_t leaf, unsigned depth)
{
	for (size_t at = leaf; depth-- > 0; at = d->nodes[at].parent)
		if (d->forest->images[d->nodes[at].parent].outside)
			return false;
	return d->args->file_cnt == 0;
}

/* All that might be children of the leaf or of what it stands on. */
static const char **children(const struct doctor *d, size_t leaf,
			     unsigned *cnt)
{
	const struct vhdx_forest *f = d->forest;
	const char **list = calloc(f->cnt + 1, sizeof(*list));
	*cnt = 0;
	for (size_t i = 0; list && i < f->cnt; i++) {
		bool is = !f->images[i].known;
		for (size_t up = leaf; !is && up != VHDX_NO_IMAGE;
		     up = d->nodes[up].parent)
			is = vhdx_forest_kin(f, i, up) == VHDX_KIN_CHILD;
		if (is)
			list[(*cnt)++] = f->images[i].path;
	}
	return list;
}

static bool compute(struct doctor *d, size_t leaf, unsigned depth)
{
	const struct vhdx_forest *f = d->forest;
	struct vhdx_merge_opts opts = { .depth = depth, .dry_run = true };
	struct vhdx_merge_result r;
	const char **list = children(d, leaf, &opts.children_cnt);
	if (all_seen(d, leaf, depth))
		opts.children = list;
	int code = list ? vhdx_merge(f->images[leaf].path, &opts, &r, NULL)
			: VHDX_E_NOMEM;
	free(list);
	if (code && code != VHDX_E_NOSPC)
		return code != VHDX_E_NOMEM;
	if (r.resumed)
		return true;
	struct doctor_merge *m = &d->merges[d->merge_cnt];
	*m = (struct doctor_merge){ .child = leaf, .target = leaf,
				    .depth = depth, .needs_len = r.need_len };
	if (r.need_len > r.free_len)
		m->lacks_len = r.need_len - r.free_len;
	for (unsigned i = 0; i < depth; i++) {
		m->frees_len += f->images[m->target].info.host_len;
		m->target = d->nodes[m->target].parent;
	}
	char level[32] = "";
	if (depth > 1)
		snprintf(level, sizeof(level), "--depth %u ", depth);
	if (asprintf(&m->command, "vhdtool merge %s%s", level,
		     msg_shell_word(f->images[leaf].path)) < 0)
		return false;
	d->merge_cnt++;
	return true;
}

int doctor_find_merges(struct doctor *d)
{
	unsigned depth;
	bool ok = true;
	d->merges = calloc(2 * d->forest->cnt + 1, sizeof(*d->merges));
	if (!d->merges)
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	for (size_t i = doctor_next(d, VHDX_NO_IMAGE, &depth);
	     ok && i != VHDX_NO_IMAGE; i = doctor_next(d, i, &depth)) {
		if (d->nodes[i].child != VHDX_NO_IMAGE || d->nodes[i].broken ||
		    d->forest->images[i].code)
			continue;
		unsigned cnt = levels(d, i);
		if (cnt > 0)
			ok = compute(d, i, 1);
		if (ok && cnt > 1)
			ok = compute(d, i, cnt);
	}
	return ok ? STATUS_OK : say_fail(STATUS_FAILED, NULL, "out of memory");
}
