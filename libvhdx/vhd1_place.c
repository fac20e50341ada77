/* SPDX-License-Identifier: MIT */
/*
 * Giving a block its place. Places are taken one behind the other from
 * end_off on, never twice, so that what a block's payload covers has never
 * been part of the file: it reads as zeros until it is written. Payload starts
 * on 4 KiB; the bitmap ends where it starts.
 *
 * A block is PLACED from the moment it has a place, and NEW once its bitmap -
 * all ones, in a child all zeros - is written; only then may payload go there
 * (that way a full host is noticed before, and the flush need not wait for
 * bitmaps). If writing the bitmap fails, the block keeps its place and the next
 * writer tries again.
 *
 *   NONE --take--> PLACED --placed--> NEW
 */
#include <string.h>

#include "mem.h"
#include "mutation.h"
#include "vhd1_image.h"

#define PAYLOAD_ALIGN 4096u

static int take(struct vhd1 *v, uint32_t blk, struct vhdx_err *e)
{
	uint64_t payload = align_up(v->end_off + v->bat.bitmap_len,
				    PAYLOAD_ALIGN);
	uint64_t sector = (payload - v->bat.bitmap_len) / VHD1_SECTOR;

	if (sector >= VHD1_ABSENT)
		return err_set(e, VHDX_E_NOSPC, "%s: block %u would lie at "
			       "file offset %ju, which a BAT entry of 32 bits "
			       "cannot name", v->img.file->path, blk,
			       (uintmax_t)(sector * VHD1_SECTOR));
	v->bat.entry[blk] = (uint32_t)sector;
	v->end_off = payload + v->bat.block_len;
	v->footer_stale = true;
	vhd1_state_set(v, blk, VHD1_PLACED);
	return 0;
}

static void retry_waiting(struct vhd1 *v);

static void placed(struct file_io *io)
{
	struct vhd1_place *p = io->opaque;
	struct vhd1 *v = p->v;
	struct list maps;

	list_init(&maps);
	list_splice(&maps, &p->waiting);
	list_del(&p->node);
	list_add_tail(&v->place_idle, &p->node);
	if (io->res == 0) {
		vhd1_state_set(v, p->blk, VHD1_NEW);
		if (!vhd1_has_parent(v))
			v->bat.flags[p->blk] |= VHD1_FULL;
	}
	struct list *it, *nx;
	list_for_each_safe(it, nx, &maps) {
		struct image_map *m = list_entry(it, struct image_map, node);

		if (io->res == 0)
			vhd1_map_data(v, m);
	}
	/* p may be in use again before this returns: io is not looked at
	 * after the first completion. */
	struct vhdx_err why = io->err;
	vhd1_complete_maps(&maps, io->res, &why);
	retry_waiting(v);
}

static struct vhd1_place *find_busy(struct vhd1 *v, uint32_t blk)
{
	struct list *it;

	list_for_each(it, &v->place_busy) {
		struct vhd1_place *p = list_entry(it, struct vhd1_place, node);

		if (p->blk == blk)
			return p;
	}
	return NULL;
}

static void start(struct vhd1 *v, uint32_t blk, struct image_map *m)
{
	struct vhd1_place *p = list_first(&v->place_idle, struct vhd1_place,
					  node);

	list_del(&p->node);
	list_add_tail(&v->place_busy, &p->node);
	list_add_tail(&p->waiting, &m->node);
	p->blk = blk;
	p->io.off = vhd1_bat_off(&v->bat, blk);
	file_submit(v->img.file, &p->io);
}

bool vhd1_place(struct vhd1 *v, struct image_map *m)
{
	uint32_t blk = vhd1_blk_of(v, m);
	struct vhd1_place *p = find_busy(v, blk);

	if (p) {
		list_add_tail(&p->waiting, &m->node);
		return false;
	}
	if (v->place_held || list_empty(&v->place_idle)) {
		list_add_tail(&v->place_wait, &m->node);
		return false;
	}
	if (vhd1_state_of(v, blk) == VHD1_NONE) {
		m->res = take(v, blk, &m->err);
		if (m->res)
			return true;
	}
	start(v, blk, m);
	return false;
}

static void retry_waiting(struct vhd1 *v)
{
	struct list maps;

	list_init(&maps);
	list_splice(&maps, &v->place_wait);
	while (!list_empty(&maps)) {
		struct image_map *m = list_first(&maps, struct image_map, node);

		list_del(&m->node);
		if (v->img.ops->map_write(&v->img, m))
			m->done(m);
	}
}

void vhd1_place_hold(struct vhd1 *v)
{
	v->place_held = true;
}

void vhd1_place_release(struct vhd1 *v)
{
	v->place_held = false;
	retry_waiting(v);
}

/* V3, V9 */
static uint8_t first_bits(const struct vhd1 *v)
{
	if (vhd1_has_parent(v))
		return MUTATED(VHD_CHILD_BITS_CLEAR) ? 0xff : 0;
	return MUTATED(VHD_BITMAP_ONES) ? 0 : 0xff;
}

int vhd1_place_init(struct vhd1 *v, struct vhdx_err *e)
{
	list_init(&v->place_idle);
	list_init(&v->place_busy);
	list_init(&v->place_wait);
	v->first_bits = mem_alloc(v->bat.bitmap_len);
	if (!v->first_bits)
		return err_set(e, VHDX_E_NOMEM, "no memory for a bitmap of %u "
			       "bytes", v->bat.bitmap_len);
	memset(v->first_bits, first_bits(v), v->bat.bitmap_len);
	for (size_t i = 0; i < ARRAY_LEN(v->place); i++) {
		struct vhd1_place *p = &v->place[i];

		p->v = v;
		list_init(&p->waiting);
		p->iov = (struct iovec){ v->first_bits,
					  v->bat.bitmap_len };
		p->io.op = FILE_WRITE;
		p->io.iov = &p->iov;
		p->io.iov_cnt = 1;
		p->io.len = v->bat.bitmap_len;
		p->io.done = placed;
		p->io.opaque = p;
		list_init(&p->node);
		list_add_tail(&v->place_idle, &p->node);
	}
	return 0;
}
