/* SPDX-License-Identifier: MIT */
/*
 * The scan: folders give candidates, each is opened alone, and what it says
 * about itself and its parent is kept; then family_link.c ties them together.
 *
 * No lock is taken: whoever looks for the children of one image must not keep
 * the owners of all others from opening them. A read that was torn by a writer
 * fails its checksums, and is repeated once. Of an image that somebody writes
 * to, header and parent locator are read all the same, as writing to a disk
 * changes neither whose child it is nor, after the first write, its identity;
 * if that fails, it counts as unknown.
 */
#include "family.h"

#include <string.h>
#include <strings.h>

#include "locator.h"
#include "mem.h"

/* A footer, a header and a footer: no VHD is shorter, and no VHDX. */
#define SHORTEST_LEN 1536u

struct scan {
	struct family *f;
	const struct opener *o;
	struct loop *l;
	chain_image_fn *image_open;
	const struct vhdx_scan_opts *opts;
	/* Folders still to be read, and already: */
	char **folders;
	size_t folder_cnt, folder_cap;
};

static int no_memory(struct vhdx_err *e)
{
	return err_set(e, VHDX_E_NOMEM, "no memory for so many images");
}

/* ---- one image ---------------------------------------------------------- */

static void set_error(struct vhdx_found *im, int code,
		      const struct vhdx_err *err)
{
	struct vhdx_err *copy = mem_alloc(sizeof(*copy));

	im->code = copy ? code : VHDX_E_NOMEM;
	if (copy)
		*copy = *err;
	im->err = copy;
}

static void keep(const struct scan *s, size_t i, struct image *img)
{
	struct vhdx_found *im = &s->f->found[i];
	const struct parent_ref *ref = img->parent;

	im->known = true;
	im->info = img->info;
	im->info.size_len = img->size_len;
	im->info.file_len = img->file->size;
	im->info.host_len = file_host_len(img->file);
	im->info.block_len = img->block_len;
	im->info.sector_len = img->sector_len;
	im->info.physical_sector_len = img->physical_sector_len;
	memcpy(im->identity, img->identity.b, sizeof(im->identity));
	if (!ref)
		return;
	im->linkage_cnt = ref->linkage_cnt;
	for (unsigned n = 0; n < ref->linkage_cnt; n++)
		memcpy(im->linkage[n], ref->linkage[n].b, 16);
	for (unsigned n = 0; n < ref->path_cnt; n++)
		im->paths[im->path_cnt++] = ref->paths[n].text;
	s->f->own[i].ref = img->parent;
	img->parent = NULL;
}

/* The name promises an image, the content is none. */
static int check_is_image(const struct image *img, bool named,
			  struct vhdx_err *e)
{
	if (!named || img->info.format != VHDX_FORMAT_RAW)
		return 0;
	return err_corrupt(e, VHDX_OBJ_IDENT, 0, "2.1", "%s: the name says "
			   "that it is an image, but nothing in the content "
			   "does", img->file->path);
}

static int try_image(const struct scan *s, size_t i, unsigned flags,
		     struct vhdx_err *e)
{
	struct image_open_opts io = { .flags = VHDX_OPEN_ALONE };
	const char *path = s->f->found[i].path;
	struct image *img;
	struct file *file;
	int rc = s->o->open(s->o, s->l, path, flags, &file, e);

	if (rc)
		return rc;
	rc = s->image_open(file, VHDX_FORMAT_PROBE, &io, &img, e);
	if (rc) {
		file_close(file);
		return rc;
	}
	rc = check_is_image(img, s->f->own[i].named, e);
	if (!rc)
		keep(s, i, img);
	(void)img->ops->close(img, NULL);
	return rc;
}

static int open_one(const struct scan *s, size_t i, struct vhdx_err *e)
{
	struct vhdx_found *im = &s->f->found[i];
	struct vhdx_err err, again;
	int rc = VHDX_E_CORRUPT, peek = 0;

	err_clear(&err);
	for (int n = 0; rc && n < 2; n++) {
		rc = try_image(s, i, OPENER_LOOK, &err);
		if (rc == VHDX_E_BUSY || rc == VHDX_E_NOMEM)
			break;
	}
	if (rc == VHDX_E_BUSY)
		peek = VHDX_E_CORRUPT;
	for (int n = 0; peek && peek != VHDX_E_NOMEM && n < 2; n++)
		peek = try_image(s, i, OPENER_NOLOCK, &again);
	if (rc == VHDX_E_NOMEM || peek == VHDX_E_NOMEM)
		return no_memory(e);
	if (rc)
		set_error(im, rc, &err);
	return im->code == VHDX_E_NOMEM ? no_memory(e) : 0;
}

/* ---- leftovers ---------------------------------------------------------- */

#define JOURNAL_FIRST "vhdkit merge journal"

/* ".NAME.XXXXXXXX.tmp" (newfile.c). */
static bool is_unfinished(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '.' && len > 14 && name[len - 13] == '.' &&
	       strcmp(name + len - 4, ".tmp") == 0 &&
	       strspn(name + len - 12, "0123456789abcdef") == 8;
}

static bool is_journal(const struct scan *s, const char *path)
{
	char first[sizeof(JOURNAL_FIRST) - 1];
	const char *dot = strrchr(path, '.');
	struct file *file;
	bool is;

	if (!dot || strcmp(dot, ".merge") != 0 ||
	    s->o->open(s->o, s->l, path, OPENER_NOLOCK, &file, NULL))
		return false;
	is = !file_read(file, 0, first, sizeof(first), NULL) &&
	     memcmp(first, JOURNAL_FIRST, sizeof(first)) == 0;
	file_close(file);
	return is;
}

/* Whoever makes a new image has it locked. */
static bool is_held(const struct scan *s, const char *path)
{
	struct file *file;
	int rc = s->o->open(s->o, s->l, path, OPENER_LOOK, &file, NULL);

	if (!rc)
		file_close(file);
	return rc == VHDX_E_BUSY;
}

/* *is: nothing else is to be made of this file. */
static int take_leftover(const struct scan *s, const char *path,
			 const char *name, bool *is, struct vhdx_err *e)
{
	*is = true;
	if (is_unfinished(name))
		return family_add_leftover(s->f, VHDX_LEFT_UNFINISHED, path,
					   is_held(s, path), e);
	if (is_journal(s, path))
		return family_add_leftover(s->f, VHDX_LEFT_MERGE, path, false,
					   e);
	*is = false;
	return 0;
}

/* ---- candidates --------------------------------------------------------- */

static bool is_named_image(const char *name)
{
	static const char *const ends[] = { ".vhd", ".vhdx", ".avhd",
					    ".avhdx" };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(ends); i++)
		if (strcasecmp(dot, ends[i]) == 0)
			return true;
	return false;
}

static bool begins_as_image(const struct scan *s, const char *path)
{
	enum vhdx_format format;
	struct file *file;
	bool is;

	if (s->o->open(s->o, s->l, path, OPENER_NOLOCK, &file, NULL))
		return false;
	is = !image_probe(file, &format, NULL) && format != VHDX_FORMAT_RAW;
	file_close(file);
	return is;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* By its name, or, read without a lock, by its content. */
static bool may_be_image(const struct scan *s, const char *path,
			 const struct family_entry *en, bool *named)
{
	*named = is_named_image(name_of(path));
	return *named ||
	       (en->len >= SHORTEST_LEN && begins_as_image(s, path));
}

static int push_folder(struct scan *s, const char *path, struct vhdx_err *e)
{
	if (s->folder_cnt == s->folder_cap) {
		size_t cap = 2 * s->folder_cap + 16;
		void *v = mem_resize(s->folders, cap, sizeof(*s->folders));

		if (!v)
			return no_memory(e);
		s->folders = v;
		s->folder_cap = cap;
	}
	s->folders[s->folder_cnt] = mem_strdup(path);
	return s->folders[s->folder_cnt++] ? 0 : no_memory(e);
}

static int add_image(const struct scan *s, const char *path,
		     const struct family_entry *en, bool named, bool outside,
		     struct vhdx_err *e)
{
	size_t i, cnt = s->f->pub.cnt;
	int rc = family_add(s->f, path, en, &i, e);

	if (rc)
		return rc;
	s->f->own[i].named |= named;
	if (i == cnt)
		s->f->found[i].outside = outside;
	return 0;
}

/* ---- folders ------------------------------------------------------------ */

struct entry {
	struct family_entry en;
	char *path;
};

struct listing {
	const char *folder;
	struct entry *v;
	size_t cnt, cap;
	bool failed; /* no memory */
};

static char *join(const char *folder, const char *name)
{
	size_t n = strlen(folder);
	bool slash = n && folder[n - 1] != '/';
	char *s = mem_alloc(n + slash + strlen(name) + 1);

	if (!s)
		return NULL;
	memcpy(s, folder, n);
	if (slash)
		s[n] = '/';
	strcpy(s + n + slash, name);
	return s;
}

static bool on_entry(void *arg, const struct family_entry *en)
{
	struct listing *li = arg;
	struct entry *at;

	if (li->cnt == li->cap) {
		size_t cap = 2 * li->cap + 64;
		void *v = mem_resize(li->v, cap, sizeof(*li->v));

		if (!v) {
			li->failed = true;
			return false;
		}
		li->v = v;
		li->cap = cap;
	}
	at = &li->v[li->cnt];
	at->en = *en;
	/* "./a.vhdx" would be a.vhdx's name in every message. */
	at->path = strcmp(li->folder, ".") == 0 ? mem_strdup(en->name) :
						  join(li->folder, en->name);
	li->failed = !at->path;
	li->cnt += at->path != NULL;
	return !li->failed;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
		      ((const struct entry *)b)->path);
}

static int take_entry(struct scan *s, const struct entry *at,
		      struct vhdx_err *e)
{
	bool named, left;
	int rc;

	if (at->en.folder)
		return s->opts->recursive ? push_folder(s, at->path, e) : 0;
	rc = take_leftover(s, at->path, name_of(at->path), &left, e);
	if (rc || left || !may_be_image(s, at->path, &at->en, &named))
		return rc;
	return add_image(s, at->path, &at->en, named, false, e);
}

/* A subfolder that cannot be read may hold anything: it stands in the forest
 * for what nobody can tell. */
static int unread(struct scan *s, const char *folder, bool given, int rc,
		  const struct vhdx_err *err, struct vhdx_err *e)
{
	size_t i;

	if (given || rc == VHDX_E_NOMEM)
		return err_copy(e, err, rc);
	rc = family_add(s->f, folder, NULL, &i, e);
	if (!rc)
		set_error(&s->f->found[i], err->code, err);
	return rc;
}

static int read_folder(struct scan *s, const char *folder, bool given,
		       struct vhdx_err *e)
{
	const struct family_host *h = s->f->host;
	struct listing li = { .folder = folder };
	struct vhdx_err err;
	int rc;

	err_clear(&err);
	rc = h->list(h, folder, on_entry, &li, &err);
	if (rc)
		rc = unread(s, folder, given, rc, &err, e);
	else if (li.failed)
		rc = no_memory(e);
	if (li.cnt)
		qsort(li.v, li.cnt, sizeof(*li.v), by_path);
	for (size_t i = 0; !rc && i < li.cnt; i++)
		rc = take_entry(s, &li.v[i], e);
	for (size_t i = 0; i < li.cnt; i++)
		mem_free(li.v[i].path);
	mem_free(li.v);
	return rc;
}

/* ---- all of it ---------------------------------------------------------- */

static int collect(struct scan *s, struct vhdx_err *e)
{
	const struct family_host *h = s->f->host;
	struct family_entry en;
	int rc = 0;

	for (unsigned i = 0; !rc && i < s->opts->file_cnt; i++) {
		const char *path = s->opts->files[i];
		bool there = h->look(h, path, &en);

		rc = add_image(s, path, there ? &en : NULL, false, false, e);
	}
	for (unsigned i = 0; !rc && i < s->opts->folder_cnt; i++)
		rc = push_folder(s, s->opts->folders[i], e);
	for (size_t i = 0; !rc && i < s->folder_cnt; i++)
		rc = read_folder(s, s->folders[i], i < s->opts->folder_cnt, e);
	return rc;
}

struct follow {
	const struct scan *s;
	struct vhdx_err *e;
	int rc;
};

static bool take_parent(void *arg, const char *path, const char *why)
{
	struct follow *w = arg;
	const struct family_host *h = w->s->f->host;
	struct family_entry en;
	bool named;

	(void)why;
	if (h->look(h, path, &en) && may_be_image(w->s, path, &en, &named))
		w->rc = add_image(w->s, path, &en, named, true, w->e);
	return w->rc != 0;
}

/* Opens everything; the set may grow by parents meanwhile. */
static int open_all(const struct scan *s, struct vhdx_err *e)
{
	struct family *f = s->f;
	int rc = 0;

	for (size_t i = 0; !rc && i < f->pub.cnt; i++) {
		struct follow w = { s, e, 0 };

		if (f->found[i].code) /* a folder */
			continue;
		rc = open_one(s, i, e);
		if (!rc && s->opts->parents && f->own[i].ref)
			rc = locator_candidates(f->own[i].ref,
						f->found[i].path, NULL, 0,
						take_parent, &w, e);
		if (!rc)
			rc = w.rc;
	}
	return rc;
}

int family_scan(const struct opener *o, struct loop *l,
		const struct family_opts *fo, struct vhdx_forest **out,
		struct vhdx_err *e)
{
	struct scan s = {
		.f = mem_zalloc(sizeof(*s.f)),
		.o = o,
		.l = l,
		.image_open = fo->image_open ? fo->image_open : image_open,
		.opts = fo->scan,
	};
	int rc;

	*out = NULL;
	if (!s.f)
		return no_memory(e);
	s.f->host = fo->host ? fo->host : &family_host_default;
	rc = collect(&s, e);
	if (!rc)
		rc = open_all(&s, e);
	if (!rc)
		rc = family_link(s.f, e);
	for (size_t i = 0; i < s.folder_cnt; i++)
		mem_free(s.folders[i]);
	mem_free(s.folders);
	if (rc)
		vhdx_forest_free(&s.f->pub);
	else
		*out = &s.f->pub;
	return rc;
}

int vhdx_scan(const struct vhdx_scan_opts *opts, struct vhdx_forest **out,
	      struct vhdx_err *e)
{
	struct family_opts fo = { .scan = opts };
	struct loop *l;
	int rc = loop_new(&l, e);

	*out = NULL;
	if (rc)
		return rc;
	rc = family_scan(&opener_default, l, &fo, out, e);
	loop_free(l);
	return rc;
}
