/* SPDX-License-Identifier: MIT */
/*
 * Changing the header of an open image as a whole, and with it what it says of
 * the parent. Blocking; the image is writable, nothing is in flight, and what
 * was written is flushed. A power failure at any instant leaves a file that
 * opens with the old header or with the new one; durable on return.
 */
#ifndef VHD1_RELINK_H
#define VHD1_RELINK_H

#include "vhd1_image.h"

struct vhd1_switch {
	const struct vhd1_header *header;
	uint64_t off; /* vhd1_header_place() */
	/* The footer in force from then on; where the header is is filled in.*/
	const uint8_t *footer;
	/* The header goes first, then data_len (a multiple of 512) bytes that
	 * the caller has put behind it, then space for a footer. */
	uint8_t *body;
	size_t data_len;
};

static inline size_t vhd1_switch_len(size_t data_len)
{
	return VHD1_HEADER_LEN + data_len + VHD1_FOOTER_LEN;
}

/* Where a header with data_len bytes behind it may go. */
int vhd1_header_place(struct vhd1 *v, size_t data_len, uint64_t *off,
		      struct vhdx_err *e) must_check;

/* Writes nothing else of s; the locators and the BAT that the header points to
 * are durable, or in the data. v->header and v->footer follow; the rest of v is
 * the caller's to adjust. */
int vhd1_switch_header(struct vhd1 *v, struct vhd1_switch *s,
		       struct vhdx_err *e) must_check;

/* Another footer, which leads to the header in force: at the end of the file,
 * then in the copy (S2, S3). */
int vhd1_switch_footers(struct vhd1 *v, const uint8_t *footer,
			struct vhdx_err *e) must_check;

/* image_ops; the last one is in vhd1_set.c */
int vhd1_set_parent(struct image *img, const struct parent_edit *p,
		    struct vhdx_err *e) must_check;
int vhd1_adopt(struct image *img, struct image *from,
	       struct vhdx_err *e) must_check;
int vhd1_set_disk(struct image *img, const struct disk_edit *d,
		  struct vhdx_err *e) must_check;

#endif
