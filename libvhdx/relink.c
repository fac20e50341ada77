/* SPDX-License-Identifier: MIT */
/*
 * The child is opened twice: read-only first, so that a refusal leaves it
 * without a changed byte (opening for writing would replay a dirty log), then
 * for writing, when everything is verified again.
 */
#include "relink.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "mem.h"
#include "merge_journal.h"
#include "mutation.h"

struct relink {
	const struct opener *opener;
	struct loop *loop;
	const char *child_path, *parent_path;
	const struct vhdx_set_parent_opts *opts;
	struct vhdx_set_parent_result *result;
	struct chain *parents; /* owned */
};

/* ---- proof --------------------------------------------------------------- */

static int refuse(const struct relink *r, int code, struct vhdx_err *e,
		  const char *fmt, ...) printf_like(4, 5);

static int refuse(const struct relink *r, int code, struct vhdx_err *e,
		  const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_obj(e, code, VHDX_OBJ_PARENT, ERR_NO_OFF, NULL,
		       "%s cannot be the parent of %s: %s", r->parent_path,
		       r->child_path, text);
}

static int open_parents(struct relink *r, struct vhdx_err *e)
{
	struct chain_opts co = { .search = r->opts->search,
				 .search_cnt = r->opts->search_cnt,
				 .msg = r->opts->msg,
				 .msg_arg = r->opts->msg_arg };
	int rc = chain_open(r->opener, r->loop, r->parent_path, &co,
			    &r->parents, e);

	if (rc)
		return rc;
	for (unsigned i = 0; i < r->parents->cnt; i++) {
		const char *path = r->parents->layers[i]->file->path;

		if (!chain_same_file(path, r->child_path))
			continue;
		if (i == 0)
			return refuse(r, VHDX_E_LINKAGE, e,
				      "they are one file");
		return refuse(r, VHDX_E_LINKAGE, e, "it is itself a child of "
			      "it (%u above it in the chain)", i);
	}
	if (r->parents->cnt < CHAIN_MAX)
		return 0;
	return refuse(r, VHDX_E_UNSUPPORTED, e, "the chain would be deeper "
		      "than %u layers", CHAIN_MAX);
}

static int verify_kind(const struct relink *r, const struct image *img,
		       struct vhdx_err *e)
{
	const struct image *p = r->parents->layers[0];

	if (!img->parent)
		return err_obj(e, VHDX_E_INVAL, VHDX_OBJ_PARENT, ERR_NO_OFF,
			       NULL, "%s: is %s %s, not a differencing one: it "
			       "has no parent", r->child_path,
			       vhdx_type_name(img->info.type),
			       vhdx_format_name(img->info.format));
	if (!img->ops->set_parent)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_PARENT,
			       ERR_NO_OFF, NULL, "%s: the parent of a %s "
			       "cannot be changed by this version",
			       r->child_path,
			       vhdx_format_name(img->info.format));
	if (p->info.format != img->info.format)
		return refuse(r, VHDX_E_LINKAGE, e, "it is %s, the child %s",
			      vhdx_format_name(p->info.format),
			      vhdx_format_name(img->info.format));
	if (p->sector_len != img->sector_len)
		return refuse(r, VHDX_E_UNSUPPORTED, e, "it has sectors of %u "
			      "bytes, the child of %u", p->sector_len,
			      img->sector_len);
	return 0;
}

static int verify_identity(const struct relink *r, const struct image *img,
			   struct vhdx_err *e)
{
	const struct image *p = r->parents->layers[0];
	char want[CHAIN_LINKAGE_LEN], got[GUID_TEXT_LEN];

	if (r->opts->ignore_id || chain_is_parent(img, p) ||
	    MUTATED(RELINK_PROVES))
		return 0;
	return refuse(r, VHDX_E_LINKAGE, e, "it has the id %s, the child's "
		      "parent has %s: %s; --ignore-id-mismatch takes it all "
		      "the same", chain_id_text(p, &p->identity, got),
		      chain_linkage_text(img, want), chain_other_text(p));
}

bool relink_merge_pending(const struct opener *o, struct loop *l,
			  const char *child, char *journal, size_t cap)
{
	struct vhdx_err none;
	char *text = NULL;
	size_t len;
	int rc;

	snprintf(journal, cap, "%s%s", child, MERGE_JOURNAL_SUFFIX);
	if (!o->get)
		return false;
	rc = o->get(o, l, journal, MERGE_JOURNAL_MAX, &text, &len, NULL,
		    &none);
	mem_free(rc ? NULL : text);
	return rc != VHDX_E_NOTFOUND &&
	       (!rc || none.sys_errno != ENAMETOOLONG);
}

/* An id that does not match is recorded in place of those there are; a merge
 * that was cut off would not find its way any more without them. */
static int verify_no_merge(const struct relink *r, const struct image *img,
			   struct vhdx_err *e)
{
	char journal[4096];

	if (chain_is_parent(img, r->parents->layers[0]) ||
	    !relink_merge_pending(r->opener, r->loop, r->child_path, journal,
				  sizeof(journal)))
		return 0;
	return refuse(r, VHDX_E_LINKAGE, e, "a merge of the child was cut off "
		      "(%s): finish that first: vhdtool merge %s", journal,
		      r->child_path);
}

static int verify(const struct relink *r, const struct image *img,
		  struct vhdx_err *e)
{
	int rc = verify_kind(r, img, e);

	if (!rc)
		rc = verify_identity(r, img, e);
	return rc ? rc : verify_no_merge(r, img, e);
}

/* ---- the change ---------------------------------------------------------- */

static void warn_mismatch(const struct relink *r, const struct image *img)
{
	const struct image *p = r->parents->layers[0];
	char want[CHAIN_LINKAGE_LEN], got[GUID_TEXT_LEN];
	char text[768];

	if (!r->opts->msg)
		return;
	snprintf(text, sizeof(text), "its parent had the id %s, %s has %s: "
		 "what the child does not hold itself is now what that file "
		 "holds. If that was changed since the child was made, or is "
		 "another disk, the content is a mixture of two",
		 chain_linkage_text(img, want), r->parent_path,
		 chain_id_text(p, &p->identity, got));
	r->opts->msg(r->opts->msg_arg, text);
}

/* An id that matches stays as it is recorded, a second one with it: a merge
 * that was interrupted may need either. */
static void fill_edit(const struct relink *r, const struct image *img,
		      struct parent_edit *out)
{
	const struct image *p = r->parents->layers[0];

	*out = (struct parent_edit){ .linkage = p->identity,
				     .path = r->parent_path };
	if (!chain_is_parent(img, p))
		return;
	out->linkage = img->parent->linkage[0];
	if (img->parent->linkage_cnt > 1)
		out->linkage2 = img->parent->linkage[1];
}

static int record(const struct relink *r, struct image *img,
		  struct vhdx_err *e)
{
	const struct parent_ref *ref = img->parent;
	struct parent_edit edit;
	uint8_t was[16];
	int rc;

	fill_edit(r, img, &edit);
	memcpy(was, img->info.file_write_guid, 16);
	rc = img->ops->set_parent(img, &edit, e);
	/* VHD has no such id; what it says of its parent is then another. */
	r->result->changed = img->parent != ref ||
			     memcmp(was, img->info.file_write_guid, 16) != 0;
	return rc;
}

static int with_child(const struct relink *r, bool write, struct vhdx_err *e)
{
	struct chain_opts co = {
		.flags = VHDX_OPEN_ALONE | (write ? VHDX_OPEN_WRITE : 0),
		.msg = write ? r->opts->msg : NULL,
		.msg_arg = r->opts->msg_arg,
	};
	struct chain *c;
	struct image *img;
	int rc, close_rc;

	rc = chain_open(r->opener, r->loop, r->child_path, &co, &c, e);
	if (rc)
		return rc;
	img = c->layers[0];
	rc = verify(r, img, e);
	if (!rc && !write) {
		r->result->format = img->info.format;
		r->result->id_matched =
			chain_is_parent(img, r->parents->layers[0]);
		memcpy(r->result->id, r->parents->layers[0]->identity.b, 16);
		if (!r->result->id_matched)
			warn_mismatch(r, img);
	}
	if (!rc && write)
		rc = record(r, img, e);
	close_rc = chain_close(c, rc ? NULL : e);
	return rc ? rc : close_rc;
}

int set_parent_image(const struct opener *o, struct loop *l, const char *child,
		     const char *parent,
		     const struct vhdx_set_parent_opts *opts,
		     struct vhdx_set_parent_result *result, struct vhdx_err *e)
{
	struct relink r = { o, l, child, parent, opts, result, NULL };
	int rc;

	*result = (struct vhdx_set_parent_result){ .changed = false };
	rc = open_parents(&r, e);
	if (!rc)
		rc = with_child(&r, false, e);
	if (!rc && !opts->dry_run)
		rc = with_child(&r, true, e);
	(void)chain_close(r.parents, NULL); /* read-only: nothing to lose */
	return rc;
}
