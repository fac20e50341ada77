/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <string.h>

#define CHUNK (256 * KIB)
#define SMALL (64 * MIB)

static bool is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* The first of the views that has these bytes there; cnt: none. */
static unsigned fits(const struct memimg *const *views, unsigned cnt,
		     uint64_t voff, const uint8_t *buf, size_t len)
{
	static uint8_t want[CHUNK];
	unsigned i = 0;

	for (; i < cnt; i++) {
		memimg_read(views[i], voff, want, len);
		if (memcmp(want, buf, len) == 0)
			break;
	}
	return i;
}

static void say(const struct memimg *const *views, unsigned cnt,
		uint64_t voff, const uint8_t *unit, struct verdict *v)
{
	uint8_t want[UNIT_LEN];
	uint64_t at = 0;

	memimg_read(views[cnt - 1], voff, want, UNIT_LEN);
	while (at < UNIT_LEN - 1 && want[at] == unit[at])
		at++;
	verdict_set(v, "the byte at %ju is %02x instead of %02x: the sector "
		    "is %s%s", (uintmax_t)(voff + at), unit[at], want[at],
		    is_zero(unit, UNIT_LEN) ? "zeros" : "not as written",
		    cnt > 1 ? ", of no version" : "");
}

static void verify_units(const struct memimg *const *views, unsigned cnt,
			 uint64_t voff, const uint8_t *buf, uint64_t len,
			 struct verdict *v)
{
	if (fits(views, cnt, voff, buf, (size_t)len) < cnt)
		return;
	for (uint64_t at = 0; at < len && !v->bad; at += UNIT_LEN)
		if (fits(views, cnt, voff + at, buf + at, UNIT_LEN) == cnt)
			say(views, cnt, voff + at, buf + at, v);
}

void view_verify_range(struct vhdx_blk *blk,
		       const struct memimg *const *views, unsigned cnt,
		       uint64_t voff, uint64_t len, struct verdict *v)
{
	static uint8_t buf[CHUNK];
	struct vhdx_err e;

	for (uint64_t end = voff + len; voff < end && !v->bad;) {
		uint64_t n = u64_min(CHUNK, end - voff);

		if (vhdx_blk_read(blk, voff, buf, n, &e))
			verdict_set(v, "reading %ju bytes at %ju: %s",
				    (uintmax_t)n, (uintmax_t)voff, e.text);
		else
			verify_units(views, cnt, voff, buf, n, v);
		voff += n;
	}
}

/* Where the views have anything but zeros the device must be asked as well. */
static void verify_hole(struct vhdx_blk *blk,
			const struct memimg *const *views, unsigned cnt,
			uint64_t voff, uint64_t len, struct verdict *v)
{
	uint64_t sector = 4 * KIB;

	for (unsigned i = 0; i < cnt && !v->bad; i++) {
		uint64_t at = voff, off, n;

		memimg_next_data(views[i], at, &off, &n);
		while (n && off < voff + len && !v->bad) {
			at = u64_min(off + n, voff + len);
			off = align_down(off, sector);
			view_verify_range(blk, views, cnt, off, at - off, v);
			memimg_next_data(views[i], at, &off, &n);
		}
	}
}

/* Extent by extent: a hole of the device where all views have one needs no
 * reading. */
static void verify_sparse(struct vhdx_blk *blk,
			  const struct memimg *const *views, unsigned cnt,
			  uint64_t size, struct verdict *v)
{
	for (uint64_t at = 0; at < size && !v->bad;) {
		struct vhdx_extent x;
		struct vhdx_err e;

		if (vhdx_blk_map(blk, at, size - at, &x, &e)) {
			verdict_set(v, "map at %ju: %s", (uintmax_t)at,
				    e.text);
			return;
		}
		if (x.kind == VHDX_EXTENT_DATA)
			view_verify_range(blk, views, cnt, at, x.len, v);
		else
			verify_hole(blk, views, cnt, at, x.len, v);
		at += x.len;
	}
}

static void verify_list(struct vhdx_blk *blk,
			const struct memimg *const *views, unsigned cnt,
			bool every_byte, struct verdict *v)
{
	uint64_t size = views[0]->size;
	struct vhdx_geometry g;

	vhdx_blk_geometry(blk, &g);
	if (g.size_len != size)
		verdict_set(v, "the disk has %ju bytes instead of %ju",
			    (uintmax_t)g.size_len, (uintmax_t)size);
	else if (every_byte && size <= SMALL)
		view_verify_range(blk, views, cnt, 0, size, v);
	else
		verify_sparse(blk, views, cnt, size, v);
}

void view_verify(struct vhdx_blk *blk, const struct memimg *const *views,
		 unsigned cnt, bool mixed, bool every_byte,
		 struct verdict *v)
{
	struct verdict last = { 0 };

	if (mixed) {
		verify_list(blk, views, cnt, every_byte, v);
		return;
	}
	for (unsigned i = 0; i < cnt; i++) {
		last.bad = false;
		verify_list(blk, &views[i], 1, every_byte, &last);
		if (!last.bad)
			return;
	}
	verdict_set(v, "%s", last.text);
}
