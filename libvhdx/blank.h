/* SPDX-License-Identifier: MIT */
/*
 * Zeros where nobody looks yet: what lies behind the end of a disk, in its last
 * block, before the disk grows over it. Works on any open writable image,
 * through its own map, so that what is written there obeys the rules of its
 * format. Does not flush.
 */
#ifndef BLANK_H
#define BLANK_H

#include "image.h"

/* Blocking; nothing is in flight. [from, to) of the disk, beyond its end or
 * not, has a place in the image's map. What is data reads as zeros afterwards;
 * so does, with hide_parent, what would be the parent's, which takes space. */
int blank_range(struct image *img, uint64_t from, uint64_t to,
		bool hide_parent, struct vhdx_err *e) must_check;

#endif
