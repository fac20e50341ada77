/* SPDX-License-Identifier: MIT */
/*
 * Giving a block its place. Places are taken one behind the other from
 * end_off on, never twice, so that what a block's payload covers has never
 * been written: it reads as zeros until it is. Payload starts
 * on 4 KiB; the bitmap ends where it starts.
 *
 * A block is PLACED from the moment it has a place, and NEW once its bitmap -
 * all ones, in a child all zeros - is written; only then may payload go there
 * (that way a full host is noticed before, and the flush need not wait for
 * bitmaps). If writing the bitmap fails, the block keeps its place and the next
 * writer tries again.
 *
 *   NONE --take--> PLACED --placed--> NEW
 *
 * The file grows by many places at once, with the footer behind the last of
 * them (V2 of vhd1_io.c).
 */
#include <string.h>

#include "mem.h"
#include "mutation.h"
#include "vhd1_image.h"

#define PAYLOAD_ALIGN 4096u

static uint64_t next_payload(const struct vhd1 *v)
{
	return align_up(v->end_off + v->bat.bitmap_len, PAYLOAD_ALIGN);
}

static int take(struct vhd1 *v, uint32_t blk, struct vhdx_err *e)
{
	uint64_t payload = next_payload(v);
	uint64_t sector = (payload - v->bat.bitmap_len) / VHD1_SECTOR;

	if (sector >= VHD1_ABSENT)
		return err_set(e, VHDX_E_NOSPC, "%s: block %u would lie at "
			       "file offset %ju, which a BAT entry of 32 bits "
			       "cannot name", v->img.file->path, blk,
			       (uintmax_t)(sector * VHD1_SECTOR));
	v->bat.entry[blk] = (uint32_t)sector;
	v->end_off = payload + v->bat.block_len;
	v->footer_stale = v->footer_stale || v->end_off > v->grown_off;
	vhd1_state_set(v, blk, VHD1_PLACED);
	return 0;
}

/* The whole page that ends with a bitmap shorter than one, if nothing else is
 * in it: hosts write parts of a page of a new file one at a time. */
static uint64_t lead_len(const struct vhd1 *v)
{
	uint64_t off = next_payload(v) - PAYLOAD_ALIGN;

	return v->bat.bitmap_len < PAYLOAD_ALIGN && off >= v->end_off
		       ? PAYLOAD_ALIGN - v->bat.bitmap_len : 0;
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

static void start(struct vhd1 *v, uint32_t blk, uint64_t lead,
		  struct image_map *m)
{
	struct vhd1_place *p = list_first(&v->place_idle, struct vhd1_place,
					  node);

	list_del(&p->node);
	list_add_tail(&v->place_busy, &p->node);
	list_add_tail(&p->waiting, &m->node);
	p->blk = blk;
	p->io.off = vhd1_bat_off(&v->bat, blk) - lead;
	p->io.len = v->bat.bitmap_len + lead;
	p->iov = (struct iovec){ v->first_bits + v->first_lead - lead,
				 p->io.len };
	file_submit(v->img.file, &p->io);
}

/* ---- growth -------------------------------------------------------------- */

/* How many places the file is to grow by; 0: not now. Where blocks are no
 * whole pages their ends do not keep in step (V2). */
static uint64_t step_cnt(const struct vhd1 *v, uint64_t place_len)
{
	uint64_t limit = (uint64_t)VHD1_ABSENT * VHD1_SECTOR;
	uint64_t len = u64_min(VHD1_GROW_MAX,
			       u64_max(VHD1_GROW_CNT * place_len,
				       v->end_off / 4));
	uint64_t cnt = 0, max = len / place_len;

	if (v->grows_no_more || !is_aligned(v->bat.block_len, PAYLOAD_ALIGN) ||
	    next_payload(v) + v->bat.block_len <= v->grown_off ||
	    v->end_off >= limit)
		return 0;
	max = u64_min(max, (limit - v->end_off) / place_len);
	for (uint32_t b = 0; b < v->bat.need && cnt < max; b++)
		cnt += vhd1_state_of(v, b) == VHD1_NONE;
	return cnt;
}

static void grown(struct file_io *io)
{
	struct vhd1 *v = io->opaque;
	struct vhdx_err why = io->err;
	struct list maps;

	v->growing = false;
	v->footer_stale = io->res != 0; /* longer all the same, it may be */
	if (io->res == VHDX_E_NOSPC) {
		v->grows_no_more = true;
	} else if (io->res) {
		list_init(&maps);
		list_splice(&maps, &v->place_wait);
		vhd1_complete_maps(&maps, io->res, &why);
	} else {
		v->grown_off = io->off;
	}
	retry_waiting(v);
}

/* True: whoever wants a place has to wait. */
static bool grow(struct vhd1 *v)
{
	uint64_t place_len = align_up(v->bat.bitmap_len, PAYLOAD_ALIGN) +
			     v->bat.block_len;
	uint64_t cnt = step_cnt(v, place_len);

	if (cnt < 2)
		return false;
	v->growing = true;
	v->grow_iov = (struct iovec){ v->footer, VHD1_FOOTER_LEN };
	v->grow_io.op = FILE_WRITE;
	v->grow_io.off = next_payload(v) + v->bat.block_len +
			 (cnt - 1) * place_len;
	v->grow_io.len = VHD1_FOOTER_LEN;
	v->grow_io.iov = &v->grow_iov;
	v->grow_io.iov_cnt = 1;
	v->grow_io.done = grown;
	v->grow_io.opaque = v;
	file_submit(v->img.file, &v->grow_io);
	return true;
}

bool vhd1_place(struct vhd1 *v, struct image_map *m)
{
	uint32_t blk = vhd1_blk_of(v, m);
	struct vhd1_place *p = find_busy(v, blk);
	uint64_t lead = 0;
	bool is_new;

	if (p) {
		list_add_tail(&p->waiting, &m->node);
		return false;
	}
	is_new = vhd1_state_of(v, blk) == VHD1_NONE;
	if (v->place_held || v->growing || list_empty(&v->place_idle) ||
	    (is_new && grow(v))) {
		list_add_tail(&v->place_wait, &m->node);
		return false;
	}
	if (is_new) {
		lead = lead_len(v);
		m->res = take(v, blk, &m->err);
		if (m->res)
			return true;
	}
	start(v, blk, lead, m);
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
	v->first_lead = v->bat.bitmap_len < PAYLOAD_ALIGN
				? PAYLOAD_ALIGN - v->bat.bitmap_len : 0;
	v->first_bits = mem_aligned(PAYLOAD_ALIGN,
				    v->first_lead + v->bat.bitmap_len);
	if (!v->first_bits)
		return err_set(e, VHDX_E_NOMEM, "no memory for a bitmap of %u "
			       "bytes", v->bat.bitmap_len);
	memset(v->first_bits, 0, v->first_lead);
	memset(v->first_bits + v->first_lead, first_bits(v),
	       v->bat.bitmap_len);
	for (size_t i = 0; i < ARRAY_LEN(v->place); i++) {
		struct vhd1_place *p = &v->place[i];

		p->v = v;
		list_init(&p->waiting);
		p->io.op = FILE_WRITE;
		p->io.iov = &p->iov;
		p->io.iov_cnt = 1;
		p->io.done = placed;
		p->io.opaque = p;
		list_init(&p->node);
		list_add_tail(&v->place_idle, &p->node);
	}
	return 0;
}
