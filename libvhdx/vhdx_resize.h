/* SPDX-License-Identifier: MIT */
/*
 * The inside of a resize (vhdx_resize.c): what every entry of the BAT becomes,
 * and the walk over those that change (vhdx_resize_bat.c).
 */
#ifndef VHDX_RESIZE_H
#define VHDX_RESIZE_H

#include "vhdx_pages.h"

struct resize {
	struct vhdx_image *vi;
	uint64_t old_len, new_len; /* of the disk, bytes */
	struct bat_geom from, to;  /* of the BAT, then and after */
	/* Entries that stay: of payload blocks below keep_blk, and of the
	 * bitmaps of chunks below keep_chunk. */
	uint64_t keep_blk, keep_chunk;
	/* Blocks [keep_blk, zero_blk) become ZERO: a child hides its parent. */
	uint64_t zero_blk;
	/* Not 0, a fixed disk that grows: blocks from keep_blk on get their
	 * places from here on. All other entries become NOT_PRESENT. */
	uint64_t data_off;
	/* The BAT's new place; bat_len 0: it stays where it is. */
	uint64_t bat_off;
	uint32_t bat_len;
	uint8_t *buf; /* owned; RESIZE_BUF_LEN */
	struct freed *freed; /* owned; given up by the pages under way */
	size_t freed_cnt, freed_cap;
};

#define RESIZE_BUF_LEN MIB

/* The index of the first entry that may change. */
uint64_t resize_first(const struct resize *r);

/* Behind this index all entries become 0. */
uint64_t resize_fill_end(const struct resize *r);

/* The page of the BAT that starts with entry `index` carries entries that stay
 * as they are, so that it has to change through the log. */
bool resize_page_is_live(const struct resize *r, uint64_t index);

/* The pages of the BAT, as it is in the file, that are to change. */
struct bat_walk {
	const struct resize *r;
	uint64_t index;	  /* the first entry of the page found */
	uint8_t *page;	  /* its new content; in r->buf */
	uint64_t at, cnt; /* entries in r->buf */
	uint64_t pos;	  /* where to go on */
};

void bat_walk_init(struct bat_walk *w, const struct resize *r);

/* Blocking; settled. The next one, in ascending order; *found false: there is
 * none. */
int bat_walk_next(struct bat_walk *w, bool *found,
		  struct vhdx_err *e) must_check;

/* Changes the covered pages of the BAT that hold entries from `index` on, up to
 * `end`; notes in r->freed what they gave up. */
void resize_apply(struct resize *r, struct vhdx_pages *s, uint64_t index,
		  uint64_t end);

/* Room in r->freed for all that `cnt` pages can give up. */
int resize_expect(struct resize *r, unsigned cnt,
		  struct vhdx_err *e) must_check;

/* Blocking. The BAT with all its changes goes to bat_off, where there are
 * zeros. */
int resize_copy_bat(struct resize *r, struct vhdx_err *e) must_check;

#endif
