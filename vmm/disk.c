/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "mem.h"
#include "say.h"
#include "vhdx_chain.h"
#include "vhdx_edit.h"

int disk_create(struct conf_disk *conf, const struct conf *vm,
		struct disk **out, struct vhdx_err *e)
{
	struct disk *d = mem_zalloc(sizeof(*d));
	char path[PATH_MAX];
	int rc = 0;
	*out = NULL;
	if (!d)
		rc = err_set(e, VHDX_E_NOMEM, "out of memory");
	else if (!realpath(conf->path, path))
		rc = err_sys(e, errno, "%s", conf->path);
	else
		rc = conf_string(&conf->path, path, e);
	if (rc) {
		mem_free(d);
		conf_disk_clear(conf);
		return rc;
	}
	*d = (struct disk){ .conf = *conf, .vm = vm };
	*out = d;
	return 0;
}

void disk_destroy(struct disk *d)
{
	if (d)
		conf_disk_clear(&d->conf);
	mem_free(d);
}

/* ---- children ----------------------------------------------------------- */

static int scan(const struct disk *d, struct vhdx_forest **f,
		struct vhdx_err *e)
{
	char folder[PATH_MAX];
	unsigned cnt = d->vm->search_cnt + 1;
	const char **folders = mem_array(cnt, sizeof(*folders));
	const char *file = d->conf.path;
	if (!folders)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	snprintf(folder, sizeof(folder), "%s", file);
	folders[0] = dirname(folder);
	for (unsigned i = 1; i < cnt; i++)
		folders[i] = d->vm->search[i - 1];
	struct vhdx_scan_opts opts = {
		.files = &file, .file_cnt = 1,
		.folders = folders, .folder_cnt = cnt,
	};
	int rc = vhdx_scan(&opts, f, e);
	mem_free(folders);
	return rc;
}

int disk_check(const struct disk *d, struct vhdx_err *e)
{
	struct vhdx_forest *f;
	struct vhdx_err err;
	int rc = 0;
	if (d->conf.read_only || d->conf.force)
		return 0;
	if (scan(d, &f, &err)) {
		say_note(d->conf.path, "whether it has children cannot be "
			 "told: %s", err.text);
		return 0;
	}
	size_t self = vhdx_forest_find(f, d->conf.path);
	if (self == VHDX_NO_IMAGE) /* a raw disk is nobody's parent */
		self = f->cnt;
	for (size_t i = 0; i < f->cnt && self < f->cnt && !rc; i++)
		if (i != self && vhdx_forest_kin(f, i, self) == VHDX_KIN_CHILD)
			rc = err_set(e, VHDX_E_LINKAGE, "%s: is the parent of "
				     "%s, which could not be opened any more "
				     "after a change; take that one, or add "
				     ",ro, or, if children do not matter, "
				     ",force", d->conf.path, f->images[i].path);
	vhdx_forest_free(f);
	return rc;
}

/* ---- opening ------------------------------------------------------------ */

static bool ends_like(const char *path, const char *end)
{
	size_t n = strlen(path), k = strlen(end);
	return n >= k && strcasecmp(path + n - k, end) == 0;
}

/* Content that is neither VHD nor VHDX under such a name is a damaged image: a
 * guest would see a disk that is not there. */
static int check_name(const char *p, const struct vhdx_info *info,
		      struct vhdx_err *e)
{
	bool named = ends_like(p, ".vhd") || ends_like(p, ".vhdx") ||
		     ends_like(p, ".avhd") || ends_like(p, ".avhdx");
	if (info->format != VHDX_FORMAT_RAW || !named)
		return 0;
	return err_set(e, VHDX_E_CORRUPT, "the name says that it is a virtual "
		       "disk, but nothing in the content does; is it damaged? "
		       "if it is a raw disk, give it another name");
}

static int open_as(const struct disk *d, unsigned flags, struct vhdx_blk **out,
		   struct vhdx_info *info, struct vhdx_err *e)
{
	struct vhdx_open_opts opts = {
		.flags = flags | (d->conf.direct ? VHDX_OPEN_DIRECT : 0),
		.msg = say_from_library,
		.msg_arg = d->conf.path,
		.search = (const char *const *)d->vm->search,
		.search_cnt = d->vm->search_cnt,
	};
	int rc = vhdx_open(d->conf.path, &opts, out, e);
	if (!rc) {
		vhdx_get_info(*out, info);
		rc = check_name(d->conf.path, info, e);
		if (rc) {
			/* Nothing was written. */
			if (vhdx_blk_close(*out, NULL))
				rc = VHDX_E_CORRUPT;
			*out = NULL;
		}
	}
	size_t n = strlen(d->conf.path);
	if (rc && e && strncmp(e->text, d->conf.path, n) != 0)
		return err_wrap(e, rc, "%s", d->conf.path);
	return rc;
}

int disk_open(void *arg, struct vhdx_blk **out, uint8_t id[16],
	      struct vhdx_err *e)
{
	const struct disk *d = arg;
	struct vhdx_info info;
	int rc = open_as(d, d->conf.read_only ? 0 : VHDX_OPEN_WRITE, out,
			 &info, e);
	if (!rc)
		memcpy(id, info.disk_id, sizeof(info.disk_id));
	return rc;
}

int disk_try(const struct disk *d, struct vhdx_info *info, struct vhdx_err *e)
{
	struct vhdx_blk *blk;
	int rc = open_as(d, 0, &blk, info, e);
	return rc ? rc : vhdx_blk_close(blk, e);
}

int disk_resize(void *arg, struct vhdx_err *e)
{
	const struct disk_resize *r = arg;
	struct vhdx_resize_opts opts = {
		.shrink = r->shrink,
		.msg = say_from_library,
		.msg_arg = r->d->conf.path,
		.search = (const char *const *)r->d->vm->search,
		.search_cnt = r->d->vm->search_cnt,
	};
	int rc = disk_check(r->d, e);
	return rc ? rc : vhdx_resize(r->d->conf.path, r->size_len, &opts, NULL,
				     e);
}
