/* SPDX-License-Identifier: MIT */
/*
 * image_ops.resize of VHDs. They only grow: the format's own programs know no
 * other way.
 */
#ifndef VHD1_RESIZE_H
#define VHD1_RESIZE_H

#include "image.h"

/* Dynamic, differencing. */
int vhd1_resize(struct image *img, uint64_t size_len,
		struct vhdx_err *e) must_check;

/* Fixed: raw_resize_fn of raw.h. */
int vhd1_fixed_resize(struct image *img, uint64_t size_len,
		      struct vhdx_err *e) must_check;

int vhd1_only_grows(const struct image *img, struct vhdx_err *e);

#endif
