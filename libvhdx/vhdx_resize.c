/* SPDX-License-Identifier: MIT */
/*
 * Another size for a VHDX disk, dynamic, fixed or differencing, while nothing
 * is in flight. Becoming larger:
 *
 *   rest of the last block blanked -> space taken (fixed: all new blocks; a
 *   larger BAT) -> BAT written where nobody reads it -> size published
 *
 * Becoming smaller:
 *
 *   [entries cut off, in several log entries] -> size published, with the rest
 *   of the entries -> space given up -> rest of the last block blanked
 *
 * Publishing is one log entry: the size, all entries of the BAT that must
 * change with it, and where the BAT moves, both region tables. A power failure
 * before it leaves the old size, behind it the new one; what both have in
 * common has the same content all the time.
 *
 * Z1  An entry that names space enters the BAT in the log entry that publishes
 *     the size which reaches it: in place, or by the switch to another BAT. So
 *     no file ever has stale places behind its end for a later grow to show.
 *     Entries behind the old end that say nothing (0, ZERO) are written where
 *     they are; with 2^26 of them the log would take hours.
 * Z2  What comes into sight reads as zeros before the size that shows it is
 *     published: the rest of the last block is blanked; blocks are fresh or
 *     NOT_PRESENT; and in a child, as far as its parent reaches, ZERO: the
 *     parent's content was not in sight there and must not appear.
 * Z3  A larger BAT is written to space that nobody uses, and durable (C1)
 *     before the log entry that switches to it. Until then every change goes
 *     to neither: nothing else is under way. The old one's space is free after
 *     the switch is durable.
 * Z4  Entries behind a new, smaller end go to 0 with the size if one log entry
 *     can carry them all. Else they go before it, in ascending order, so that
 *     a partially present block never lacks its bitmap; in a child first to
 *     ZERO, else its parent would show, and to 0 when the size is published.
 * Z5  Space that entries gave up is free only after that is durable and home:
 *     a page of a bitmap on its way home would hit the next owner.
 * Z6  Whatever fails before the size is published gives back what was taken.
 */
#include "vhdx_resize.h"

#include <inttypes.h>
#include <string.h>

#include "blank.h"
#include "le.h"
#include "mem.h"
#include "mutation.h"

/* Of the pages of a log entry; the rest is for the size and what else goes
 * with it. */
#define BAT_PAGES_MAX 100u

static bool is_fixed(const struct resize *r)
{
	return r->vi->layout.leave_allocated;
}

/* ---- space --------------------------------------------------------------- */

/* Z5: settled. */
static void give_back(struct vhdx_image *vi, uint64_t off, uint64_t len)
{
	mcache_drop(vi->mc, off, len);
	/* A host that cannot punch keeps the space; that harms nobody. */
	if (file_punch(vi->img.file, off, len, NULL) == 0)
		commit_changed(vi->cm);
	space_release(&vi->space, off, len, false);
}

static void give_back_freed(struct resize *r)
{
	for (size_t i = 0; i < r->freed_cnt; i++)
		give_back(r->vi, r->freed[i].off, r->freed[i].len);
	r->freed_cnt = 0;
}

/* len bytes behind everything in use, which read as zeros. */
static int take_end(struct vhdx_image *vi, uint64_t len, uint64_t *off,
		    struct vhdx_err *e)
{
	struct file *f = vi->img.file;
	uint64_t have = vi->space.mib_cnt * MIB, end;
	int rc;

	*off = space_end(&vi->space);
	if (ckd_add(*off, len, &end))
		return err_set(e, VHDX_E_RANGE, "%s: no file can have %" PRIu64
			       " bytes behind offset %" PRIu64, f->path, len,
			       *off);
	rc = space_reserve(&vi->space, end, e);
	if (!rc && *off < have)
		rc = file_blank(f, *off, u64_min(have, end) - *off, e);
	if (!rc && end > f->size)
		rc = file_truncate(f, end, e);
	if (rc)
		return rc;
	commit_changed(vi->cm); /* W5 */
	space_grow(&vi->space, end);
	ASSERT(space_take(&vi->space, *off, len));
	return 0;
}

/* ---- publishing ---------------------------------------------------------- */

static uint64_t size_off(const struct layout *l)
{
	return l->meta_off +
	       meta_item_find(l->meta, &FMT_META_DISK_SIZE, false)->off;
}

static void set_bat_region(struct resize *r)
{
	struct fmt_region_table *t = r->vi->layout.regions;

	for (uint32_t i = 0; i < t->cnt; i++)
		if (guid_eq(&t->e[i].id, &FMT_REGION_BAT)) {
			t->e[i].off = r->bat_off;
			t->e[i].len = r->bat_len;
		}
}

/* Both copies, as they are to be; those of their pages that are the same
 * already stay clean. */
static int cover_regions(struct vhdx_pages *s, struct vhdx_err *e)
{
	int rc = pages_cover(s, FMT_REGION_OFF(0), FMT_REGION_LEN, e);

	return rc ? rc : pages_cover(s, FMT_REGION_OFF(1), FMT_REGION_LEN, e);
}

static void write_regions(struct resize *r, struct vhdx_pages *s)
{
	struct fmt_region_table *t = r->vi->layout.regions;
	uint64_t old_off = r->vi->layout.bat_off;
	uint32_t old_len = r->vi->layout.bat_len;
	uint64_t new_off = r->bat_off;
	uint32_t new_len = r->bat_len;

	set_bat_region(r);
	regions_encode(t, r->buf);
	pages_write(s, FMT_REGION_OFF(0), r->buf, FMT_REGION_LEN);
	pages_write(s, FMT_REGION_OFF(1), r->buf, FMT_REGION_LEN);
	/* In memory it counts when it is durable. */
	r->bat_off = old_off;
	r->bat_len = old_len;
	set_bat_region(r);
	r->bat_off = new_off;
	r->bat_len = new_len;
}

static int cover_changed(struct resize *r, struct vhdx_pages *s,
			 struct vhdx_err *e)
{
	struct bat_walk w;
	bool found = true;
	int rc = 0;

	bat_walk_init(&w, r);
	while (!rc && found) {
		rc = bat_walk_next(&w, &found, e);
		if (!rc && found)
			rc = pages_cover(s, r->vi->layout.bat_off + w.index * 8,
					 MPAGE_LEN, e);
	}
	return rc ? rc : resize_expect(r, s->cnt, e);
}

static void write_size(struct resize *r, struct vhdx_pages *s)
{
	uint8_t b[8];

	put_le64(b, r->new_len);
	pages_write(s, size_off(&r->vi->layout), b, sizeof(b));
}

/* The log entry that makes it so. with_bat: with the entries of the BAT in
 * place that have not changed yet. */
static int publish(struct resize *r, bool with_bat, struct vhdx_err *e)
{
	struct vhdx_pages s = { .vi = r->vi };
	int rc = vhdx_settle(r->vi, e);

	commit_changed(r->vi->cm); /* Z2, Z3: what was written past the log */
	if (!rc)
		rc = pages_cover(&s, size_off(&r->vi->layout), 8, e);
	if (!rc && r->bat_len)
		rc = cover_regions(&s, e);
	if (!rc && with_bat)
		rc = cover_changed(r, &s, e);
	if (!rc) {
		write_size(r, &s);
		if (r->bat_len)
			write_regions(r, &s);
		if (MUTATED(RESIZE_TOGETHER))
			rc = vhdx_settle(r->vi, e);
		resize_apply(r, &s, 0, r->vi->layout.bat_len / 8);
	}
	pages_end(&s);
	if (MUTATED(RESIZE_GIVES_LAST))
		give_back_freed(r);
	return rc ? rc : vhdx_settle(r->vi, e);
}

/* It is durable: memory follows. */
static void adopt(struct resize *r)
{
	struct vhdx_image *vi = r->vi;
	struct layout *l = &vi->layout;
	uint64_t old_off = l->bat_off, old_len = l->bat_len;

	l->size_len = vi->img.size_len = r->new_len;
	l->geom = r->to;
	if (!r->bat_len)
		return;
	set_bat_region(r);
	l->region_bad = -1;
	l->bat_off = vi->img.info.bat_off = r->bat_off;
	l->bat_len = r->bat_len;
	vi->img.info.bat_len = r->bat_len;
	give_back(vi, old_off, old_len);
}

/* ---- growing ------------------------------------------------------------- */

/* Z2. Behind the end of the disk, but in its last block. */
static int blank_rest(struct resize *r, uint64_t from, bool hide_parent,
		      struct vhdx_err *e)
{
	struct image *img = &r->vi->img;

	if (MUTATED(RESIZE_BLANK))
		return 0;
	return blank_range(img, from, align_up(from, img->block_len),
			   hide_parent, e);
}

/* Bytes of the disk that a child's parent may show. */
static uint64_t parent_reach(const struct resize *r)
{
	const struct image *img = &r->vi->img;

	if (!r->vi->layout.has_parent)
		return 0;
	return img->parent_len ? img->parent_len : UINT64_MAX;
}

static uint64_t fixed_pages(const struct resize *r)
{
	return div_up(r->to.entry_cnt - resize_first(r), MPAGE_LEN / 8) + 1;
}

/* Room for the entries that the file would need as a differencing one, too. */
static void plan_bat(struct resize *r)
{
	const struct layout *l = &r->vi->layout;
	struct bat_geom room;
	bool fits = r->to.entry_cnt * 8 <= l->bat_len;

	if (fits && !(is_fixed(r) && fixed_pages(r) > BAT_PAGES_MAX))
		return;
	bat_geom_init(&room, r->new_len, l->block_len, l->sector_len, true);
	r->bat_len = (uint32_t)align_up(room.entry_cnt * 8, MIB);
	r->bat_len = (uint32_t)u64_max(r->bat_len, l->bat_len);
}

static int take_bat(struct resize *r, struct vhdx_err *e)
{
	struct vhdx_image *vi = r->vi;
	bool zero;
	int rc;

	if (!space_alloc(&vi->space, r->bat_len, &r->bat_off, &zero)) {
		rc = take_end(vi, r->bat_len, &r->bat_off, e);
	} else {
		rc = zero ? 0 : file_blank(vi->img.file, r->bat_off,
					   r->bat_len, e);
		if (rc)
			space_release(&vi->space, r->bat_off, r->bat_len,
				      false);
	}
	if (rc)
		r->bat_len = 0;
	return rc;
}

static uint64_t fixed_len(const struct resize *r)
{
	return (r->to.block_cnt - r->keep_blk) * r->vi->img.block_len;
}

static int take_blocks(struct resize *r, struct vhdx_err *e)
{
	int rc;

	if (!fixed_len(r))
		return 0;
	rc = take_end(r->vi, fixed_len(r), &r->data_off, e);
	if (rc)
		r->data_off = 0;
	return rc ? rc : file_reserve(r->vi->img.file, r->data_off,
				      fixed_len(r), e);
}

/* Z6 */
static void give_up_taken(struct resize *r)
{
	struct vhdx_image *vi = r->vi;

	if (commit_failed(vi->cm))
		return; /* nothing is written any more, whatever counts */
	if (r->bat_len)
		give_back(vi, r->bat_off, r->bat_len);
	if (r->data_off)
		give_back(vi, r->data_off, fixed_len(r));
}

/* Z1: its entries are all behind the end, and none is to name space. */
static bool is_unread(const struct resize *r, uint64_t index)
{
	return !resize_page_is_live(r, index) &&
	       (!r->data_off || index >= resize_fill_end(r));
}

/* What changes in place and need not go through the log. */
static int write_unread(struct resize *r, struct vhdx_err *e)
{
	struct vhdx_image *vi = r->vi;
	struct bat_walk w;
	bool found = true;
	int rc = 0;

	bat_walk_init(&w, r);
	while (!rc && found) {
		rc = bat_walk_next(&w, &found, e);
		if (rc || !found || !is_unread(r, w.index))
			continue;
		mcache_drop(vi->mc, vi->layout.bat_off + w.index * 8,
			    MPAGE_LEN);
		rc = file_write(vi->img.file, vi->layout.bat_off + w.index * 8,
				w.page, MPAGE_LEN, e);
	}
	return rc;
}

static int grow_bat(struct resize *r, struct vhdx_err *e)
{
	int rc = 0;

	plan_bat(r);
	if (r->bat_len)
		rc = take_bat(r, e);
	if (!rc && is_fixed(r))
		rc = take_blocks(r, e);
	if (rc || (MUTATED(RESIZE_BAT_FIRST) && r->bat_len))
		return rc;
	return r->bat_len ? resize_copy_bat(r, e) : write_unread(r, e);
}

static int grow(struct resize *r, struct vhdx_err *e)
{
	uint64_t reach = u64_min(parent_reach(r), r->new_len);
	int rc = blank_rest(r, r->old_len, reach > r->old_len, e);

	if (!rc)
		rc = vhdx_settle(r->vi, e);
	if (reach > r->old_len && !MUTATED(RESIZE_HIDE))
		r->zero_blk = div_up(reach, r->vi->img.block_len);
	if (!rc)
		rc = grow_bat(r, e);
	if (!rc)
		rc = publish(r, !r->bat_len, e);
	if (rc) {
		give_up_taken(r);
		return rc;
	}
	if (MUTATED(RESIZE_BAT_FIRST) && r->bat_len)
		rc = resize_copy_bat(r, e);
	adopt(r);
	return rc;
}

/* ---- shrinking ----------------------------------------------------------- */

static int count_pages(struct resize *r, uint64_t *cnt, struct vhdx_err *e)
{
	struct bat_walk w;
	bool found = true;
	int rc = 0;

	bat_walk_init(&w, r);
	for (*cnt = 0; !rc && found; *cnt += found)
		rc = bat_walk_next(&w, &found, e);
	return rc;
}

/* The pages of the BAT from entry *index on, as many as go into one log entry;
 * *index: where to go on. */
static int cut_some(struct resize *r, uint64_t *index, bool *more,
		    struct vhdx_err *e)
{
	struct vhdx_pages s = { .vi = r->vi };
	uint64_t from = *index;
	struct bat_walk w;
	int rc = resize_expect(r, BAT_PAGES_MAX, e);

	bat_walk_init(&w, r);
	w.pos = u64_max(w.pos, from);
	for (*more = true; !rc && *more && s.cnt < BAT_PAGES_MAX;) {
		rc = bat_walk_next(&w, more, e);
		if (!rc && *more)
			rc = pages_cover(&s, r->vi->layout.bat_off +
					 w.index * 8, MPAGE_LEN, e);
	}
	*index = w.pos;
	if (!rc)
		resize_apply(r, &s, from, *index);
	pages_end(&s);
	if (!rc)
		rc = vhdx_settle(r->vi, e);
	if (!rc)
		give_back_freed(r);
	return rc;
}

/* Z4: more entries than one log entry can carry. */
static int cut(struct resize *r, struct vhdx_err *e)
{
	uint64_t index = 0;
	bool more = true;
	int rc = 0;

	while (!rc && more)
		rc = cut_some(r, &index, &more, e);
	return rc;
}

static int shrink(struct resize *r, struct vhdx_err *e)
{
	uint64_t cnt;
	bool several;
	int rc = count_pages(r, &cnt, e);

	if (rc)
		return rc;
	several = cnt > BAT_PAGES_MAX;
	if (several) {
		r->zero_blk = r->vi->layout.has_parent ? r->from.block_cnt : 0;
		rc = cut(r, e);
	}
	if (!rc)
		rc = publish(r, !several, e);
	if (rc) {
		/* The entries in memory are cut, the file's may be or not: what
		 * was behind them is not to be had before it is opened anew. */
		if (commit_failed(r->vi->cm))
			r->vi->img.size_len = r->new_len;
		return rc;
	}
	adopt(r);
	give_back_freed(r);
	r->zero_blk = 0;
	if (several)
		rc = cut(r, e);
	if (!rc)
		rc = blank_rest(r, r->new_len, false, e);
	return rc ? rc : vhdx_settle(r->vi, e);
}

/* ---- the outside --------------------------------------------------------- */

static void plan(struct resize *r, struct vhdx_image *vi, uint64_t new_len)
{
	const struct layout *l = &vi->layout;

	r->vi = vi;
	r->old_len = l->size_len;
	r->new_len = new_len;
	r->from = l->geom;
	bat_geom_init(&r->to, new_len, l->block_len, l->sector_len,
		      l->has_parent);
	r->keep_blk = u64_min(r->from.block_cnt, r->to.block_cnt);
	if (l->has_parent)
		r->keep_chunk = div_up(r->keep_blk, r->to.chunk_ratio);
}

int vhdx_image_resize(struct image *img, uint64_t size_len, struct vhdx_err *e)
{
	struct vhdx_image *vi = vi_of(img);
	struct resize r = { 0 };
	int rc = image_verify_size(img, size_len, e);

	if (rc || size_len == img->size_len)
		return rc;
	plan(&r, vi, size_len);
	r.buf = mem_alloc(RESIZE_BUF_LEN);
	if (!r.buf)
		return err_set(e, VHDX_E_NOMEM, "no memory to resize a disk");
	rc = vhdx_session(vi, true, e);
	if (!rc)
		rc = vhdx_settle(vi, e);
	if (!rc)
		rc = size_len > r.old_len ? grow(&r, e) : shrink(&r, e);
	mem_free(r.buf);
	mem_free(r.freed);
	return rc;
}
