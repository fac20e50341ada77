/* SPDX-License-Identifier: MIT */
/* vhdx_compact() on any host: the opener and the loop are the caller's. */
#ifndef COMPACT_H
#define COMPACT_H

#include "chain.h"

int compact_image(const struct opener *o, struct loop *l, const char *path,
		  const struct vhdx_compact_opts *opts,
		  struct vhdx_compact_result *result,
		  struct vhdx_err *e) must_check;

#endif
