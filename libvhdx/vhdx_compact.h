/* SPDX-License-Identifier: MIT */
/*
 * The inside of vhdx_compact*.c: an image being compacted. The rules K1..K6
 * stand at the head of vhdx_compact.c.
 *
 *   vhdx_compact.c	  the work from both ends, and what is left behind
 *   vhdx_compact_bat.c   entries: the first pass over all of them, and how one
 *			  is changed
 */
#ifndef VHDX_COMPACT_H
#define VHDX_COMPACT_H

#include "compact_run.h"
#include "vhdx_img.h"

/* What lies at a MiB of the file: the BAT index of the block or sector bitmap
 * that starts there, and what is known of it. 0: nothing starts there. */
#define UNIT_BITMAP (1u << 31) /* 1 MiB of sector bits, not a block */
#define UNIT_SOLID (1u << 30)  /* fully present: it may go if it is zeros */
#define UNIT_DONE (1u << 29)   /* looked at: it stays */
#define UNIT_COMING (1u << 28) /* alone: a unit is being copied here */
#define UNIT_INDEX (UNIT_COMING - 1) /* index + 1 */

struct cpt {
	struct crun run;
	struct vhdx_image *vi;
	struct space *space;	/* the image's, or own in a dry run */
	struct space own;
	uint32_t *units;	/* owned; by MiB of the file */
	uint64_t mib_cnt;
	uint64_t low, high;	/* MiB: what is below and above is dealt with */
	uint64_t floor;		/* MiB: the file cannot end before */
	uint64_t hole_from;	/* no hole of a block's size below */
	uint64_t free_cnt;	/* of the space map, when that was found */
	uint64_t dropped_len;	/* since a round was last started */
	/* The first pass: partially present blocks in this row of the BAT. */
	uint64_t row, mixed_cnt;
	uint8_t *slice;		/* owned; the bits of a block */
};

/* Blocking. Every entry once: drops what needs no look at the payload, and
 * fills c->units with what is left. */
int cpt_first_pass(struct cpt *c, struct vhdx_err *e) must_check;

/* Blocking. The entry enters its page (K1, K2: the caller's). */
int cpt_set(struct cpt *c, uint64_t index, uint64_t entry,
	    struct vhdx_err *e) must_check;
/* Space that the change just made frees (K3). */
int cpt_free(struct cpt *c, uint64_t off, uint64_t len,
	     struct vhdx_err *e) must_check;

/* Blocking. The file may be changed; visible: so may what a reader sees. */
int cpt_session(struct cpt *c, bool visible, struct vhdx_err *e) must_check;

/* The block of a BAT index that is not a bitmap's. */
uint64_t cpt_blk(const struct cpt *c, uint64_t index);

/* Bytes of block blk that are on the disk. */
uint64_t cpt_live_len(const struct cpt *c, uint64_t blk);

int vhdx_image_compact(struct image *img, const struct compact *how,
		       struct vhdx_err *e);

#endif
