/* SPDX-License-Identifier: MIT */
/*
 * New blocks of a differencing disk that hold some sectors and leave the others
 * to the parent. Such a block needs, besides space, its slice of the chunk's
 * sector bitmap in pages that may be changed:
 *
 *   start -> the bitmap's BAT entry -> present? --------------> slice pages
 *                 |  absent, nobody makes it       ^                 |
 *                 v                                |              claimed
 *          space -> zeroed -> entry set (dirty) ---+                 |
 *                                                          alloc_retry (space)
 *
 * A bitmap that is PRESENT before any block uses it harms nobody; it is zeros,
 * on the host, before its entry is set (W2), and the sync of the log entry that
 * carries it covers that.
 */
#include "bits.h"
#include "mutation.h"
#include "vhdx_img.h"

static void with_entry(struct alloc *al);
static void load_slices(struct alloc *al);
static void claim_pages(struct alloc *al);

bool partial_has_room(const struct vhdx_image *vi)
{
	uint64_t pages = u64_max(1, bat_slice_bits(&vi->layout) / 8 /
					    MPAGE_LEN);

	/* Each pins its slice and two BAT pages while it waits for more. */
	return (vi->partial_cnt + 1) * (pages + 2) <= VI_PAGES / 2;
}

/* ---- making a bitmap ----------------------------------------------------- */

static struct alloc *find_maker(struct alloc *al)
{
	uint64_t ratio = al->vi->layout.geom.chunk_ratio;
	struct list *it;

	list_for_each(it, &al->vi->makers) {
		struct alloc *other = list_entry(it, struct alloc, maker);

		if (other->blk / ratio == al->blk / ratio)
			return other;
	}
	return NULL;
}

/* Those who waited for this bitmap look again. */
static void end_making(struct alloc *al)
{
	struct list all;

	al->makes_bitmap = false;
	list_del(&al->maker);
	list_init(&all);
	list_splice(&all, &al->dependents);
	while (!list_empty(&all)) {
		struct alloc *dep = list_first(&all, struct alloc, queue);

		list_del(&dep->queue);
		with_entry(dep);
	}
}

static void enter_bitmap(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;

	if (!mcache_claim(vi->mc, al->bitmap_page)) {
		list_add_tail(&vi->claim_queue, &al->queue);
		commit_kick(vi->cm);
		return;
	}
	bat_set(al->bitmap_page, bat_bitmap_pos(&vi->layout, al->blk),
		bat_entry_make(BAT_SB_PRESENT, al->bitmap_off));
	mcache_dirty(vi->mc, al->bitmap_page);
	mcache_unclaim(vi->mc, al->bitmap_page);
	mcache_put(vi->mc, al->bitmap_page);
	al->bitmap_page = NULL;
	al->has_bitmap_space = false;
	end_making(al);
	load_slices(al);
}

static void zero_bitmap(struct alloc *al, enum file_op op);

static void bitmap_zeroed(struct file_io *io)
{
	struct alloc *al = container_of(io, struct alloc, io);

	if (io->op == FILE_PUNCH && (io->res || !io->res_punched)) {
		zero_bitmap(al, FILE_ZERO);
	} else if (io->res) {
		alloc_failed(al, &io->err);
	} else {
		commit_changed(al->vi->cm);
		enter_bitmap(al);
	}
}

static void zero_bitmap(struct alloc *al, enum file_op op)
{
	al->io.op = op;
	al->io.off = al->bitmap_off;
	al->io.len = MIB;
	al->io.done = bitmap_zeroed;
	file_submit(al->vi->img.file, &al->io);
}

static void make_bitmap(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;
	bool zero;

	if (!space_find(vi, MIB, &al->bitmap_off, &zero)) {
		space_wait_growth(vi, al);
		return;
	}
	al->has_bitmap_space = true;
	if (zero)
		enter_bitmap(al);
	else
		zero_bitmap(al, FILE_PUNCH);
}

/* ---- finding it ---------------------------------------------------------- */

static void entry_ready(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;
	uint64_t entry;
	struct alloc *maker;
	struct vhdx_err e;

	if (commit_failed(vi->cm) && !al->w.res)
		mcache_put(vi->mc, al->w.page);
	if (commit_failed(vi->cm)) {
		(void)commit_failure(vi->cm, &e);
		alloc_failed(al, &e);
		return;
	}
	if (al->w.res) {
		alloc_failed(al, al->w.err);
		return;
	}
	al->bitmap_page = al->w.page;
	entry = bat_get(al->bitmap_page,
			bat_bitmap_pos(&vi->layout, al->blk));
	if (bat_entry_state(entry) == BAT_SB_NOT_PRESENT) {
		maker = find_maker(al);
		if (!maker) {
			al->makes_bitmap = true;
			list_add_tail(&vi->makers, &al->maker);
			make_bitmap(al);
			return;
		}
		list_add_tail(&maker->dependents, &al->queue);
	}
	mcache_put(vi->mc, al->bitmap_page);
	al->bitmap_page = NULL;
	if (bat_entry_state(entry) == BAT_SB_NOT_PRESENT)
		return;
	if (bat_verify_bitmap(&vi->layout, &vi->hdr.cur, vi->img.file->size,
			      al->blk, entry, &e)) {
		alloc_failed(al, &e);
		return;
	}
	al->bitmap_off = bat_entry_off(entry);
	load_slices(al);
}

static void entry_arrived(struct mcache_wait *w)
{
	entry_ready(container_of(w, struct alloc, w));
}

static void with_entry(struct alloc *al)
{
	uint64_t pos = bat_bitmap_pos(&al->vi->layout, al->blk);

	al->w.fn = entry_arrived;
	if (mcache_get(al->vi->mc, align_down(pos, MPAGE_LEN), &al->w))
		entry_ready(al);
}

/* ---- the block's bits ---------------------------------------------------- */

static bool take_slice(struct alloc *al)
{
	if (al->w.res) {
		alloc_failed(al, al->w.err);
		return false;
	}
	al->slice[al->slice_cnt++] = al->w.page;
	return true;
}

static void slice_arrived(struct mcache_wait *w)
{
	struct alloc *al = container_of(w, struct alloc, w);

	if (take_slice(al))
		load_slices(al);
}

static void load_slices(struct alloc *al)
{
	const struct layout *l = &al->vi->layout;
	uint64_t pos = al->bitmap_off + bat_slice_off(l, al->blk);
	uint64_t cnt = u64_max(1, bat_slice_bits(l) / 8 / MPAGE_LEN);

	al->w.fn = slice_arrived;
	while (al->slice_cnt < cnt) {
		if (!mcache_get(al->vi->mc,
				align_down(pos, MPAGE_LEN) +
					al->slice_cnt * MPAGE_LEN, &al->w))
			return;
		if (!take_slice(al))
			return;
	}
	claim_pages(al);
}

/* All or none: whoever waits for a claim holds none. */
static void claim_pages(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;
	bool ok = mcache_claim(vi->mc, al->page);
	unsigned got = 0;
	struct vhdx_err e;

	while (ok && got < al->slice_cnt &&
	       mcache_claim(vi->mc, al->slice[got]))
		got++;
	if (ok && got == al->slice_cnt) {
		al->claimed = true;
		al->state = ALLOC_SPACE;
		alloc_retry(al);
		return;
	}
	if (ok)
		mcache_unclaim(vi->mc, al->page);
	while (got)
		mcache_unclaim(vi->mc, al->slice[--got]);
	if (commit_failed(vi->cm)) {
		(void)commit_failure(vi->cm, &e);
		alloc_failed(al, &e);
		return;
	}
	list_add_tail(&vi->claim_queue, &al->queue);
	commit_kick(vi->cm);
}

/* ---- called from vhdx_write.c ------------------------------------------ */

static void start_task(struct loop_task *t)
{
	with_entry(container_of(t, struct alloc, task));
}

void partial_start(struct alloc *al)
{
	al->state = ALLOC_BITMAP;
	al->makes_bitmap = al->has_bitmap_space = false;
	al->bitmap_page = NULL;
	al->slice_cnt = 0;
	al->vi->partial_cnt++;
	loop_task_init(&al->task, start_task);
	loop_defer(al->vi->img.file->loop, &al->task);
}

void partial_retry(struct alloc *al)
{
	struct vhdx_err e;

	if (commit_failed(al->vi->cm)) {
		(void)commit_failure(al->vi->cm, &e);
		alloc_failed(al, &e);
	} else if (!al->makes_bitmap) {
		claim_pages(al);
	} else if (al->has_bitmap_space) {
		enter_bitmap(al);
	} else {
		make_bitmap(al);
	}
}

static unsigned first_bit(const struct alloc *al)
{
	return (unsigned)(bat_slice_off(&al->vi->layout, al->blk) * 8 %
			  (MPAGE_LEN * 8));
}

void partial_publish(struct alloc *al)
{
	unsigned bits = bat_slice_bits(&al->vi->layout);
	unsigned from = first_bit(al);
	unsigned to = (unsigned)u64_min(from + bits, MPAGE_LEN * 8);

	for (unsigned i = 0; i < al->slice_cnt; i++) {
		if (!MUTATED(CLEAR_OLD_BITS))
			bits_fill(al->slice[i]->data, from, to, false);
		if (!MUTATED(BITS_WITH_ENTRY))
			mcache_dirty(al->vi->mc, al->slice[i]);
	}
}

void partial_set_bits(struct alloc *al, const struct image_map *m)
{
	const struct image *img = m->img;
	unsigned from = first_bit(al) +
			(unsigned)(m->voff % img->block_len / img->sector_len);
	unsigned to = from + (unsigned)(m->len / img->sector_len);

	while (from < to) {
		unsigned page = from / (MPAGE_LEN * 8);
		unsigned end = (unsigned)u64_min(to, (page + 1) *
						     (MPAGE_LEN * 8));

		bits_fill(al->slice[page]->data, from % (MPAGE_LEN * 8),
			  end - page * (MPAGE_LEN * 8), true);
		if (!MUTATED(BITS_WITH_ENTRY))
			mcache_dirty(al->vi->mc, al->slice[page]);
		from = end;
	}
}

void partial_release(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;

	vi->partial_cnt--;
	for (unsigned i = 0; i < al->slice_cnt; i++) {
		if (al->claimed)
			mcache_unclaim(vi->mc, al->slice[i]);
		mcache_put(vi->mc, al->slice[i]);
	}
	if (al->bitmap_page)
		mcache_put(vi->mc, al->bitmap_page);
	if (al->has_bitmap_space)
		space_release(&vi->space, al->bitmap_off, MIB, false);
	if (al->makes_bitmap)
		end_making(al);
}
