/* SPDX-License-Identifier: MIT */
/*
 * A file that passes nothing on until the test lets it: what waits can be
 * looked at, and let go in any order. For tests of what happens meanwhile.
 */
#ifndef FILE_HOLD_H
#define FILE_HOLD_H

#include "file_wrap.h"

struct file_hold {
	struct file_wrap w; /* owns inner */
	bool holding;	    /* set by the test */
	struct list held;   /* file_io, by task.node, in order */
	unsigned held_cnt;
};

/* Takes over inner; closed with the result. Does not hold yet. */
int file_hold_new(struct file *inner, struct file_hold **out,
		  struct vhdx_err *e) must_check;

/* The n-th that waits, from 0; NULL: there are fewer. */
struct file_io *file_hold_nth(struct file_hold *h, unsigned n);

/* Lets it go. */
void file_hold_let(struct file_hold *h, struct file_io *io);

/* Lets all go that wait, and holds nothing from now. */
void file_hold_end(struct file_hold *h);

#endif
