/* SPDX-License-Identifier: MIT */
#include "dev.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "say.h"
#include "vhdx_chain.h"

/* Whoever has just unmounted the image may still be closing it. */
#define BUSY_TRIES 20
#define BUSY_PAUSE_MS 100

static int try_open(const char *path, unsigned flags, const struct conf *c,
		    enum vhdx_format format, struct vhdx_blk **out,
		    struct vhdx_err *e)
{
	struct vhdx_open_opts opts = {
		.flags = flags | (c->direct ? VHDX_OPEN_DIRECT : 0),
		.format = format,
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)path,
		.search = c->search,
		.search_cnt = c->search_cnt,
	};
	int rc;
	for (int i = 0; i < BUSY_TRIES; i++) {
		rc = vhdx_open(path, &opts, out, e);
		if (rc != VHDX_E_BUSY)
			break;
		struct timespec pause = { 0, BUSY_PAUSE_MS * 1000000L };
		nanosleep(&pause, NULL);
	}
	return rc;
}

static bool ends_like(const char *path, const char *end)
{
	size_t n = strlen(path), k = strlen(end);
	return n >= k && strcasecmp(path + n - k, end) == 0;
}

/* Content that is neither VHD nor VHDX under such a name is a damaged image. */
static int check_name(const struct dev *d, const struct conf *c)
{
	struct vhdx_info info;
	vhdx_get_info(d->blk, &info);
	const char *p = d->image;
	bool named = ends_like(p, ".vhd") || ends_like(p, ".vhdx") ||
		     ends_like(p, ".avhd") || ends_like(p, ".avhdx");
	if (info.format != VHDX_FORMAT_RAW || c->format != VHDX_FORMAT_PROBE ||
	    !named)
		return STATUS_OK;
	return say_fail(STATUS_INTEGRITY, p, "the name says that it is a "
			"virtual disk, but nothing in the content does; is it "
			"damaged? vhdtool check tells; if it is a raw disk: "
			"--format raw");
}

/* A parent must not change, or its children are cut off. */
static int check_children(const struct dev *d, const struct conf *c)
{
	char folder[PATH_MAX];
	struct vhdx_info info;
	vhdx_get_info(d->blk, &info);
	if (info.format == VHDX_FORMAT_RAW)
		return STATUS_OK; /* nobody's parent */
	snprintf(folder, sizeof(folder), "%s", d->image);
	const char *folders[CONF_SEARCH_MAX + 1] = { dirname(folder) };
	unsigned cnt = 1;
	for (unsigned i = 0; i < c->search_cnt; i++)
		folders[cnt++] = c->search[i];
	const char *file = d->image;
	struct vhdx_scan_opts opts = {
		.files = &file, .file_cnt = 1,
		.folders = folders, .folder_cnt = cnt,
	};
	struct vhdx_forest *f;
	struct vhdx_err err;
	if (vhdx_scan(&opts, &f, &err)) {
		say_note(d->image, "whether it has children cannot be told: "
			 "%s", err.text);
		return STATUS_OK;
	}
	int status = STATUS_OK;
	for (size_t i = 1; i < f->cnt && status == STATUS_OK; i++)
		if (vhdx_forest_kin(f, i, 0) == VHDX_KIN_CHILD)
			status = say_fail(STATUS_INTEGRITY, d->image,
				"is the parent of %s, which could not be "
				"opened any more after a change; mount that, "
				"or with -o ro, or with --overlay FILE, or, "
				"if children do not matter, with --force",
				f->images[i].path);
	vhdx_forest_free(f);
	return status;
}

static bool falls_back(const struct conf *c, int code)
{
	return !c->read_write && (code == VHDX_E_READONLY ||
				  code == VHDX_E_PERM);
}

/* The image itself. */
static int open_image(struct dev *d, const struct conf *c)
{
	struct vhdx_err err;
	int rc = VHDX_E_READONLY;
	bool can_write = access(d->image, W_OK) == 0 || c->read_write;
	if (!c->read_only && can_write) {
		rc = try_open(d->image, VHDX_OPEN_WRITE, c, c->format, &d->blk,
			      &err);
		if (rc && !falls_back(c, rc))
			return say_err(d->image, &err);
	}
	if (rc) {
		d->read_only = true;
		if (!c->read_only)
			say_note(d->image, "cannot be written to: mounted "
				 "read-only");
		if (try_open(d->image, 0, c, c->format, &d->blk, &err))
			return say_err(d->image, &err);
	}
	return check_name(d, c);
}

/* FILE is there: it must be a child of the image, from an earlier mount. */
static int check_overlay(const struct dev *d)
{
	struct stat want, got;
	struct vhdx_info info;
	const char *path = NULL;
	if (vhdx_layer_cnt(d->blk) > 1)
		vhdx_get_layer(d->blk, 1, &info, &path);
	if (path && stat(path, &got) == 0 && stat(d->image, &want) == 0 &&
	    got.st_dev == want.st_dev && got.st_ino == want.st_ino)
		return STATUS_OK;
	return say_fail(STATUS_INTEGRITY, d->overlay, "exists and is no child "
			"of %s: it stays as it is; name another file for "
			"--overlay", d->image);
}

static int make_overlay(struct dev *d, const struct conf *c)
{
	struct vhdx_create_opts opts = {
		.type = VHDX_TYPE_DIFFERENCING, .type_given = true,
		.parent = d->image,
		.search = c->search, .search_cnt = c->search_cnt,
	};
	struct vhdx_err err;
	if (vhdx_create(c->overlay, &opts, &err))
		return say_err(c->overlay, &err);
	d->made = true;
	return STATUS_OK;
}

static int open_overlay(struct dev *d, const struct conf *c)
{
	struct vhdx_err err;
	int status = STATUS_OK;
	if (access(c->overlay, F_OK) != 0)
		status = make_overlay(d, c);
	if (status)
		return status;
	d->overlay = realpath(c->overlay, NULL);
	if (!d->overlay)
		return say_fail(STATUS_FAILED, c->overlay, "%s",
				strerror(errno));
	if (try_open(d->overlay, VHDX_OPEN_WRITE, c, VHDX_FORMAT_PROBE,
		     &d->blk, &err)) {
		status = say_err(d->overlay, &err);
		if (d->made)
			unlink(d->overlay);
		return status;
	}
	status = check_overlay(d);
	if (!status)
		say_note(d->overlay, "takes what is written, and stays when "
			 "unmounted%s", d->made ? ", unless nothing was" : "");
	return status;
}

int dev_open(struct dev *d, const struct conf *c)
{
	*d = (struct dev){ .image = realpath(c->image, NULL) };
	int status;
	if (!d->image)
		return say_fail(errno == ENOENT ? STATUS_NOTFOUND :
				STATUS_FAILED, c->image, "%s", strerror(errno));
	if (c->overlay)
		status = open_overlay(d, c);
	else
		status = open_image(d, c);
	if (!status && !c->overlay && !d->read_only && !c->force)
		status = check_children(d, c);
	if (status)
		(void)dev_close(d, false, status);
	return status;
}

static void tell_overlay(const struct dev *d, bool changed)
{
	if (d->made && !changed && unlink(d->overlay) == 0) {
		say_note(d->overlay, "nothing was written: removed");
		return;
	}
	say_note(d->overlay, "holds what was written; to go on with it: mount "
		 "with the same --overlay; to take it into %s: vhdtool merge; "
		 "to drop it: remove the file", d->image);
}

int dev_close(struct dev *d, bool changed, int status)
{
	struct vhdx_err err;
	const char *leaf = d->overlay ? d->overlay : d->image;
	bool opened = d->blk != NULL;
	if (vhdx_blk_close(d->blk, &err)) {
		int worse = say_err(leaf, &err);
		status = status ? status : worse;
	}
	if (opened && d->overlay && (!status || changed))
		tell_overlay(d, changed);
	free(d->image);
	free(d->overlay);
	*d = (struct dev){ .image = NULL };
	return status;
}
