/* SPDX-License-Identifier: MIT */
/*
 * Merging, offline: what CHILD (L0) and the layers below it hold (L1 to Ln-1)
 * goes into the ancestor A (Ln); CHILD's children become A's, and the merged
 * files go. The steps, and what their order is for: after a kill or a power
 * failure at any instant whatever opened before shows what it showed, and the
 * same command finishes.
 *
 *  M1  The journal is durable before anything is changed. It alone knows, once
 *	CHILD stands on A itself, which files were between; without it they
 *	would stay for ever.
 *  M2  Ln-1 names A's coming identity (linkage2) besides the present one,
 *	durably, before A gets it. Else the first change of A cuts CHILD off.
 *  M3  A's first change gives it that very identity, not a random one, also
 *	when it is not the first run (the journal's, next_identity).
 *  M4  The topmost layer wins, and what reads as zeros in it is written too.
 *	While CHILD overlays A, nothing of the copying is seen: it may stop
 *	anywhere and be done again.
 *  M5  A is closed, all of it durable, before any link moves to it, and before
 *	the journal says so.
 *  M6  CHILD's children are re-linked to A, each in one step, before CHILD
 *	goes: one that is not yet still finds CHILD.
 *  M7  CHILD is re-linked to A before the files in between go, those from A
 *	upwards, CHILD after them, and the journal last.
 *  M8  No file is removed, or gets another parent, for its name alone: its
 *	identity has to be the one that the journal, or the child, names. A
 *	journal that somebody else may have written counts only for what lies
 *	in its own folder, without links; --force takes its word.
 *
 * A VHD's identity does not change when it is written to: M2 and M3 fall away,
 * and with them the protection of other children of A, so there may be none.
 *
 * Locks. A is held exclusively from before M1 to M5, so no chain over it is
 * open; the layers shared while they are read, Ln-1 exclusively while it is
 * edited (M2). Who reopens a file looks at its identity again. From M6 on A is
 * held shared.
 *
 * Found again, the journal says where to go on: COPY starts over at M1 with the
 * journal's identity; LINK repeats M6 and M7, whose steps skip themselves if
 * they are done - unless CHILD was written to in between, which its identity
 * tells: then what is new in it is copied as well. For a VHD that cannot be
 * told, so it is always copied.
 */
#include "merge.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"
#include "mutation.h"

/* ---- the journal -------------------------------------------------------- */

/* Of a path, with its slash, in buf. */
static const char *folder_of(const char *path, char buf[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) + 1 : 0;

	if (len >= PATH_MAX)
		len = 0;
	memcpy(buf, path, len);
	buf[len] = '\0';
	return buf;
}

int merge_put_journal(struct merge *m, struct vhdx_err *e)
{
	const struct opener *o = m->opener;
	char folder[PATH_MAX], *text;
	size_t len;
	int rc = merge_journal_encode(&m->j, folder_of(m->child, folder), &text,
				      &len, e);

	if (rc)
		return rc;
	rc = o->put(o, m->loop, m->journal_path, text, len, e);
	mem_free(text);
	if (rc)
		return err_wrap(e, rc, "writing the journal of the merge");
	m->has_journal = true;
	return 0;
}

int merge_get_journal(const struct merge *m, const char *child,
		      const char *journal_path, struct merge_journal *out,
		      bool *foreign, struct vhdx_err *e)
{
	const struct opener *o = m->opener;
	char folder[PATH_MAX], *text;
	size_t len;
	int rc = o->get(o, m->loop, journal_path, MERGE_JOURNAL_MAX, &text,
			&len, foreign, e);

	if (rc)
		return rc;
	rc = merge_journal_decode(text, len, folder_of(child, folder), out, e);
	mem_free(text);
	return rc ? err_wrap(e, rc, "%s", journal_path) : 0;
}

static int get_own_journal(struct merge *m, struct vhdx_err *e)
{
	struct vhdx_err err;
	int rc = merge_get_journal(m, m->child, m->journal_path, &m->j,
				   &m->foreign, &err);

	if (rc == VHDX_E_NOTFOUND)
		return 0;
	if (rc)
		return err_copy(e, &err, rc);
	m->has_journal = true;
	m->result->resumed = true;
	return 0;
}

static int drop_journal(struct merge *m, struct vhdx_err *e)
{
	int rc = m->opener->remove(m->opener, m->journal_path, e);

	if (rc == VHDX_E_NOTFOUND)
		rc = 0;
	if (!rc)
		m->has_journal = false;
	return rc;
}

/* ---- M1 to M5 ----------------------------------------------------------- */

/* Nobody else has any of the files that will be changed or removed, and all of
 * them can be written: better known now than half-way. */
static int probe(const struct merge *m, const struct merge_names *names,
		 struct vhdx_err *e)
{
	struct file *f;
	int rc = 0;

	for (unsigned i = 0; !rc && i < names->cnt; i++) {
		rc = m->opener->open(m->opener, m->loop, names->v[i].path,
				     OPENER_WRITE, &f, e);
		if (!rc)
			file_close(f);
	}
	return rc;
}

/* M2 */
static int announce(struct merge *m, struct vhdx_err *e)
{
	struct parent_edit edit = { .linkage = m->target_id,
				    .linkage2 = m->j.new_id };

	if (m->format == VHDX_FORMAT_VHD ||
	    guid_eq(&m->target_id, &m->j.new_id) || MUTATED(MERGE_ANNOUNCE))
		return 0;
	return merge_relink(m, &m->layers.v[m->layers.cnt - 1], &edit, e);
}

/* The layers that are merged, proved again down to the target. */
static int open_layers(struct merge *m, struct vhdx_blk **out,
		       struct image **child, struct vhdx_err *e)
{
	struct chain *c = mem_zalloc(sizeof(*c));
	const struct guid *below;
	struct image *img;
	int rc = 0;

	*out = NULL;
	*child = NULL;
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "no memory for a chain");
	for (unsigned i = 0; !rc && i < m->layers.cnt; i++) {
		rc = merge_open(m, m->layers.v[i].path, false,
				&m->layers.v[i].id, &img, e);
		if (rc)
			break;
		c->layers[c->cnt++] = img;
		below = i + 1 < m->layers.cnt ? &m->layers.v[i + 1].id :
						&m->target_id;
		if (!merge_names_id(img->parent, below))
			rc = err_set(e, VHDX_E_LINKAGE, "%s: has got another "
				     "parent since the merge looked at it",
				     img->file->path);
	}
	if (!rc)
		rc = blk_new_chain(c, m->loop, false, out, e);
	if (rc)
		(void)chain_close(c, NULL);
	else
		*child = c->layers[0];
	return rc;
}

/* M3 to M5, but for the closing; a is dst's image. */
static int fill(struct merge *m, struct image *a, struct vhdx_blk *dst,
		struct vhdx_err *e)
{
	bool unmaps = m->format == VHDX_FORMAT_VHDX &&
		      a->info.type != VHDX_TYPE_FIXED;
	struct vhdx_blk *src;
	struct image *child;
	int rc = open_layers(m, &src, &child, e);

	if (rc)
		return rc;
	if (m->size_len > a->size_len)
		rc = a->ops->resize(a, m->size_len, e);
	m->copying = !rc;
	if (!rc)
		rc = merge_copy(m, src, dst, unmaps, e);
	if (!rc && m->size_len < a->size_len)
		rc = a->ops->resize(a, m->size_len, e);
	if (!rc && a->ops->adopt)
		rc = a->ops->adopt(a, child, e);
	(void)vhdx_blk_close(src, NULL);
	return rc;
}

/* The identity that the target has now that it is closed. */
static int note_identity(struct merge *m, struct vhdx_err *e)
{
	struct image *a;
	int rc = merge_open(m, m->j.target.path, false, NULL, &a, e);

	if (rc)
		return rc;
	/* There may have been nothing to change. */
	if (guid_eq(&a->identity, &m->target_id))
		m->j.new_id = m->target_id;
	else if (!guid_eq(&a->identity, &m->j.new_id))
		rc = err_set(e, VHDX_E_LINKAGE, "%s: was changed by somebody "
			     "else just after the merge", m->j.target.path);
	(void)a->ops->close(a, NULL);
	return rc;
}

/* Takes over a. */
static int copy_into(struct merge *m, struct image *a, struct vhdx_err *e)
{
	struct vhdx_blk *dst;
	int rc, crc;

	if (m->format == VHDX_FORMAT_VHDX && !MUTATED(MERGE_IDENTITY))
		a->next_identity = m->j.new_id;
	a->parent_len = m->parent_len;
	rc = blk_new(a, m->loop, false, &dst, e);
	if (rc) {
		(void)a->ops->close(a, NULL);
		return rc;
	}
	rc = fill(m, a, dst, e);
	if (!rc && MUTATED(MERGE_CLOSED_FIRST)) {
		m->j.phase = MERGE_LINK;
		rc = merge_put_journal(m, e);
	}
	crc = vhdx_blk_close(dst, rc ? NULL : e);
	return rc ? rc : crc;
}

/* The target could not be made ready, and is what it was: a merge that cannot
 * be done is not to stay behind as one that waits to be finished. What fails
 * here leaves just that, and is not worth another message. */
static void take_back(struct merge *m)
{
	struct parent_edit edit = { .linkage = m->target_id };
	const struct merge_name *next = &m->layers.v[m->layers.cnt - 1];
	struct vhdx_err err;
	struct image *a;
	int rc = merge_open(m, m->j.target.path, false, &m->target_id, &a,
			    &err);

	if (rc)
		return;
	if (m->format != VHDX_FORMAT_VHD)
		rc = merge_relink(m, next, &edit, &err);
	if (!rc)
		(void)drop_journal(m, &err);
	(void)a->ops->close(a, NULL);
}

static int copy_phase(struct merge *m, struct vhdx_err *e)
{
	struct image *a;
	int rc = merge_open(m, m->j.target.path, true, &m->target_id, &a, e);

	if (rc)
		return rc;
	rc = probe(m, &m->layers, e);
	if (!rc)
		rc = probe(m, &m->j.grands, e);
	m->j.phase = MERGE_COPY;
	if (!rc && !MUTATED(MERGE_JOURNAL_FIRST))
		rc = merge_put_journal(m, e); /* M1 */
	if (!rc)
		rc = announce(m, e);
	if (rc) {
		(void)a->ops->close(a, NULL);
		return rc;
	}
	rc = copy_into(m, a, e);
	if (rc && !m->copying && !m->result->resumed)
		take_back(m);
	if (!rc)
		rc = note_identity(m, e);
	m->j.phase = MERGE_LINK;
	return rc ? rc : merge_put_journal(m, e);
}

/* ---- where to go on ------------------------------------------------------ */

static int check_same(const struct merge *m, struct vhdx_err *e)
{
	const struct vhdx_merge_opts *o = m->opts;
	bool same = !(o->keep && !m->j.keep);

	if (o->depth && o->depth != m->j.layers.cnt + 1)
		same = false;
	if (o->into && strcmp(o->into, m->j.target.path) != 0) {
		char a[PATH_MAX], b[PATH_MAX];

		if (!realpath(o->into, a) || !realpath(m->j.target.path, b) ||
		    strcmp(a, b) != 0)
			same = false;
	}
	if (same)
		return 0;
	return err_set(e, VHDX_E_INVAL, "%s: a merge of it into %s, %u level%s "
		       "deep%s, was cut off and has to be finished first: "
		       "repeat without other options", m->child,
		       m->j.target.path, m->j.layers.cnt + 1,
		       m->j.layers.cnt ? "s" : "",
		       m->j.keep ? ", that keeps the files" : "");
}

/* Whether the links may move, or (again) the data first. */
static int is_copied(struct merge *m, bool *copied, struct vhdx_err *e)
{
	struct vhdx_err err;
	struct image *img;
	int rc;

	*copied = m->j.phase == MERGE_LINK;
	if (!*copied)
		return 0;
	rc = merge_open(m, m->j.target.path, false, &m->j.new_id, &img, e);
	if (rc)
		return rc;
	m->format = img->info.format;
	(void)img->ops->close(img, NULL);
	rc = merge_open(m, m->child, false, NULL, &img, &err);
	if (rc == VHDX_E_NOTFOUND)
		return 0;
	if (rc)
		return err_copy(e, &err, rc);
	if (img->info.format == VHDX_FORMAT_VHD ||
	    !guid_eq(&img->identity, &m->j.child.id))
		*copied = false;
	(void)img->ops->close(img, NULL);
	return 0;
}

static int run(struct merge *m, struct vhdx_err *e)
{
	bool copied = false;
	int rc = get_own_journal(m, e);

	if (!rc && m->has_journal)
		rc = merge_check_own(m, e);
	if (!rc && m->has_journal)
		rc = check_same(m, e);
	if (!rc && m->has_journal)
		rc = is_copied(m, &copied, e);
	if (rc)
		return rc;
	rc = copied ? merge_kin(m, true, e) : merge_plan(m, e);
	if (rc || m->opts->dry_run)
		return rc;
	if (!copied)
		rc = copy_phase(m, e);
	if (!rc && MUTATED(MERGE_JOURNAL_LAST))
		rc = drop_journal(m, e);
	if (!rc)
		rc = merge_links(m, e);
	return rc ? rc : drop_journal(m, e);
}

/* The file itself, should its name be a symbolic link; owned. */
static char *real_path(const char *path)
{
	char real[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) &&
	    realpath(path, real))
		path = real;
	return mem_strdup(path);
}

int merge_chain(const struct opener *o, struct loop *l, const char *child,
		const struct vhdx_merge_opts *opts,
		struct vhdx_merge_result *result, struct vhdx_err *e)
{
	return merge_chain_on(o, NULL, l, child, opts, result, e);
}

int merge_chain_on(const struct opener *o, const struct family_host *host,
		   struct loop *l, const char *child,
		   const struct vhdx_merge_opts *opts,
		   struct vhdx_merge_result *result, struct vhdx_err *e)
{
	struct vhdx_merge_result unwanted;
	struct merge m = { .opener = o, .host = host, .loop = l, .opts = opts };
	char *real = real_path(child);
	size_t len = real ? strlen(real) : 0;
	int rc;

	m.result = result ? result : &unwanted;
	*m.result = (struct vhdx_merge_result){ .free_len = UINT64_MAX };
	m.child = real;
	m.journal_path = mem_alloc(len + sizeof(MERGE_JOURNAL_SUFFIX));
	if (real && m.journal_path) {
		memcpy(m.journal_path, real, len);
		strcpy(m.journal_path + len, MERGE_JOURNAL_SUFFIX);
		rc = run(&m, e);
	} else {
		rc = err_set(e, VHDX_E_NOMEM, "%s: out of memory", child);
	}
	if (rc && m.has_journal && !opts->dry_run)
		rc = err_wrap(e, rc, "the merge stopped (the chain opens as "
			      "before; the same command goes on)");
	merge_journal_free(&m.j);
	merge_names_free(&m.layers);
	mem_free(m.journal_path);
	mem_free(real);
	return rc;
}
