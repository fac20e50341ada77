/* SPDX-License-Identifier: MIT */
/*
 * The parts of the VHDX checker and what they share. Each part examines one
 * kind of structure, reports through check.h, and returns non-zero only when
 * the file could not be read or, while mending, written. A part that cannot
 * find its structure says so and leaves the fields that later parts need
 * unset; those then skip what depends on them.
 *
 * Rules of mending:
 *
 * K1  Nothing is written before the log is empty: either it was, or it has
 *     been replayed. While a log cannot be replayed nothing is mended.
 * K2  The first write is a header update with a new FileWriteGuid.
 * K3  Each repair is complete in itself and replaces bytes that no reader uses
 *     for what they say (the damaged copy of a pair, a field that the format
 *     ignores, space that nothing owns), so a crash in the midst of one leaves
 *     the file no worse than it was.
 * K4  Where two readings of the damage are possible, nothing is mended.
 */
#ifndef VHDX_CHECK_H
#define VHDX_CHECK_H

#include "check.h"
#include "header.h"
#include "mibmap.h"

struct vck {
	struct check *c;
	struct file *file; /* c->file as it is after replay */
	struct header_pair hdr;
	bool have_hdr;	   /* hdr.cur can be relied on */
	struct header_pair found; /* as found, before anything was mended */
	struct vhdx_err hdr_why;  /* no current header: why */
	bool may_mend;	   /* K1 */
	bool mending;	   /* K2 is done */

	struct fmt_region_table *regions; /* owned */
	uint64_t regions_off; /* of the copy that is used */
	bool have_regions;
	const struct fmt_region *bat, *meta; /* in regions; NULL: none */

	uint64_t size_len; /* 0: not known; likewise the next */
	uint32_t block_len;
	uint32_t sector_len;
	bool have_params;
	bool fixed, has_parent;

	bool have_bat;	  /* all of it was examined */
	bool all_present; /* every block has its place */

	struct mibmap map; /* the file's space that something owns */
};

/* "The file's" size as a reader sees it, rounded up to whole MiB. */
static inline uint64_t vck_mib_cnt(const struct vck *v)
{
	return div_up(v->file->size, MIB);
}

/* What to report for a finding that can be mended. */
static inline enum check_fix vck_fix(const struct vck *v)
{
	return v->may_mend ? check_fix_state(v->c) : CHECK_NO_FIX;
}

/* Is this run to mend, and may it? */
static inline bool vck_mends(const struct vck *v)
{
	return v->may_mend && check_mending(v->c);
}

/* Before the first write of a repair: K2. */
int vck_begin_mending(struct vck *v, struct vhdx_err *e) must_check;

/* A known structure that overlaps [off, off + len), or NULL; a static
 * string. */
const char *vck_structure_at(const struct vck *v, uint64_t off, uint64_t len);

/* check_header.c */
int vck_ident(struct vck *v, struct vhdx_err *e) must_check;
int vck_headers(struct vck *v, struct vhdx_err *e) must_check;
/* After the log is dealt with: tells, and mends, what vck_headers found. */
int vck_headers_say(struct vck *v, struct vhdx_err *e) must_check;
/* check_region.c */
int vck_regions(struct vck *v, struct vhdx_err *e) must_check;
/* check_meta.c */
int vck_meta(struct vck *v, struct vhdx_err *e) must_check;
/* check_item.c: the known items of a table whose entry i counts if good[i] */
int vck_items(struct vck *v, const struct fmt_meta_table *t, const bool *good,
	      struct vhdx_err *e) must_check;
/* check_locator.c: the len bytes of the item at file offset off */
void vck_locator(struct vck *v, const uint8_t *b, uint32_t len, uint64_t off);
/* check_bat.c */
int vck_bat(struct vck *v, struct vhdx_err *e) must_check;
/* check_space.c */
int vck_space(struct vck *v, struct vhdx_err *e) must_check;

#endif
