/* SPDX-License-Identifier: MIT */
/*
 * Writing: where a write goes, and when a new block becomes
 * part of the disk.
 *
 *   no space --space_alloc--> has space --FILE_ZERO if stale--> ready
 *      |  ^                                                       |
 *      v  | alloc_retry                    payload written by the caller
 *   file grows                                                    |
 *                     published (in the BAT page) <--end_write ok-+
 *                     given back                  <--all claims failed
 *
 * Write-path rules. commit.c turns BAT pages durable under its rules C1..C8;
 * these say what may be in a page:
 *
 *  W1  A BAT entry enters its page after the payload write that needs it has
 *      completed. So every page snapshot names blocks whose payload a sync
 *      submitted now covers (C1), be it before the entry or with it (C9).
 *  W2  A new block reads as zeros everywhere, on the host, before any payload
 *      goes into it: fresh space does, stale space is zeroed first. So sectors
 *      nobody wrote never show another block's data. Growing, punching and
 *      zeroing are counted by commit_changed(): durable before an entry.
 *  W3  Space that a page change frees is handed out again only after that
 *      change is durable (vhdx_space.c): else a power failure would leave the
 *      old owner pointing at the new owner's data.
 *  W4  Nothing in the file changes before FileWriteGuid, and nothing a reader
 *      of the disk can see before DataWriteGuid, is new and durable
 *      (session_enter).
 *  W5  Space is inside the file, by a completed size change, before payload
 *      goes there; the next log entry's sync makes that size durable.
 *  W6  A bit of a sector bitmap is set after the payload write that needs it
 *      has completed; a block becomes partially present in one log entry (C7)
 *      with its bits, which are cleared first: they may be those of an earlier
 *      life.
 */
#include "bits.h"
#include "mutation.h"
#include "vhdx_img.h"

static bool write_with_page(struct image_map *m);
static bool write_retry(struct image_map *m);

/* ---- the table of blocks being allocated ------------------------------- */

void alloc_init(struct vhdx_image *vi)
{
	list_init(&vi->allocs_free);
	for (unsigned i = 0; i < VI_ALLOCS; i++) {
		list_init(&vi->alloc_buckets[i]);
		list_init(&vi->allocs[i].queue);
		list_init(&vi->allocs[i].waiters);
		list_init(&vi->allocs[i].maker);
		list_init(&vi->allocs[i].dependents);
		loop_task_init(&vi->allocs[i].io.task, NULL);
		vi->allocs[i].vi = vi;
		list_add_tail(&vi->allocs_free, &vi->allocs[i].node);
	}
}

static struct alloc *alloc_find(struct vhdx_image *vi, uint64_t blk)
{
	struct list *it;

	list_for_each(it, &vi->alloc_buckets[blk % VI_ALLOCS]) {
		struct alloc *al = list_entry(it, struct alloc, node);

		if (al->blk == blk)
			return al;
	}
	return NULL;
}

/* A claim ends. The last one returns the space if nobody published it. */
static void alloc_unclaim(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;

	if (--al->refs)
		return;
	if (!al->published && al->has_space)
		space_release(&vi->space, al->file_off, vi->img.block_len,
			      false);
	list_del(&al->node);
	if (al->partial)
		partial_release(al);
	if (al->claimed)
		mcache_unclaim(vi->mc, al->page);
	mcache_put(vi->mc, al->page);
	list_add_head(&vi->allocs_free, &al->node);
	claims_changed(vi);
	if (!list_empty(&vi->alloc_waiters))
		vmap_wake(&vi->alloc_waiters);
}

void claims_wake(struct vhdx_image *vi)
{
	struct list all;

	list_init(&all);
	list_splice(&all, &vi->claim_queue);
	while (!list_empty(&all)) {
		struct alloc *al = list_first(&all, struct alloc, queue);

		list_del(&al->queue);
		partial_retry(al);
	}
	vmap_wake(&vi->claim_waiters);
}

/* A page is no longer claimed. If none is dirty no round would come, and with
 * it nobody to wake those who wait to claim one. */
void claims_changed(struct vhdx_image *vi)
{
	if (list_empty(&vi->claim_waiters) && list_empty(&vi->claim_queue))
		return;
	if (mcache_dirty_cnt(vi->mc) && !commit_failed(vi->cm))
		commit_kick(vi->cm);
	else
		claims_wake(vi);
}

/* ---- giving a block its space ------------------------------------------ */

static void write_result(struct image_map *m, struct alloc *al)
{
	uint64_t in_block = m->voff % m->img->block_len;

	m->len = u64_min(m->len, m->img->block_len - in_block);
	m->kind = MAP_DATA;
	m->file = m->img->file;
	m->file_off = al->file_off + in_block;
	m->claim = al;
}

static bool write_ready(struct image_map *m)
{
	write_result(m, m->claim);
	return true;
}

static void publish(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;

	if (al->published)
		return;
	al->published = true;
	if (al->partial)
		partial_publish(al);
	bat_set(al->page, bat_entry_pos(&vi->layout, al->blk),
		bat_entry_make(al->partial ? BAT_PARTIALLY_PRESENT
					   : BAT_FULLY_PRESENT,
			       al->file_off));
	mcache_dirty(vi->mc, al->page);
}

static void alloc_ready(struct alloc *al)
{
	al->state = ALLOC_READY;
	vmap_wake(&al->waiters);
}

void alloc_failed(struct alloc *al, const struct vhdx_err *err)
{
	/* A claim of our own: whoever is told gives up its range, which may let
	 * others join this very allocation. Nobody comes back for them. */
	al->refs++;
	while (!list_empty(&al->waiters)) {
		struct image_map *m =
			list_first(&al->waiters, struct image_map, node);

		list_del(&m->node);
		if (MUTATED(ALLOC_FAIL_ANSWERS) && !list_empty(&al->waiters))
			continue;
		m->claim = NULL;
		alloc_unclaim(al);
		vmap_fail(m, err);
		m->done(m);
	}
	alloc_unclaim(al);
}

static void alloc_zeroed(struct alloc *al)
{
	commit_changed(al->vi->cm); /* C9 */
	alloc_ready(al);
}

static void zero_done(struct file_io *io);

/* W2. A hole is the cheapest zero; where the host has none, write them. */
static void start_zero(struct alloc *al, enum file_op op)
{
	al->state = ALLOC_ZERO;
	al->io.op = op;
	al->io.off = al->file_off;
	al->io.len = al->vi->img.block_len;
	al->io.done = zero_done;
	file_submit(al->vi->img.file, &al->io);
}

static void zero_done(struct file_io *io)
{
	struct alloc *al = container_of(io, struct alloc, io);

	if (io->op == FILE_PUNCH && (io->res || !io->res_punched))
		start_zero(al, FILE_ZERO);
	else if (io->res)
		alloc_failed(al, &io->err);
	else
		alloc_zeroed(al);
}

/* Finds space; true if the block is ready at once, else its waiters are woken
 * later. */
static bool find_space(struct alloc *al)
{
	struct vhdx_image *vi = al->vi;
	bool zero = false;

	if (!al->own && !space_find(vi, vi->img.block_len, &al->file_off,
				    &zero)) {
		space_wait_growth(vi, al);
		return false;
	}
	al->has_space = !al->own;
	if (MUTATED(PUBLISH_AFTER_PAYLOAD))
		publish(al);
	if (!zero && !MUTATED(ZERO_REUSED_SPACE)) {
		start_zero(al, FILE_PUNCH);
		return false;
	}
	al->state = ALLOC_READY;
	return true;
}

void alloc_retry(struct alloc *al)
{
	if (al->state == ALLOC_BITMAP)
		partial_retry(al);
	else if (find_space(al))
		alloc_ready(al);
}

/* ---- claims ------------------------------------------------------------- */

/* Joins the block's allocation; the page's pin is the alloc's. */
static bool claim(struct image_map *m, struct alloc *al)
{
	al->refs++;
	m->claim = al;
	if (al->state == ALLOC_READY)
		return write_ready(m);
	vmap_of(m)->next = write_ready;
	list_add_tail(&al->waiters, &m->node);
	return false;
}

/* Waits until an allocation has ended, then starts again. */
static bool wait_for_alloc(struct image_map *m)
{
	vmap_put_page(m);
	vmap_of(m)->next = write_retry;
	list_add_tail(&vi_of(m->img)->alloc_waiters, &m->node);
	return false;
}

static bool covers_block(const struct image_map *m)
{
	uint64_t end = u64_min(align_down(m->voff, m->img->block_len) +
				       m->img->block_len,
			       m->img->size_len);

	return is_aligned(m->voff, m->img->block_len) &&
	       m->voff + m->len >= end;
}

static bool start_alloc(struct image_map *m, uint64_t entry)
{
	struct vhdx_image *vi = vi_of(m->img);
	struct mpage *page = vmap_of(m)->w.page;
	bool parents = vi->layout.has_parent &&
		       bat_entry_state(entry) == BAT_NOT_PRESENT;
	bool partial = parents && !covers_block(m);
	struct alloc *al;

	if (list_empty(&vi->allocs_free) ||
	    (partial && !partial_has_room(vi)))
		return wait_for_alloc(m);
	if (!partial && !mcache_claim(vi->mc, page))
		return vmap_wait_for_round(m, &vi->claim_waiters, write_retry);
	al = list_first(&vi->allocs_free, struct alloc, node);
	list_del(&al->node);
	al->blk = vmap_blk(m);
	al->state = ALLOC_SPACE;
	al->refs = 0;
	al->published = al->has_space = false;
	al->whole = parents && !partial;
	al->partial = partial;
	al->claimed = !partial;
	al->own = bat_has_space(entry);
	al->file_off = bat_entry_off(entry);
	al->page = page;
	list_add_tail(&vi->alloc_buckets[al->blk % VI_ALLOCS], &al->node);
	if (partial)
		partial_start(al);
	else
		find_space(al);
	return claim(m, al);
}

/* ---- a partially present block ------------------------------------------ */

static bool write_bits(struct image_map *m)
{
	struct vhdx_image *vi = vi_of(m->img);
	struct vmap *v = vmap_of(m);
	struct mpage *page = v->w.page;
	unsigned from, to;
	bool here;

	vmap_bits(m, &from, &to);
	m->kind = MAP_DATA;
	m->file = m->img->file;
	m->file_off = v->block_off + m->voff % m->img->block_len;
	if (bits_run(page->data, from, to, &here) == to - from && here) {
		vmap_put_page(m);
		return true;
	}
	if (!mcache_claim(vi->mc, page))
		return vmap_wait_for_round(m, &vi->claim_waiters, write_retry);
	v->bits_page = page;
	if (MUTATED(BITS_AFTER_PAYLOAD)) {
		bits_fill(page->data, from, to, true);
		mcache_dirty(vi->mc, page);
	}
	return true;
}

/* W6 */
static void end_bits(struct image_map *m, bool ok)
{
	struct mcache *mc = vi_of(m->img)->mc;
	struct mpage *page = vmap_of(m)->bits_page;
	unsigned from, to;

	if (ok) {
		vmap_bits(m, &from, &to);
		bits_fill(page->data, from, to, true);
		mcache_dirty(mc, page);
	}
	vmap_of(m)->bits_page = NULL;
	mcache_unclaim(mc, page);
	mcache_put(mc, page);
	claims_changed(vi_of(m->img));
}

/* ---- map_write and end_write -------------------------------------------- */

static bool write_allocated(struct image_map *m, uint64_t entry)
{
	uint64_t in_block = m->voff % m->img->block_len;

	vmap_put_page(m);
	if (bat_entry_state(entry) == BAT_PARTIALLY_PRESENT) {
		vmap_of(m)->block_off = bat_entry_off(entry);
		return vmap_with_bits(m, write_bits);
	}
	m->len = u64_min(m->len, m->img->block_len - in_block);
	m->kind = MAP_DATA;
	m->file = m->img->file;
	m->file_off = bat_entry_off(entry) + in_block;
	return true;
}

static bool write_with_page(struct image_map *m)
{
	struct alloc *al = alloc_find(vi_of(m->img), vmap_blk(m));
	uint64_t entry;

	if (al && al->whole && !MUTATED(WHOLE_ALONE))
		return wait_for_alloc(m);
	if (al) {
		vmap_put_page(m);
		return claim(m, al);
	}
	/* After a failure nothing that it may have to wait for would come. */
	if (vmap_commit_failed(m) || !vmap_entry(m, &entry)) {
		vmap_put_page(m);
		return true;
	}
	if (bat_entry_state(entry) == BAT_FULLY_PRESENT ||
	    bat_entry_state(entry) == BAT_PARTIALLY_PRESENT)
		return write_allocated(m, entry);
	return start_alloc(m, entry);
}

static bool write_retry(struct image_map *m)
{
	return vmap_with_page(m, write_with_page);
}

bool vhdx_map_write(struct image *img, struct image_map *m)
{
	(void)img;
	m->claim = NULL;
	vmap_of(m)->bits_page = NULL;
	return session_enter(m, write_retry);
}

/* C9: the page change of m shows something else, if the payload is not there,
 * than what the disk read before. */
static bool depends_on_order(struct image_map *m)
{
	return vi_of(m->img)->layout.has_parent &&
	       (m->claim || vmap_of(m)->bits_page);
}

bool vhdx_end_write(struct image *img, struct image_map *m, bool ok)
{
	struct vhdx_image *vi = vi_of(img);
	struct alloc *al = m->claim;

	/* A failed write may have written a part. */
	if (depends_on_order(m))
		commit_wrote(vi->cm);
	else
		commit_wrote_freely(vi->cm);
	m->res = 0;
	m->claim = NULL;
	if (al) {
		if (ok)
			publish(al); /* W1 */
		if (ok && al->partial)
			partial_set_bits(al, m);
		alloc_unclaim(al);
	} else if (vmap_of(m)->bits_page) {
		end_bits(m, ok);
	}
	commit_kick_if_due(vi->cm);
	return true;
}
