/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a folder of images. Everything rests on identities, as
 * opening a chain does. A problem is told once, where it is: the children of a
 * child without a parent are only marked.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "msg.h"
#include "out.h"

#define LAYERS_MAX 256u /* the library's limit for a chain */

static const struct vhdx_found *image(const struct doctor *d, size_t i)
{
	return &d->forest->images[i];
}

/* ---- the list ----------------------------------------------------------- */

static struct doctor_problem *add(struct doctor *d, enum vhdx_severity severity,
				  const char *kind, const char *path)
{
	static struct doctor_problem lost;
	if (d->problem_cnt == d->problem_cap) {
		size_t cap = 2 * d->problem_cap + 16;
		void *v = reallocarray(d->problems, cap, sizeof(lost));
		if (!v) {
			d->no_memory = true;
			return &lost;
		}
		d->problems = v;
		d->problem_cap = cap;
	}
	d->errors += severity == VHDX_SEV_ERROR;
	d->warnings += severity == VHDX_SEV_WARNING;
	struct doctor_problem *p = &d->problems[d->problem_cnt++];
	*p = (struct doctor_problem){
		.severity = severity,
		.kind = kind,
		.path = path,
		.image = VHDX_NO_IMAGE,
		.parent = VHDX_NO_IMAGE,
	};
	return p;
}

__attribute__((format(printf, 3, 4)))
static void say(struct doctor *d, char **to, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	free(*to);
	if (vasprintf(to, fmt, ap) < 0) {
		*to = NULL;
		d->no_memory = true;
	}
	va_end(ap);
}

/* ---- the trees ---------------------------------------------------------- */

static void make_trees(struct doctor *d)
{
	size_t cnt = d->forest->cnt;
	for (size_t i = 0; i < cnt; i++)
		d->nodes[i].parent = image(d, i)->circle ? VHDX_NO_IMAGE
							 : image(d, i)->parent;
	/* From the last to the first: siblings come out in order. */
	for (size_t i = cnt; i-- > 0;) {
		size_t up = d->nodes[i].parent;
		if (up == VHDX_NO_IMAGE)
			continue;
		d->nodes[i].next = d->nodes[up].child;
		d->nodes[up].child = i;
	}
}

static size_t next_root(const struct doctor *d, size_t from)
{
	for (; from < d->forest->cnt; from++)
		if (d->nodes[from].parent == VHDX_NO_IMAGE)
			return from;
	return VHDX_NO_IMAGE;
}

static size_t walk(const struct doctor *d, size_t at, unsigned *depth)
{
	if (at == VHDX_NO_IMAGE) {
		*depth = 0;
		return next_root(d, 0);
	}
	if (d->nodes[at].child != VHDX_NO_IMAGE) {
		++*depth;
		return d->nodes[at].child;
	}
	for (; *depth; --*depth) {
		if (d->nodes[at].next != VHDX_NO_IMAGE)
			return d->nodes[at].next;
		at = d->nodes[at].parent;
	}
	return next_root(d, at + 1);
}

size_t doctor_next(const struct doctor *d, size_t at, unsigned *depth)
{
	do
		at = walk(d, at, depth);
	while (at != VHDX_NO_IMAGE && !d->nodes[at].shown);
	return at;
}

static bool was_asked_for(const struct doctor *d, size_t i)
{
	const struct vhdx_forest *f = d->asked ? d->asked : d->forest;
	if (d->asked)
		i = vhdx_forest_find(f, image(d, i)->path);
	return i != VHDX_NO_IMAGE && !f->images[i].outside;
}

/* A tree is shown if any of it was asked for. */
static void choose_shown(struct doctor *d)
{
	size_t root = VHDX_NO_IMAGE;
	unsigned depth;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = walk(d, VHDX_NO_IMAGE, &depth);
		     i != VHDX_NO_IMAGE; i = walk(d, i, &depth)) {
			root = depth ? root : i;
			if (pass == 1)
				d->nodes[i].shown = d->nodes[root].shown;
			else if (was_asked_for(d, i))
				d->nodes[root].shown = true;
		}
}

/* ---- one image ---------------------------------------------------------- */

static void on_finding(void *arg, const struct vhdx_finding *f)
{
	struct doctor_node *n = arg;
	n->errors += f->severity == VHDX_SEV_ERROR;
	n->repairable += f->severity == VHDX_SEV_ERROR && f->repairable;
}

static void examine(struct doctor *d, size_t i)
{
	struct doctor_node *n = &d->nodes[i];
	const struct vhdx_found *im = image(d, i);
	struct vhdx_check_result r;
	struct vhdx_err err;
	n->check_code = vhdx_check(im->path, 0, on_finding, n, &r, &err);
	if (!n->check_code && !n->errors)
		return;
	struct doctor_problem *p = add(d, VHDX_SEV_ERROR, "damaged", im->path);
	char cnt[OUT_SIZE_LEN];
	bool mends = !n->check_code && n->repairable == n->errors;
	if (n->check_code)
		say(d, &p->text, "cannot be examined: %s", err.text);
	else
		say(d, &p->text, "is damaged: %s, of which %ju can be mended "
		    "without guessing", out_count(n->errors, "error", "errors",
						  cnt),
		    (uintmax_t)n->repairable);
	say(d, &p->command, "vhdtool check %s%s", mends ? "--repair " : "",
	    msg_shell_word(im->path));
}

/* It did not even open. */
static void cannot_be_opened(struct doctor *d, const struct vhdx_found *im)
{
	bool busy = im->code == VHDX_E_BUSY;
	const char *kind = busy ? "busy" :
			   im->code == VHDX_E_CORRUPT ? "damaged" :
			   "unreadable";
	struct doctor_problem *p = add(d, busy ? VHDX_SEV_NOTE
					       : VHDX_SEV_ERROR, kind,
				       im->path);
	say(d, &p->text, "%s%s", busy ? "was not examined: " :
	    "cannot be opened: ", im->err ? im->err->text : "no memory");
	if (im->code == VHDX_E_CORRUPT)
		say(d, &p->command, "vhdtool check %s",
		    msg_shell_word(im->path));
}

static void look_at_log(struct doctor *d, size_t i)
{
	const struct vhdx_found *im = image(d, i);
	if (im->code || !im->info.log_dirty)
		return;
	struct doctor_problem *p = add(d, VHDX_SEV_WARNING, "dirty_log",
				       im->path);
	say(d, &p->text, "its log is dirty: the last writer did not close it; "
	    "nothing is lost");
	say(d, &p->command, "vhdtool log replay %s", msg_shell_word(im->path));
	if (was_asked_for(d, i))
		p->mend = MEND_REPLAY;
	p->image = i;
}

#define COPIES_NAMED 4u

/* The others with its id: "B, C and 3 more". */
static void name_copies(const struct doctor *d, size_t i, char *names,
			size_t cap, size_t *other)
{
	size_t len = 0;
	unsigned cnt = 0;
	for (size_t k = 0; k < d->forest->cnt; k++) {
		if (k == i || image(d, k)->copy_of != image(d, i)->copy_of)
			continue;
		if (cnt++ == 0)
			*other = k;
		if (cnt <= COPIES_NAMED && len < cap)
			len += (size_t)snprintf(names + len, cap - len, "%s%s",
						cnt > 1 ? ", " : "",
						image(d, k)->path);
	}
	if (cnt > COPIES_NAMED && len < cap)
		snprintf(names + len, cap - len, " and %u more",
			 cnt - COPIES_NAMED);
}

static void look_for_copies(struct doctor *d, size_t i)
{
	const struct vhdx_found *im = image(d, i);
	char names[4096];
	size_t other = i;
	if (im->copy_cnt < 2 || d->nodes[im->copy_of].copies_told)
		return;
	d->nodes[im->copy_of].copies_told = true;
	name_copies(d, i, names, sizeof(names), &other);
	struct doctor_problem *p = add(d, VHDX_SEV_WARNING, "copies", im->path);
	say(d, &p->text, "has the same id as %s: copies, and a child of one "
	    "opens on any of them", names);
	say(d, &p->command, "vhdtool compare %s %s", msg_shell_word(im->path),
	    msg_shell_word(image(d, other)->path));
}

/* ---- links -------------------------------------------------------------- */

static const char *wanted_id(const struct vhdx_found *im,
			     char buf[2 * OUT_GUID_LEN + 4])
{
	char one[OUT_GUID_LEN];
	enum vhdx_format format = im->info.format;
	int n = snprintf(buf, OUT_GUID_LEN, "%s",
			 out_guid(im->linkage[0], format, one));
	if (im->linkage_cnt > 1)
		snprintf(buf + n, OUT_GUID_LEN + 4, " or %s",
			 out_guid(im->linkage[1], format, one));
	return buf;
}

/* Whoever has the place of the parent is not it, or nobody can tell. */
static void look_at_stranger(struct doctor *d, const struct vhdx_found *im)
{
	const struct vhdx_found *at = image(d, im->stranger);
	char want[2 * OUT_GUID_LEN + 4], got[OUT_GUID_LEN];
	struct doctor_problem *p;
	if (!at->known) {
		p = add(d, VHDX_SEV_ERROR, "parent_damaged", im->path);
		say(d, &p->text, "its parent %s should be %s, which cannot be "
		    "opened", wanted_id(im, want), at->path);
		say(d, &p->command, "vhdtool check %s",
		    msg_shell_word(at->path));
		return;
	}
	p = add(d, VHDX_SEV_ERROR, "parent_changed", im->path);
	say(d, &p->text, "its parent must have the id %s, but %s has %s: that "
	    "one %s, or is another disk. Bring the right one "
	    "back; only if nothing in it matters that was changed:",
	    wanted_id(im, want), at->path,
	    out_guid(at->identity, at->info.format, got),
	    at->info.format == VHDX_FORMAT_VHD ? "got another id since"
					       : "was changed since");
	say(d, &p->command, "vhdtool set-parent --ignore-id-mismatch %s %s",
	    msg_shell_word(im->path), msg_shell_word(at->path));
}

static void look_for_parent(struct doctor *d, size_t i)
{
	const struct vhdx_found *im = image(d, i);
	char want[2 * OUT_GUID_LEN + 4];
	d->nodes[i].broken = true;
	if (im->stranger != VHDX_NO_IMAGE) {
		look_at_stranger(d, im);
		return;
	}
	struct doctor_problem *p = add(d, VHDX_SEV_ERROR, "orphan", im->path);
	say(d, &p->text, "its parent %s is not here (recorded: \"%s\"): look "
	    "for it in more folders with --search DIR", wanted_id(im, want),
	    im->path_cnt ? im->paths[0] : "");
}

/* The parent is there, but not where the child says. */
static void look_at_path(struct doctor *d, size_t i)
{
	const struct vhdx_found *im = image(d, i);
	const struct vhdx_found *parent = image(d, im->parent);
	struct doctor_problem *p = add(d, VHDX_SEV_ERROR, "parent_moved",
				       im->path);
	d->nodes[i].broken = true;
	if (parent->copy_cnt > 1)
		say(d, &p->text, "its parent is not where it says (\"%s\"), "
		    "but there are %u copies of it; choose one:",
		    im->path_cnt ? im->paths[0] : "", parent->copy_cnt);
	else
		say(d, &p->text, "its parent is not where it says (\"%s\"), "
		    "but here: %s", im->path_cnt ? im->paths[0] : "",
		    parent->path);
	say(d, &p->command, "vhdtool set-parent %s %s",
	    msg_shell_word(im->path), msg_shell_word(parent->path));
	if (parent->copy_cnt == 1 && !im->code && was_asked_for(d, i))
		p->mend = MEND_PATH;
	p->image = i;
	p->parent = im->parent;
}

bool doctor_has_journal(const struct doctor *d, const char *path)
{
	size_t n = strlen(path);
	for (size_t i = 0; i < d->forest->leftover_cnt; i++) {
		const struct vhdx_leftover *l = &d->forest->leftovers[i];
		if (l->kind == VHDX_LEFT_MERGE &&
		    strncmp(l->path, path, n) == 0 &&
		    strcmp(l->path + n, ".merge") == 0)
			return true;
	}
	return false;
}

/* Its parent has the second of two ids: somebody began to merge, and it was
 * not us, or the journal is gone. */
static void look_at_second_id(struct doctor *d, size_t i)
{
	const struct vhdx_found *im = image(d, i);
	if (im->linkage_used != 1 || doctor_has_journal(d, im->path))
		return;
	struct doctor_problem *p = add(d, VHDX_SEV_WARNING, "merge_begun",
				       im->path);
	say(d, &p->text, "a merge into %s was begun by another program and not "
	    "finished; the image is complete. To merge it after all:",
	    image(d, im->parent)->path);
	say(d, &p->command, "vhdtool merge %s", msg_shell_word(im->path));
}

static void look_at_sectors(struct doctor *d, size_t i)
{
	const struct vhdx_found *im = image(d, i);
	const struct vhdx_found *parent = image(d, im->parent);
	if (im->info.sector_len == parent->info.sector_len)
		return;
	struct doctor_problem *p = add(d, VHDX_SEV_ERROR, "sectors", im->path);
	d->nodes[i].broken = true;
	say(d, &p->text, "has sectors of %u bytes, its parent %s of %u: they "
	    "must be the same", im->info.sector_len, parent->path,
	    parent->info.sector_len);
}

static void look_at_links(struct doctor *d, size_t i, unsigned depth)
{
	const struct vhdx_found *im = image(d, i);
	if (im->circle) {
		struct doctor_problem *p = add(d, VHDX_SEV_ERROR, "circle",
					       im->path);
		d->nodes[i].broken = true;
		say(d, &p->text, "is its own ancestor: its parent %s leads "
		    "back to it", image(d, im->parent)->path);
		return;
	}
	if (!im->linkage_cnt)
		return;
	if (im->parent == VHDX_NO_IMAGE) {
		look_for_parent(d, i);
		return;
	}
	look_at_second_id(d, i);
	look_at_sectors(d, i);
	if (!im->by_path)
		look_at_path(d, i);
	if (depth == LAYERS_MAX) {
		struct doctor_problem *p = add(d, VHDX_SEV_ERROR, "too_deep",
					       im->path);
		say(d, &p->text, "is layer %u of its chain, and no more than "
		    "%u can be opened: merge some", depth + 1, LAYERS_MAX);
	}
	if (depth >= LAYERS_MAX)
		d->nodes[i].broken = true;
}

static void look_at_image(struct doctor *d, size_t i, unsigned depth, bool deep)
{
	const struct vhdx_found *im = image(d, i);
	struct doctor_node *n = &d->nodes[i];
	if (n->parent != VHDX_NO_IMAGE)
		n->broken = d->nodes[n->parent].broken;
	if (im->code)
		cannot_be_opened(d, im);
	else if (deep)
		examine(d, i);
	if (!im->known) {
		n->broken = true;
		return;
	}
	if (n->errors || n->check_code)
		n->broken = true;
	look_at_log(d, i);
	look_for_copies(d, i);
	look_at_links(d, i, depth);
}

/* ---- leftovers ---------------------------------------------------------- */

static void look_at_unfinished(struct doctor *d, const struct vhdx_leftover *l)
{
	struct doctor_problem *p = add(d, l->busy ? VHDX_SEV_NOTE
						  : VHDX_SEV_WARNING,
				       "leftover", l->path);
	say(d, &p->text, l->busy ? "is being made right now" :
	    "is a new image that was never finished: it can go");
	if (!l->busy)
		say(d, &p->command, "rm %s", msg_shell_word(l->path));
}

/* The child of a merge, or what it is merged into, is in use. */
static bool is_at_work(const struct doctor *d, const char *child)
{
	size_t i = vhdx_forest_find(d->forest, child);
	for (; i != VHDX_NO_IMAGE; i = d->nodes[i].parent)
		if (image(d, i)->code == VHDX_E_BUSY)
			return true;
	return false;
}

static void look_at_merge(struct doctor *d, const struct vhdx_leftover *l)
{
	char *child = strndup(l->path, strlen(l->path) - strlen(".merge"));
	if (!child) {
		d->no_memory = true;
		return;
	}
	bool busy = is_at_work(d, child);
	struct doctor_problem *p = add(d, busy ? VHDX_SEV_NOTE
					       : VHDX_SEV_ERROR,
				       "merge_interrupted", l->path);
	if (busy) {
		say(d, &p->text, "%s, or an image below it, is in use: it is "
		    "being merged, or the merge was cut off", child);
	} else {
		say(d, &p->text, "the merge of %s was cut off; nothing is "
		    "lost, and the same command finishes it", child);
		p->mend = MEND_MERGE;
	}
	say(d, &p->command, "vhdtool merge %s", msg_shell_word(child));
	free(child);
}

/* ---- all of it ---------------------------------------------------------- */

static int scan_failed(const struct vhdx_err *e)
{
	return say_fail(say_exit_status(e->code), NULL, "%s", e->text);
}

static int scan(struct doctor *d)
{
	const struct doctor_args *a = d->args;
	const char *folders[DOCTOR_PATHS_MAX + OPT_LIST_MAX];
	struct vhdx_scan_opts so = {
		.folders = a->folders, .folder_cnt = a->folder_cnt,
		.files = a->files, .file_cnt = a->file_cnt,
		.recursive = a->recursive, .parents = true,
	};
	struct vhdx_err err;
	if (vhdx_scan(&so, &d->forest, &err))
		return scan_failed(&err);
	if (!a->search.cnt)
		return STATUS_OK;
	d->asked = d->forest;
	d->forest = NULL;
	so.folders = folders;
	memcpy(folders, a->folders, a->folder_cnt * sizeof(*folders));
	memcpy(folders + a->folder_cnt, a->search.v,
	       a->search.cnt * sizeof(*folders));
	so.folder_cnt += a->search.cnt;
	return vhdx_scan(&so, &d->forest, &err) ? scan_failed(&err) : STATUS_OK;
}

int doctor_find(struct doctor *d, const struct doctor_args *args, bool deep)
{
	*d = (struct doctor){ .args = args };
	int status = scan(d);
	if (!status) {
		d->nodes = calloc(d->forest->cnt + 1, sizeof(*d->nodes));
		d->no_memory = !d->nodes;
	}
	for (size_t i = 0; d->nodes && i < d->forest->cnt; i++)
		d->nodes[i].parent = d->nodes[i].child = d->nodes[i].next =
			VHDX_NO_IMAGE;
	if (d->nodes) {
		unsigned depth;
		make_trees(d);
		choose_shown(d);
		for (size_t i = doctor_next(d, VHDX_NO_IMAGE, &depth);
		     i != VHDX_NO_IMAGE; i = doctor_next(d, i, &depth))
			look_at_image(d, i, depth, deep);
		const struct vhdx_forest *f = d->asked ? d->asked : d->forest;
		for (size_t i = 0; i < f->leftover_cnt; i++)
			if (f->leftovers[i].kind == VHDX_LEFT_MERGE)
				look_at_merge(d, &f->leftovers[i]);
			else
				look_at_unfinished(d, &f->leftovers[i]);
	}
	if (d->no_memory)
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	return status;
}

void doctor_free(struct doctor *d)
{
	for (size_t i = 0; i < d->problem_cnt; i++) {
		free(d->problems[i].text);
		free(d->problems[i].command);
	}
	free(d->problems);
	for (size_t i = 0; i < d->merge_cnt; i++)
		free(d->merges[i].command);
	free(d->merges);
	free(d->nodes);
	vhdx_forest_free(d->forest);
	vhdx_forest_free(d->asked);
}
