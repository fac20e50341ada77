/* SPDX-License-Identifier: MIT */
/*
 * An image whose bytes lie in the file as they are, from offset 0: raw images,
 * and fixed VHDs, whose footer comes after the disk's last byte. There is no
 * map to keep; a flush is a sync of the file.
 */
#ifndef RAW_H
#define RAW_H

#include "image.h"

/* The first info->size_len bytes of f as an image; takes over f on success.
 * info is copied. resize: image_ops.resize of what this is a part of. */
typedef int raw_resize_fn(struct image *img, uint64_t size_len,
			  struct vhdx_err *e);
int raw_window_open(struct file *f, const struct image_open_opts *o,
		    const struct vhdx_info *info, raw_resize_fn *resize,
		    struct image **out, struct vhdx_err *e) must_check;

/* [loop] A sync failed: nothing is written any more. */
void raw_fail(struct image *img, const struct vhdx_err *why);

/* What the host file has at off: data, or a hole that reads as zeros. Remembers
 * the last answer, so use it only while the file does not change. */
struct raw_extent {
	uint64_t off, len; /* bytes */
	bool hole;
};

/* Shortens m->len to the extent at m->file_off, and turns a hole into
 * MAP_ZERO. [loop] May ask the host where data is; that does not wait for
 * data. */
void raw_extent_apply(struct raw_extent *x, struct image_map *m);

#endif
