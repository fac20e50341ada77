/* SPDX-License-Identifier: MIT */
/*
 * A layer is checked first, and mended if that is asked for; only then its
 * parent is looked for, because a damaged child may not tell who that is. So
 * the chain is walked anew for each layer while mending, and once otherwise.
 *
 * A recorded path is mended by recording it again (relink.c), which proves the
 * parent a second time. It is left alone in a layer that has errors: nothing is
 * written to such an image.
 */
#include "chain_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "locator.h"
#include "mem.h"
#include "relink.h"

struct chain_check {
	const struct opener *opener;
	struct loop *loop;
	const char *path;
	const struct vhdx_chain_check_opts *opts;
	struct vhdx_chain_check_result *result;
	/* The chain as walked last; NULL: not even the leaf opens. */
	struct chain *c;
	struct vhdx_err broken; /* why it ends early; code 0: it does not */
	char unopened[4096];	/* the file at which it does, if any */
	/* The layer being checked. */
	unsigned depth;
	const char *layer_path;
	struct vhdx_check_result layer;
	bool unproved;	   /* it may not even be the parent */
	uint64_t withheld; /* what could be mended in it, but not by this */
};

/* ---- telling ------------------------------------------------------------- */

static void tell(void *arg, const struct vhdx_finding *f)
{
	struct chain_check *k = arg;
	struct vhdx_finding g = *f;

	if (k->unproved && g.repairable) {
		k->withheld++;
		g.repairable = false;
	}
	if (k->opts->finding)
		k->opts->finding(k->opts->arg, k->depth, k->layer_path, &g);
}

enum mend { MEND_NO, MEND_CAN, MEND_DONE };

static void say(struct chain_check *k, enum vhdx_severity sev, enum mend mend,
		enum vhdx_obj obj, const char *spec, const char *fmt, ...)
	printf_like(6, 7);

static void say(struct chain_check *k, enum vhdx_severity sev, enum mend mend,
		enum vhdx_obj obj, const char *spec, const char *fmt, ...)
{
	char text[1024];
	struct vhdx_finding f = { .severity = sev, .obj = obj,
				  .off = ERR_NO_OFF, .spec = spec,
				  .text = text, .repairable = mend != MEND_NO,
				  .repaired = mend == MEND_DONE };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (mend == MEND_DONE)
		k->layer.repaired++;
	else if (sev == VHDX_SEV_ERROR)
		k->layer.errors++;
	else if (sev == VHDX_SEV_WARNING)
		k->layer.warnings++;
	tell(k, &f);
}

/* ---- the walk ------------------------------------------------------------ */

static int walk(struct chain_check *k, struct vhdx_err *e)
{
	struct chain_opts co = { .search = k->opts->search,
				 .search_cnt = k->opts->search_cnt,
				 .unopened = k->unopened,
				 .unopened_cap = sizeof(k->unopened) };
	int rc;

	(void)chain_close(k->c, NULL);
	k->c = NULL;
	err_clear(&k->broken);
	rc = chain_open(k->opener, k->loop, k->path, &co, &k->c, &k->broken);
	if (!rc) {
		k->broken.code = 0;
		return 0;
	}
	if (rc == VHDX_E_NOMEM)
		return err_copy(e, &k->broken, rc);
	co.flags = VHDX_OPEN_PARTIAL;
	co.unopened = NULL;
	rc = chain_open(k->opener, k->loop, k->path, &co, &k->c, e);
	return rc == VHDX_E_NOMEM ? rc : 0;
}

static void let_go(struct chain_check *k)
{
	(void)chain_close(k->c, NULL);
	k->c = NULL;
}

static bool mends(const struct chain_check *k)
{
	return k->opts->flags & VHDX_CHECK_REPAIR &&
	       !(k->opts->flags & VHDX_CHECK_DRY_RUN);
}

/* ---- a layer and its parent ---------------------------------------------- */

static void compare_sizes(struct chain_check *k, const struct image *img,
			  const struct image *parent)
{
	if (img->size_len > parent->size_len)
		say(k, VHDX_SEV_NOTE, MEND_NO, VHDX_OBJ_PARENT, "",
		    "the disk has %" PRIu64 " bytes, its parent %s %" PRIu64
		    ": what lies beyond the parent's end reads as zeros until "
		    "it is written", img->size_len, parent->file->path,
		    parent->size_len);
	else if (img->size_len < parent->size_len)
		say(k, VHDX_SEV_NOTE, MEND_NO, VHDX_OBJ_PARENT, "",
		    "the disk has %" PRIu64 " bytes, its parent %s %" PRIu64
		    ": the rest of that is not part of it", img->size_len,
		    parent->file->path, parent->size_len);
}

static void compare_ids(struct chain_check *k, const struct image *img,
			const struct image *parent)
{
	char ids[CHAIN_LINKAGE_LEN], id[GUID_TEXT_LEN];

	if (img->parent->linkage_cnt > 1)
		say(k, VHDX_SEV_NOTE, MEND_NO, VHDX_OBJ_LOCATOR, "2.6.2.6.3",
		    "it accepts two ids of its parent, %s (a merge is, or was, "
		    "under way); %s has %s", chain_linkage_text(img, ids),
		    parent->file->path,
		    chain_id_text(parent, &parent->identity, id));
}

/* What led to the parent, if not the path that is recorded first. */
static bool is_stale(const struct image *img, const char *why)
{
	return strcmp(why, img->parent->paths[0].key) != 0;
}

static const char *why_text(const char *why, char *buf, size_t len)
{
	if (strcmp(why, LOCATOR_BY_NAME) == 0)
		return "by its name, beside the child";
	if (strcmp(why, LOCATOR_BY_SEARCH) == 0)
		return "by its name, in a search folder";
	snprintf(buf, len, "by %s", why);
	return buf;
}

struct stale {
	bool found;
	char *parent, *text; /* owned */
};

static int note_stale(const struct chain_check *k, struct stale *s,
		      struct vhdx_err *e)
{
	const struct image *img = k->c->layers[k->depth];
	const struct image *parent = k->c->layers[k->depth + 1];
	const char *why = k->c->why[k->depth + 1];
	char text[900], buf[64];

	s->found = is_stale(img, why);
	if (!s->found)
		return 0;
	snprintf(text, sizeof(text), "the recorded %s \"%s\" does not lead to "
		 "the parent: that was found %s, as %s",
		 img->parent->paths[0].key, img->parent->paths[0].text,
		 why_text(why, buf, sizeof(buf)), parent->file->path);
	s->text = mem_strdup(text);
	s->parent = mem_strdup(parent->file->path);
	if (s->text && s->parent)
		return 0;
	return err_set(e, VHDX_E_NOMEM, "no memory to check a chain");
}

/* Lets go of the chain: the child is to be written to. */
static void say_stale(struct chain_check *k, const struct stale *s)
{
	struct vhdx_set_parent_opts o = { .search = k->opts->search,
					  .search_cnt = k->opts->search_cnt };
	struct vhdx_set_parent_result res;
	enum mend mend = k->layer.errors ? MEND_NO : MEND_CAN;
	struct vhdx_err why;
	int rc = 0;

	if (mends(k) && mend == MEND_CAN) {
		let_go(k);
		rc = set_parent_image(k->opener, k->loop, k->layer_path,
				      s->parent, &o, &res, &why);
		mend = rc ? MEND_NO : MEND_DONE;
	}
	say(k, VHDX_SEV_WARNING, mend, VHDX_OBJ_LOCATOR,
	    k->layer.format == VHDX_FORMAT_VHD ? "VHD" : "2.6.2.6.3",
	    "%s%s%s", s->text, rc ? "; it could not be mended: " : "",
	    rc ? why.text : "");
}

/* Many texts begin with the layer that they are about. */
static const char *without_path(const struct chain_check *k, const char *text)
{
	size_t n = strlen(k->layer_path);
	bool named = strncmp(text, k->layer_path, n) == 0 &&
		     strncmp(text + n, ": ", 2) == 0;

	return named ? text + n + 2 : text;
}

static void say_broken(struct chain_check *k)
{
	k->result->broken = k->broken;
	if (!k->c && k->layer.errors) /* told already, in full */
		say(k, VHDX_SEV_NOTE, MEND_NO, VHDX_OBJ_PARENT, "",
		    "what it is a child of was not looked for: it cannot be "
		    "opened");
	else
		say(k, VHDX_SEV_ERROR, MEND_NO, k->broken.obj, k->broken.spec,
		    "%s", without_path(k, k->broken.text));
}

static void look_for_merge(struct chain_check *k)
{
	char journal[4096];

	if (relink_merge_pending(k->opener, k->loop, k->layer_path, journal,
				 sizeof(journal)))
		say(k, VHDX_SEV_WARNING, MEND_NO, VHDX_OBJ_NONE, "",
		    "a merge of it was cut off (%s); to finish it: vhdtool "
		    "merge %s", journal, k->layer_path);
}

static int check_link(struct chain_check *k, struct vhdx_err *e)
{
	struct stale s = { .found = false };
	const struct image *img, *parent;
	int rc;

	look_for_merge(k);

	if (!k->c || k->depth + 1 >= k->c->cnt) {
		if (k->broken.code)
			say_broken(k);
		return 0;
	}
	img = k->c->layers[k->depth];
	parent = k->c->layers[k->depth + 1];
	compare_sizes(k, img, parent);
	compare_ids(k, img, parent);
	rc = note_stale(k, &s, e);
	if (!rc && s.found)
		say_stale(k, &s);
	mem_free(s.parent);
	mem_free(s.text);
	return rc;
}

/* ---- layer after layer --------------------------------------------------- */

static int examine(struct chain_check *k, struct vhdx_err *e)
{
	struct vhdx_err why;
	int rc;

	/* Nobody may be in the way of who mends. */
	if (mends(k))
		let_go(k);
	rc = image_check(k->opener, k->loop, k->layer_path,
			 k->opts->flags | CHECK_IN_CHAIN, tell, k, &k->layer,
			 &why);
	if (rc && (k->depth == 0 || rc == VHDX_E_NOMEM))
		return err_copy(e, &why, rc);
	if (rc) {
		k->broken = why;
		say_broken(k);
		return 0;
	}
	if (mends(k) || k->depth == 0)
		rc = walk(k, e);
	return rc ? rc : check_link(k, e);
}

static void end_layer(struct chain_check *k)
{
	struct vhdx_chain_check_result *r = k->result;

	r->layer_cnt++;
	r->errors += k->layer.errors;
	r->warnings += k->layer.warnings;
	r->repaired += k->layer.repaired;
	if (k->opts->layer)
		k->opts->layer(k->opts->arg, k->depth, k->layer_path,
			       &k->layer);
}

/* The path of the layer that is next, or NULL at the end. Owned by the
 * caller. */
static int next_path(struct chain_check *k, char **out, struct vhdx_err *e)
{
	int rc = 0;

	*out = NULL;
	if (k->result->broken.code)
		return 0;
	if (!k->c)
		rc = walk(k, e);
	if (rc || !k->c || k->depth + 1 >= k->c->cnt)
		return rc;
	*out = mem_strdup(k->c->layers[k->depth + 1]->file->path);
	return *out ? 0 : err_set(e, VHDX_E_NOMEM,
				  "no memory to check a chain");
}

/* What keeps a file from being opened as the parent is to be seen in full. It
 * is not proved to be the parent: nothing of it is mended here. */
static int check_unopened(struct chain_check *k, struct vhdx_err *e)
{
	struct vhdx_err why;
	int rc;

	if (k->result->broken.code != VHDX_E_CORRUPT || !*k->unopened)
		return 0;
	k->layer_path = k->unopened;
	k->unproved = true;
	memset(&k->layer, 0, sizeof(k->layer));
	rc = image_check(k->opener, k->loop, k->unopened, CHECK_IN_CHAIN, tell,
			 k, &k->layer, &why);
	if (rc)
		return rc == VHDX_E_NOMEM ? err_copy(e, &why, rc) : 0;
	if (k->withheld)
		say(k, VHDX_SEV_NOTE, MEND_NO, VHDX_OBJ_NONE, "",
		    "%" PRIu64 " of these could be mended, but not with the "
		    "chain: the file is not proved to be the parent; alone: "
		    "vhdtool check --repair %s", k->withheld, k->unopened);
	end_layer(k);
	return 0;
}

static int check_layers(struct chain_check *k, struct vhdx_err *e)
{
	char *path = mem_strdup(k->path);
	int rc = path ? 0 : err_set(e, VHDX_E_NOMEM,
				    "no memory to check a chain");

	while (!rc && path) {
		char *next = NULL;

		k->layer_path = path;
		memset(&k->layer, 0, sizeof(k->layer));
		rc = examine(k, e);
		if (!rc)
			end_layer(k);
		if (!rc)
			rc = next_path(k, &next, e);
		k->depth++;
		mem_free(path);
		path = next;
	}
	mem_free(path);
	return rc ? rc : check_unopened(k, e);
}

int check_chain(const struct opener *o, struct loop *l, const char *path,
		const struct vhdx_chain_check_opts *opts,
		struct vhdx_chain_check_result *result, struct vhdx_err *e)
{
	struct chain_check k = { .opener = o, .loop = l, .path = path,
				 .opts = opts, .result = result };
	int rc;

	memset(result, 0, sizeof(*result));
	rc = check_layers(&k, e);
	let_go(&k);
	return rc;
}
