/* SPDX-License-Identifier: MIT */
/* Comparing what a device shows with what it may show. */
#ifndef VIEW_H
#define VIEW_H

#include "memimg.h"
#include "recover.h"

/* Does the device show a view of the list: one of them whole, or, if mixed,
 * each 512 bytes those of any of them? All have one size if mixed. every_byte:
 * also what the device says is no data is read, if the disk is small. */
void view_verify(struct vhdx_blk *blk, const struct memimg *const *views,
		 unsigned cnt, bool mixed, bool every_byte,
		 struct verdict *v);

/* The mixed form for one range. */
void view_verify_range(struct vhdx_blk *blk,
		       const struct memimg *const *views, unsigned cnt,
		       uint64_t voff, uint64_t len, struct verdict *v);

#endif
