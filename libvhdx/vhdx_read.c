/* SPDX-License-Identifier: MIT */
/*
 * Looking up blocks. A lookup needs one BAT page; the extent it returns goes on
 * as long as that page says the same, so that large reads and maps of empty
 * space take few steps.
 */
#include "bits.h"
#include "le.h"
#include "vhdx_img.h"

bool vmap_fail(struct image_map *m, const struct vhdx_err *err)
{
	m->res = err->code;
	m->err = *err;
	return true;
}

static bool page_ready(struct image_map *m)
{
	struct vmap *v = vmap_of(m);

	if (v->w.res)
		return vmap_fail(m, v->w.err);
	return v->next(m);
}

static void page_arrived(struct mcache_wait *w)
{
	struct vmap *v = container_of(w, struct vmap, w);

	if (page_ready(v->m))
		v->m->done(v->m);
}

bool vmap_with_page_at(struct image_map *m, uint64_t pos,
		       bool (*next)(struct image_map *m))
{
	struct vhdx_image *vi = vi_of(m->img);
	struct vmap *v = vmap_of(m);

	v->m = m;
	v->next = next;
	v->w.fn = page_arrived;
	m->res = 0;
	if (!mcache_get(vi->mc, align_down(pos, MPAGE_LEN), &v->w))
		return false;
	return page_ready(m);
}

bool vmap_with_page(struct image_map *m, bool (*next)(struct image_map *m))
{
	uint64_t pos = bat_entry_pos(&vi_of(m->img)->layout, vmap_blk(m));

	return vmap_with_page_at(m, pos, next);
}

void vmap_put_page(struct image_map *m)
{
	mcache_put(vi_of(m->img)->mc, vmap_of(m)->w.page);
}

bool vmap_entry(struct image_map *m, uint64_t *entry)
{
	struct vhdx_image *vi = vi_of(m->img);
	uint64_t blk = vmap_blk(m);

	*entry = bat_get(vmap_of(m)->w.page, bat_entry_pos(&vi->layout, blk));
	m->res = bat_verify(&vi->layout, &vi->hdr.cur, vi->img.file->size, blk,
			    *entry, &m->err);
	return m->res == 0;
}

void vmap_wake(struct list *waiters)
{
	struct list all;

	list_init(&all);
	list_splice(&all, waiters);
	while (!list_empty(&all)) {
		struct image_map *m = list_first(&all, struct image_map, node);

		list_del(&m->node);
		if (vmap_of(m)->next(m))
			m->done(m);
	}
}

bool vmap_wait_for_round(struct image_map *m, struct list *waiters,
			 bool (*next)(struct image_map *m))
{
	vmap_put_page(m);
	vmap_of(m)->next = next;
	list_add_tail(waiters, &m->node);
	commit_kick(vi_of(m->img)->cm);
	return false;
}

bool vmap_commit_failed(struct image_map *m)
{
	const struct commit *cm = vi_of(m->img)->cm;

	if (!commit_failed(cm))
		return false;
	m->res = commit_failure(cm, &m->err);
	return true;
}

static enum map_kind kind_of(uint64_t entry, bool has_parent)
{
	switch (bat_entry_state(entry)) {
	case BAT_FULLY_PRESENT:
	case BAT_PARTIALLY_PRESENT:
		return MAP_DATA;
	case BAT_ZERO:
		return MAP_ZERO;
	case BAT_NOT_PRESENT:
		return has_parent ? MAP_PARENT : MAP_UNMAPPED;
	default:
		return MAP_UNMAPPED;
	}
}

/* ---- sector bitmaps ------------------------------------------------------ */

/* File offset of the byte with the bit of m->voff. */
static uint64_t bits_pos(const struct image_map *m, uint64_t bitmap_off)
{
	const struct layout *l = &vi_of(m->img)->layout;
	uint64_t bit = m->voff % m->img->block_len / m->img->sector_len;

	return bitmap_off + bat_slice_off(l, vmap_blk(m)) + bit / 8;
}

static bool bits_entry(struct image_map *m)
{
	struct vhdx_image *vi = vi_of(m->img);
	uint64_t pos = bat_bitmap_pos(&vi->layout, vmap_blk(m));
	uint64_t entry = bat_get(vmap_of(m)->w.page, pos), page_end;

	vmap_put_page(m);
	m->res = bat_verify_bitmap(&vi->layout, &vi->hdr.cur,
				   vi->img.file->size, vmap_blk(m), entry,
				   &m->err);
	if (m->res)
		return true;
	pos = bits_pos(m, bat_entry_off(entry));
	/* Up to the end of the block, and of the bits in this page. */
	page_end = (MPAGE_LEN - pos % MPAGE_LEN) * 8 * m->img->sector_len -
		   m->voff % (8 * m->img->sector_len);
	m->len = u64_min(m->len, page_end);
	m->len = u64_min(m->len,
			 m->img->block_len - m->voff % m->img->block_len);
	return vmap_with_page_at(m, pos, vmap_of(m)->after);
}

bool vmap_with_bits(struct image_map *m, bool (*next)(struct image_map *m))
{
	struct vhdx_image *vi = vi_of(m->img);

	vmap_of(m)->after = next;
	return vmap_with_page_at(m, bat_bitmap_pos(&vi->layout, vmap_blk(m)),
				 bits_entry);
}

void vmap_bits(const struct image_map *m, unsigned *from, unsigned *to)
{
	uint64_t bit = bat_slice_off(&vi_of(m->img)->layout, vmap_blk(m)) * 8 +
		       m->voff % m->img->block_len / m->img->sector_len;

	*from = (unsigned)(bit % (MPAGE_LEN * 8));
	*to = *from + (unsigned)(m->len / m->img->sector_len);
}

static bool read_bits(struct image_map *m)
{
	unsigned from, to, cnt;
	bool here;

	vmap_bits(m, &from, &to);
	cnt = bits_run(vmap_of(m)->w.page->data, from, to, &here);
	m->len = u64_min(m->len, (uint64_t)cnt * m->img->sector_len);
	m->kind = here ? MAP_DATA : MAP_PARENT;
	m->file = m->img->file;
	m->file_off = vmap_of(m)->block_off + m->voff % m->img->block_len;
	vmap_put_page(m);
	return true;
}

/* ---- whole blocks -------------------------------------------------------- */

/* Does `next`, the entry of block blk, continue the extent of `entry`, which
 * lies cnt blocks before it? */
static bool goes_on(const struct vhdx_image *vi, uint64_t blk, uint64_t entry,
		    uint64_t cnt, uint64_t next)
{
	bool has_parent = vi->layout.has_parent;
	enum map_kind kind = kind_of(entry, has_parent);

	if (bat_entry_state(next) == BAT_PARTIALLY_PRESENT ||
	    kind_of(next, has_parent) != kind)
		return false;
	if (kind == MAP_DATA &&
	    bat_entry_off(next) !=
		    bat_entry_off(entry) + cnt * vi->img.block_len)
		return false;
	/* If it may not be followed the caller meets it when he is there. */
	return !bat_verify(&vi->layout, &vi->hdr.cur, vi->img.file->size, blk,
			   next, NULL);
}

/* Blocks from the first that continue its extent, within the same page. A map
 * of a large disk passes all its entries here: where there is nothing to say
 * of one but that it is the same again, nothing else is looked at. */
static uint64_t same_blocks(struct image_map *m, uint64_t entry,
			    uint64_t wanted)
{
	struct vhdx_image *vi = vi_of(m->img);
	const struct mpage *p = vmap_of(m)->w.page;
	uint64_t ratio = vi->layout.geom.chunk_ratio, blk = vmap_blk(m), cnt;
	uint64_t in_page = bat_entry_pos(&vi->layout, blk) - p->off;
	uint64_t left = ratio - 1 - blk % ratio; /* behind it in its chunk */
	bool placeless = !bat_has_space(entry);

	for (cnt = 1; cnt < wanted; cnt++) {
		uint64_t next;

		in_page += left ? 8 : 16; /* the chunk's bitmap is between */
		left = left ? left - 1 : ratio - 1;
		if (in_page >= MPAGE_LEN)
			break;
		next = get_le64(p->data + in_page);
		if (placeless && next == entry)
			continue;
		if (!goes_on(vi, blk + cnt, entry, cnt, next))
			break;
	}
	return cnt;
}

/* Where the BAT is a hole of the file, all its entries are NOT_PRESENT: the
 * blocks from cnt on that this is true of. A writer's newest entries may not
 * be in the file yet, so only read-only images can tell. */
static uint64_t skip_hole(struct image_map *m, uint64_t cnt, uint64_t wanted)
{
	struct vhdx_image *vi = vi_of(m->img);
	uint64_t blk = vmap_blk(m) + cnt, index, off, len;
	uint64_t pos = bat_entry_pos(&vi->layout, blk);

	if (m->img->writable || cnt == wanted || !is_aligned(pos, MPAGE_LEN) ||
	    file_next_data(vi->img.file, pos, &off, &len, NULL))
		return cnt;
	if (!len)
		return wanted;
	index = (off - vi->layout.bat_off) / 8;
	blk = index - index / (vi->layout.geom.chunk_ratio + 1);
	return u64_min(wanted, u64_max(cnt, blk - vmap_blk(m)));
}

/* m reaches beyond its block: how far what the entry says is true. */
static void go_on(struct image_map *m, uint64_t entry, uint64_t in_block)
{
	uint64_t wanted = div_up(in_block + m->len, m->img->block_len);
	uint64_t cnt = same_blocks(m, entry, wanted);

	if (entry == 0)
		cnt = skip_hole(m, cnt, wanted);
	m->len = u64_min(m->len, cnt * m->img->block_len - in_block);
}

static bool read_entry(struct image_map *m)
{
	struct vhdx_image *vi = vi_of(m->img);
	uint64_t in_block = m->voff & (m->img->block_len - 1);
	uint64_t entry;

	if (vmap_entry(m, &entry)) {
		if (bat_entry_state(entry) == BAT_PARTIALLY_PRESENT) {
			vmap_of(m)->block_off = bat_entry_off(entry);
			vmap_put_page(m);
			return vmap_with_bits(m, read_bits);
		}
		if (in_block + m->len > m->img->block_len)
			go_on(m, entry, in_block);
		m->kind = kind_of(entry, vi->layout.has_parent);
		m->file = vi->img.file;
		m->file_off = bat_entry_off(entry) + in_block;
	}
	vmap_put_page(m);
	return true;
}

bool vhdx_map_read(struct image *img, struct image_map *m)
{
	(void)img;
	return vmap_with_page(m, read_entry);
}
