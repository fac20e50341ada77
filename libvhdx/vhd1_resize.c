/* SPDX-License-Identifier: MIT */
/*
 * A dynamic or differencing VHD grows. There is no log; the size, and where the
 * BAT is, change by one switch of the header (vhd1_relink.c, S1 to S3): after a
 * power failure the file opens as it was or as it is to be.
 *
 * E1  A BAT that has to be larger is written anew, in one piece with the new
 *     header, and durable before a footer leads there. The blocks stay where
 *     they are; the place of the old BAT belongs to nobody.
 * E2  What comes into sight reads as zeros, durably, before the switch: the
 *     rest of the last block is blanked, and blocks behind it are absent. In a
 *     child, as far as its parent reaches, they are present and zeros: the
 *     format has no other word for it.
 * E3  An entry behind the old end says nothing when the size comes to reach it.
 */
#include "vhd1_resize.h"

#include <string.h>

#include "blank.h"
#include "le.h"
#include "mem.h"
#include "mutation.h"
#include "vhd1_relink.h"
#include "vhd1_sectors.h"

/* What memory needs for a larger table. */
struct room {
	uint32_t cnt, loaded;
	uint32_t *entry;
	uint8_t *flags;
	uint64_t *dirty, *round_set;
};

int vhd1_only_grows(const struct image *img, struct vhdx_err *e)
{
	return err_set(e, VHDX_E_UNSUPPORTED, "%s: a VHD can only grow; to "
		       "make it smaller, convert it to a VHDX",
		       img->file->path);
}

/* ---- the last block ------------------------------------------------------ */

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

static bool is_hit(const struct vhd1 *v, uint32_t last)
{
	const struct vhd1_bat *b = &v->bat;
	uint64_t off = vhd1_bat_off(b, last);
	uint64_t len = (uint64_t)b->bitmap_len + b->block_len;

	for (uint32_t i = 0; i < b->cnt; i++)
		if (i != last && b->entry[i] != VHD1_ABSENT &&
		    overlap(off, len, vhd1_bat_off(b, i), len))
			return true;
	for (unsigned i = 0; i < VHD1_LOCATOR_CNT; i++)
		if (overlap(off, len, b->loc[i].off, b->loc[i].len))
			return true;
	return overlap(off, len, b->header_off, VHD1_HEADER_LEN) ||
	       overlap(off, len, b->off, b->table_len);
}

/* Some writers cut it short: then what comes behind has to be free for it. */
static int complete_last_block(struct vhd1 *v, struct vhdx_err *e)
{
	const struct vhd1_bat *b = &v->bat;
	uint32_t last = b->need - 1;
	uint64_t end;

	if (is_aligned(v->img.size_len, b->block_len) ||
	    b->entry[last] == VHD1_ABSENT)
		return 0;
	if (is_hit(v, last))
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_BAT,
			       b->off + (uint64_t)last * 4, "VHD",
			       "%s: its last block was cut short, and "
			       "something else comes behind it: it cannot "
			       "grow; convert it", v->img.file->path);
	end = vhd1_bat_off(b, last) + b->bitmap_len + b->block_len;
	if (end > v->end_off) {
		v->end_off = v->kept_end = end;
		v->footer_stale = true;
	}
	return 0;
}

/* ---- a larger table ------------------------------------------------------ */

static bool has_strays(const struct vhd1_bat *b, uint64_t need)
{
	if (MUTATED(VHD_RESIZE_STRAYS))
		return false;
	for (uint64_t i = b->need; i < need && i < b->cnt; i++)
		if (b->entry[i] != VHD1_ABSENT)
			return true;
	return false;
}

static void free_room(struct room *r)
{
	mem_free(r->entry);
	mem_free(r->flags);
	mem_free(r->dirty);
	mem_free(r->round_set);
}

static int make_room(struct vhd1 *v, struct room *r, uint32_t cnt,
		     struct vhdx_err *e)
{
	uint32_t was = v->bat.loaded;
	size_t words;
	int rc;

	r->cnt = cnt;
	r->loaded = (uint32_t)align_up(cnt, VHD1_BAT_PER_SECTOR);
	words = (size_t)div_up(r->loaded / VHD1_BAT_PER_SECTOR, 64);
	r->entry = mem_array(r->loaded, sizeof(*r->entry));
	r->flags = mem_array(r->loaded, 1);
	r->dirty = mem_array(words, sizeof(*r->dirty));
	r->round_set = mem_array(words, sizeof(*r->round_set));
	if (!r->entry || !r->flags || !r->dirty || !r->round_set)
		return err_set(e, VHDX_E_NOMEM, "no memory for a BAT of %u "
			       "entries", cnt);
	for (uint32_t i = 0; i < r->loaded; i++) {
		bool keep = i < v->bat.need || /* E3 */
			    (MUTATED(VHD_RESIZE_STRAYS) && i < was);

		r->entry[i] = keep ? v->bat.entry[i] : VHD1_ABSENT;
		r->flags[i] = keep ? v->bat.flags[i] : 0;
	}
	if (r->loaded <= was)
		return 0;
	v->bat.loaded = r->loaded;
	rc = vhd1_sectors_fit(v, was, e);
	v->bat.loaded = was;
	return rc;
}

static void take_room(struct vhd1 *v, struct room *r)
{
	struct room old = { .entry = v->bat.entry, .flags = v->bat.flags,
			    .dirty = v->dirty, .round_set = v->round_set };

	v->bat.entry = r->entry;
	v->bat.flags = r->flags;
	v->dirty = r->dirty;
	v->round_set = r->round_set;
	v->bat.cnt = r->cnt;
	v->bat.loaded = r->loaded;
	v->bat.table_len = (uint64_t)r->cnt * 4;
	v->bat.off = v->header.bat_off;
	v->bat_sectors = r->loaded / VHD1_BAT_PER_SECTOR;
	*r = old;
}

/* ---- the switch ---------------------------------------------------------- */

static void take_size(struct vhd1 *v, uint64_t size_len)
{
	v->bat.need = (uint32_t)div_up(size_len, v->bat.block_len);
	v->bat.size_len = size_len;
	v->img.size_len = v->img.info.size_len = size_len;
	v->img.info.current_len = size_len;
	v->img.info.chs_len = vhd1_chs_len(vhd1_chs_of(size_len));
}

/* E1. r->cnt 0: the table stays. */
static int switch_size(struct vhd1 *v, struct room *r, uint64_t size_len,
		       struct vhdx_err *e)
{
	uint8_t footer[VHD1_FOOTER_LEN];
	struct vhd1_header h = v->header;
	struct vhd1_switch s = { .header = &h, .footer = footer,
				 .data_len = (size_t)r->loaded * 4 };
	int rc = vhd1_header_place(v, s.data_len, &s.off, e);

	if (rc)
		return rc;
	s.body = mem_alloc(vhd1_switch_len(s.data_len));
	if (!s.body)
		return err_set(e, VHDX_E_NOMEM, "no memory for a new BAT");
	memcpy(footer, v->footer, sizeof(footer));
	if (size_len != v->img.size_len)
		vhd1_footer_resize(footer, size_len);
	for (uint32_t i = 0; i < r->loaded; i++)
		put_be32(s.body + VHD1_HEADER_LEN + (size_t)i * 4,
			 r->entry[i]);
	if (r->cnt) {
		h.bat_cnt = r->cnt;
		h.bat_off = s.off + VHD1_HEADER_LEN;
	}
	rc = vhd1_switch_header(v, &s, e);
	mem_free(s.body);
	if (rc)
		return rc;
	if (r->cnt)
		take_room(v, r);
	take_size(v, size_len);
	return 0;
}

static int enlarge(struct vhd1 *v, uint64_t cnt, uint64_t size_len,
		   struct vhdx_err *e)
{
	struct room r = { 0 };
	int rc = cnt ? make_room(v, &r, (uint32_t)cnt, e) : 0;

	if (!rc)
		rc = switch_size(v, &r, size_len, e);
	free_room(&r);
	return rc;
}

/* ---- all of it ---------------------------------------------------------- */

static int check_table(const struct vhd1 *v, uint64_t need, bool moves,
		       struct vhdx_err *e)
{
	if (need > VHD1_BAT_MAX)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: %ju blocks of %u "
			       "bytes: this version handles at most %u blocks",
			       v->img.file->path, (uintmax_t)need,
			       v->bat.block_len, VHD1_BAT_MAX);
	/* Its map of full blocks has to follow the BAT. */
	if (moves && memcmp(v->footer + 28, "tap", 3) == 0)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: it was made by Xen, "
			       "and its BAT has no room for so many blocks: "
			       "convert it", v->img.file->path);
	return 0;
}

/* The last block's bitmap is full when its part of the disk is: from now on
 * that is all of it. */
static void count_whole(struct vhd1 *v, uint64_t old, uint64_t whole)
{
	v->bat.size_len = whole;
	if (old < whole)
		v->bat.flags[old / v->bat.block_len] &= (uint8_t)~VHD1_FULL;
}

static int grow(struct vhd1 *v, uint64_t size_len, struct vhdx_err *e)
{
	struct image *img = &v->img;
	uint64_t old = img->size_len, need, to, reach = 0;
	bool moves;
	int rc;

	if (vhd1_has_parent(v))
		reach = u64_min(size_len, img->parent_len ? img->parent_len
							   : UINT64_MAX);
	need = div_up(size_len, v->bat.block_len);
	moves = need > v->bat.cnt || has_strays(&v->bat, need);
	rc = check_table(v, need, moves, e);
	if (!rc)
		rc = complete_last_block(v, e);
	to = align_up(old, v->bat.block_len);
	if (!rc && moves && reach > to) {
		rc = enlarge(v, need, old, e);
		moves = false;
	}
	if (!rc)
		count_whole(v, old, to);
	if (!rc && !MUTATED(VHD_RESIZE_BLANK))
		rc = blank_range(img, old, u64_max(to, reach), reach > old, e);
	if (!rc)
		rc = vhd1_settle(v, e); /* E2 */
	return rc ? rc : enlarge(v, moves ? need : 0, size_len, e);
}

int vhd1_resize(struct image *img, uint64_t size_len, struct vhdx_err *e)
{
	struct vhd1 *v = container_of(img, struct vhd1, img);
	int rc = image_verify_size(img, size_len, e);

	if (rc || size_len == img->size_len)
		return rc;
	if (size_len < img->size_len)
		return vhd1_only_grows(img, e);
	if (v->failed)
		return vhd1_refuse(v, e);
	rc = vhd1_settle(v, e);
	return rc ? rc : grow(v, size_len, e);
}
