/* SPDX-License-Identifier: MIT */
/*
 * Metadata pages of an open, writable VHDX image that change together: for who
 * works on the image as a whole, blocking, with nothing in flight.
 *
 * The steps, in this order:
 *	vhdx_session()	 before the first page
 *	vhdx_settle()	 nothing is dirty
 *	pages_cover()	 as often as needed: all that will change
 *	pages_write()	 the changes; the loop is not turned between them
 *	pages_end()
 *	vhdx_settle()	 durable, and home
 * What is written between two settles is one log entry (C7 of commit.c): after
 * a power failure all of it is there, or none.
 */
#ifndef VHDX_PAGES_H
#define VHDX_PAGES_H

#include "vhdx_img.h"

#define PAGES_MAX 126u /* what a log entry of one descriptor sector carries */

struct vhdx_pages {
	struct vhdx_image *vi;
	unsigned cnt;
	struct mpage *p[PAGES_MAX]; /* pinned, claimed */
};

/* Brings in the pages of [off, off + len) of the file. UNSUPPORTED: they are
 * more than one entry can carry. After an error only pages_end() is left. */
int pages_cover(struct vhdx_pages *s, uint64_t off, uint64_t len,
		struct vhdx_err *e) must_check;

/* Covered bytes. A page that has them already stays clean. */
void pages_write(struct vhdx_pages *s, uint64_t off, const void *data,
		 uint64_t len);

/* The page that covers off, for a look. */
const uint8_t *pages_at(const struct vhdx_pages *s, uint64_t off);

void pages_end(struct vhdx_pages *s); /* changes stay, and wait for a settle */

#endif
