/* SPDX-License-Identifier: MIT */
#include "vhdx_compact.h"

#include "bits.h"
#include "mutation.h"

uint64_t cpt_blk(const struct cpt *c, uint64_t index)
{
	return index - index / (c->vi->layout.geom.chunk_ratio + 1);
}

uint64_t cpt_live_len(const struct cpt *c, uint64_t blk)
{
	const struct image *img = &c->vi->img;

	return u64_min(img->block_len, img->size_len - blk * img->block_len);
}

/* ---- changing an entry --------------------------------------------------- */

int cpt_session(struct cpt *c, bool visible, struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;
	int rc = 0;

	/* The headers belong to one writer at a time. */
	if (visible && vi->session == SESSION_FILE)
		rc = vhdx_settle(vi, e);
	return rc ? rc : vhdx_session(vi, visible, e);
}

struct pass_wait {
	struct mcache_wait w;
	bool over;
};

static void page_there(struct mcache_wait *w)
{
	container_of(w, struct pass_wait, w)->over = true;
}

/* Blocking; pinned. */
static int get_page(struct cpt *c, uint64_t pos, struct mpage **out,
		    struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;
	struct pass_wait p = { .w.fn = page_there };

	if (mcache_get(vi->mc, align_down(pos, MPAGE_LEN), &p.w))
		p.over = true;
	while (!p.over)
		loop_turn(vi->img.file->loop, -1);
	*out = p.w.page;
	if (p.w.res)
		return err_copy(e, p.w.err, p.w.res);
	return 0;
}

/* As many pages are changed at once as a log entry carries. */
static int claim_page(struct cpt *c, struct mpage *p, struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;

	while (!commit_failed(vi->cm) && !mcache_claim(vi->mc, p)) {
		commit_kick(vi->cm);
		loop_turn(vi->img.file->loop, -1);
	}
	return commit_failed(vi->cm) ? commit_failure(vi->cm, e) : 0;
}

int cpt_set(struct cpt *c, uint64_t index, uint64_t entry, struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;
	uint64_t pos = vi->layout.bat_off + index * 8;
	struct mpage *p;
	int rc;

	if (c->run.how->dry_run)
		return 0;
	rc = cpt_session(c, false, e);
	if (!rc)
		rc = get_page(c, pos, &p, e);
	if (rc)
		return rc;
	rc = claim_page(c, p, e);
	if (!rc) {
		bat_set(p, pos, entry);
		mcache_dirty(vi->mc, p);
		mcache_unclaim(vi->mc, p);
	}
	mcache_put(vi->mc, p);
	commit_kick_if_due(vi->cm);
	return rc;
}

int cpt_free(struct cpt *c, uint64_t off, uint64_t len, struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;

	if (c->run.how->dry_run) {
		space_release(c->space, off, len, false);
		return 0;
	}
	while (!freed_has_room(vi) && !commit_failed(vi->cm)) {
		commit_kick(vi->cm);
		loop_turn(vi->img.file->loop, -1);
	}
	if (commit_failed(vi->cm))
		return commit_failure(vi->cm, e);
	freed_add(vi, off, len);
	freed_reclaim(vi); /* the change may be durable by now */
	return 0;
}

/* ---- the first pass ------------------------------------------------------ */

static int drop(struct cpt *c, uint64_t index, uint64_t was, unsigned state,
		uint64_t len, uint64_t *cnt, struct vhdx_err *e)
{
	int rc = cpt_set(c, index, bat_entry_make(state, 0), e);

	++*cnt;
	return rc ? rc : cpt_free(c, bat_entry_off(was), len, e);
}

static void keep(struct cpt *c, uint64_t index, uint64_t off, uint32_t flags,
		 uint64_t len)
{
	c->units[off / MIB] = (uint32_t)(index + 1) | flags;
	c->run.total_len += len;
}

/* Blocking. Whether all bits of a partially present block are alike. */
static int look_at_bits(struct cpt *c, uint64_t blk, bool *alike, bool *here,
			struct vhdx_err *e)
{
	struct vhdx_image *vi = c->vi;
	uint64_t pos = bat_bitmap_pos(&vi->layout, blk), entry;
	unsigned cnt = (unsigned)div_up(cpt_live_len(c, blk),
					vi->img.sector_len);
	struct mpage *p;
	int rc = get_page(c, pos, &p, e);

	if (rc)
		return rc;
	entry = bat_get(p, pos);
	mcache_put(vi->mc, p);
	rc = bat_verify_bitmap(&vi->layout, &vi->hdr.cur, vi->img.file->size,
			       blk, entry, e);
	if (!rc)
		rc = file_read(vi->img.file, bat_entry_off(entry) +
			       bat_slice_off(&vi->layout, blk), c->slice,
			       bat_slice_bits(&vi->layout) / 8, e);
	if (!rc)
		*alike = bits_run(c->slice, 0, cnt, here) == cnt;
	return rc;
}

/* K6 */
static int pass_partial(struct cpt *c, uint64_t index, uint64_t entry,
			struct vhdx_err *e)
{
	uint64_t len = c->vi->img.block_len;
	bool alike = false, here = false;
	int rc = look_at_bits(c, cpt_blk(c, index), &alike, &here, e);

	if (rc)
		return rc;
	if (alike && !here)
		return drop(c, index, entry, BAT_NOT_PRESENT, len,
			    &c->run.r->zero_cnt, e);
	if (!alike) {
		c->mixed_cnt++;
		keep(c, index, bat_entry_off(entry), 0, len);
		return 0;
	}
	keep(c, index, bat_entry_off(entry), UNIT_SOLID, len);
	return cpt_set(c, index, bat_entry_make(BAT_FULLY_PRESENT,
						bat_entry_off(entry)), e);
}

/* The whole block is of no use to what is on the disk. */
static int pass_unused(struct cpt *c, uint64_t index, uint64_t entry,
		       struct vhdx_err *e)
{
	int rc = c->run.how->dry_run ? 0 : cpt_session(c, true, e);

	return rc ? rc : drop(c, index, entry, BAT_UNMAPPED,
			      c->vi->img.block_len, &c->run.r->unused_cnt, e);
}

static int pass_block(struct cpt *c, uint64_t index, uint64_t entry,
		      struct vhdx_err *e)
{
	uint64_t len = c->vi->img.block_len, blk = cpt_blk(c, index);
	unsigned state = bat_entry_state(entry);

	if (!bat_has_space(entry))
		return 0;
	c->run.r->block_cnt++;
	if (state != BAT_FULLY_PRESENT && state != BAT_PARTIALLY_PRESENT)
		return drop(c, index, entry, state, len,
			    &c->run.r->anchor_cnt, e);
	if (unused_covers(c->run.how->unused, blk * len,
			  cpt_live_len(c, blk)))
		return pass_unused(c, index, entry, e);
	if (state == BAT_PARTIALLY_PRESENT)
		return pass_partial(c, index, entry, e);
	keep(c, index, bat_entry_off(entry), UNIT_SOLID, len);
	return 0;
}

/* A bitmap's entry comes behind those of the blocks it is for. */
static int pass_entry(void *arg, uint64_t index, uint64_t entry,
		      struct vhdx_err *e)
{
	struct cpt *c = arg;
	const struct layout *l = &c->vi->layout;
	uint64_t row = index / (l->geom.chunk_ratio + 1);

	if (row != c->row)
		c->mixed_cnt = 0;
	c->row = row;
	if (index % (l->geom.chunk_ratio + 1) != l->geom.chunk_ratio)
		return pass_block(c, index, entry, e);
	if (!l->has_parent || bat_entry_state(entry) != BAT_SB_PRESENT)
		return 0;
	if (!c->mixed_cnt || MUTATED(COMPACT_BITMAP_NEEDED))
		return drop(c, index, entry, BAT_SB_NOT_PRESENT, MIB,
			    &c->run.r->bitmap_cnt, e);
	keep(c, index, bat_entry_off(entry), UNIT_BITMAP, MIB);
	return 0;
}

/* Only entries that the pass has been at are changed meanwhile: what the file
 * says of the others is right. */
int cpt_first_pass(struct cpt *c, struct vhdx_err *e)
{
	return bat_each(c->vi->img.file, &c->vi->layout, pass_entry, c, e);
}
