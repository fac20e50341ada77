/* SPDX-License-Identifier: MIT */
/*
 * A dynamic or differencing VHD as an image. The format has no log; what makes
 * it safe is order alone. After a crash at any point the file opens, everything
 * flushed is there, and what was not flushed is there sector by sector or not
 * at all.
 *
 * Invariants of the write path:
 *
 * V1  The footer copy at 0 is valid before the first byte is changed, and is
 *     not changed while the image is open (but to name another header, when
 *     the footer at the end is durable: vhd1_relink.c). So the footer at the
 *     end may be overwritten by a new block (open mends the copy,
 *     vhd1_open.c).
 * V2  A block's place is behind everything that was in the file at open (what
 *     an earlier crash left behind the last block is cut off, durably, then),
 *     and is given to one block only. So its payload reads as zeros until it
 *     is written.
 *     The file grows by many places at once, so that most payload is written
 *     inside it, and in the same stroke gets its footer there: where a place
 *     ends, so that what it leaves when the file grows again is no payload's.
 * V3  A BAT sector that publishes blocks is written only after a sync that
 *     covers their bitmaps, their acknowledged payload, and the file's growth
 *     over them. Until then they exist in memory only, and vanish in a crash.
 * V4  A flush completes only after a second sync, which covers the BAT
 *     sectors. One flush does this for any number of blocks: two syncs.
 * V5  A BAT sector holds the entries of blocks that V3 allows and of no
 *     others, also where it is rewritten for a neighbour's sake.
 * V6  No block is placed while the footer is being written behind the last
 *     one: the two would race for the same bytes.
 * V7  Bits of a sector bitmap that was in the file are set, and never
 *     cleared, after the payload they stand for is written (B1).
 * V8  After a failed sync, a failed BAT write or a failed footer write the
 *     image is FAILED for good, with the first cause; reads go on. A host
 *     that is full is not a failure: the file is then extended without a
 *     footer (V1), and closing tries again.
 *
 * A differencing disk's bitmaps decide what a reader sees: a sector whose bit
 * is clear is the parent's. There
 *
 * V9  a new block's bitmap in the file is all zeros until V3 has published the
 *     block: by itself a block shows nothing.
 * V10 a bit goes to the file only after a sync that covers the payload it
 *     stands for, and a flush completes only after a sync that covers the bits
 *     of all payload before it. Bits are never cleared. So whichever sectors
 *     of a bitmap, old or new, are left after a crash, each bit tells the
 *     truth.
 * V11 write-zeroes writes zeros and sets bits, also where no block is, for the
 *     format has no other way to hide the parent; a discard touches nothing
 *     but payload that is here.
 *
 * A block moves through the states of enum vhd1_state:
 *
 *   NONE -> PLACED -> NEW --end_write--> READY --sync1 submitted--> SYNCING
 *   (vhd1_place.c)                  (here)         --sync1 done--> SYNCED
 *                                                    (vhd1_flush.c)
 *
 * It reads as data from READY on. Blocks never go back: the format has no
 * state for a discarded one, so a discard is left to the caller to carry out
 * in place.
 */
#include <string.h>

#include "mem.h"
#include "mutation.h"
#include "vhd1_compact.h"
#include "vhd1_relink.h"
#include "vhd1_resize.h"
#include "vhd1_sectors.h"

static struct vhd1 *vhd1_of(struct image *img)
{
	return container_of(img, struct vhd1, img);
}

void vhd1_fail(struct vhd1 *v, const struct vhdx_err *why)
{
	if (v->failed)
		return;
	v->failed = true;
	v->cause = *why;
}

int vhd1_refuse(const struct vhd1 *v, struct vhdx_err *e)
{
	return err_set(e, VHDX_E_FAILED, "%s: an earlier failure closed this "
		       "image to writes: %s", v->img.file->path,
		       v->cause.text);
}

void vhd1_complete_maps(struct list *maps, int res, const struct vhdx_err *why)
{
	while (!list_empty(maps)) {
		struct image_map *m = list_first(maps, struct image_map, node);

		list_del(&m->node);
		m->res = res ? err_copy(&m->err, why, res) : 0;
		m->done(m);
	}
}

static void clip(const struct vhd1 *v, struct image_map *m)
{
	m->len = u64_min(m->len, v->bat.block_len -
			 m->voff % v->bat.block_len);
}

/* A damaged entry may point at anything: neither read nor write through it. */
static bool is_bad(struct vhd1 *v, struct image_map *m, uint32_t blk)
{
	if (!(v->bat.flags[blk] & VHD1_BAD))
		return false;
	m->res = err_corrupt(&m->err, VHDX_OBJ_BAT,
			     v->bat.off + (uint64_t)blk * 4, "VHD",
			     "%s: BAT entry %u is damaged (0x%08x), so that "
			     "the data of its block cannot be found",
			     v->img.file->path, blk, v->bat.entry[blk]);
	return true;
}

void vhd1_map_data(struct vhd1 *v, struct image_map *m)
{
	uint32_t blk = vhd1_blk_of(v, m);

	clip(v, m);
	m->kind = MAP_DATA;
	m->file = v->img.file;
	m->file_off = vhd1_bat_off(&v->bat, blk) + v->bat.bitmap_len +
		      m->voff % v->bat.block_len;
	m->res = 0;
}

static bool vhd1_map_read(struct image *img, struct image_map *m)
{
	struct vhd1 *v = vhd1_of(img);
	uint32_t blk = vhd1_blk_of(v, m);

	if (is_bad(v, m, blk))
		return true;
	if (vhd1_state_of(v, blk) < VHD1_READY) {
		clip(v, m);
		m->kind = v->sectors ? MAP_PARENT : MAP_UNMAPPED;
		m->res = 0;
		return true;
	}
	if (v->sectors && !(v->bat.flags[blk] & VHD1_FULL))
		return vhd1_sectors_read(v, m);
	vhd1_map_data(v, m);
	if (!img->writable)
		raw_extent_apply(&v->extent, m);
	return true;
}

static bool vhd1_map_write(struct image *img, struct image_map *m)
{
	struct vhd1 *v = vhd1_of(img);
	uint32_t blk = vhd1_blk_of(v, m);

	if (v->failed) {
		m->res = vhd1_refuse(v, &m->err);
		return true;
	}
	if (is_bad(v, m, blk))
		return true;
	if (vhd1_state_of(v, blk) < VHD1_NEW)
		return vhd1_place(v, m);
	vhd1_map_data(v, m);
	return true;
}

void vhd1_holds_payload(struct vhd1 *v, uint32_t blk)
{
	uint64_t end = vhd1_bat_off(&v->bat, blk) + v->bat.bitmap_len +
		       v->bat.block_len;

	vhd1_state_set(v, blk, VHD1_READY);
	v->kept_end = u64_max(v->kept_end, end);
	vhd1_dirty(v, blk);
}

static bool vhd1_end_write(struct image *img, struct image_map *m, bool ok)
{
	struct vhd1 *v = vhd1_of(img);
	uint32_t blk = vhd1_blk_of(v, m);

	m->res = 0;
	if (!MUTATED(VHD_WRITES_COUNT))
		v->unsynced = true;
	if (!ok)
		return true; /* a NEW block stays NEW, in its place */
	if (v->failed) {
		m->res = vhd1_refuse(v, &m->err);
		return true;
	}
	if (v->bat.flags[blk] & VHD1_FULL && vhd1_state_of(v, blk) > VHD1_NEW)
		return true;
	if (v->sectors)
		return vhd1_sectors_mark(v, m);
	if (vhd1_state_of(v, blk) == VHD1_NEW)
		vhd1_holds_payload(v, blk);
	if (v->bat.flags[blk] & VHD1_FULL)
		return true;
	return vhd1_bm_mark(v, m);
}

/* A NEW block may hold what a failed write left there: it counts as mapped, so
 * that the caller zeroes it. */
static bool vhd1_unmap(struct image *img, struct image_map *m, bool zeroes)
{
	struct vhd1 *v = vhd1_of(img);
	uint32_t blk = vhd1_blk_of(v, m);

	if (v->sectors && zeroes && !MUTATED(VHD_CHILD_ZEROES))
		return vhd1_map_write(img, m); /* V11 */
	if (v->failed) {
		m->res = vhd1_refuse(v, &m->err);
		return true;
	}
	if (is_bad(v, m, blk))
		return true;
	if (v->sectors && vhd1_state_of(v, blk) >= VHD1_READY)
		return vhd1_sectors_discard(v, m);
	if (!v->sectors && vhd1_state_of(v, blk) >= VHD1_NEW) {
		vhd1_map_data(v, m);
		return true;
	}
	clip(v, m);
	m->kind = MAP_UNMAPPED;
	m->res = 0;
	return true;
}

struct blocking_flush {
	struct image_flush fl;
	bool finished;
};

static void flush_finished(struct image_flush *fl)
{
	container_of(fl, struct blocking_flush, fl)->finished = true;
}

int vhd1_flush_blocking(struct vhd1 *v, struct vhdx_err *e)
{
	struct blocking_flush b = { .fl.done = flush_finished };

	vhd1_flush(&v->img, &b.fl);
	while (!b.finished)
		(void)loop_turn(v->img.file->loop, -1);
	return b.fl.res ? err_copy(e, &b.fl.err, b.fl.res) : 0;
}

int vhd1_settle(struct vhd1 *v, struct vhdx_err *e)
{
	uint64_t off = vhd1_footer_off(v->end_off);
	struct file *f = v->img.file;
	int rc = vhd1_flush_blocking(v, e);

	if (rc == 0 && v->grown_off > v->end_off) {
		rc = file_write(f, off, v->footer, VHD1_FOOTER_LEN, e);
		if (rc == 0)
			rc = file_sync(f, e);
		if (rc == 0)
			rc = file_truncate(f, off + VHD1_FOOTER_LEN, e);
	}
	if (rc == 0)
		v->grown_off = 0;
	return rc;
}

/* Gives back the places behind the last block that holds payload and puts the
 * footer at the end. A crash in between leaves a file without it (V1). */
static int settle_end(struct vhd1 *v, struct vhdx_err *e)
{
	struct file *f = v->img.file;
	int rc;

	if (!v->footer_stale && v->end_off == v->kept_end &&
	    v->grown_off <= v->end_off)
		return 0;
	uint64_t off = vhd1_footer_off(v->kept_end);
	if (f->size > off + VHD1_FOOTER_LEN) {
		rc = file_truncate(f, off + VHD1_FOOTER_LEN, e);
		if (rc)
			return rc;
	}
	rc = file_write(f, off, v->footer, VHD1_FOOTER_LEN, e);
	if (rc == VHDX_E_NOSPC)
		return err_wrap(e, rc, "all data is safe, but the file ends "
				"without its footer (the copy at its start "
				"serves)");
	return rc ? rc : file_sync(f, e);
}

static void vhd1_free(struct vhd1 *v)
{
	vhd1_bat_free(&v->bat);
	vhd1_sectors_free(v);
	mem_free(v->first_bits);
	mem_free(v->bm_mem);
	mem_free(v->dirty);
	mem_free(v->round_set);
	mem_free(v->bat_buf);
	mem_free(v);
}

static int vhd1_close(struct image *img, struct vhdx_err *e)
{
	struct vhd1 *v = vhd1_of(img);
	int rc = 0;

	if (img->writable) {
		rc = vhd1_flush_blocking(v, e);
		if (rc == 0)
			rc = settle_end(v, e);
	}
	file_close(img->file);
	parent_ref_free(img->parent);
	vhd1_free(v);
	return rc;
}

static const struct image_ops vhd1_ops = {
	.map_read = vhd1_map_read,
	.map_write = vhd1_map_write,
	.end_write = vhd1_end_write,
	.unmap = vhd1_unmap,
	.flush = vhd1_flush,
	.close = vhd1_close,
	.set_parent = vhd1_set_parent,
	.compact = vhd1_compact,
	.resize = vhd1_resize,
	.adopt = vhd1_adopt,
	.set = vhd1_set_disk,
};

static int init_write(struct vhd1 *v, uint64_t end_off, struct vhdx_err *e)
{
	int rc;

	v->end_off = end_off;
	v->kept_end = end_off;
	rc = vhd1_place_init(v, e);
	if (rc == 0 && !vhd1_has_parent(v))
		rc = vhd1_bm_init(v, e);
	return rc;
}

static int init(struct vhd1 *v, uint64_t end_off, struct vhdx_err *e)
{
	int rc = vhd1_flush_init(v, e);

	if (rc == 0 && v->img.writable)
		rc = init_write(v, end_off, e);
	if (rc == 0 && vhd1_has_parent(v))
		rc = vhd1_sectors_init(v, e);
	return rc;
}

int vhd1_image_new(struct file *f, struct vhd1_found *found, struct image **out,
		   struct vhdx_err *e)
{
	struct vhd1 *v = mem_zalloc(sizeof(*v));
	int rc;

	if (!v)
		return err_set(e, VHDX_E_NOMEM, "no memory for an open image");
	v->img.ops = &vhd1_ops;
	v->img.file = f;
	v->img.size_len = found->info.size_len;
	v->img.sector_len = found->info.sector_len;
	v->img.physical_sector_len = found->info.physical_sector_len;
	v->img.block_len = found->info.block_len;
	v->img.writable = found->writable;
	v->img.info = found->info;
	memcpy(v->footer, found->footer, VHD1_FOOTER_LEN);
	v->header = found->header;
	v->bat = found->bat;
	rc = init(v, found->end_off, e);
	if (rc) {
		memset(&v->bat, 0, sizeof(v->bat)); /* stays the caller's */
		vhd1_free(v);
		return rc;
	}
	memset(&found->bat, 0, sizeof(found->bat));
	v->img.parent = found->parent;
	found->parent = NULL;
	*out = &v->img;
	return 0;
}
