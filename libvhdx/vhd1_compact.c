/* SPDX-License-Identifier: MIT */
/*
 * Making a VHD as short as what it holds. As with VHDX (vhdx_compact.c) the
 * file is worked on from both ends: low ones are looked at, up to the first
 * byte that is not zero, and dropped if there is none; the topmost one goes to
 * the lowest free place. All blocks are of one size, so any free place does.
 *
 * The format has no log, so changes of the BAT are made together, now and then,
 * in the order of vhd1_flush.c: sync, BAT sectors, sync.
 *
 *   place:  USED --looked at--> DONE    USED, DONE --moved, dropped--> LEAVING
 *	     FREE --copy begins--> COMING --copied, settled--> DONE
 *	     LEAVING --settled--> FREE
 *
 * What holds at every instant, whenever power fails:
 *
 *  Q1  A block's entry names its new place only after a sync that covers the
 *	whole copy, bitmap and payload (V3). While changes are settled no other
 *	block is READY, so a BAT sector never hides one (V5).
 *  Q2  What a block leaves is used again only after a sync that covers the BAT
 *	sector. Until then the old entry, if it comes back, names what it did.
 *  Q3  A block of a dynamic disk is dropped only after all of its payload was
 *	read as zeros, or known to be a hole of the host file, or was named as
 *	unused. In a differencing disk an absent block is the parent's, and the
 *	format knows no other: there a block is dropped only if no bit of its
 *	bitmap is set.
 *  Q4  The footer is durable at the new end before the file is cut, and the
 *	one at the old end stays until then.
 *  Q5  Nothing goes where something may be that no structure of the file points
 *	to: space is used that a block has left, or that lies between
 *	structures that are all known.
 */
#include "vhd1_compact.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

#define ROUND_LEN (256 * MIB) /* dropped or moved, before it is settled */

/* ---- places -------------------------------------------------------------- */

static bool next_low(struct cpv *c, uint64_t *at)
{
	for (; c->low < c->cnt && c->low < c->high; c->low++)
		if (c->places[c->low].use == PLACE_USED) {
			*at = c->low++;
			return true;
		}
	return false;
}

static bool next_high(struct cpv *c, uint64_t *from, uint64_t *to)
{
	while (c->high && (c->places[c->high - 1].use == PLACE_FREE ||
			   c->places[c->high - 1].use == PLACE_LEAVING))
		c->high--;
	if (!c->high || c->places[c->high - 1].off < c->floor_off) {
		c->run.moving = false; /* the file would not be shorter */
		return false;
	}
	if (c->places[c->high - 1].use == PLACE_COMING ||
	    crun_is_busy(&c->run, c->high - 1))
		return false;
	while (c->free_from < c->high &&
	       (c->places[c->free_from].use != PLACE_FREE ||
		c->places[c->free_from].is_short))
		c->free_from++;
	if (c->free_from >= c->high)
		return false;
	*to = c->free_from++;
	*from = --c->high;
	c->places[*to].use = PLACE_COMING;
	return true;
}

/* ---- jobs ---------------------------------------------------------------- */

static bool is_useless(const struct shift *s, uint64_t pos, uint64_t len)
{
	const struct cjob *j = container_of(s, struct cjob, s);
	const struct cpv *c = container_of(j->run, struct cpv, run);
	uint64_t voff = (uint64_t)c->places[j->from].blk * c->v->bat.block_len;

	return unused_covers(c->run.how->unused, voff + pos, len);
}

static bool may_go(const struct cpv *c, uint64_t at)
{
	return !vhd1_has_parent(c->v) && c->places[at].use == PLACE_USED;
}

/* The payload; the bitmap goes along when all of it is there. */
static void start(struct cpv *c, struct cjob *j)
{
	const struct vhd1_bat *b = &c->v->bat;
	const struct place *p = &c->places[j->from];
	bool look = may_go(c, j->from);

	j->s.src_off = p->off + b->bitmap_len;
	j->s.len = cpv_used_len(c, p->blk) - b->bitmap_len;
	j->s.look_len = j->s.len;
	j->s.dst_off = j->moves && !c->run.how->dry_run
			       ? c->places[j->to].off + b->bitmap_len
			       : SHIFT_NOWHERE;
	j->s.useless = c->run.how->unused && look ? is_useless : NULL;
	j->s.work_len = p->use == PLACE_USED ? &c->run.work_len
					     : &c->run.lost_len;
	crun_start(j, look);
}

/* Blocking. What the payload's copy lacks: the bitmap, and zeros where the
 * disk's last block goes on behind the disk. */
static int copy_rest(struct cpv *c, const struct cjob *j, struct vhdx_err *e)
{
	const struct vhd1_bat *b = &c->v->bat;
	const struct place *from = &c->places[j->from];
	uint64_t to_off = c->places[j->to].off;
	uint64_t used_len = cpv_used_len(c, from->blk);
	struct file *f = c->v->img.file;
	int rc = file_read(f, from->off, c->bits, b->bitmap_len, e);

	if (!rc)
		rc = file_write(f, to_off, c->bits, b->bitmap_len, e);
	if (!rc && used_len < c->unit_len)
		rc = file_zero(f, to_off + used_len, c->unit_len - used_len, e);
	return rc;
}

static void job_failed(struct cpv *c, const struct cjob *j, int rc,
		       const struct vhdx_err *err)
{
	if (!j->moves || rc != VHDX_E_NOSPC) {
		crun_fail(&c->run, rc, err);
		return;
	}
	crun_is_full(&c->run, err);
	c->high = c->cnt;
}

static void change(struct cpv *c, uint64_t from, uint64_t to)
{
	ASSERT(c->pending_cnt < CPV_PENDING);
	c->pending[c->pending_cnt++] = (struct cpv_change){ from, to };
	c->pending_len += c->unit_len;
	c->places[from].use = PLACE_LEAVING;
}

static void end_job(struct cjob *j)
{
	struct cpv *c = container_of(j->run, struct cpv, run);
	bool drop = j->s.empty && may_go(c, j->from);
	struct vhdx_err e = j->s.err;
	int rc = j->s.res;

	if (!rc && !c->run.res && j->moves && !drop && !c->run.how->dry_run &&
	    !MUTATED(VHD_COMPACT_WHOLE))
		rc = copy_rest(c, j, &e);
	if (j->moves && (rc || c->run.res || drop)) {
		c->places[j->to].use = PLACE_FREE;
		c->free_from = u64_min(c->free_from, j->to);
	}
	if (rc) {
		job_failed(c, j, rc, &e);
	} else if (c->run.res) {
		/* Nothing is changed any more. */
	} else if (drop) {
		crun_count_dropped(&c->run, j->s.nonzero);
		change(c, j->from, j->from);
	} else if (j->moves) {
		c->run.r->moved_len += c->unit_len;
		c->places[j->to].blk = c->places[j->from].blk;
		change(c, j->from, j->to);
	} else {
		c->places[j->from].use = PLACE_DONE;
	}
}

/* ---- settling ------------------------------------------------------------ */

static void free_pending(struct cpv *c)
{
	for (unsigned i = 0; i < c->pending_cnt; i++) {
		const struct cpv_change *ch = &c->pending[i];

		c->places[ch->from].use = PLACE_FREE;
		c->free_from = u64_min(c->free_from, ch->from);
		if (ch->to != ch->from)
			c->places[ch->to].use = PLACE_DONE;
	}
	c->pending_cnt = 0;
	c->pending_len = 0;
}

static void enter(struct cpv *c, const struct cpv_change *ch)
{
	struct vhd1_bat *b = &c->v->bat;
	uint32_t blk = c->places[ch->from].blk;

	if (ch->to == ch->from) {
		b->entry[blk] = VHD1_ABSENT;
		b->flags[blk] = VHD1_NONE;
	} else {
		b->entry[blk] = (uint32_t)(c->places[ch->to].off / VHD1_SECTOR);
		vhd1_state_set(c->v, blk, VHD1_READY);
	}
	vhd1_dirty(c->v, blk);
}

/* Q1, Q2. Blocking; copies go on meanwhile, but nothing is READY but this. */
static void settle(struct cpv *c)
{
	struct vhdx_err e;
	int rc;

	if (c->run.how->dry_run || !c->pending_cnt) {
		free_pending(c);
		return;
	}
	for (unsigned i = 0; i < c->pending_cnt; i++)
		enter(c, &c->pending[i]);
	if (MUTATED(VHD_COMPACT_OLD_PLACE)) {
		free_pending(c);
		return;
	}
	rc = vhd1_flush_blocking(c->v, &e);
	free_pending(c);
	if (rc) {
		c->run.res = 0; /* graver than being stopped */
		crun_fail(&c->run, rc, &e);
	}
}

/* ---- the work ------------------------------------------------------------ */

static bool start_one(struct cpv *c, struct cjob *j)
{
	j->moves = c->run.moving && next_high(c, &j->from, &j->to);
	if (j->moves) {
		start(c, j);
		return true;
	}
	if (!next_low(c, &j->from))
		return false;
	if (!may_go(c, j->from)) {
		c->places[j->from].use = PLACE_DONE;
		return true;
	}
	start(c, j);
	return true;
}

static void start_jobs(struct cpv *c)
{
	for (unsigned i = 0; i < CRUN_JOBS && !c->run.stopped;)
		if (c->run.jobs[i].busy)
			i++;
		else if (!start_one(c, &c->run.jobs[i]))
			break;
}

static void work(struct cpv *c)
{
	bool ended;
	unsigned busy;

	for (;;) {
		start_jobs(c);
		crun_tell(&c->run);
		busy = crun_end_jobs(&c->run, end_job, &ended);
		if (c->pending_cnt > CPV_PENDING - 2 * CRUN_JOBS ||
		    c->pending_len >= ROUND_LEN)
			settle(c);
		else if (busy && !ended)
			loop_turn(c->v->img.file->loop, -1);
		else if (!busy && !ended && c->pending_cnt)
			settle(c);
		else if (!busy && !ended)
			return;
	}
}

/* ---- before and after ---------------------------------------------------- */

/* Q3: blocks of a differencing disk that are all their parent's; and what was
 * named as unused as a whole. */
static bool needs_no_look(struct cpv *c, const struct place *p, bool *unused,
			  int *rc, struct vhdx_err *e)
{
	const struct vhd1_bat *b = &c->v->bat;
	uint64_t len = vhd1_bat_used_len(b, p->blk);

	*unused = false;
	if (!vhd1_has_parent(c->v)) {
		*unused = p->blk < b->need &&
			  unused_covers(c->run.how->unused, (uint64_t)p->blk *
					b->block_len, len);
		return *unused;
	}
	*rc = file_read(c->v->img.file, p->off, c->bits, b->bitmap_len, e);
	return !*rc &&
	       (MUTATED(VHD_COMPACT_BITS) ||
		(!vhd1_bit(c->bits, 0) &&
		 vhd1_bits_run(c->bits, 0, len / VHD1_SECTOR) ==
			 len / VHD1_SECTOR));
}

static int first_pass(struct cpv *c, struct vhdx_err *e)
{
	bool unused;
	int rc = 0;

	for (uint64_t i = 0; i < c->cnt && !rc; i++) {
		if (c->places[i].use != PLACE_USED)
			continue;
		c->run.total_len += c->v->bat.block_len;
		if (!needs_no_look(c, &c->places[i], &unused, &rc, e))
			continue;
		crun_count_dropped(&c->run, unused);
		change(c, i, i);
		if (c->pending_cnt == CPV_PENDING)
			settle(c);
		rc = c->run.res ? err_copy(e, &c->run.err, c->run.res) : rc;
	}
	return rc;
}

/* Places that stay free give their space on the host back. */
static int punch_free(struct cpv *c, uint64_t end, struct vhdx_err *e)
{
	struct file *f = c->v->img.file;
	uint64_t off, len;
	int rc = 0;

	for (uint64_t i = 0; i < c->cnt && !rc; i++) {
		const struct place *p = &c->places[i];

		if (p->use != PLACE_FREE || p->off + c->unit_len > end)
			continue;
		c->run.r->hole_len += c->unit_len;
		if (c->run.how->dry_run || p->is_short)
			continue;
		rc = file_next_data(f, p->off, &off, &len, e);
		if (!rc && len && off < p->off + c->unit_len)
			rc = file_punch(f, p->off, c->unit_len, e);
	}
	return rc;
}

/* Q4 */
static int cut(struct cpv *c, uint64_t end, struct vhdx_err *e)
{
	struct vhd1 *v = c->v;
	struct file *f = v->img.file;
	uint64_t off = vhd1_footer_off(end);
	int rc = 0;

	if (!MUTATED(VHD_COMPACT_FOOTER)) {
		rc = file_write(f, off, v->footer, VHD1_FOOTER_LEN, e);
		if (!rc)
			rc = file_sync(f, e);
	}
	if (!rc)
		rc = file_truncate(f, off + VHD1_FOOTER_LEN, e);
	if (!rc)
		rc = file_sync(f, e);
	if (!rc)
		v->end_off = v->kept_end = off;
	return rc;
}

static int leave(struct cpv *c, struct vhdx_err *e)
{
	struct vhdx_compact_result *r = c->run.r;
	uint64_t end = cpv_end(c);
	bool shorter = vhd1_footer_off(end) + VHD1_FOOTER_LEN <
		       c->v->img.file->size;
	int rc;

	if (c->end_stays)
		shorter = false;
	if (shorter)
		r->file_len_after = vhd1_footer_off(end) + VHD1_FOOTER_LEN;
	rc = punch_free(c, shorter ? end : r->file_len_after, e);
	if (r->hole_len)
		snprintf(r->held_by, sizeof(r->held_by), "%s at the end of "
			 "the file stays where it is", c->run.moving ?
			 "a block" : "a structure");
	else if (c->run.how->unused && vhd1_has_parent(c->v))
		snprintf(r->held_by, sizeof(r->held_by), "what the file "
			 "systems do not use stays: a differencing VHD has no "
			 "blocks that are known to be unused");
	if (!rc && shorter && !c->run.how->dry_run)
		rc = cut(c, end, e);
	return rc;
}

static int begin(struct cpv *c, struct vhdx_err *e)
{
	struct vhd1 *v = c->v;

	if (v->bat.bad_cnt)
		return err_corrupt(e, VHDX_OBJ_BAT, v->bat.off, "VHD", "%s: "
				   "%ju entries of the BAT are damaged: it is "
				   "not changed", v->img.file->path,
				   (uintmax_t)v->bat.bad_cnt);
	c->unit_len = (uint64_t)v->bat.bitmap_len + v->bat.block_len;
	c->pending = mem_array(CPV_PENDING, sizeof(*c->pending));
	c->bits = mem_alloc(v->bat.bitmap_len);
	if (!c->pending || !c->bits)
		return err_set(e, VHDX_E_NOMEM, "no memory to compact %s",
			       v->img.file->path);
	return cpv_find_places(c, e);
}

static int run(struct cpv *c, const struct compact *how, struct vhdx_err *e)
{
	int rc = crun_new(&c->run, how, c->v->img.file, e);

	if (!rc)
		rc = begin(c, e);
	if (!rc)
		rc = first_pass(c, e);
	if (rc)
		return rc;
	c->high = c->cnt;
	c->run.moving = !c->end_stays;
	work(c);
	if (!c->run.res || c->run.res == VHDX_E_CANCELED)
		rc = leave(c, e);
	return crun_result(&c->run, rc, e);
}

int vhd1_compact(struct image *img, const struct compact *how,
		 struct vhdx_err *e)
{
	struct vhd1 *v = container_of(img, struct vhd1, img);
	struct cpv c = { .v = v, };
	int rc = how->dry_run ? 0 : vhd1_settle(v, e);

	how->result->file_len_after = img->file->size;
	if (!rc)
		rc = run(&c, how, e);
	mem_free(c.places);
	mem_free(c.pending);
	crun_free(&c.run);
	mem_free(c.bits);
	return rc;
}
