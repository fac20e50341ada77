/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "mem.h"
#include "mutation.h"
#include "vhd1_compact.h"

#define PAYLOAD_ALIGN 4096u

uint64_t cpv_used_len(const struct cpv *c, uint32_t blk)
{
	const struct vhd1_bat *b = &c->v->bat;

	return b->bitmap_len + align_up(vhd1_bat_used_len(b, blk), VHD1_SECTOR);
}

static int add_place(struct cpv *c, uint64_t off, uint32_t blk, unsigned use,
		     struct vhdx_err *e)
{
	if (c->cnt == c->cap) {
		uint64_t cap = c->cap ? c->cap * 2 : 256;
		struct place *p = mem_resize(c->places, cap, sizeof(*p));

		if (!p)
			return err_set(e, VHDX_E_NOMEM, "no memory for %llu "
				       "blocks", (unsigned long long)cap);
		c->places = p;
		c->cap = cap;
	}
	c->places[c->cnt++] = (struct place){ off, blk, (uint8_t)use, false };
	return 0;
}

/* ---- gaps that an earlier run, or a crash, has left --------------------- */

struct gaps {
	struct cpv *c;
	int res;
	struct vhdx_err *e;
};

static void ignore_bad(void *arg, uint32_t blk, const char *text)
{
	(void)arg;
	(void)blk;
	(void)text;
}

static uint64_t next_place(const struct cpv *c, uint64_t off)
{
	uint32_t bitmap_len = c->v->bat.bitmap_len;

	return align_up(off + bitmap_len, PAYLOAD_ALIGN) - bitmap_len;
}

static void take_gap(void *arg, uint64_t off, uint64_t len)
{
	struct gaps *g = arg;
	struct cpv *c = g->c;
	uint64_t at = next_place(c, off);

	for (; !g->res && at + c->unit_len <= off + len;
	     at = next_place(c, at + c->unit_len))
		g->res = add_place(c, at, 0, PLACE_FREE, g->e);
}

/* ---- structures --------------------------------------------------------- */

static void find_floor(struct cpv *c)
{
	const struct vhd1_bat *b = &c->v->bat;

	c->floor_off = u64_max(b->header_off + VHD1_HEADER_LEN,
			       b->off + align_up(b->table_len, VHD1_SECTOR));
	for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++) {
		if (b->loc[i].len && !b->loc[i].lost)
			c->floor_off = u64_max(c->floor_off, b->loc[i].off +
							     b->loc[i].len);
		c->has_unknown |= b->loc[i].lost;
	}
	/* Xen keeps a map of its own, which nothing points to. */
	c->has_unknown |= memcmp(c->v->footer + 28, "tap", 4) == 0 ||
			  b->stray_cnt || (uint64_t)b->cnt * 4 != b->table_len;
	if (MUTATED(VHD_COMPACT_KNOWN))
		c->has_unknown = false;
}

/* What nothing names lies before the first block, or behind the last one. */
static void find_end(struct cpv *c)
{
	const struct place *last = c->cnt ? &c->places[c->cnt - 1] : NULL;
	uint64_t end = last ? last->off + c->unit_len : c->floor_off;

	if (c->has_unknown)
		c->end_stays = !last || end + VHD1_FOOTER_LEN + VHD1_SLACK_LEN <
					c->v->img.file->size;
}

static int by_off(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

/* Up to what follows. A block that the disk does not take as a whole may have
 * been cut short, and anything may follow. */
static uint64_t room_at(const struct cpv *c, uint64_t i)
{
	const struct place *p = &c->places[i];
	uint64_t end = i + 1 < c->cnt ? c->places[i + 1].off : UINT64_MAX;

	if (p->use == PLACE_USED && cpv_used_len(c, p->blk) < c->unit_len)
		return 0;
	if (p->off < c->floor_off)
		end = u64_min(end, c->floor_off);
	return end - p->off;
}

int cpv_find_places(struct cpv *c, struct vhdx_err *e)
{
	struct vhd1_bat *b = &c->v->bat;
	struct gaps g = { c, 0, e };
	int rc = 0;

	find_floor(c);
	for (uint32_t blk = 0; !rc && blk < b->cnt; blk++)
		if (b->entry[blk] != VHD1_ABSENT)
			rc = add_place(c, vhd1_bat_off(b, blk), blk, PLACE_USED,
				       e);
	c->run.r->block_cnt = c->cnt;
	if (!rc)
		rc = vhd1_bat_audit(b, c->v->img.file->size, ignore_bad,
				    c->has_unknown ? NULL : take_gap, &g, e);
	if (rc || g.res)
		return rc ? rc : g.res;
	if (c->cnt)
		qsort(c->places, c->cnt, sizeof(*c->places), by_off);
	for (uint64_t i = 0; i < c->cnt; i++)
		c->places[i].is_short = room_at(c, i) < c->unit_len;
	find_end(c);
	return 0;
}

uint64_t cpv_end(const struct cpv *c)
{
	uint64_t i = c->cnt;

	while (i && c->places[i - 1].use == PLACE_FREE)
		i--;
	if (!i)
		return c->has_unknown && c->cnt
			       ? u64_max(c->floor_off, c->places[0].off)
			       : c->floor_off;
	/* A block counts as whole, however short it was. */
	return u64_max(c->floor_off, c->places[i - 1].off + c->unit_len);
}
