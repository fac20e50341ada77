/* SPDX-License-Identifier: MIT */
/*
 * What concerns the file as a whole while an image is written: the start of a
 * session (rule W4 of vhdx_write.c), growth (W5), and giving freed space back
 * (W3).
 *
 * Freed space goes through
 *   mapped --freed_add--> freed[] --its change durable--> punched --> free
 */
#include <string.h>

#include "mutation.h"
#include "vhdx_img.h"

/* ---- the first change --------------------------------------------------- */

static void session_end_start(struct vhdx_image *vi, const struct vhdx_err *err)
{
	const struct fmt_header *h = &vi->hdr.cur;

	if (err) {
		commit_fail(vi->cm, err);
	} else {
		vi->session = vi->session_goal;
		vi->img.identity = h->data_write;
		memcpy(vi->img.info.file_write_guid, h->file_write.b, 16);
		memcpy(vi->img.info.data_write_guid, h->data_write.b, 16);
	}
	vmap_wake(&vi->session_waiters);
}

/* MS-VHDX 2.2.3: a damaged region table copy is mended through the log. */
static void mend_regions(struct vhdx_image *vi)
{
	uint8_t *b;

	if (vi->layout.region_bad < 0)
		return;
	b = vi->region_copy;
	regions_encode(vi->layout.regions, b);
	for (unsigned i = 0; i < FMT_REGION_LEN / MPAGE_LEN; i++)
		if (!mcache_fill(vi->mc,
				 FMT_REGION_OFF(vi->layout.region_bad) +
					 i * MPAGE_LEN,
				 b + i * MPAGE_LEN))
			return; /* no page free: the next session mends it */
}

static void session_sized(struct file_io *io)
{
	struct vhdx_image *vi = container_of(io, struct vhdx_image, grow_io);

	vi->growing = false;
	if (io->res) {
		session_end_start(vi, &io->err);
		return;
	}
	commit_changed(vi->cm);
	mend_regions(vi);
	session_end_start(vi, NULL);
}

/* The file becomes whole MiB, and as long as its last block needs. */
static void session_headers_done(struct hdr_write *hw)
{
	struct vhdx_image *vi = container_of(hw, struct vhdx_image, hw);

	if (hw->io.res) {
		session_end_start(vi, &hw->io.err);
		return;
	}
	if (vi->session_sized) {
		session_end_start(vi, NULL);
		return;
	}
	vi->session_sized = true;
	vi->growing = true;
	vi->grow_io.op = FILE_TRUNCATE;
	vi->grow_io.off = vi->space.mib_cnt * MIB;
	vi->grow_io.done = session_sized;
	if (vi->img.file->size == vi->grow_io.off) {
		vi->grow_io.res = 0;
		session_sized(&vi->grow_io);
		return;
	}
	file_submit(vi->img.file, &vi->grow_io);
}

static void new_data_write(struct vhdx_image *vi)
{
	if (guid_is_zero(&vi->img.next_identity))
		guid_random(&vi->hdr.cur.data_write);
	else
		vi->hdr.cur.data_write = vi->img.next_identity;
}

/* The new GUIDs are durable, in both headers, before anything else. A session
 * that has begun with FILE goes on to OPEN when a reader is to see a change. */
static void session_start(struct vhdx_image *vi, enum session goal)
{
	struct vhdx_err e;

	vi->session = SESSION_STARTING;
	vi->session_goal = goal;
	if (!vi->file_guid_fresh)
		guid_random(&vi->hdr.cur.file_write);
	vi->file_guid_fresh = true;
	if (goal == SESSION_OPEN)
		new_data_write(vi);
	vi->hw.file = vi->img.file;
	vi->hw.pair = &vi->hdr;
	vi->hw.done = session_headers_done;
	if (hdr_write_start(&vi->hw, &e))
		session_end_start(vi, &e);
}

static bool session_entered(struct image_map *m)
{
	return session_enter(m, vmap_of(m)->after);
}

bool session_enter(struct image_map *m, bool (*next)(struct image_map *m))
{
	struct vhdx_image *vi = vi_of(m->img);

	if (vmap_commit_failed(m)) /* nobody would wake us any more */
		return true;
	if (MUTATED(SESSION_FIRST))
		vi->session = SESSION_OPEN;
	if (vi->session == SESSION_OPEN)
		return next(m);
	vmap_of(m)->next = session_entered;
	vmap_of(m)->after = next;
	list_add_tail(&vi->session_waiters, &m->node);
	if (vi->session != SESSION_STARTING)
		session_start(vi, SESSION_OPEN);
	return false;
}

int vhdx_session(struct vhdx_image *vi, bool visible, struct vhdx_err *e)
{
	enum session goal = visible && !MUTATED(SESSION_VISIBLE)
				    ? SESSION_OPEN : SESSION_FILE;

	ASSERT(vi->session != SESSION_STARTING);
	if (!commit_failed(vi->cm) && vi->session < goal)
		session_start(vi, goal);
	while (vi->session < goal && !commit_failed(vi->cm))
		loop_turn(vi->img.file->loop, -1);
	return commit_failed(vi->cm) ? commit_failure(vi->cm, e) : 0;
}

/* ---- growth -------------------------------------------------------------- */

/* What lies between the end of the map and that of the file is new: W5 holds
 * for it, and it reads as zeros. */
static bool offer_more(struct vhdx_image *vi, uint64_t len)
{
	uint64_t end = vi->space.mib_cnt * MIB + u64_max(VI_OFFER_LEN, len);

	if (end > vi->img.file->size)
		return false;
	space_grow(&vi->space, end);
	return true;
}

/* What was freed is used again before the file's new end is: else large steps
 * would leave large files. */
bool space_find(struct vhdx_image *vi, uint64_t len, uint64_t *off, bool *zero)
{
	return space_alloc(&vi->space, len, off, zero) ||
	       (offer_more(vi, len) && space_alloc(&vi->space, len, off, zero));
}

static void grow_failed(struct vhdx_image *vi, const struct vhdx_err *err)
{
	struct list all;

	list_init(&all);
	list_splice(&all, &vi->grow_queue);
	while (!list_empty(&all)) {
		struct alloc *al = list_first(&all, struct alloc, queue);

		list_del(&al->queue);
		alloc_failed(al, err);
	}
}

static void grow_done(struct file_io *io)
{
	struct vhdx_image *vi = container_of(io, struct vhdx_image, grow_io);
	struct list all;

	if (io->res == VHDX_E_NOSPC && !vi->grows_little) {
		vi->grows_little = true;
		grow_start(&vi->grow_task);
		return;
	}
	vi->growing = vi->grows_little = false;
	if (io->res) {
		grow_failed(vi, &io->err);
		return;
	}
	if (!MUTATED(GROWTH_COUNTS))
		commit_changed(vi->cm); /* W5 */
	list_init(&all);
	list_splice(&all, &vi->grow_queue);
	while (!list_empty(&all)) {
		struct alloc *al = list_first(&all, struct alloc, queue);

		list_del(&al->queue);
		alloc_retry(al); /* may queue it again */
	}
}

/*
 * All that wait share a step, and it grows with the file: a step ends rounds
 * that need not wait for a sync otherwise (C9), and holds up every writer. It
 * costs no space on the host, and closing gives back what nobody used. Just
 * what is asked for, where the host refuses more: it may know a limit.
 */
static uint64_t step_len(const struct vhdx_image *vi)
{
	uint64_t block_len = vi->img.block_len;

	if (vi->grows_little)
		return u64_max(VI_OFFER_LEN, block_len);
	return u64_max(block_len,
		       u64_min(VI_GROW_MAX,
			       u64_max(VI_GROW_LEN,
				       vi->space.mib_cnt / 4 * MIB)));
}

void grow_start(struct loop_task *t)
{
	struct vhdx_image *vi = container_of(t, struct vhdx_image, grow_task);
	uint64_t len = step_len(vi);
	struct vhdx_err e;

	vi->grow_io.op = FILE_TRUNCATE;
	vi->grow_io.done = grow_done;
	vi->grow_io.off = vi->space.mib_cnt * MIB + len;
	if (space_reserve(&vi->space, vi->grow_io.off, &e)) {
		vi->growing = vi->grows_little = false;
		grow_failed(vi, &e);
		return;
	}
	file_submit(vi->img.file, &vi->grow_io);
}

void space_wait_growth(struct vhdx_image *vi, struct alloc *al)
{
	list_add_tail(&vi->grow_queue, &al->queue);
	if (vi->growing)
		return;
	vi->growing = true;
	loop_defer(vi->img.file->loop, &vi->grow_task);
}

/* ---- giving space back --------------------------------------------------- */

bool freed_has_room(const struct vhdx_image *vi)
{
	return vi->freed_cnt < VI_FREED;
}

void freed_add(struct vhdx_image *vi, uint64_t off, uint64_t len)
{
	unsigned last = (vi->freed_head + vi->freed_cnt - 1) % VI_FREED;
	uint64_t seq = mcache_seq(vi->mc);

	if (MUTATED(FREED_AFTER_COMMIT)) {
		space_release(&vi->space, off, len, false);
		return;
	}
	if (vi->freed_cnt &&
	    vi->freed[last].off + vi->freed[last].len == off) {
		vi->freed[last].len += len;
		vi->freed[last].seq = seq;
		return;
	}
	ASSERT(freed_has_room(vi));
	last = (vi->freed_head + vi->freed_cnt++) % VI_FREED;
	vi->freed[last] = (struct freed){ off, len, seq };
}

static void punch_done(struct file_io *io)
{
	struct vhdx_image *vi = container_of(io, struct vhdx_image, punch_io);

	/* A host that cannot punch keeps the space; that harms nobody. */
	commit_changed(vi->cm); /* C9 */
	space_release(&vi->space, vi->punching.off, vi->punching.len,
		      !io->res && io->res_punched);
	vi->reclaiming = false;
	freed_reclaim(vi);
}

/* The oldest freed range, if its freeing is durable. */
static bool take_freed(struct vhdx_image *vi)
{
	if (!vi->freed_cnt ||
	    vi->freed[vi->freed_head].seq >= commit_durable(vi->cm))
		return false;
	vi->punching = vi->freed[vi->freed_head];
	vi->freed_head = (vi->freed_head + 1) % VI_FREED;
	vi->freed_cnt--;
	return true;
}

void freed_reclaim(struct vhdx_image *vi)
{
	if (vi->reclaiming)
		return;
	while (vi->keep_freed && take_freed(vi))
		space_release(&vi->space, vi->punching.off, vi->punching.len,
			      false);
	if (vi->keep_freed || !take_freed(vi))
		return;
	vi->reclaiming = true;
	vi->punch_io.op = FILE_PUNCH;
	vi->punch_io.off = vi->punching.off;
	vi->punch_io.len = vi->punching.len;
	vi->punch_io.done = punch_done;
	file_submit(vi->img.file, &vi->punch_io);
	if (!list_empty(&vi->freed_waiters))
		vmap_wake(&vi->freed_waiters);
}

bool space_is_idle(const struct vhdx_image *vi)
{
	bool stuck = commit_failed(vi->cm);

	return !vi->growing && !vi->reclaiming && (stuck || !vi->freed_cnt);
}
