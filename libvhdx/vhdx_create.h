/* SPDX-License-Identifier: MIT */
/*
 * Where everything of a new VHDX file goes. Used by the plan, which only asks,
 * and by vhdx_image_create(), which makes it so.
 */
#ifndef VHDX_CREATE_H
#define VHDX_CREATE_H

#include "format.h"

struct create_place {
	struct bat_geom geom;
	uint64_t log_off, meta_off, bat_off, data_off; /* MiB multiples */
	uint32_t log_len, meta_len, bat_len;
	uint64_t file_len;
};

/* opts is complete and has passed vhdx_create_plan(). */
void create_place_init(struct create_place *p,
		       const struct vhdx_create_opts *opts);

#endif
