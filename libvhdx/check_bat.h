/* SPDX-License-Identifier: MIT */
/*
 * What the passes over the block allocation table share: the walk, which reads
 * a window at a time and skips the holes of the file, so that the empty BAT of
 * a huge disk costs nothing; and the counting of findings by kind.
 */
#ifndef CHECK_BAT_H
#define CHECK_BAT_H

#include "vhdx_check.h"

enum bat_kind {
	KIND_STATE,	     /* a reserved state */
	KIND_BITS,	     /* reserved bits */
	KIND_PARTIAL,	     /* partially present without a parent */
	KIND_BITMAP,	     /* a bitmap block without a parent */
	KIND_BITMAP_MISSING, /* a bitmap block is needed */
	KIND_BELOW,	     /* in the header area */
	KIND_BEYOND,	     /* beyond the end of the file */
	KIND_CUT,	     /* partly beyond it */
	KIND_SHORT,	     /* the same, but nothing is lost */
	KIND_OVERLAP,
	KIND_OFFSET,	     /* an offset that the state gives no meaning */
	KIND_OFFSET_LIVE,    /* the same, and data may be there */
	KIND_ANCHOR,	     /* a soft anchor that leads nowhere */
	KIND_BEHIND,	     /* an entry behind the last block */
	KIND_BEHIND_LIVE,    /* the same, and data may be there */
	KIND_CNT,
};

/* An entry claims space that another owner took before. */
struct bat_clash {
	uint64_t idx;	/* of the entry */
	uint64_t mib;	/* the first that is taken */
	uint64_t owner; /* entry that took it, or UINT64_MAX */
};

struct bat_check {
	struct vck *v;
	struct bat_geom g;
	uint64_t off;	    /* of the BAT, bytes in the file */
	uint64_t entry_cnt; /* entries that count */
	uint64_t slot_cnt;  /* entries that the region has room for */
	uint64_t file_len;

	uint64_t present_cnt; /* payload blocks with data in the file */
	uint64_t second_cnt;  /* entries that the second pass is to look at */
	uint64_t chunk;	      /* the last one with a partially present block */
	uint64_t partial_cnt; /* such blocks in it, bitmap not seen yet */

	struct check_many many[KIND_CNT];
	bool mended[KIND_CNT];
	bool may_clear; /* the second pass, entries that lead nowhere */
	struct bat_clash clash[CHECK_IN_FULL];
	unsigned clash_cnt;
};

/* Entry idx as the format sees it. */
struct bat_slot {
	bool behind; /* no block of this disk */
	bool bitmap;
	uint64_t blk; /* payload block, or chunk of the bitmap block */
};

struct bat_slot bat_slot_at(const struct bat_check *b, uint64_t idx);

/* Calls fn for the windows of the BAT that may hold anything but zeros: cnt
 * entries from entry `first` on, whole pages. */
typedef int bat_window_fn(struct bat_check *b, uint64_t first,
			  uint8_t *entries, uint32_t cnt, struct vhdx_err *e);
#define BAT_WINDOW_LEN MIB
int bat_walk(struct bat_check *b, bat_window_fn *fn,
	     struct vhdx_err *e) must_check;

/* A finding about entry idx. */
void bat_say(struct bat_check *b, enum bat_kind kind, uint64_t idx,
	     enum check_fix fix, const char *fmt, ...) printf_like(5, 6);
/* Of each kind, how many more there were. */
void bat_say_rest(struct bat_check *b);

/* check_bat_clash.c */
void bat_clash_add(struct bat_check *b, uint64_t idx, uint64_t mib);
int bat_clash_say(struct bat_check *b, struct vhdx_err *e) must_check;

/* check_bat_mend.c: the second pass. */
int bat_second_pass(struct bat_check *b, struct vhdx_err *e) must_check;

#endif
