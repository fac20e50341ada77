/* SPDX-License-Identifier: MIT */
/*
 * Which sectors of a differencing disk's blocks are here, and which are the
 * parent's: V9 to V11 of vhd1_io.c. For blocks from READY on; m is within one
 * block.
 */
#ifndef VHD1_SECTORS_H
#define VHD1_SECTORS_H

#include "vhd1_image.h"

int vhd1_sectors_init(struct vhd1 *v, struct vhdx_err *e) must_check;
void vhd1_sectors_free(struct vhd1 *v);
/* v->bat.loaded was `had` and has grown. A disk without a parent is allowed. */
int vhd1_sectors_fit(struct vhd1 *v, uint32_t had,
		     struct vhdx_err *e) must_check;

/* [async] As map_read: DATA or PARENT, m->len is cut to the run. */
bool vhd1_sectors_read(struct vhd1 *v, struct image_map *m);
/* [async] As unmap of a discard: DATA is to be punched, UNMAPPED is not here.*/
bool vhd1_sectors_discard(struct vhd1 *v, struct image_map *m);
/* [async] m's payload is written: its sectors are here from now on. The block
 * may also be NEW, and becomes READY. */
bool vhd1_sectors_mark(struct vhd1 *v, struct image_map *m);

/* What has changed since the last time is to be written in this round, as it
 * is now; false: nothing has. */
bool vhd1_sectors_capture(struct vhd1 *v);
/* Writes it, then calls vhd1_flush_bits_done(). */
void vhd1_sectors_write(struct vhd1 *v);
/* The image has failed, or bitmaps are free: whoever waits tries again. */
void vhd1_sectors_retry(struct vhd1 *v);

#endif
