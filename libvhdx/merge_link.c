/* SPDX-License-Identifier: MIT */
/*
 * What a merge does to links and names (M2, M6, M7 of merge.c). Every step
 * looks at the file again first, while holding it, and is skipped where it was
 * done already: so the whole can be run again from its start after any stop.
 */
#include <string.h>

#include "merge.h"
#include "mutation.h"

bool merge_names_id(const struct parent_ref *ref, const struct guid *id)
{
	for (unsigned i = 0; ref && i < ref->linkage_cnt; i++)
		if (guid_eq(&ref->linkage[i], id))
			return true;
	return false;
}

static int open_image(const struct merge *m, const char *path, bool write,
		      bool locked, struct image **out, struct vhdx_err *e)
{
	struct image_open_opts io = { .flags = VHDX_OPEN_ALONE };
	struct file *f;
	int rc;

	if (write)
		io.flags |= VHDX_OPEN_WRITE;
	rc = m->opener->open(m->opener, m->loop, path,
			     locked ? OPENER_WRITE : 0, &f, e);
	if (rc)
		return rc;
	rc = image_open(f, VHDX_FORMAT_PROBE, &io, out, e);
	if (rc) {
		file_close(f);
		return err_wrap(e, rc, "%s", path);
	}
	return 0;
}

static int close_image(struct image *img, int rc, struct vhdx_err *e)
{
	int crc = img->ops->close(img, rc ? NULL : e);

	return rc ? rc : crc;
}

static int check_id(const struct image *img, const struct guid *id,
		    struct vhdx_err *e)
{
	char want[GUID_TEXT_LEN], got[GUID_TEXT_LEN];

	if (guid_eq(&img->identity, id))
		return 0;
	guid_format(id, want);
	guid_format(&img->identity, got);
	return err_set(e, VHDX_E_LINKAGE, "%s: has the id %s instead of %s: it "
		       "was changed since the merge looked at it, or is "
		       "another disk", img->file->path, got, want);
}

int merge_open(const struct merge *m, const char *path, bool write,
	       const struct guid *id, struct image **out, struct vhdx_err *e)
{
	int rc = open_image(m, path, write, write, out, e);

	if (rc || !id)
		return rc;
	rc = check_id(*out, id, e);
	return rc ? close_image(*out, rc, e) : 0;
}

int merge_relink(const struct merge *m, const struct merge_name *n,
		 const struct parent_edit *edit, struct vhdx_err *e)
{
	struct image *img;
	int rc = merge_open(m, n->path, true, &n->id, &img, e);

	if (rc)
		return rc;
	rc = img->ops->set_parent(img, edit, e);
	return close_image(img, rc, e);
}

/* ---- M6 ---------------------------------------------------------------- */

/* Its own identity may be another by now: between two runs of the merge it may
 * have been used. Whose child it is has to fit. */
static int relink_grandchild(struct merge *m, const struct merge_name *n,
			     struct vhdx_err *e)
{
	struct parent_edit edit = { .linkage = m->j.new_id,
				    .path = m->j.target.path };
	struct image *img;
	int rc = merge_open(m, n->path, true, NULL, &img, e);

	if (rc == VHDX_E_NOTFOUND && m->opts->force)
		return 0;
	if (rc)
		return err_wrap(e, rc, "re-linking a child of %s to %s",
				m->j.child.path, m->j.target.path);
	if (merge_names_id(img->parent, &m->j.child.id) ||
	    merge_names_id(img->parent, &m->j.new_id)) {
		rc = img->ops->set_parent(img, &edit, e);
		m->result->relinked_cnt += !rc;
	} else if (!m->opts->force) {
		rc = err_set(e, VHDX_E_LINKAGE, "%s: was a child of %s when "
			     "the merge began, and is none now: where it is "
			     "right so, repeat with --force", n->path,
			     m->j.child.path);
	}
	return close_image(img, rc, e);
}

static int relink_grandchildren(struct merge *m, struct vhdx_err *e)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < m->j.grands.cnt; i++)
		rc = relink_grandchild(m, &m->j.grands.v[i], e);
	return rc;
}

/* ---- M7 ---------------------------------------------------------------- */

/* The child stands on the target itself: what is between may go. */
static int relink_child(struct merge *m, struct vhdx_err *e)
{
	struct parent_edit edit = { .linkage = m->j.new_id,
				    .path = m->j.target.path };
	int rc;

	if (!m->j.keep && !m->j.layers.cnt)
		return 0;
	rc = merge_relink(m, &m->j.child, &edit, e);
	return rc == VHDX_E_NOTFOUND && !m->j.keep ? 0 : rc;
}

/* The layer next to the target accepts the target's new identity since M2, but
 * over the merged content it would show a disk that never was. */
static int cut_off(struct merge *m, struct vhdx_err *e)
{
	struct parent_edit edit = { .linkage = m->j.target.id };
	int rc;

	if (!m->j.layers.cnt || m->format == VHDX_FORMAT_VHD)
		return 0;
	rc = merge_relink(m, &m->j.layers.v[m->j.layers.cnt - 1], &edit, e);
	return rc == VHDX_E_NOTFOUND ? 0 : rc;
}

/* Its lock is held until its name is gone: nobody has it open. */
static int remove_one(struct merge *m, const struct merge_name *n,
		      struct vhdx_err *e)
{
	struct image *img;
	int rc = open_image(m, n->path, false, true, &img, e);

	if (rc == VHDX_E_NOTFOUND)
		return 0;
	if (rc)
		return err_wrap(e, rc, "removing what is merged");
	if (!MUTATED(MERGE_KNOWS_ID))
		rc = check_id(img, &n->id, e);
	if (!rc)
		rc = m->opener->remove(m->opener, n->path, e);
	if (!rc)
		m->result->removed_cnt++;
	return close_image(img, rc, e);
}

static int remove_layers(struct merge *m, struct vhdx_err *e)
{
	int rc = 0;

	for (unsigned i = m->j.layers.cnt; !rc && i-- > 0;)
		rc = remove_one(m, &m->j.layers.v[i], e);
	return rc;
}

int merge_links(struct merge *m, struct vhdx_err *e)
{
	struct image *target;
	int rc = merge_open(m, m->j.target.path, false, &m->j.new_id, &target,
			    e);

	/* Held, so that nobody writes to it while it gets new children. */
	if (rc)
		return rc;
	m->format = target->info.format;
	if (MUTATED(MERGE_CHILD_LAST) && !m->j.keep)
		rc = remove_one(m, &m->j.child, e);
	if (!rc && !m->j.keep)
		rc = relink_grandchildren(m, e);
	if (!rc && MUTATED(MERGE_CHILD_RELINKED) && !m->j.keep)
		rc = remove_layers(m, e);
	if (!rc)
		rc = relink_child(m, e);
	if (!rc)
		rc = cut_off(m, e);
	if (!rc && !m->j.keep)
		rc = remove_layers(m, e);
	if (!rc && !m->j.keep)
		rc = remove_one(m, &m->j.child, e);
	return close_image(target, rc, e);
}
