/* SPDX-License-Identifier: MIT */
/*
 * Walking from a leaf to its base. What makes a file the parent is its
 * identity alone: a path only says where to look. So a file of the right name
 * and another identity is passed over, and the search goes on; what was wrong
 * with the first such file is the error if nothing better turns up.
 *
 * No file is opened twice: a candidate that is a layer already is recognised
 * by device and inode before it is opened, as its own lock would refuse it.
 */
#include "chain.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "locator.h"
#include "mem.h"

struct walk {
	const struct opener *opener;
	struct loop *loop;
	const struct chain_opts *opts;
	struct chain *c;
	/* One parent's search: */
	struct image *found;
	const char *why; /* what led to it */
	int fatal;   /* code that ends the search, in err */
	int problem; /* code of the first file that was not it, in err */
	struct vhdx_err err;
	char tried[256]; /* paths where nothing was */
	size_t tried_len;
	unsigned untold; /* more of them */
};

static struct image *child_of(const struct walk *w)
{
	return w->c->layers[w->c->cnt - 1];
}

/* VHD ids are stored in text order, VHDX ones in Microsoft's. */
const char *chain_id_text(const struct image *img, const struct guid *id,
			  char out[GUID_TEXT_LEN])
{
	static const uint8_t order[16] = { 3, 2,  1,  0,  5,  4,  7,  6,
					   8, 9, 10, 11, 12, 13, 14, 15 };
	struct guid g = *id;

	if (img->info.format == VHDX_FORMAT_VHD)
		for (size_t i = 0; i < sizeof(order); i++)
			g.b[i] = id->b[order[i]];
	guid_format(&g, out);
	return out;
}

const char *chain_linkage_text(const struct image *img,
			       char out[CHAIN_LINKAGE_LEN])
{
	const struct parent_ref *ref = img->parent;
	char a[GUID_TEXT_LEN], b[GUID_TEXT_LEN];

	strcpy(out, chain_id_text(img, &ref->linkage[0], a));
	if (ref->linkage_cnt > 1)
		strcat(strcat(out, " or "),
		       chain_id_text(img, &ref->linkage[1], b));
	return out;
}

static bool is_named(const struct parent_ref *ref, const struct guid *identity)
{
	for (unsigned i = 0; i < ref->linkage_cnt; i++)
		if (guid_eq(&ref->linkage[i], identity))
			return true;
	return false;
}

bool chain_is_parent(const struct image *img, const struct image *parent)
{
	return parent->info.format == img->info.format &&
	       is_named(img->parent, &parent->identity);
}

/* Writing to a VHD does not change its id. */
const char *chain_other_text(const struct image *img)
{
	return img->info.format == VHDX_FORMAT_VHD
		       ? "it is another disk, or got another id since"
		       : "it is another disk, or was changed since";
}

bool chain_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &sa) == 0 && stat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static struct image *layer_at(const struct chain *c, const char *path)
{
	for (unsigned i = 0; i < c->cnt; i++)
		if (chain_same_file(c->layers[i]->file->path, path))
			return c->layers[i];
	return NULL;
}

/* ---- one candidate ------------------------------------------------------ */

/* Reports only the first; the search goes on unless memory has run out. */
static bool had_problem(struct walk *w, const struct vhdx_err *e, int rc)
{
	if (rc == VHDX_E_NOMEM)
		w->fatal = rc;
	if (!w->problem || w->fatal) {
		w->problem = rc;
		w->err = *e;
	}
	return w->fatal != 0;
}

static bool is_absent(const struct vhdx_err *e, int rc)
{
	return rc == VHDX_E_NOTFOUND ||
	       (rc && (e->sys_errno == ENOTDIR || e->sys_errno == ELOOP ||
		       e->sys_errno == ENAMETOOLONG));
}

/* A message has an end, and what mends a link comes last in it: where two paths
 * are too long for it, of each only that end is told which has the name. */
#define TOLD_MAX 80u

static const char *told(const char *path, const char *other,
			char buf[TOLD_MAX + 1])
{
	size_t len = strlen(path);

	if (len <= TOLD_MAX || len + strlen(other) <= 2 * TOLD_MAX)
		return path;
	snprintf(buf, TOLD_MAX + 1, "...%s", path + len - (TOLD_MAX - 3));
	return buf;
}

static void note_absent(struct walk *w, const char *path)
{
	size_t left = sizeof(w->tried) - w->tried_len;
	char buf[TOLD_MAX + 1];

	if (strlen(path) + 3 > left && !w->tried_len)
		path = told(path, path, buf);
	if (w->untold || strlen(path) + 3 > left) {
		w->untold++;
		return;
	}
	w->tried_len += (size_t)snprintf(w->tried + w->tried_len, left, "%s%s",
					 w->tried_len ? ", " : "", path);
}

static int say_wrong(const struct walk *w, const struct image *img,
		     const char *path, const char *where, struct vhdx_err *e)
{
	const struct image *child = child_of(w);
	char want[CHAIN_LINKAGE_LEN], got[GUID_TEXT_LEN];
	char a[TOLD_MAX + 1], b[TOLD_MAX + 1];
	const char *name = told(child->file->path, path, a);

	chain_linkage_text(child, want);
	path = told(path, child->file->path, b);
	if (img->info.format != child->info.format)
		return err_obj(e, VHDX_E_LINKAGE, VHDX_OBJ_PARENT, ERR_NO_OFF,
			       NULL, "%s: its parent must be the %s with the "
			       "id %s, but %s is %s%s: give the right one's "
			       "folder with --search DIR, or record it with "
			       "vhdtool set-parent", name,
			       vhdx_format_name(child->info.format), want, path,
			       vhdx_format_name(img->info.format), where);
	return err_obj(e, VHDX_E_LINKAGE, VHDX_OBJ_PARENT, ERR_NO_OFF, NULL,
		       "%s: its parent must have the id %s, but %s has %s%s: "
		       "%s; give the right one's folder with --search DIR, or "
		       "record it with vhdtool set-parent "
		       "(--ignore-id-mismatch, if its content is known to be "
		       "unchanged)", name, want, path,
		       chain_id_text(img, &img->identity, got), where,
		       chain_other_text(img));
}

/* The candidate is no file that could hold a disk: e tells. */
static int say_no_file(const struct walk *w, const struct vhdx_err *why,
		       const char *path, struct vhdx_err *e)
{
	const struct image *child = child_of(w);
	char want[CHAIN_LINKAGE_LEN], a[TOLD_MAX + 1], b[TOLD_MAX + 1];
	size_t n = strlen(path);
	bool named = strncmp(why->text, path, n) == 0 &&
		     strncmp(why->text + n, ": ", 2) == 0;

	return err_obj(e, VHDX_E_LINKAGE, VHDX_OBJ_PARENT, ERR_NO_OFF, NULL,
		       "%s: its parent must have the id %s, but %s %s: give "
		       "the right one's folder with --search DIR, or record it "
		       "with vhdtool set-parent",
		       told(child->file->path, path, a),
		       chain_linkage_text(child, want),
		       told(path, child->file->path, b),
		       named ? why->text + n + 2 : why->text);
}

/* The candidate is layer `again`. Only if it has the id asked for is that a
 * cycle; else its name is merely the same as the parent's elsewhere. */
static bool met_again(struct walk *w, const struct image *again,
		      const char *path)
{
	const char *child = child_of(w)->file->path;
	bool vhd = again->info.format == VHDX_FORMAT_VHD;
	struct vhdx_err err;
	int rc;

	if (!chain_is_parent(child_of(w), again)) {
		rc = say_wrong(w, again, path, " (a layer of this very chain)",
			       &err);
		return had_problem(w, &err, rc);
	}
	w->fatal = err_corrupt(&w->err, VHDX_OBJ_PARENT, ERR_NO_OFF,
			       vhd ? "VHD" : "2.6.2.6.3",
			       "%s: the chain runs in a circle: the parent of "
			       "%s is %s again, which is above it or itself; "
			       "record the right one with vhdtool set-parent",
			       w->c->layers[0]->file->path, child,
			       again->file->path);
	return true;
}

static int open_layer(const struct walk *w, const char *path, bool leaf,
		      struct image **out, struct vhdx_err *e)
{
	const struct chain_opts *o = w->opts;
	struct image_open_opts io = { o->flags, o->msg, o->msg_arg };
	enum vhdx_format format = leaf ? o->format : VHDX_FORMAT_PROBE;
	unsigned how = o->flags & VHDX_OPEN_DIRECT ? OPENER_DIRECT : 0;
	struct file *f;
	int rc;

	if (!leaf)
		io.flags &= ~VHDX_OPEN_WRITE;
	if (io.flags & VHDX_OPEN_WRITE)
		how |= OPENER_WRITE;
	rc = w->opener->open(w->opener, w->loop, path, how, &f, e);
	if (rc)
		return rc;
	rc = (o->image_open ? o->image_open : image_open)(f, format, &io, out,
							  e);
	if (rc) {
		/* Openers name the path, decoders do not. */
		if (!leaf)
			rc = err_wrap(e, rc, "%s", path);
		file_close(f);
	}
	return rc;
}

static void tell(const struct walk *w, const char *path, const char *why)
{
	const struct image *child = child_of(w);
	bool search = strcmp(why, LOCATOR_BY_SEARCH) == 0;
	char text[512];

	if (!w->opts->msg || (!search && strcmp(why, LOCATOR_BY_NAME) != 0))
		return;
	snprintf(text, sizeof(text), "%s: its parent was found %s, as %s; "
		 "recorded is \"%s\"", child->file->path, search ?
		 "in a search folder" : "by its name", path,
		 child->parent->paths[0].text);
	w->opts->msg(w->opts->msg_arg, text);
}

/* VHD: writing to a parent leaves its id as it is; its time is all that can
 * tell. Two seconds is what some file systems round to. */
static void tell_time(const struct walk *w, const char *path)
{
	const struct image *child = child_of(w);
	int64_t then = child->parent->mtime;
	char text[512];
	struct stat st;

	if (!w->opts->msg || !then || stat(path, &st) != 0 ||
	    llabs(st.st_mtime - then) <= 2)
		return;
	snprintf(text, sizeof(text), "%s: its parent %s has another time than "
		 "recorded: it was copied, or changed since",
		 child->file->path, path);
	w->opts->msg(w->opts->msg_arg, text);
}

/* VHDX: a merge gives its target the second id before it copies. The child that
 * is merged shows what it should; a file between the two does not. */
static void tell_merge(const struct walk *w, const struct image *parent)
{
	const struct image *child = child_of(w);
	char text[512];

	if (!w->opts->msg || w->c->cnt > 1 || child->parent->linkage_cnt < 2 ||
	    guid_eq(&child->parent->linkage[0], &parent->identity))
		return;
	snprintf(text, sizeof(text), "%s: a merge of it into %s was begun and "
		 "is not finished; if it was that of a child of it, what it "
		 "shows now is a mixture", child->file->path,
		 parent->file->path);
	w->opts->msg(w->opts->msg_arg, text);
}

static bool try_parent(void *arg, const char *path, const char *why)
{
	struct walk *w = arg;
	const struct image *again = layer_at(w->c, path);
	struct vhdx_err err;
	struct image *img;
	int rc;

	if (again)
		return met_again(w, again, path);
	err_clear(&err);
	rc = open_layer(w, path, false, &img, &err);
	if (is_absent(&err, rc)) {
		note_absent(w, path);
		return false;
	}
	if (rc == VHDX_E_INVAL) {
		struct vhdx_err kind = err;

		return had_problem(w, &err, say_no_file(w, &kind, path, &err));
	}
	if (rc) {
		err_wrap(&err, rc, "parent of %s", child_of(w)->file->path);
		if (w->opts->unopened && !w->problem)
			snprintf(w->opts->unopened, w->opts->unopened_cap,
				 "%s", path);
		return had_problem(w, &err, rc);
	}
	if (chain_is_parent(child_of(w), img)) {
		tell(w, path, why);
		tell_time(w, path);
		tell_merge(w, img);
		w->found = img;
		w->why = why;
		return true;
	}
	rc = say_wrong(w, img, path, "", &err);
	(void)img->ops->close(img, NULL);
	return had_problem(w, &err, rc);
}

/* ---- the walk ----------------------------------------------------------- */

static int not_found(const struct walk *w, struct vhdx_err *e)
{
	const struct image *child = child_of(w);
	char want[CHAIN_LINKAGE_LEN], more[32] = "", a[TOLD_MAX + 1];

	if (w->untold)
		snprintf(more, sizeof(more), "%sand %u more", w->tried_len ?
			 " " : "", w->untold);
	return err_obj(e, VHDX_E_NOPARENT, VHDX_OBJ_PARENT, ERR_NO_OFF, NULL,
		       "%s: its parent %s is not there: give its folder with "
		       "--search DIR, or record it with vhdtool set-parent "
		       "(tried: %s%s)", told(child->file->path, w->tried, a),
		       chain_linkage_text(child, want),
		       w->tried_len ? w->tried : w->untold ? "" :
		       "no path at all", more);
}

static int find_parent(struct walk *w, struct vhdx_err *e)
{
	const struct image *child = child_of(w);
	int rc;

	w->found = NULL;
	w->fatal = w->problem = 0;
	w->tried_len = w->untold = 0;
	w->tried[0] = '\0';
	rc = locator_candidates(child->parent, child->file->path,
				w->opts->search, w->opts->search_cnt,
				try_parent, w, e);
	if (rc || w->found)
		return rc;
	if (w->fatal || w->problem)
		return err_copy(e, &w->err, w->fatal ? w->fatal : w->problem);
	return not_found(w, e);
}

/* Takes w->found as the next layer, or closes it. */
static int push_parent(struct walk *w, struct vhdx_err *e)
{
	const struct image *child = child_of(w), *parent = w->found;
	int rc;

	if (parent->sector_len == child->sector_len) {
		w->c->why[w->c->cnt] = w->why;
		w->c->layers[w->c->cnt++] = w->found;
		return 0;
	}
	rc = err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_PARENT, ERR_NO_OFF,
		       "2.6.2.4", "%s has sectors of %u bytes, its parent %s "
		       "of %u: they must be the same", child->file->path,
		       child->sector_len, parent->file->path,
		       parent->sector_len);
	(void)w->found->ops->close(w->found, NULL);
	return rc;
}

static int walk_up(struct walk *w, struct vhdx_err *e)
{
	int rc = 0;

	while (!rc && child_of(w)->parent) {
		if (w->c->cnt == CHAIN_MAX)
			return err_set(e, VHDX_E_UNSUPPORTED, "%s: the chain "
				       "is deeper than %u layers; the last one "
				       "opened is %s",
				       w->c->layers[0]->file->path, CHAIN_MAX,
				       child_of(w)->file->path);
		rc = find_parent(w, e);
		if (!rc)
			rc = push_parent(w, e);
	}
	return rc;
}

int chain_open(const struct opener *o, struct loop *loop, const char *path,
	       const struct chain_opts *opts, struct chain **out,
	       struct vhdx_err *e)
{
	struct walk w = { .opener = o, .loop = loop, .opts = opts };
	bool partial = opts->flags & VHDX_OPEN_PARTIAL;
	int rc;

	*out = NULL;
	if (opts->unopened)
		*opts->unopened = '\0';
	if (partial && opts->flags & VHDX_OPEN_WRITE)
		return err_set(e, VHDX_E_INVAL, "%s: a part of a chain is not "
			       "opened for writing", path);
	w.c = mem_zalloc(sizeof(*w.c));
	if (!w.c)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	rc = open_layer(&w, path, true, &w.c->layers[0], e);
	if (!rc) {
		w.c->cnt = 1;
		if (!(opts->flags & VHDX_OPEN_ALONE))
			rc = walk_up(&w, e);
		if (partial && rc != VHDX_E_NOMEM)
			rc = 0;
	}
	if (rc)
		(void)chain_close(w.c, NULL);
	else
		*out = w.c;
	return rc;
}

int chain_of(struct image *img, struct chain **out, struct vhdx_err *e)
{
	struct chain *c = mem_zalloc(sizeof(*c));

	*out = c;
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "no memory for a chain");
	c->layers[c->cnt++] = img;
	return 0;
}

int chain_close(struct chain *c, struct vhdx_err *e)
{
	int first = 0;

	for (unsigned i = 0; c && i < c->cnt; i++) {
		struct image *img = c->layers[i];
		int rc = img->ops->close(img, first ? NULL : e);

		if (!first)
			first = rc;
	}
	mem_free(c);
	return first;
}
