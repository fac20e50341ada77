/* SPDX-License-Identifier: MIT */
/*
 * The inside of vhd1_compact*.c: a dynamic or differencing VHD being compacted.
 * The rules Q1..Q5 stand at the head of vhd1_compact.c.
 *
 *   vhd1_compact.c	   the work
 *   vhd1_compact_places.c what is where when it begins, and the new end
 */
#ifndef VHD1_COMPACT_H
#define VHD1_COMPACT_H

#include "compact_run.h"
#include "vhd1_image.h"

#define CPV_PENDING 1024u

enum place_use {
	PLACE_FREE,    /* nothing refers to it, also after a power failure */
	PLACE_USED,    /* a block's, not looked at */
	PLACE_DONE,    /* a block's, that stays a block's */
	PLACE_COMING,  /* a block is being copied there */
	PLACE_LEAVING, /* its block is moved or dropped, not durably yet */
};

/* Room for one block, with its bitmap. */
struct place {
	uint64_t off;
	uint32_t blk;
	uint8_t use;
	bool is_short; /* cut by what follows: for no other block */
};

/* A change of the BAT that waits for its turn. */
struct cpv_change {
	uint64_t from, to; /* to == from: dropped */
};

struct cpv {
	struct crun run;
	struct vhd1 *v;
	struct place *places; /* owned; in the order of their offsets */
	uint64_t cnt, cap;
	uint64_t low, high;   /* places below and above are dealt with */
	uint64_t free_from;   /* no free place below */
	uint64_t unit_len;    /* of a block and its bitmap */
	uint64_t floor_off;   /* the file cannot end before */
	bool has_unknown;     /* something may be there that nothing names */
	bool end_stays;	      /* and it may be at the end */
	uint64_t pending_len;
	unsigned pending_cnt;
	struct cpv_change *pending; /* owned; CPV_PENDING */
	uint8_t *bits;	      /* owned; a bitmap */
};

/* Bytes of a block and its bitmap that are in the file in any case. */
uint64_t cpv_used_len(const struct cpv *c, uint32_t blk);

/* Blocking. Finds the places. */
int cpv_find_places(struct cpv *c, struct vhdx_err *e) must_check;

/* Where the last thing ends that stays. */
uint64_t cpv_end(const struct cpv *c);

int vhd1_compact(struct image *img, const struct compact *how,
		 struct vhdx_err *e);

#endif
