/* SPDX-License-Identifier: MIT */
/*
 * Who is touched by a merge besides the layers: the given files are opened one
 * by one, and sorted by whose identity they name. What cannot be opened may be
 * anything, and is counted as if it were broken by the merge.
 */
#include <string.h>
#include <sys/stat.h>

#include "merge.h"

struct kin {
	struct merge *m;
	const struct merge_names *old; /* grandchildren of an earlier run */
	bool final;
	unsigned sibling_cnt, unknown_cnt;
	char first[256]; /* sibling, or else unknown */
	struct vhdx_err err; /* of the first unknown */
};

static bool is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &sa) == 0 && stat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool is_in(const struct merge_names *names, const char *path)
{
	for (unsigned i = 0; i < names->cnt; i++)
		if (is_same_file(names->v[i].path, path))
			return true;
	return false;
}

/* The files that are merged themselves. */
static bool is_own(const struct merge *m, const char *path)
{
	return is_in(&m->layers, path) || is_in(&m->j.layers, path) ||
	       is_same_file(m->j.target.path, path) ||
	       is_same_file(m->j.child.path, path);
}

static void report(struct merge *m, enum vhdx_merge_role role,
		   const char *path, const struct vhdx_err *err)
{
	struct vhdx_merge_file f = { .role = role, .path = path, .err = err };

	if (m->opts->file)
		m->opts->file(m->opts->file_arg, &f);
}

static bool is_sibling(const struct kin *k, const struct image *img,
		       const char *path)
{
	const struct merge *m = k->m;

	for (unsigned i = 1; i < m->layers.cnt; i++)
		if (merge_names_id(img->parent, &m->layers.v[i].id))
			return true;
	/* A VHD's id stays: one that was re-linked already looks like it. */
	if (m->format == VHDX_FORMAT_VHD && is_in(k->old, path))
		return false;
	return merge_names_id(img->parent, &m->target_id) ||
	       merge_names_id(img->parent, &m->j.new_id);
}

static int add_grandchild(struct kin *k, const struct image *img,
			  const char *path, struct vhdx_err *e)
{
	struct merge *m = k->m;

	if (m->j.keep || is_in(&m->j.grands, path))
		return 0;
	report(m, VHDX_MERGE_GRANDCHILD, path, NULL);
	if (!img->ops->set_parent)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: is a child of %s, "
			       "and the parent of a %s cannot be changed", path,
			       m->j.child.path,
			       vhdx_format_name(img->info.format));
	return merge_names_add(&m->j.grands, path, &img->identity, e);
}

static void add_unknown(struct kin *k, const char *path,
			const struct vhdx_err *err)
{
	report(k->m, VHDX_MERGE_UNKNOWN, path, err);
	if (!k->unknown_cnt++)
		k->err = *err;
}

static int sort(struct kin *k, const char *path, struct vhdx_err *e)
{
	struct merge *m = k->m;
	struct vhdx_err err;
	struct image *img;
	int rc;

	if (is_own(m, path))
		return 0;
	rc = merge_open(m, path, false, NULL, &img, &err);
	if (rc == VHDX_E_NOMEM)
		return err_copy(e, &err, rc);
	if (rc) {
		if (!k->final)
			add_unknown(k, path, &err);
		return 0;
	}
	if (img->info.format == m->format &&
	    merge_names_id(img->parent, &m->j.child.id)) {
		rc = add_grandchild(k, img, path, e);
	} else if (!k->final && img->info.format == m->format &&
		   is_sibling(k, img, path)) {
		report(m, VHDX_MERGE_SIBLING, path, NULL);
		if (!k->sibling_cnt++)
			snprintf(k->first, sizeof(k->first), "%s", path);
	}
	(void)img->ops->close(img, NULL);
	return rc;
}

static int refuse_siblings(const struct kin *k, struct vhdx_err *e)
{
	bool vhd = k->m->format == VHDX_FORMAT_VHD;
	char more[32] = "";

	if (k->sibling_cnt > 1)
		snprintf(more, sizeof(more), " and %u more",
			 k->sibling_cnt - 1);
	if (vhd)
		return err_set(e, VHDX_E_LINKAGE, "%s%s: is a child of what "
			       "the merge changes, and would then show wrong data "
			       "without notice, as a VHD cannot tell: merge, "
			       "flatten or remove it first", k->first, more);
	return err_set(e, VHDX_E_LINKAGE, "%s%s: is a child of what the merge "
		       "changes, and could never be opened again: merge, "
		       "flatten or remove it first, or lose it with --force",
		       k->first, more);
}

static int verdict(const struct kin *k, struct vhdx_err *e)
{
	bool vhd = k->m->format == VHDX_FORMAT_VHD;
	int rc;

	if (k->sibling_cnt && (vhd || !k->m->opts->force))
		return refuse_siblings(k, e);
	if (!k->unknown_cnt || k->m->opts->force)
		return 0;
	rc = err_copy(e, &k->err, k->err.code);
	return err_wrap(e, rc, "cannot tell whether this is a child of what "
			"the merge changes (--force: it is not)");
}

int merge_kin(struct merge *m, bool final, struct vhdx_err *e)
{
	struct merge_names old = { 0 };
	struct kin k = { .m = m, .old = &old, .final = final };
	int rc = 0;

	if (!final) { /* they are found again */
		old = m->j.grands;
		m->j.grands = (struct merge_names){ 0 };
	}
	for (unsigned i = 0; !rc && i < m->opts->children_cnt; i++)
		rc = sort(&k, m->opts->children[i], e);
	for (unsigned i = 0; !rc && i < old.cnt; i++)
		if (!is_in(&m->j.grands, old.v[i].path))
			rc = sort(&k, old.v[i].path, e);
	merge_names_free(&old);
	return rc ? rc : verdict(&k, e);
}
