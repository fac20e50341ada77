/* SPDX-License-Identifier: MIT */
/*
 * Where everything of a new VHDX file goes. Used by the plan, which only asks,
 * and by vhdx_image_create(), which makes it so; and what a child takes from
 * its parent.
 */
#ifndef VHDX_CREATE_H
#define VHDX_CREATE_H

#include "layout.h"

struct create_place {
	struct bat_geom geom;
	uint64_t log_off, meta_off, bat_off, data_off; /* MiB multiples */
	uint32_t log_len, meta_len, bat_len;
	uint64_t file_len;
};

/* opts is complete and has passed vhdx_create_plan(). */
void create_place_init(struct create_place *p,
		       const struct vhdx_create_opts *opts);

/* All borrowed, and unchanged while the child is made. */
struct create_child {
	struct file *parent_file; /* as replayed */
	const struct layout *parent;
	const uint8_t *locator; /* metadata item */
	uint32_t locator_len;
};

/* vhdx_image_create() for a differencing disk: no block present, the parent's
 * virtual disk id and other items that belong to the virtual disk (MS-VHDX
 * 2.6.1.2: IsVirtualDisk), and the locator. Blocking. */
int vhdx_child_create(struct file *f, const struct vhdx_create_opts *opts,
		      const struct create_child *child,
		      struct vhdx_err *e) must_check;

/* What an open VHDX image gives its children; locator is left NULL. */
struct image;
void vhdx_image_as_parent(struct image *img, struct create_child *out);

#endif
