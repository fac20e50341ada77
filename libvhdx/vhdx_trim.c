/* SPDX-License-Identifier: MIT */
/*
 * Discard and write-zeroes. A whole block loses its space and becomes ZERO or
 * UNMAPPED; a part of one keeps its space, and the caller zeroes or punches it
 * in place. Blocks without space already read as zeros: in a base disk nothing
 * changes for them, except that write-zeroes turns the states whose content is
 * formally undefined into ZERO. A fixed disk keeps all its blocks.
 *
 * The caller holds the range exclusively, so the block has no allocation and
 * no I/O under way. W3 (vhdx_write.c) applies to the space that becomes free.
 */
#include "vhdx_img.h"

enum action {
	NOTHING,  /* it reads as zeros, or has to stay */
	IN_PLACE, /* the caller zeroes or punches */
	UNMAP,
	AS_WRITE, /* room is made as for a write, which the caller zeroes */
};

static bool trim_with_page(struct image_map *m);

/* [async] Starts again from the page: the wait may have changed anything. */
static bool restart(struct image_map *m)
{
	return vmap_with_page(m, trim_with_page);
}

static bool whole_block(const struct image_map *m)
{
	uint64_t block_len = m->img->block_len;
	uint64_t end = u64_min(align_down(m->voff, block_len) + block_len,
			       m->img->size_len);

	return is_aligned(m->voff, block_len) && m->voff + m->len >= end;
}

static enum action choose(struct image_map *m, uint64_t entry)
{
	bool zeroes = vmap_of(m)->zeroes;

	switch (bat_entry_state(entry)) {
	case BAT_FULLY_PRESENT:
		if (vi_of(m->img)->layout.leave_allocated)
			return zeroes ? IN_PLACE : NOTHING;
		return whole_block(m) ? UNMAP : IN_PLACE;
	case BAT_UNDEFINED:
	case BAT_UNMAPPED:
		return zeroes && whole_block(m) ? UNMAP : NOTHING;
	default:
		return NOTHING;
	}
}

/* In a child nothing may ever show the parent again, and what is to read as
 * zeros must not show it at all. */
static enum action choose_in_child(struct image_map *m, uint64_t entry)
{
	bool zeroes = vmap_of(m)->zeroes;

	switch (bat_entry_state(entry)) {
	case BAT_NOT_PRESENT:
	case BAT_PARTIALLY_PRESENT:
		if (whole_block(m))
			return UNMAP;
		return zeroes ? AS_WRITE : NOTHING;
	default:
		return choose(m, entry);
	}
}

/* The session is open and the page pinned. */
static bool unmap(struct image_map *m, uint64_t entry)
{
	struct vhdx_image *vi = vi_of(m->img);
	struct mpage *p = vmap_of(m)->w.page;
	unsigned state = vmap_of(m)->zeroes ? BAT_ZERO : BAT_UNMAPPED;

	if (bat_has_space(entry) && !freed_has_room(vi))
		return vmap_wait_for_round(m, &vi->freed_waiters, restart);
	if (!mcache_claim(vi->mc, p))
		return vmap_wait_for_round(m, &vi->claim_waiters, restart);
	bat_set(p, bat_entry_pos(&vi->layout, vmap_blk(m)),
		bat_entry_make(state, 0));
	mcache_dirty(vi->mc, p);
	mcache_unclaim(vi->mc, p);
	if (bat_has_space(entry))
		freed_add(vi, bat_entry_off(entry), vi->img.block_len); /* W3 */
	vmap_put_page(m);
	m->kind = MAP_ZERO;
	commit_kick_if_due(vi->cm);
	return true;
}

static bool trim_with_page(struct image_map *m)
{
	struct vhdx_image *vi = vi_of(m->img);
	uint64_t entry, in_block = m->voff % m->img->block_len;
	enum action action;

	/* After a failure nothing that it may have to wait for would come. */
	if (vmap_commit_failed(m) || !vmap_entry(m, &entry)) {
		vmap_put_page(m);
		return true;
	}
	m->len = u64_min(m->len, m->img->block_len - in_block);
	action = vi->layout.has_parent ? choose_in_child(m, entry)
				       : choose(m, entry);
	if (action != NOTHING && vi->session != SESSION_OPEN) {
		vmap_put_page(m);
		return session_enter(m, restart); /* W4 */
	}
	if (action == UNMAP)
		return unmap(m, entry);
	if (action == AS_WRITE) {
		vmap_put_page(m);
		return vhdx_map_write(m->img, m);
	}
	m->kind = action == IN_PLACE ? MAP_DATA : MAP_ZERO;
	m->file = m->img->file;
	m->file_off = bat_entry_off(entry) + in_block;
	vmap_put_page(m);
	return true;
}

bool vhdx_unmap(struct image *img, struct image_map *m, bool zeroes)
{
	(void)img;
	m->claim = NULL;
	vmap_of(m)->bits_page = NULL;
	vmap_of(m)->zeroes = zeroes;
	return restart(m);
}
