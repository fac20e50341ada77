/* SPDX-License-Identifier: MIT */
/*
 * The files of a family, and the host's folders. A file counts once, however
 * many names lead to it; a real name stands for it rather than a symbolic link,
 * because its own parent's path is recorded from there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "family.h"
#include "mem.h"

/* ---- the host ----------------------------------------------------------- */

static bool fill(const struct stat *st, struct family_entry *en)
{
	en->folder = S_ISDIR(st->st_mode);
	en->dev = st->st_dev;
	en->ino = st->st_ino;
	en->len = (uint64_t)st->st_size;
	return en->folder || S_ISREG(st->st_mode);
}

/* Sockets, links into nowhere, and links to folders, are passed over. */
static bool look_in(int dir_fd, const char *name, struct family_entry *en)
{
	struct stat st;

	*en = (struct family_entry){ .name = name };
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (!S_ISLNK(st.st_mode))
		return fill(&st, en);
	en->link = true;
	return fstatat(dir_fd, name, &st, 0) == 0 && fill(&st, en) &&
	       !en->folder;
}

static int host_list(const struct family_host *h, const char *folder,
		     bool (*fn)(void *arg, const struct family_entry *en),
		     void *arg, struct vhdx_err *e)
{
	DIR *dir = opendir(folder);
	struct family_entry en;
	struct dirent *d;
	bool more = true;
	int rc = 0;

	(void)h;
	if (!dir)
		return err_sys(e, errno, "%s: open this folder", folder);
	while (more) {
		errno = 0;
		d = readdir(dir);
		if (!d) {
			if (errno)
				rc = err_sys(e, errno, "%s: read this folder",
					     folder);
			break;
		}
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    look_in(dirfd(dir), d->d_name, &en))
			more = fn(arg, &en);
	}
	closedir(dir);
	return rc;
}

static bool host_look(const struct family_host *h, const char *path,
		      struct family_entry *out)
{
	struct stat st;

	(void)h;
	*out = (struct family_entry){ 0 };
	if (lstat(path, &st) != 0)
		return false;
	out->link = S_ISLNK(st.st_mode);
	if (out->link && stat(path, &st) != 0)
		return false;
	return (fill(&st, out) || S_ISBLK(st.st_mode)) && !out->folder;
}

const struct family_host family_host_default = {
	.list = host_list,
	.look = host_look,
};

/* ---- the set ------------------------------------------------------------ */

static size_t slot_of(const struct family *f, uint64_t dev, uint64_t ino)
{
	uint64_t x = (ino ^ dev << 32 ^ dev >> 32) *
		     UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(x >> 20) & (f->hash_len - 1);

	for (; f->hash[i]; i = (i + 1) & (f->hash_len - 1)) {
		const struct family_own *own = &f->own[f->hash[i] - 1];

		if (own->ino == ino && own->dev == dev)
			break;
	}
	return i;
}

size_t family_find_file(const struct family *f, const struct family_entry *en)
{
	size_t i;

	if (!f->hash_len)
		return VHDX_NO_IMAGE;
	i = f->hash[slot_of(f, en->dev, en->ino)];
	return i ? i - 1 : VHDX_NO_IMAGE;
}

static int no_memory(struct vhdx_err *e)
{
	return err_set(e, VHDX_E_NOMEM, "no memory for so many images");
}

/* Room for one member more; the table stays at most half full. */
static int grow(struct family *f, struct vhdx_err *e)
{
	size_t cap = 2 * f->cap + 64;
	void *found, *own, *hash;

	if (f->pub.cnt < f->cap)
		return 0;
	found = mem_resize(f->found, cap, sizeof(*f->found));
	if (!found)
		return no_memory(e);
	f->pub.images = f->found = found;
	own = mem_resize(f->own, cap, sizeof(*f->own));
	if (!own)
		return no_memory(e);
	f->own = own;
	f->cap = cap;
	while (f->hash_len < 2 * cap)
		f->hash_len = f->hash_len ? 2 * f->hash_len : 64;
	hash = mem_array(f->hash_len, sizeof(*f->hash));
	mem_free(f->hash);
	f->hash = hash;
	if (!hash) {
		f->hash_len = 0;
		return no_memory(e);
	}
	for (size_t i = 0; i < f->pub.cnt; i++)
		if (f->own[i].there)
			f->hash[slot_of(f, f->own[i].dev, f->own[i].ino)] =
				i + 1;
	return 0;
}

/* The same file again: the better of its names stays. */
static int again(struct family *f, size_t i, const char *path,
		 const struct family_entry *en, struct vhdx_err *e)
{
	char *copy;

	if (en->link || !f->own[i].link)
		return 0;
	copy = mem_strdup(path);
	if (!copy)
		return no_memory(e);
	mem_free((char *)f->found[i].path);
	f->found[i].path = copy;
	f->own[i].link = false;
	return 0;
}

int family_add(struct family *f, const char *path,
	       const struct family_entry *en, size_t *out, struct vhdx_err *e)
{
	size_t i = en ? family_find_file(f, en) : VHDX_NO_IMAGE;
	int rc;

	*out = i;
	if (i != VHDX_NO_IMAGE)
		return again(f, i, path, en, e);
	rc = grow(f, e);
	if (rc)
		return rc;
	i = f->pub.cnt;
	f->found[i] = (struct vhdx_found){
		.path = mem_strdup(path),
		.parent = VHDX_NO_IMAGE,
		.stranger = VHDX_NO_IMAGE,
		.copy_of = i,
		.copy_cnt = 1,
	};
	if (!f->found[i].path)
		return no_memory(e);
	f->own[i] = (struct family_own){ 0 };
	if (en) {
		f->own[i].there = true;
		f->own[i].dev = en->dev;
		f->own[i].ino = en->ino;
		f->own[i].link = en->link;
		f->hash[slot_of(f, en->dev, en->ino)] = i + 1;
	}
	f->pub.cnt++;
	*out = i;
	return 0;
}

int family_add_leftover(struct family *f, enum vhdx_leftover_kind kind,
			const char *path, bool busy, struct vhdx_err *e)
{
	size_t cap = 2 * f->left_cap + 8;
	struct vhdx_leftover *to;

	if (f->pub.leftover_cnt == f->left_cap) {
		to = mem_resize(f->left, cap, sizeof(*f->left));
		if (!to)
			return no_memory(e);
		f->pub.leftovers = f->left = to;
		f->left_cap = cap;
	}
	to = &f->left[f->pub.leftover_cnt];
	*to = (struct vhdx_leftover){ kind, mem_strdup(path), busy };
	if (!to->path)
		return no_memory(e);
	f->pub.leftover_cnt++;
	return 0;
}

size_t vhdx_forest_find(const struct vhdx_forest *forest, const char *path)
{
	const struct family *f = family_of(forest);
	struct family_entry en;

	if (!f->host->look(f->host, path, &en))
		return VHDX_NO_IMAGE;
	return family_find_file(f, &en);
}

void vhdx_forest_free(struct vhdx_forest *forest)
{
	struct family *f;

	if (!forest)
		return;
	f = family_of(forest);
	for (size_t i = 0; i < forest->cnt; i++) {
		mem_free((char *)f->found[i].path);
		mem_free((struct vhdx_err *)f->found[i].err);
		parent_ref_free(f->own[i].ref);
	}
	for (size_t i = 0; i < forest->leftover_cnt; i++)
		mem_free((char *)f->left[i].path);
	mem_free(f->left);
	mem_free(f->found);
	mem_free(f->own);
	mem_free(f->hash);
	mem_free(f);
}
