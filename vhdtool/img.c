/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "img.h"
#include "msg.h"
#include "opt.h"
#include "out.h"

static bool is_named_wrongly(const char *path, const struct vhdx_blk *blk)
{
	struct vhdx_info info;
	vhdx_get_info(blk, &info);
	enum vhdx_format named = img_format_of_name(path);
	return info.format == VHDX_FORMAT_RAW &&
	       (named == VHDX_FORMAT_VHD || named == VHDX_FORMAT_VHDX);
}

static int try_open(const char *path, unsigned flags, enum vhdx_format format,
		    const struct opt_list *search, struct vhdx_blk **out,
		    struct vhdx_err *e)
{
	struct vhdx_open_opts opts = {
		.flags = flags,
		.format = format,
		.msg = say_from_library,
		.msg_arg = (void *)(uintptr_t)path,
		.search = search ? search->v : NULL,
		.search_cnt = search ? search->cnt : 0,
	};
	return vhdx_open(path, &opts, out, e);
}

/* Refuses, and closes, what is not what its name says. */
static int check_name(const char *path, struct vhdx_blk *blk)
{
	if (!is_named_wrongly(path, blk))
		return STATUS_OK;
	(void)vhdx_blk_close(blk, NULL);
	say_fail(0, path, "the name says %s, but nothing in the content does; "
		 "is it damaged? If it is a raw disk, rename it",
		 vhdx_format_name(img_format_of_name(path)));
	say_note(NULL, "to see what is wrong: vhdtool check %s",
		 msg_shell_word(path));
	return STATUS_INTEGRITY;
}

int img_open(const char *path, unsigned flags, enum vhdx_format format,
	     const struct opt_list *search, struct vhdx_blk **out)
{
	struct vhdx_err err;
	if (try_open(path, flags, format, search, out, &err))
		return msg_err(path, &err);
	return format == VHDX_FORMAT_PROBE ? check_name(path, *out)
					   : STATUS_OK;
}

int img_open_anyhow(const char *path, unsigned flags,
		    const struct opt_list *search, struct vhdx_blk **out,
		    struct vhdx_err *broken)
{
	struct vhdx_err alone;
	if (!try_open(path, flags, VHDX_FORMAT_PROBE, search, out, broken)) {
		broken->code = 0;
		return check_name(path, *out);
	}
	if (try_open(path, flags | VHDX_OPEN_PARTIAL, VHDX_FORMAT_PROBE, search,
		     out, &alone))
		return msg_err(path, broken);
	return STATUS_OK;
}

const char *img_broken_word(const struct vhdx_err *broken)
{
	switch (broken->code) {
	case VHDX_E_NOPARENT:
		return "NOT FOUND";
	case VHDX_E_LINKAGE:
		return "NOT FOUND, only another disk, or one changed since";
	case VHDX_E_BUSY:
		return "BUSY";
	default:
		return "CANNOT BE OPENED";
	}
}

int img_check_not_layer(const char *path, const struct vhdx_blk *blk)
{
	for (unsigned i = 0; i < vhdx_layer_cnt(blk); i++) {
		struct vhdx_info info;
		const char *layer;
		vhdx_get_layer(blk, i, &info, &layer);
		if (img_same_file(path, layer))
			return say_fail(STATUS_USAGE, path, "is %sthe source: "
					"choose another name",
					i ? "a parent of " : "");
	}
	return STATUS_OK;
}

int img_close(const char *path, struct vhdx_blk *blk, int status)
{
	struct vhdx_err err;
	if (!vhdx_blk_close(blk, &err))
		return status;
	int close_status = msg_err(path, &err);
	return status == STATUS_OK ? close_status : status;
}

enum vhdx_format img_format_of_name(const char *path)
{
	static const struct {
		const char *end;
		enum vhdx_format format;
	} ends[] = {
		{ ".vhd", VHDX_FORMAT_VHD },	{ ".avhd", VHDX_FORMAT_VHD },
		{ ".vhdx", VHDX_FORMAT_VHDX },	{ ".avhdx", VHDX_FORMAT_VHDX },
		{ ".raw", VHDX_FORMAT_RAW },	{ ".img", VHDX_FORMAT_RAW },
		{ ".bin", VHDX_FORMAT_RAW },
	};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (strcasecmp(dot, ends[i].end) == 0)
			return ends[i].format;
	}
	return VHDX_FORMAT_PROBE;
}

int img_check_range(const char *path, const struct vhdx_blk *blk,
		    uint64_t voff, uint64_t *len)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	if (voff > g.size_len)
		return say_fail(STATUS_USAGE, path,
				"offset %ju is beyond the end of the disk, %ju",
				(uintmax_t)voff, (uintmax_t)g.size_len);
	if (*len == OPT_NOT_GIVEN)
		*len = g.size_len - voff;
	if (*len > g.size_len - voff)
		return say_fail(STATUS_USAGE, path,
				"offset %ju + length %ju is beyond the end of "
				"the disk, %ju; from there at most %ju bytes "
				"are left", (uintmax_t)voff, (uintmax_t)*len,
				(uintmax_t)g.size_len,
				(uintmax_t)(g.size_len - voff));
	return STATUS_OK;
}

int img_check_aligned(const char *path, const struct vhdx_blk *blk,
		      uint64_t voff, uint64_t len)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	if (voff % g.sector_len == 0 && len % g.sector_len == 0)
		return STATUS_OK;
	return say_fail(STATUS_USAGE, path,
			"offset %ju and length %ju must be multiples of the "
			"sector size, %u", (uintmax_t)voff, (uintmax_t)len,
			g.sector_len);
}

/* The folder part of path, in buf. */
static const char *folder_of(const char *path, char *buf, size_t len)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return ".";
	size_t n = slash == path ? 1 : (size_t)(slash - path);
	if (n >= len)
		return path;
	memcpy(buf, path, n);
	buf[n] = '\0';
	return buf;
}

uint64_t img_free_len(const char *path)
{
	char buf[4096];
	struct statvfs fs;
	if (statvfs(path, &fs) != 0 &&
	    statvfs(folder_of(path, buf, sizeof(buf)), &fs) != 0)
		return UINT64_MAX;
	if (fs.f_blocks == 0) /* /proc and the like count nothing */
		return UINT64_MAX;
	uint64_t len;
	if (__builtin_mul_overflow((uint64_t)fs.f_bavail,
				   (uint64_t)fs.f_frsize, &len))
		return UINT64_MAX;
	return len;
}

int img_check_space(const char *path, uint64_t need_len)
{
	char need[OUT_SIZE_LEN], have[OUT_SIZE_LEN], lack[OUT_SIZE_LEN];
	uint64_t free_len = img_free_len(path);
	if (need_len <= free_len)
		return STATUS_OK;
	return say_fail(STATUS_NOSPC, path,
			"not started: needs %s on the host, %s are free, "
			"short by %s", out_size(need_len, need),
			out_size(free_len, have),
			out_size(need_len - free_len, lack));
}

int img_check_target(const char *path, bool force)
{
	char buf[4096];
	struct stat st;
	if (stat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			return say_fail(STATUS_FAILED, path,
					"exists and is not a regular file: an "
					"image cannot take its place");
		if (!force)
			return say_fail(STATUS_FAILED, path,
					"exists; to replace it, add --force");
		return STATUS_OK;
	}
	const char *folder = folder_of(path, buf, sizeof(buf));
	if (errno == ENOENT && stat(folder, &st) == 0 && S_ISDIR(st.st_mode))
		return STATUS_OK;
	return say_fail(errno == ENOENT ? STATUS_NOTFOUND : STATUS_FAILED, path,
			"cannot be made: %s: %s", folder, strerror(errno));
}

/* ---- children ----------------------------------------------------------- */

#define GUARD_NAMES 4u /* more are counted only */

struct guard {
	const char *path;
	const char *folders[OPT_LIST_MAX + 2];
	unsigned folder_cnt;
	char own[PATH_MAX], real[PATH_MAX];
	/* The finding: */
	const char *first; /* child */
	char names[1024];
	size_t child_cnt, untold_cnt;
	enum vhdx_format format;
};

/* One that cannot be read is no reason to stop: the parent may be missing
 * there just as well. */
static void add_folder(struct guard *g, const char *folder)
{
	if (access(folder, R_OK | X_OK) == 0)
		g->folders[g->folder_cnt++] = folder;
	else if (errno != ENOENT)
		say_note(g->path, "%s: %s: whether it has children there "
			 "cannot be told", folder, strerror(errno));
}

/* What cannot be opened is told by the one who then tries it. */
static bool may_have_children(struct guard *g, unsigned flags,
			      const struct opt_list *search)
{
	struct vhdx_open_opts opts = {
		.flags = flags,
		.search = search ? search->v : NULL,
		.search_cnt = search ? search->cnt : 0,
	};
	struct vhdx_blk *blk;
	struct vhdx_info info;
	if (vhdx_open(g->path, &opts, &blk, NULL))
		return false;
	vhdx_get_info(blk, &info);
	(void)vhdx_blk_close(blk, NULL);
	g->format = info.format;
	return info.format != VHDX_FORMAT_RAW;
}

static void note_child(struct guard *g, const char *child)
{
	size_t n = strlen(g->names);
	if (g->child_cnt++ == 0)
		g->first = child;
	if (g->child_cnt <= GUARD_NAMES)
		snprintf(g->names + n, sizeof(g->names) - n, "%s%s",
			 n ? ", " : "", child);
}

static int tell_children(const struct guard *g, bool force)
{
	char more[OUT_SIZE_LEN] = "";
	if (g->child_cnt > GUARD_NAMES)
		snprintf(more, sizeof(more), " and %zu more",
			 g->child_cnt - GUARD_NAMES);
	say_note(g->path, "%sis the parent of %s%s, which %s after a change",
		 force ? "warning: " : "", g->names, more,
		 g->format == VHDX_FORMAT_VHD ?
		 "would show wrong data" : "could not be opened any more");
	if (!force)
		say_note(NULL, "change the child instead, or, if the children "
			 "do not matter, add --force");
	if (g->format == VHDX_FORMAT_VHDX)
		say_note(NULL, "to use a child all the same, later: vhdtool "
			 "set-parent --ignore-id-mismatch %s %s",
			 msg_shell_word(g->first), msg_shell_word(g->path));
	return force ? STATUS_OK : STATUS_INTEGRITY;
}

static int look_for_children(struct guard *g, bool force)
{
	struct vhdx_scan_opts opts = {
		.files = &g->path, .file_cnt = 1,
		.folders = g->folders, .folder_cnt = g->folder_cnt,
	};
	struct vhdx_forest *f;
	struct vhdx_err err;
	if (vhdx_scan(&opts, &f, &err))
		return msg_err(g->path, &err);
	int status = STATUS_OK;
	for (size_t i = 1; i < f->cnt; i++) {
		enum vhdx_kin kin = vhdx_forest_kin(f, i, 0);
		if (kin == VHDX_KIN_CHILD)
			note_child(g, f->images[i].path);
		else if (kin == VHDX_KIN_UNKNOWN && g->untold_cnt++ == 0)
			say_note(g->path, "whether %s is its child cannot be "
				 "told: %s", f->images[i].path,
				 f->images[i].err->text);
	}
	if (g->untold_cnt > 1)
		say_note(g->path, "the same goes for %zu more",
			 g->untold_cnt - 1);
	if (g->child_cnt)
		status = tell_children(g, force);
	vhdx_forest_free(f);
	return status;
}

static int guard_children(const char *path, unsigned flags, bool force,
			  const struct opt_list *search)
{
	struct guard g = { .path = path };
	if (!may_have_children(&g, flags, search))
		return STATUS_OK;
	add_folder(&g, folder_of(path, g.own, sizeof(g.own)));
	char b, *real = NULL;
	if (readlink(path, &b, 1) > 0)
		real = realpath(path, NULL);
	if (real)
		add_folder(&g, folder_of(real, g.real, sizeof(g.real)));
	for (unsigned i = 0; search && i < search->cnt; i++)
		add_folder(&g, search->v[i]);
	int status = look_for_children(&g, force);
	free(real);
	return status;
}

int img_guard_children(const char *path, bool force,
		       const struct opt_list *search)
{
	return guard_children(path, 0, force, search);
}

int img_guard_children_alone(const char *path, bool force,
			     const struct opt_list *search)
{
	return guard_children(path, VHDX_OPEN_PARTIAL, force, search);
}

bool img_same_file(const char *a, const char *b)
{
	struct stat sa, sb;
	return stat(a, &sa) == 0 && stat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Bytes of [off, off+len) that are holes in the file; 0 if it cannot be
 * told. */
static uint64_t hole_len(int fd, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, holes = 0;
	while (fd >= 0 && off < end) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			data = (off_t)end;
		if (data < 0)
			break;
		uint64_t next = (uint64_t)data < end ? (uint64_t)data : end;
		holes += next - off;
		off_t hole = lseek(fd, (off_t)next, SEEK_HOLE);
		off = next == end || hole < 0 ? end : (uint64_t)hole;
	}
	return holes;
}

int img_gaps(const char *path, struct vhdx_blk *blk, uint64_t voff,
	     uint64_t len, uint64_t *no_data_len, uint64_t *no_space_len)
{
	*no_data_len = *no_space_len = 0;
	int status = STATUS_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (len > 0) {
		struct vhdx_extent x;
		struct vhdx_err err;
		if (vhdx_blk_map(blk, voff, len, &x, &err)) {
			status = msg_err(path, &err);
			break;
		}
		if (x.kind != VHDX_EXTENT_DATA)
			*no_data_len += x.len;
		else if (x.depth == 0)
			*no_space_len += hole_len(fd, x.host_off, x.len);
		else
			*no_space_len += x.len;
		voff += x.len;
		len -= x.len;
	}
	*no_space_len += *no_data_len;
	if (fd >= 0)
		close(fd);
	return status;
}
