/* SPDX-License-Identifier: MIT */
/*
 * A file whose machine loses power: after `left` changes and syncs, every
 * further one fails and does nothing. Changes before take effect in order, at
 * once; for reordering and tearing see file_crash.h.
 */
#ifndef CUT_H
#define CUT_H

#include "file_wrap.h"

struct cut {
	struct file_wrap w; /* inner is borrowed */
	uint64_t left;
	uint64_t cnt; /* changes and syncs asked for */
};

/* c->w.file stands for inner from now on; needs no closing. */
void cut_init(struct cut *c, struct file *inner, uint64_t left);

#endif
