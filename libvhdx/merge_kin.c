/* SPDX-License-Identifier: MIT */
/*
 * Who is touched by a merge besides the layers: the given files are opened one
 * by one, and sorted by whose identity they name. What cannot be opened may be
 * anything, and is counted as if it were broken by the merge.
 */
#include <limits.h>
#include <string.h>

#include "family.h"
#include "mem.h"
#include "merge.h"

struct kin {
	struct merge *m;
	const struct merge_names *old; /* grandchildren of an earlier run */
	bool final;
	unsigned sibling_cnt, unknown_cnt;
	char first[256]; /* sibling, or else unknown */
	struct vhdx_err err; /* of the first unknown */
};

static bool is_in(const struct merge_names *names, const char *path)
{
	for (unsigned i = 0; i < names->cnt; i++)
		if (chain_same_file(names->v[i].path, path))
			return true;
	return false;
}

/* The files that are merged themselves. */
static bool is_own(const struct merge *m, const char *path)
{
	return is_in(&m->layers, path) || is_in(&m->j.layers, path) ||
	       chain_same_file(m->j.target.path, path) ||
	       chain_same_file(m->j.child.path, path);
}

static void report(struct merge *m, enum vhdx_merge_role role,
		   const char *path, const struct vhdx_err *err)
{
	struct vhdx_merge_file f = { .role = role, .path = path, .err = err };

	if (m->opts->file)
		m->opts->file(m->opts->file_arg, &f);
}

static bool is_sibling(const struct kin *k, const struct image *img)
{
	const struct merge *m = k->m;

	for (unsigned i = 1; i < m->layers.cnt; i++)
		if (merge_names_id(img->parent, &m->layers.v[i].id))
			return true;
	return merge_names_id(img->parent, &m->target_id) ||
	       merge_names_id(img->parent, &m->j.new_id);
}

/* Also one that an earlier run has re-linked: as a VHD's id stays it looks like
 * a sibling by then, to this run and to the next, so the journal keeps it. */
static bool is_grandchild(const struct kin *k, const struct image *img,
			  const char *path)
{
	const struct merge *m = k->m;

	if (img->info.format != m->format)
		return false;
	return merge_names_id(img->parent, &m->j.child.id) ||
	       (m->format == VHDX_FORMAT_VHD && is_in(k->old, path) &&
		merge_names_id(img->parent, &m->target_id));
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

/* may_be_gone: an earlier run found it. */
static int sort(struct kin *k, const char *path, bool may_be_gone,
		struct vhdx_err *e)
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
	if (rc == VHDX_E_NOTFOUND && may_be_gone)
		return 0;
	if (rc) {
		if (!k->final)
			add_unknown(k, path, &err);
		return 0;
	}
	if (is_grandchild(k, img, path)) {
		rc = add_grandchild(k, img, path, e);
	} else if (!k->final && img->info.format == m->format &&
		   is_sibling(k, img)) {
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
			       "the merge changes, and would then show wrong "
			       "data without notice, as a VHD cannot tell: "
			       "merge, flatten or remove it first", k->first,
			       more);
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

/* ---- looking around ------------------------------------------------------ */

/* Whether what is known of the image says that it need not be looked at: it
 * may be in use, and that is nobody's business here. */
static bool is_stranger(const struct kin *k, const struct vhdx_found *im)
{
	const struct merge *m = k->m;
	struct parent_ref ref = { .linkage_cnt = im->linkage_cnt };

	if (!im->known)
		return false;
	memcpy(ref.linkage, im->linkage, sizeof(im->linkage));
	for (unsigned i = 0; i < m->layers.cnt; i++)
		if (merge_names_id(&ref, &m->layers.v[i].id))
			return false;
	return !merge_names_id(&ref, &m->j.child.id) &&
	       !merge_names_id(&ref, &m->target_id) &&
	       !merge_names_id(&ref, &m->j.new_id);
}

/* One that is a child beyond doubt, but in use, is in the way of any merge. */
static int sort_found(struct kin *k, const struct vhdx_found *im,
		      struct vhdx_err *e)
{
	if (is_stranger(k, im) || is_own(k->m, im->path))
		return 0;
	if (im->known && im->code)
		return err_wrap(e, err_copy(e, im->err, im->code), "a child of "
				"what the merge changes");
	return sort(k, im->path, false, e);
}

static int sort_forest(struct kin *k, const struct vhdx_scan_opts *so,
		       struct vhdx_err *e)
{
	const struct merge *m = k->m;
	struct family_opts fo = { .host = m->host, .scan = so };
	struct vhdx_forest *f;
	int rc = family_scan(m->opener, m->loop, &fo, &f, e);

	for (size_t i = 0; !rc && i < f->cnt; i++)
		rc = sort_found(k, &f->images[i], e);
	for (size_t i = 0; !rc && !k->final && i < f->leftover_cnt; i++)
		if (f->leftovers[i].kind == VHDX_LEFT_MERGE)
			rc = merge_check_other(m, f->leftovers[i].path, e);
	vhdx_forest_free(f);
	return rc;
}

struct folders {
	char **v;
	unsigned cnt;
};

static int add_folder(struct folders *fs, const char *file, struct vhdx_err *e)
{
	char buf[PATH_MAX];
	const char *slash = strrchr(file, '/');
	size_t len = slash ? (size_t)(slash - file) : 0;

	if (len >= sizeof(buf))
		return 0; /* nothing was opened there either */
	memcpy(buf, file, len);
	strcpy(buf + len, !slash ? "." : len ? "" : "/");
	for (unsigned i = 0; i < fs->cnt; i++)
		if (chain_same_file(fs->v[i], buf))
			return 0;
	fs->v[fs->cnt] = mem_strdup(buf);
	if (!fs->v[fs->cnt])
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", file);
	fs->cnt++;
	return 0;
}

static int sort_folders(struct kin *k, struct vhdx_err *e)
{
	const struct merge *m = k->m;
	struct vhdx_scan_opts so = { 0 };
	struct folders fs = { 0 };
	int rc;

	fs.v = mem_array(m->layers.cnt + 2, sizeof(*fs.v));
	if (!fs.v)
		return err_set(e, VHDX_E_NOMEM, "no memory for folders");
	rc = add_folder(&fs, m->child, e);
	if (!rc)
		rc = add_folder(&fs, m->j.target.path, e);
	for (unsigned i = 0; !rc && i < m->layers.cnt; i++)
		rc = add_folder(&fs, m->layers.v[i].path, e);
	so.folders = (const char *const *)fs.v;
	so.folder_cnt = fs.cnt;
	if (!rc)
		rc = sort_forest(k, &so, e);
	for (unsigned i = 0; i < fs.cnt; i++)
		mem_free(fs.v[i]);
	mem_free(fs.v);
	return rc;
}

static int sort_given(struct kin *k, struct vhdx_err *e)
{
	const struct vhdx_merge_opts *o = k->m->opts;
	struct vhdx_scan_opts so = { .files = o->children,
				     .file_cnt = o->children_cnt };
	int rc = 0;

	if (k->m->host)
		return sort_forest(k, &so, e);
	for (unsigned i = 0; !rc && i < o->children_cnt; i++)
		rc = sort(k, o->children[i], false, e);
	return rc;
}

int merge_kin(struct merge *m, bool final, struct vhdx_err *e)
{
	struct merge_names old = { 0 };
	struct kin k = { .m = m, .old = &old, .final = final };
	int rc;

	if (!final) { /* they are found again */
		old = m->j.grands;
		m->j.grands = (struct merge_names){ 0 };
	}
	rc = m->opts->children || !m->host ? sort_given(&k, e) :
					     sort_folders(&k, e);
	for (unsigned i = 0; !rc && i < old.cnt; i++)
		if (!is_in(&m->j.grands, old.v[i].path))
			rc = sort(&k, old.v[i].path, true, e);
	merge_names_free(&old);
	if (!rc)
		rc = verdict(&k, e);
	return rc || final ? rc : merge_check_others(m, e);
}
