/* SPDX-License-Identifier: MIT */
/*
 * A BAT can have 2^26 entries, nearly all of them nothing, in a hole of the
 * file. So it is walked in pieces of 1 MiB, and holes that stay as they are
 * cost nothing: neither time nor memory nor space in a copy.
 */
#include <string.h>

#include "le.h"
#include "mem.h"
#include "vhdx_resize.h"

#define PER_PAGE (MPAGE_LEN / 8)
#define PER_BUF (RESIZE_BUF_LEN / 8)

/* ---- what an entry becomes ---------------------------------------------- */

uint64_t resize_first(const struct resize *r)
{
	if (!r->keep_blk)
		return 0;
	return bat_payload_index(&r->to, r->keep_blk - 1) + 1;
}

static bool is_bitmap(const struct resize *r, uint64_t index)
{
	return index % (r->to.chunk_ratio + 1) == r->to.chunk_ratio;
}

static uint64_t new_entry(const struct resize *r, uint64_t index, uint64_t old)
{
	uint64_t row = index / (r->to.chunk_ratio + 1), blk = index - row;

	if (is_bitmap(r, index))
		return row < r->keep_chunk ? old : 0;
	if (blk < r->keep_blk)
		return old;
	if (blk < r->zero_blk)
		return bat_entry_make(BAT_ZERO, 0);
	if (!r->data_off || blk >= r->to.block_cnt)
		return 0;
	return bat_entry_make(BAT_FULLY_PRESENT,
			      r->data_off + (blk - r->keep_blk) *
						    r->vi->img.block_len);
}

bool resize_page_is_live(const struct resize *r, uint64_t index)
{
	uint64_t last;

	if (index < resize_first(r))
		return true;
	if (!r->keep_chunk)
		return false;
	last = bat_bitmap_index(&r->to, r->keep_chunk - 1);
	return last >= index && last < index + PER_PAGE;
}

uint64_t resize_fill_end(const struct resize *r)
{
	uint64_t blk = r->data_off ? r->to.block_cnt : r->zero_blk;

	return blk > r->keep_blk ? bat_payload_index(&r->to, blk - 1) + 1 : 0;
}

/* cnt entries from `index` on; true if any has changed. */
static bool transform(const struct resize *r, uint64_t index, uint8_t *b,
		      uint64_t cnt)
{
	uint64_t i = index >= resize_first(r) ? 0
		     : u64_min(cnt, resize_first(r) - index);
	bool changed = false;

	for (; i < cnt; i++) {
		uint64_t old = get_le64(b + i * 8);
		uint64_t new = new_entry(r, index + i, old);

		if (new == old)
			continue;
		put_le64(b + i * 8, new);
		changed = true;
	}
	return changed;
}

/* ---- the walk ------------------------------------------------------------ */

void bat_walk_init(struct bat_walk *w, const struct resize *r)
{
	*w = (struct bat_walk){ .r = r,
				.pos = align_down(resize_first(r), PER_PAGE) };
}

/* Goes on to the next page that may change: one to be filled, or with data. */
static int skip_hole(struct bat_walk *w, struct vhdx_err *e)
{
	const struct layout *l = &w->r->vi->layout;
	uint64_t pos = l->bat_off + w->pos * 8, data_off, len;
	int rc;

	if (w->pos < resize_fill_end(w->r))
		return 0;
	rc = file_next_data(w->r->vi->img.file, pos, &data_off, &len, e);
	if (rc)
		return rc;
	w->pos = len ? align_down((data_off - l->bat_off) / 8, PER_PAGE)
		     : l->bat_len / 8;
	return 0;
}

static int fill_buf(struct bat_walk *w, struct vhdx_err *e)
{
	const struct layout *l = &w->r->vi->layout;

	w->at = w->pos;
	w->cnt = u64_min(PER_BUF, l->bat_len / 8 - w->pos);
	return file_read(w->r->vi->img.file, l->bat_off + w->at * 8, w->r->buf,
			 w->cnt * 8, e);
}

int bat_walk_next(struct bat_walk *w, bool *found, struct vhdx_err *e)
{
	uint64_t end = w->r->vi->layout.bat_len / 8;
	int rc;

	for (*found = false; !*found; w->pos += PER_PAGE) {
		rc = skip_hole(w, e);
		if (rc || w->pos >= end)
			return rc;
		if (w->pos >= w->at + w->cnt)
			rc = fill_buf(w, e);
		if (rc)
			return rc;
		w->index = w->pos;
		w->page = w->r->buf + (w->pos - w->at) * 8;
		*found = transform(w->r, w->index, w->page, PER_PAGE);
	}
	return 0;
}

/* ---- through the log ----------------------------------------------------- */

int resize_expect(struct resize *r, unsigned cnt, struct vhdx_err *e)
{
	size_t cap = (size_t)cnt * PER_PAGE;

	if (cap <= r->freed_cap)
		return 0;
	mem_free(r->freed);
	r->freed = mem_array(cap, sizeof(*r->freed));
	r->freed_cap = r->freed ? cap : 0;
	if (r->freed)
		return 0;
	return err_set(e, VHDX_E_NOMEM, "no memory to give up %zu blocks", cap);
}

static void note_freed(struct resize *r, uint64_t off, uint64_t len)
{
	struct freed *last = r->freed_cnt ? &r->freed[r->freed_cnt - 1] : NULL;

	if (last && last->off + last->len == off) {
		last->len += len;
		return;
	}
	ASSERT(r->freed_cnt < r->freed_cap);
	r->freed[r->freed_cnt++] = (struct freed){ .off = off, .len = len };
}

/* The entry loses its space, which is in the space map only if the disk had
 * this block or bitmap (bat_scan). */
static void gave_up(struct resize *r, uint64_t index, uint64_t old)
{
	if (index >= r->from.entry_cnt)
		return;
	if (!is_bitmap(r, index) && bat_has_space(old))
		note_freed(r, bat_entry_off(old), r->vi->img.block_len);
	if (is_bitmap(r, index) && r->vi->layout.has_parent &&
	    bat_entry_state(old) == BAT_SB_PRESENT)
		note_freed(r, bat_entry_off(old), MIB);
}

static void apply_page(struct resize *r, struct vhdx_pages *s, uint64_t index)
{
	uint64_t off = r->vi->layout.bat_off + index * 8;
	uint8_t b[MPAGE_LEN];

	memcpy(b, pages_at(s, off), MPAGE_LEN);
	if (!transform(r, index, b, PER_PAGE))
		return;
	for (uint64_t i = 0; i < PER_PAGE; i++) {
		uint64_t old = get_le64(pages_at(s, off) + i * 8);

		if (old != get_le64(b + i * 8))
			gave_up(r, index + i, old);
	}
	pages_write(s, off, b, MPAGE_LEN);
}

void resize_apply(struct resize *r, struct vhdx_pages *s, uint64_t index,
		  uint64_t end)
{
	uint64_t bat_off = r->vi->layout.bat_off;

	for (unsigned i = 0; i < s->cnt; i++) {
		uint64_t off = s->p[i]->off;

		if (off >= bat_off + index * 8 && off < bat_off + end * 8)
			apply_page(r, s, (off - bat_off) / 8);
	}
}

/* ---- to another place ---------------------------------------------------- */

/* [pos, pos + len) of the BAT, bytes. */
static int copy_piece(struct resize *r, uint64_t pos, uint64_t len,
		      struct vhdx_err *e)
{
	const struct layout *l = &r->vi->layout;
	uint64_t have = pos < l->bat_len ? u64_min(len, l->bat_len - pos) : 0;
	uint64_t data_off, data_len = 0;
	bool filled = pos / 8 < resize_fill_end(r);
	int rc = 0;

	if (have)
		rc = file_next_data(r->vi->img.file, l->bat_off + pos,
				    &data_off, &data_len, e);
	if (!rc && data_len && data_off >= l->bat_off + pos + have)
		data_len = 0;
	if (rc || (!data_len && !filled))
		return rc; /* a hole stays one */
	memset(r->buf, 0, len);
	if (have)
		rc = file_read(r->vi->img.file, l->bat_off + pos, r->buf, have,
			       e);
	if (rc)
		return rc;
	transform(r, pos / 8, r->buf, len / 8);
	return file_write(r->vi->img.file, r->bat_off + pos, r->buf, len, e);
}

int resize_copy_bat(struct resize *r, struct vhdx_err *e)
{
	int rc = 0;

	for (uint64_t pos = 0; !rc && pos < r->bat_len; pos += RESIZE_BUF_LEN)
		rc = copy_piece(r, pos,
				u64_min(RESIZE_BUF_LEN, r->bat_len - pos), e);
	return rc;
}
