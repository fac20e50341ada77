/* SPDX-License-Identifier: MIT */
/*
 * What several commands do with image files: open and close with messages,
 * look at names and at free space. Functions that return int return an exit
 * status and have said what went wrong.
 */
#ifndef IMG_H
#define IMG_H

#include <sys/types.h>

#include "opt.h"
#include "vhdx.h"
#include "vhdx_chain.h"

/* flags: VHDX_OPEN_*; format: VHDX_FORMAT_PROBE or forced. The name never
 * decides what a file is, but it can raise the alarm: content that is neither
 * VHD nor VHDX under such a name is a damaged image, not a raw disk, unless
 * the caller forces raw. search: folders to look for parents in, or NULL. */
int img_open(const char *path, unsigned flags, enum vhdx_format format,
	     const struct opt_list *search, struct vhdx_blk **out);

/* To look at, not to read: where the image is fine, but not what it is a child
 * of, it is opened with the parents that there are (VHDX_OPEN_PARTIAL), and
 * *broken tells why: for the caller to say, and to end with. Otherwise
 * broken->code is 0. */
int img_open_anyhow(const char *path, unsigned flags,
		    const struct opt_list *search, struct vhdx_blk **out,
		    struct vhdx_err *broken);

/* "NOT FOUND", ...: *broken in short, where msg_err() says it in full. */
const char *img_broken_word(const struct vhdx_err *broken);

/* A new file at path would not replace a layer of blk. */
int img_check_not_layer(const char *path, const struct vhdx_blk *blk);

/* `status` is what the command has come to so far; the worse wins. */
int img_close(const char *path, struct vhdx_blk *blk, int status);

/* By the name's end, any case: .vhd .avhd, .vhdx .avhdx, .raw .img .bin;
 * PROBE for anything else. */
enum vhdx_format img_format_of_name(const char *path);

/* A range of the disk as given by the user; len OPT_NOT_GIVEN: to the end. */
int img_check_range(const char *path, const struct vhdx_blk *blk,
		    uint64_t voff, uint64_t *len);

/* Offset and length are whole sectors of the disk. */
int img_check_aligned(const char *path, const struct vhdx_blk *blk,
		      uint64_t voff, uint64_t len);

/* STATUS_OK if the file system of path (which need not exist) has need_len
 * bytes free; else names the shortfall. */
int img_check_space(const char *path, uint64_t need_len);

/* Bytes free there; UINT64_MAX when it cannot be told. */
uint64_t img_free_len(const char *path);

/* A new file may be made at path: nothing there, or with force a regular
 * file; and the folder exists. */
int img_check_target(const char *path, bool force);

/* For whoever is about to change what the disk at path shows: where it has
 * children in its own folder or in one of search, they are named, and without
 * force STATUS_INTEGRITY is returned. Children elsewhere nobody knows of. What
 * cannot be opened is not reported here: opening it will. */
int img_guard_children(const char *path, bool force,
		       const struct opt_list *search);
/* For whoever needs no parent of it: that may be missing, or broken. */
int img_guard_children_alone(const char *path, bool force,
			     const struct opt_list *search);
#define OPT_GUARD_FORCE(st, m)                                                \
	{ "force", OPT_FLAG, offsetof(st, m), NULL,                           \
	  "even if it has children, which that cuts off", NULL }

/* Whether two paths lead to the same file. */
bool img_same_file(const char *a, const char *b);

/* How much of [voff, voff+len) has no data, and how much of it the host has
 * not given space to in this layer: that, the holes in what has data, and
 * what only its parents hold. */
int img_gaps(const char *path, struct vhdx_blk *blk, uint64_t voff,
	     uint64_t len, uint64_t *no_data_len, uint64_t *no_space_len);

#endif
