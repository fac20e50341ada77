/* SPDX-License-Identifier: MIT */
/*
 * Looking up blocks. A lookup needs one BAT page; the extent it returns goes on
 * as long as that page says the same, so that large reads and maps of empty
 * space take few steps.
 */
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

bool vmap_with_page(struct image_map *m, bool (*next)(struct image_map *m))
{
	struct vhdx_image *vi = vi_of(m->img);
	struct vmap *v = vmap_of(m);
	uint64_t pos = bat_entry_pos(&vi->layout, vmap_blk(m));

	v->m = m;
	v->next = next;
	v->w.fn = page_arrived;
	m->res = 0;
	if (!mcache_get(vi->mc, align_down(pos, MPAGE_LEN), &v->w))
		return false;
	return page_ready(m);
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

static enum map_kind kind_of(uint64_t entry)
{
	switch (bat_entry_state(entry)) {
	case BAT_FULLY_PRESENT:
		return MAP_DATA;
	case BAT_ZERO:
		return MAP_ZERO;
	default:
		return MAP_UNMAPPED;
	}
}

/* Blocks after the first that continue its extent, within the same page. */
static uint64_t same_blocks(struct image_map *m, uint64_t entry,
			    uint64_t wanted)
{
	struct vhdx_image *vi = vi_of(m->img);
	const struct mpage *p = vmap_of(m)->w.page;
	uint64_t blk = vmap_blk(m), cnt = 1;

	while (cnt < wanted) {
		uint64_t pos = bat_entry_pos(&vi->layout, blk + cnt), next;

		if (pos - p->off >= MPAGE_LEN)
			break;
		next = bat_get(p, pos);
		if (kind_of(next) != kind_of(entry))
			break;
		if (kind_of(entry) == MAP_DATA &&
		    bat_entry_off(next) !=
			    bat_entry_off(entry) + cnt * m->img->block_len)
			break;
		if (bat_verify(&vi->layout, &vi->hdr.cur, vi->img.file->size,
			       blk + cnt, next, NULL))
			break; /* the caller meets it when he gets there */
		cnt++;
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

static bool read_entry(struct image_map *m)
{
	struct vhdx_image *vi = vi_of(m->img);
	uint64_t in_block = m->voff % m->img->block_len;
	uint64_t entry, cnt, wanted;

	if (vmap_entry(m, &entry)) {
		wanted = div_up(in_block + m->len, m->img->block_len);
		cnt = same_blocks(m, entry, wanted);
		if (entry == 0)
			cnt = skip_hole(m, cnt, wanted);
		m->len = u64_min(m->len, cnt * m->img->block_len - in_block);
		m->kind = kind_of(entry);
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
