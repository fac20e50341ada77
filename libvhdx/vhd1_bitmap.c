/* SPDX-License-Identifier: MIT */
/*
 * Sector bitmaps of blocks that were in the file when it was opened. In a
 * dynamic disk they carry nothing that a reader needs - a sector never written
 * is zeros either way, and reading follows the data, as others do - but some
 * readers honour them, so a sector that is written gets its bit. Bits of other
 * sectors stay as they are.
 *
 * Each bitmap is read once; a block whose bits are all set is remembered as
 * VHD1_FULL and never looked at again, so that overwriting costs nothing. Bits
 * are only ever set, after the payload is written (B1 of vhd1_io.c).
 *
 *   free --mark--> READING --read_done--> READY --step--> WRITING
 *                                           ^----write_done----'
 * A bitmap goes back to free when it is full, after an error (the file then
 * says what is true), or when it is READY, unused and needed for another block.
 */
#include "mem.h"
#include "vhd1_image.h"

static bool bm_set_bits(struct vhd1_bm *b, const struct image_map *m)
{
	uint64_t in_block = m->voff % b->v->bat.block_len;

	return vhd1_bits_set(b->bits, in_block / VHD1_SECTOR,
			     m->len / VHD1_SECTOR);
}

static bool bm_is_full(const struct vhd1_bm *b)
{
	uint32_t len = vhd1_bat_used_len(&b->v->bat, b->blk);

	return vhd1_bits_full(b->bits, len / VHD1_SECTOR);
}

static void bm_free(struct vhd1_bm *b)
{
	list_del(&b->node);
	list_add_tail(&b->v->bm_free, &b->node);
}

static void bm_submit(struct vhd1_bm *b, enum vhd1_bm_state st)
{
	b->state = st;
	b->io.op = st == VHD1_BM_READING ? FILE_READ : FILE_WRITE;
	b->io.off = vhd1_bat_off(&b->v->bat, b->blk);
	file_submit(b->v->img.file, &b->io);
}

/* b is READY or has just become so: sets the bits that are asked for. Maps
 * that need no write go to `ok`. */
static void bm_step(struct vhd1_bm *b, struct list *ok)
{
	bool changed = false;
	struct list *it;

	list_for_each(it, &b->waiting)
		if (bm_set_bits(b, list_entry(it, struct image_map, node)))
			changed = true;
	if (changed) {
		list_splice(&b->writing, &b->waiting);
		bm_submit(b, VHD1_BM_WRITING);
		return;
	}
	list_splice(ok, &b->waiting);
	b->state = VHD1_BM_READY;
	if (bm_is_full(b)) {
		b->v->bat.flags[b->blk] |= VHD1_FULL;
		bm_free(b);
	}
}

static void bm_retry_waiting(struct vhd1 *v)
{
	struct list maps;

	list_init(&maps);
	list_splice(&maps, &v->bm_wait);
	while (!list_empty(&maps)) {
		struct image_map *m = list_first(&maps, struct image_map, node);

		list_del(&m->node);
		if (vhd1_bm_mark(v, m))
			m->done(m);
	}
}

static void bm_io_done(struct file_io *io)
{
	struct vhd1_bm *b = io->opaque;
	struct vhd1 *v = b->v;
	struct vhdx_err why;
	struct list ok, bad;

	list_init(&ok);
	list_init(&bad);
	int res = io->res ? err_copy(&why, &io->err, io->res) : 0;
	if (res)
		err_wrap(&why, res, "sector bitmap of block %u", b->blk);
	if (res && b->state == VHD1_BM_READING) {
		list_splice(&bad, &b->waiting);
		bm_free(b);
	} else if (res) {
		/* The bits in memory are ahead of the file: start over. */
		list_splice(&bad, &b->writing);
		if (list_empty(&b->waiting))
			bm_free(b);
		else
			bm_submit(b, VHD1_BM_READING);
	} else {
		list_splice(&ok, &b->writing);
		bm_step(b, &ok);
	}
	/* The callbacks may use b again: it is not touched any more. */
	vhd1_complete_maps(&ok, 0, NULL);
	vhd1_complete_maps(&bad, res, &why);
	bm_retry_waiting(v);
}

static struct vhd1_bm *bm_find(struct vhd1 *v, uint32_t blk)
{
	struct list *it;

	list_for_each(it, &v->bm_used) {
		struct vhd1_bm *b = list_entry(it, struct vhd1_bm, node);

		if (b->blk == blk)
			return b;
	}
	return NULL;
}

/* A bitmap that nobody uses; NULL if all are in use. */
static struct vhd1_bm *bm_take(struct vhd1 *v)
{
	struct list *it;

	if (!list_empty(&v->bm_free))
		return list_first(&v->bm_free, struct vhd1_bm, node);
	list_for_each(it, &v->bm_used) {
		struct vhd1_bm *b = list_entry(it, struct vhd1_bm, node);

		if (b->state == VHD1_BM_READY)
			return b;
	}
	return NULL;
}

bool vhd1_bm_mark(struct vhd1 *v, struct image_map *m)
{
	uint32_t blk = vhd1_blk_of(v, m);
	struct vhd1_bm *b = bm_find(v, blk);
	bool known = b != NULL;
	struct list ok;

	m->res = 0;
	if (v->bat.flags[blk] & VHD1_FULL)
		return true;
	if (known && b->state != VHD1_BM_READY) {
		list_add_tail(&b->waiting, &m->node);
		return false;
	}
	if (!known)
		b = bm_take(v);
	if (!b) {
		list_add_tail(&v->bm_wait, &m->node);
		return false;
	}
	list_del(&b->node);
	list_add_tail(&v->bm_used, &b->node);
	list_add_tail(&b->waiting, &m->node);
	if (!known) {
		b->blk = blk;
		bm_submit(b, VHD1_BM_READING);
		return false;
	}
	list_init(&ok);
	bm_step(b, &ok);
	bool finished = !list_empty(&ok);
	if (finished)
		list_del(&m->node);
	return finished;
}

int vhd1_bm_init(struct vhd1 *v, struct vhdx_err *e)
{
	size_t len = v->bat.bitmap_len;
	size_t cnt = (size_t)u64_min(VHD1_BM_MAX, u64_max(2, MIB / len));

	list_init(&v->bm_free);
	list_init(&v->bm_used);
	list_init(&v->bm_wait);
	v->bm_mem = mem_array(cnt, len);
	if (!v->bm_mem)
		return err_set(e, VHDX_E_NOMEM, "no memory for %zu bitmaps of "
			       "%zu bytes", cnt, len);
	for (size_t i = 0; i < cnt; i++) {
		struct vhd1_bm *b = &v->bm[i];

		b->v = v;
		b->bits = v->bm_mem + i * len;
		list_init(&b->waiting);
		list_init(&b->writing);
		b->iov = (struct iovec){ b->bits, len };
		b->io.iov = &b->iov;
		b->io.iov_cnt = 1;
		b->io.len = len;
		b->io.done = bm_io_done;
		b->io.opaque = b;
		list_init(&b->node);
		list_add_tail(&v->bm_free, &b->node);
	}
	return 0;
}
