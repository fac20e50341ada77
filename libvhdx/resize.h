/* SPDX-License-Identifier: MIT */
/* vhdx_resize() on any host: the opener and the loop are the caller's. */
#ifndef RESIZE_H
#define RESIZE_H

#include "chain.h"
#include "vhdx_edit.h"

int resize_image(const struct opener *o, struct loop *l, const char *path,
		 uint64_t size_len, const struct vhdx_resize_opts *opts,
		 struct vhdx_resize_result *result,
		 struct vhdx_err *e) must_check;

#endif
