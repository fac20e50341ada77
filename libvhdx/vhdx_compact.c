/* SPDX-License-Identifier: MIT */
/*
 * Making an image as short as what it holds. The file is worked on from both
 * ends at once, so that most of it is read only once:
 *
 *   0          low -->                            <-- high         end
 *   | looked at |     not looked at yet             | moved, gone  |
 *
 *   low    blocks are looked at, up to the first byte that is not zero; what
 *	    is all zeros is dropped, and leaves a hole
 *   high   the topmost block is copied into the lowest hole it fits in; if it
 *	    turns out to be all zeros on the way it is dropped instead
 *
 * Only blocks that lie behind what will be the end of the file are moved, each
 * once. Before that one pass over the BAT drops what needs no look at the
 * payload: space of discarded blocks, partially present blocks without a bit
 * set, sector bitmaps that no block needs. Header, log and regions stay.
 *
 * What holds at every instant, whenever power fails:
 *
 *  K1  A block's entry names its new place after the whole copy has been
 *	written; commit.c makes the copy durable before the entry (C1).
 *  K2  A copy goes only to space that nothing in the file refers to, now or
 *	after a power failure (K3), and in a session (W4).
 *  K3  What a block leaves, moved or dropped, is used again only when the
 *	change of its entry is durable (W3: freed_add).
 *  K4  A block is dropped as zeros only after all of it was read as zeros, or
 *	known to be a hole of the host file, while the image was ours alone. It
 *	becomes ZERO, in a base as in a child: never the parent's, never
 *	undefined.
 *  K5  A block is dropped as unused only if the caller named every byte of it
 *	that is on the disk and not zero; DataWriteGuid is new before that
 *	(W4). It becomes UNMAPPED.
 *  K6  A partially present block may go only if no bit of it is set (then it
 *	becomes NOT_PRESENT: all its sectors are the parent's anyway), and be
 *	treated as fully present if all are; others keep state and bits. A
 *	sector bitmap goes only after the last partially present block of its
 *	chunk.
 *
 * So the image is intact and whole after every step, the work can end anywhere,
 * and a second run goes on from there.
 */
#include "vhdx_compact.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

#define ROUND_LEN (256 * MIB) /* dropped, before they are made holes */

/* ---- units --------------------------------------------------------------- */

static uint64_t unit_len(const struct cpt *c, uint32_t unit)
{
	return unit & UNIT_BITMAP ? MIB : c->vi->img.block_len;
}

static uint64_t unit_index(uint32_t unit)
{
	return (unit & UNIT_INDEX) - 1;
}

static unsigned unit_state(uint32_t unit)
{
	if (unit & UNIT_BITMAP)
		return BAT_SB_PRESENT;
	return unit & UNIT_SOLID ? BAT_FULLY_PRESENT : BAT_PARTIALLY_PRESENT;
}

/* The lowest unit that has to be looked at. */
static bool next_low(struct cpt *c, uint64_t *mib)
{
	for (; c->low < c->high; c->low++) {
		uint32_t unit = c->units[c->low];

		if (!unit || unit & (UNIT_DONE | UNIT_COMING) ||
		    crun_is_busy(&c->run, c->low))
			continue;
		if (unit & UNIT_SOLID) {
			*mib = c->low++;
			return true;
		}
		c->run.work_len += unit_len(c, unit);
	}
	return false;
}

/* A hole below mib; the search starts where the last one found that there is
 * none before, unless space has become free since. */
static bool find_hole(struct cpt *c, uint64_t len, uint64_t mib, uint64_t *off)
{
	bool block = len == c->vi->img.block_len;

	if (c->space->free_cnt > c->free_cnt)
		c->hole_from = 0;
	c->free_cnt = c->space->free_cnt;
	if (!space_alloc_low(c->space, len, block ? c->hole_from : 0,
			     mib * MIB, off))
		return false;
	if (block)
		c->hole_from = *off;
	c->free_cnt = c->space->free_cnt;
	return true;
}

/* The topmost unit, and a hole for it. */
static bool next_high(struct cpt *c, uint64_t *mib, uint64_t *dst)
{
	uint32_t unit;

	while (c->high && !c->units[c->high - 1])
		c->high--;
	if (c->high <= c->floor) {
		c->run.moving = false; /* the file would not be shorter */
		return false;
	}
	unit = c->units[c->high - 1];
	if (unit & UNIT_COMING || crun_is_busy(&c->run, c->high - 1) ||
	    !find_hole(c, unit_len(c, unit), c->high - 1, dst))
		return false;
	c->units[*dst / MIB] = UNIT_COMING;
	*mib = --c->high;
	return true;
}

/* ---- jobs ---------------------------------------------------------------- */

static bool is_useless(const struct shift *s, uint64_t pos, uint64_t len)
{
	const struct cjob *j = container_of(s, struct cjob, s);
	const struct cpt *c = container_of(j->run, struct cpt, run);
	uint64_t blk = cpt_blk(c, unit_index(c->units[j->from]));

	return unused_covers(c->run.how->unused,
			     blk * c->vi->img.block_len + pos, len);
}

static uint64_t *work_counter(struct cpt *c, uint32_t unit)
{
	return unit & UNIT_DONE ? &c->run.lost_len : &c->run.work_len;
}

static void start(struct cpt *c, struct cjob *j, uint64_t mib)
{
	uint32_t unit = c->units[mib];
	bool solid = unit & UNIT_SOLID;

	j->from = mib;
	j->s.src_off = mib * MIB;
	j->s.len = unit_len(c, unit);
	j->s.dst_off = j->moves && !c->run.how->dry_run ? j->to
							: SHIFT_NOWHERE;
	j->s.look_len = solid ? cpt_live_len(c, cpt_blk(c, unit_index(unit)))
			      : j->s.len;
	j->s.useless = solid && c->run.how->unused ? is_useless : NULL;
	j->s.work_len = work_counter(c, unit);
	crun_start(j, solid && !(unit & UNIT_DONE));
}

/* K4, K5 */
static int drop_unit(struct cpt *c, const struct cjob *j, struct vhdx_err *e)
{
	uint32_t unit = c->units[j->from];
	unsigned state = j->s.nonzero ? BAT_UNMAPPED : BAT_ZERO;
	int rc = 0;

	if (MUTATED(COMPACT_NEVER_PARENT))
		state = BAT_NOT_PRESENT;
	if (j->s.nonzero && !c->run.how->dry_run)
		rc = cpt_session(c, true, e);
	if (!rc)
		rc = cpt_set(c, unit_index(unit), bat_entry_make(state, 0), e);
	if (!rc)
		rc = cpt_free(c, j->from * MIB, unit_len(c, unit), e);
	if (rc)
		return rc;
	c->units[j->from] = 0;
	c->dropped_len += unit_len(c, unit);
	crun_count_dropped(&c->run, j->s.nonzero);
	return 0;
}

/* K1 */
static int move_unit(struct cpt *c, const struct cjob *j, struct vhdx_err *e)
{
	uint32_t unit = c->units[j->from];
	int rc = cpt_set(c, unit_index(unit),
			 bat_entry_make(unit_state(unit), j->to), e);

	if (!rc)
		rc = cpt_free(c, j->from * MIB, unit_len(c, unit), e);
	if (rc)
		return rc;
	c->units[j->from] = 0;
	c->units[j->to / MIB] = unit | UNIT_DONE;
	c->run.r->moved_len += unit_len(c, unit);
	return 0;
}

static void job_failed(struct cpt *c, const struct cjob *j)
{
	if (!j->moves || j->s.res != VHDX_E_NOSPC) {
		crun_fail(&c->run, j->s.res, &j->s.err);
		return;
	}
	crun_is_full(&c->run, &j->s.err);
	c->high = c->mib_cnt;
}

static void end_job(struct cjob *j)
{
	struct cpt *c = container_of(j->run, struct cpt, run);
	uint32_t unit = c->units[j->from];
	bool solid = unit & UNIT_SOLID;
	struct vhdx_err e;
	bool used = false;
	int rc = 0;

	if (j->moves && !c->run.how->dry_run)
		commit_wrote(c->vi->cm);
	if (j->s.res) {
		job_failed(c, j);
	} else if (c->run.res) {
		/* Nothing is changed any more. */
	} else if (j->s.empty && solid) {
		rc = drop_unit(c, j, &e);
	} else if (j->moves) {
		used = true;
		rc = move_unit(c, j, &e);
	} else {
		c->units[j->from] |= UNIT_DONE;
	}
	if (j->moves && !used) {
		c->units[j->to / MIB] = 0;
		space_release(c->space, j->to, unit_len(c, unit), false);
	}
	if (rc)
		crun_fail(&c->run, rc, &e);
}

/* ---- the work ------------------------------------------------------------ */

/* False: nothing can be started now. */
static bool start_one(struct cpt *c, struct cjob *j)
{
	struct vhdx_err e;
	uint64_t mib;
	int rc;

	j->moves = c->run.moving && next_high(c, &mib, &j->to);
	if (!j->moves && !next_low(c, &mib))
		return false;
	if (j->moves && !c->run.how->dry_run) {
		rc = cpt_session(c, false, &e); /* K2 */
		if (!rc && MUTATED(COMPACT_COPY_FIRST))
			rc = cpt_set(c, unit_index(c->units[mib]),
				     bat_entry_make(unit_state(c->units[mib]),
						    j->to), &e);
		if (rc) {
			crun_fail(&c->run, rc, &e);
			return false;
		}
	}
	start(c, j, mib);
	return true;
}

static void start_jobs(struct cpt *c)
{
	for (unsigned i = 0; i < CRUN_JOBS && !c->run.stopped; i++)
		if (!c->run.jobs[i].busy && !start_one(c, &c->run.jobs[i]))
			break;
	if (c->dropped_len >= ROUND_LEN && !c->run.how->dry_run) {
		commit_kick(c->vi->cm);
		c->dropped_len = 0;
	}
}

/* Nothing is under way and nothing can be started: holes may become free. True
 * if it is worth another try. */
static bool more_holes(struct cpt *c)
{
	struct vhdx_image *vi = c->vi;
	struct vhdx_err e;
	int rc;

	if (c->run.stopped || !c->run.moving || c->run.how->dry_run ||
	    (!vi->freed_cnt && !mcache_dirty_cnt(vi->mc)))
		return false;
	rc = vhdx_settle(vi, &e);
	if (rc)
		crun_fail(&c->run, rc, &e);
	return !rc;
}

static void work(struct cpt *c)
{
	bool ended;

	for (;;) {
		start_jobs(c);
		crun_tell(&c->run);
		if (!crun_end_jobs(&c->run, end_job, &ended) && !ended) {
			if (!more_holes(c))
				return;
		} else if (!ended) {
			loop_turn(c->vi->img.file->loop, -1);
		}
	}
}

/* ---- what is left -------------------------------------------------------- */

static void say_held(struct cpt *c)
{
	const struct layout *l = &c->vi->layout;
	const struct fmt_header *h = &c->vi->hdr.cur;
	uint64_t end = c->floor * MIB;
	struct vhdx_compact_result *r = c->run.r;
	const char *what = "a region";

	if (!r->hole_len)
		return;
	if (space_end(c->space) > end) {
		snprintf(r->held_by, sizeof(r->held_by), "the free pieces are "
			 "smaller than the blocks of %u bytes above them",
			 l->block_len);
		return;
	}
	if (h->log_off + h->log_len == end)
		what = "the log";
	if (l->bat_off + l->bat_len == end)
		what = "the block table (BAT)";
	if (l->meta_off + l->meta_len == end)
		what = "the metadata region";
	snprintf(r->held_by, sizeof(r->held_by), "%s, which stays where it is, "
		 "ends at file offset %llu", what, (unsigned long long)end);
}

/* Holes that stay give their space on the host back. */
static int punch_hole(struct cpt *c, uint64_t off, uint64_t len,
		      struct vhdx_err *e)
{
	struct file *f = c->vi->img.file;
	uint64_t data_off, data_len;
	int rc = file_next_data(f, off, &data_off, &data_len, e);

	if (rc || !data_len || data_off >= off + len)
		return rc;
	rc = cpt_session(c, false, e);
	if (!rc)
		rc = file_punch(f, off, len, e);
	return rc;
}

static int leave(struct cpt *c, struct vhdx_err *e)
{
	uint64_t end, off = 0, len;
	bool dry = c->run.how->dry_run;
	int rc = dry ? 0 : vhdx_settle(c->vi, e);

	if (rc)
		return rc;
	end = space_end(c->space);
	for (;;) {
		space_next_free(c->space, off, &off, &len);
		if (!len || off >= end)
			break;
		c->run.r->hole_len += len;
		if (!dry && !rc)
			rc = punch_hole(c, off, len, e);
		off += len;
	}
	say_held(c);
	c->run.r->file_len_after = u64_min(end, c->vi->img.file->size);
	if (!rc && !dry && end < c->vi->img.file->size)
		rc = cpt_session(c, false, e); /* close cuts the file */
	return rc;
}

/* ---- the whole ----------------------------------------------------------- */

static uint64_t u64_end_mib(uint64_t off, uint64_t len)
{
	return div_up(off + len, MIB);
}

/* Header, log and regions, which bat_scan() has seen to be in the file. */
static uint64_t find_floor(const struct vhdx_image *vi)
{
	const struct fmt_header *h = &vi->hdr.cur;
	const struct layout *l = &vi->layout;
	uint64_t end = u64_max(FMT_FIRST_OFF / MIB,
			       u64_end_mib(h->log_off, h->log_len));

	for (uint32_t i = 0; i < l->regions->cnt; i++)
		end = u64_max(end, u64_end_mib(l->regions->e[i].off,
					       l->regions->e[i].len));
	return end;
}

static int begin(struct cpt *c, struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;
	int rc;

	c->space = &vi->space;
	if (c->run.how->dry_run) {
		c->space = &c->own;
		rc = bat_scan(vi->img.file, &vi->layout, &vi->hdr.cur, &c->own,
			      e);
		if (rc)
			return rc;
	}
	if (vi->layout.geom.entry_cnt >= UNIT_INDEX)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: more blocks than "
			       "can be handled", vi->img.file->path);
	c->mib_cnt = c->high = c->space->mib_cnt;
	c->floor = find_floor(vi);
	c->units = mem_array(c->mib_cnt, sizeof(*c->units));
	c->slice = mem_alloc(bat_slice_bits(&vi->layout) / 8);
	if (!c->units || !c->slice)
		return err_set(e, VHDX_E_NOMEM, "no memory to compact %s",
			       vi->img.file->path);
	return 0;
}

static int run(struct cpt *c, const struct compact *how, struct vhdx_err *e)
{
	int rc = crun_new(&c->run, how, c->vi->img.file, e);

	if (!rc)
		rc = begin(c, e);
	if (!rc)
		rc = cpt_first_pass(c, e);
	if (rc)
		return rc;
	work(c);
	if (!c->run.res || c->run.res == VHDX_E_CANCELED)
		rc = leave(c, e);
	return crun_result(&c->run, rc, e);
}

int vhdx_image_compact(struct image *img, const struct compact *how,
		       struct vhdx_err *e)
{
	struct vhdx_image *vi = vi_of(img);
	struct cpt c = { .vi = vi, };
	int rc;

	if (vi->layout.leave_allocated)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s is a fixed disk: all "
			       "its blocks stay allocated. To make it smaller, "
			       "convert it to a dynamic one", img->file->path);
	vi->keep_freed = true;
	rc = run(&c, how, e);
	vi->keep_freed = false;
	space_fini(&c.own);
	mem_free(c.units);
	crun_free(&c.run);
	mem_free(c.slice);
	return rc;
}
