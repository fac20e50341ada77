/* SPDX-License-Identifier: MIT */
/*
 * The block allocation table. The first pass, here, follows every entry whose
 * block the file must hold and takes the block's space in the map; what may be
 * cleared without losing anything is left to the second (check_bat_mend.c).
 */
#include "check_bat.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "le.h"
#include "mem.h"

/* ---- telling ------------------------------------------------------------- */

static const struct {
	enum vhdx_severity sev;
	const char *spec;
	const char *what;
} kinds[KIND_CNT] = {
	[KIND_STATE] = { VHDX_SEV_ERROR, "2.5.1.1",
			 "entries with a reserved state" },
	[KIND_BITS] = { VHDX_SEV_ERROR, "2.5.1",
			"entries with reserved bits set" },
	[KIND_PARTIAL] = { VHDX_SEV_ERROR, "2.5.1.1",
			   "partially present blocks without a parent" },
	[KIND_BITMAP] = { VHDX_SEV_ERROR, "2.5.1.2",
			  "sector bitmap entries without a parent" },
	[KIND_BITMAP_MISSING] = { VHDX_SEV_ERROR, "2.5.1.2",
				  "missing sector bitmap blocks" },
	[KIND_BELOW] = { VHDX_SEV_ERROR, "2.5.1",
			 "blocks in the header area" },
	[KIND_BEYOND] = { VHDX_SEV_ERROR, "2.5.1",
			  "blocks beyond the end of the file" },
	[KIND_CUT] = { VHDX_SEV_ERROR, "2.5.1",
		       "blocks cut off by the end of the file" },
	[KIND_SHORT] = { VHDX_SEV_NOTE, "2.5.1", "short blocks" },
	[KIND_OVERLAP] = { VHDX_SEV_ERROR, "2.5.1",
			   "blocks that overlap others" },
	[KIND_OFFSET] = { VHDX_SEV_WARNING, "2.5.1.1",
			  "entries with an offset that their state does not "
			  "have" },
	[KIND_OFFSET_LIVE] = { VHDX_SEV_ERROR, "2.5.1.1",
			       "entries with an offset that their state does "
			       "not have" },
	[KIND_ANCHOR] = { VHDX_SEV_ERROR, "2.5.1.1",
			  "unmapped blocks with a bad place" },
	[KIND_BEHIND] = { VHDX_SEV_WARNING, "2.5",
			  "entries behind the last block" },
	[KIND_BEHIND_LIVE] = { VHDX_SEV_ERROR, "2.5",
			       "entries behind the last block" },
};

static void entry_name(const struct bat_check *b, uint64_t idx, char *out,
		       size_t len)
{
	struct bat_slot s = bat_slot_at(b, idx);

	if (s.behind)
		snprintf(out, len, "BAT entry %" PRIu64, idx);
	else
		snprintf(out, len, "BAT entry %" PRIu64 " (%s %" PRIu64 ")",
			 idx, s.bitmap ? "sector bitmap" : "block", s.blk);
}

void bat_say(struct bat_check *b, enum bat_kind kind, uint64_t idx,
	     enum check_fix fix, const char *fmt, ...)
{
	const char *spec = kinds[kind].spec;
	char name[80], text[400];
	va_list ap;

	if (fix == CHECK_FIXED)
		b->mended[kind] = true;
	if (!check_in_full(&b->many[kind]))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	entry_name(b, idx, name, sizeof(name));
	if (bat_slot_at(b, idx).bitmap && strcmp(spec, "2.5.1.1") == 0)
		spec = "2.5.1.2"; /* the states of bitmap entries */
	check_say(b->v->c, kinds[kind].sev, fix, VHDX_OBJ_BAT,
		  b->off + idx * 8, spec, "%s %s", name, text);
}

void bat_say_rest(struct bat_check *b)
{
	for (int i = 0; i < KIND_CNT; i++)
		check_rest(b->v->c, &b->many[i], kinds[i].sev,
			   b->mended[i] ? CHECK_FIXED : CHECK_NO_FIX,
			   VHDX_OBJ_BAT, kinds[i].spec, kinds[i].what);
}

/* ---- walking ------------------------------------------------------------- */

struct bat_slot bat_slot_at(const struct bat_check *b, uint64_t idx)
{
	uint64_t per_chunk = b->g.chunk_ratio + 1;
	struct bat_slot s = {
		.bitmap = idx % per_chunk == b->g.chunk_ratio,
		.blk = idx / per_chunk,
	};

	if (!s.bitmap)
		s.blk = idx - idx / per_chunk;
	s.behind = idx >= b->entry_cnt ||
		   (!s.bitmap && s.blk >= b->g.block_cnt);
	return s;
}

/* The region is page aligned and lies below 2^63. */
int bat_walk(struct bat_check *b, bat_window_fn *fn, struct vhdx_err *e)
{
	struct file *f = b->v->file;
	uint64_t pos = b->off, end = b->off + b->slot_cnt * 8, len;
	uint8_t *w = mem_alloc(BAT_WINDOW_LEN);
	int rc = 0;

	if (!w)
		return err_set(e, VHDX_E_NOMEM, "no memory to check the BAT");
	while (!rc && pos < end) {
		uint64_t data;

		rc = file_next_data(f, pos, &data, &len, e);
		if (rc || len == 0 || data >= end)
			break;
		pos = u64_max(pos, align_down(data, FMT_LOG_SECTOR));
		len = align_up(u64_min(data - pos + len, BAT_WINDOW_LEN),
			       FMT_LOG_SECTOR);
		len = u64_min(u64_min(len, BAT_WINDOW_LEN), end - pos);
		rc = file_read(f, pos, w, (size_t)len, e);
		if (!rc)
			rc = fn(b, (pos - b->off) / 8, w, (uint32_t)(len / 8),
				e);
		pos += len;
	}
	mem_free(w);
	return rc;
}

/* ---- the rules ----------------------------------------------------------- */

/* A block of len bytes, of which the first `need` hold something. */
static void examine_place(struct bat_check *b, uint64_t idx, uint64_t off,
			  uint64_t len, uint64_t need)
{
	uint64_t mib;

	if (off < FMT_FIRST_OFF) {
		bat_say(b, KIND_BELOW, idx, CHECK_NO_FIX,
			"is present at file offset %" PRIu64 ", inside the "
			"header area", off);
		return;
	}
	if (off >= b->file_len) {
		bat_say(b, KIND_BEYOND, idx, CHECK_NO_FIX,
			"is present at file offset %" PRIu64 "; the file ends "
			"at %" PRIu64, off, b->file_len);
		return;
	}
	if (need > b->file_len - off)
		bat_say(b, KIND_CUT, idx, CHECK_NO_FIX,
			"is present at file offset %" PRIu64 "; the file ends "
			"at %" PRIu64 ", so that %" PRIu64 " bytes of the "
			"disk are lost", off, b->file_len,
			need - (b->file_len - off));
	else if (len > b->file_len - off)
		bat_say(b, KIND_SHORT, idx, CHECK_NO_FIX,
			"is present at file offset %" PRIu64 "; the file ends "
			"at %" PRIu64 ", inside the block but behind the end "
			"of the disk", off, b->file_len);
	if (!mibmap_take(&b->v->map, off, len, &mib))
		bat_clash_add(b, idx, mib);
}

/* Bitmap entries follow the payload entries of their chunk, so that when a
 * later chunk begins, the bitmap of this one has been seen if it is there. */
static void finish_chunk(struct bat_check *b)
{
	if (b->partial_cnt)
		bat_say(b, KIND_BITMAP_MISSING,
			bat_bitmap_index(&b->g, b->chunk), CHECK_NO_FIX,
			"is not present, but %" PRIu64 " block%s of its chunk "
			"%s partially present", b->partial_cnt,
			check_s(b->partial_cnt),
			b->partial_cnt == 1 ? "is" : "are");
	b->partial_cnt = 0;
}

static void partial_block(struct bat_check *b, uint64_t idx, uint64_t blk)
{
	uint64_t chunk = blk / b->g.chunk_ratio;

	if (!b->v->has_parent) {
		bat_say(b, KIND_PARTIAL, idx, CHECK_NO_FIX,
			"is partially present, which needs a parent; either "
			"the state or HasParent is wrong");
		return;
	}
	if (chunk != b->chunk)
		finish_chunk(b);
	b->chunk = chunk;
	b->partial_cnt++;
}

static void payload(struct bat_check *b, uint64_t idx, uint64_t blk,
		    uint64_t entry)
{
	uint64_t off = bat_entry_off(entry), len = b->v->block_len;
	uint64_t need = u64_min(len, b->v->size_len - blk * len);

	switch (bat_entry_state(entry)) {
	case BAT_NOT_PRESENT:
	case BAT_ZERO:
	case BAT_UNDEFINED:
	case BAT_UNMAPPED:
		b->second_cnt += off != 0;
		return;
	case BAT_PARTIALLY_PRESENT:
		partial_block(b, idx, blk);
		break;
	case BAT_FULLY_PRESENT:
		break;
	default:
		bat_say(b, KIND_STATE, idx, CHECK_NO_FIX,
			"is 0x%016" PRIx64 ", state %u; allowed are 0 to 3, "
			"6 and, with a parent, 7", entry,
			bat_entry_state(entry));
		return;
	}
	b->present_cnt++;
	examine_place(b, idx, off, len, need);
}

static void bitmap(struct bat_check *b, uint64_t idx, uint64_t chunk,
		   uint64_t entry)
{
	switch (bat_entry_state(entry)) {
	case BAT_SB_NOT_PRESENT:
		b->second_cnt += bat_entry_off(entry) != 0;
		return;
	case BAT_SB_PRESENT:
		break;
	default:
		bat_say(b, KIND_STATE, idx, CHECK_NO_FIX,
			"is 0x%016" PRIx64 ", state %u; allowed are 0 and, "
			"with a parent, 6", entry, bat_entry_state(entry));
		return;
	}
	if (!b->v->has_parent) {
		bat_say(b, KIND_BITMAP, idx, CHECK_NO_FIX,
			"is present at file offset %" PRIu64 ", which needs a "
			"parent; either the entry or HasParent is wrong",
			bat_entry_off(entry));
		return;
	}
	if (chunk == b->chunk)
		b->partial_cnt = 0;
	examine_place(b, idx, bat_entry_off(entry), MIB, MIB);
}

/* Where the state is reserved, all of the entry has been told already. */
static void reserved_bits(struct bat_check *b, uint64_t idx, uint64_t entry)
{
	unsigned state = bat_entry_state(entry);

	if (bat_entry_reserved(entry) && state != 4 && state != 5)
		bat_say(b, KIND_BITS, idx, CHECK_NO_FIX,
			"is 0x%016" PRIx64 "; bits 3 to 19 must be 0", entry);
}

static int first_pass(struct bat_check *b, uint64_t first, uint8_t *entries,
		      uint32_t cnt, struct vhdx_err *e)
{
	(void)e;
	for (uint32_t i = 0; i < cnt; i++) {
		uint64_t entry = get_le64(entries + 8 * (size_t)i);
		uint64_t idx = first + i;
		struct bat_slot s;

		if (entry == 0)
			continue;
		s = bat_slot_at(b, idx);
		if (s.behind) {
			b->second_cnt++;
			continue;
		}
		if (s.bitmap)
			bitmap(b, idx, s.blk, entry);
		else
			payload(b, idx, s.blk, entry);
		reserved_bits(b, idx, entry);
	}
	return 0;
}

/* ---- all of it ----------------------------------------------------------- */

static void say_fixed(const struct bat_check *b)
{
	uint64_t missing = b->g.block_cnt - b->present_cnt;

	if (b->v->fixed && missing)
		check_warn(b->v->c, VHDX_OBJ_BAT, b->off, "2.5.1.1",
			   "the disk is fixed (LeaveBlockAllocated), but the "
			   "file has no place for %" PRIu64 " of its %" PRIu64
			   " blocks", missing, b->g.block_cnt);
}

static int examine(struct bat_check *b, struct vhdx_err *e)
{
	int rc = bat_walk(b, first_pass, e);

	if (rc)
		return rc;
	finish_chunk(b);
	rc = bat_clash_say(b, e);
	if (!rc && b->second_cnt)
		rc = bat_second_pass(b, e);
	if (rc)
		return rc;
	bat_say_rest(b);
	say_fixed(b);
	b->v->c->result->blocks_allocated = b->present_cnt;
	b->v->all_present = b->present_cnt == b->g.block_cnt;
	b->v->have_bat = true;
	return 0;
}

int vck_bat(struct vck *v, struct vhdx_err *e)
{
	struct bat_check *b;
	int rc;

	if (!v->bat || !v->size_len || !v->block_len || !v->sector_len)
		return 0;
	b = mem_zalloc(sizeof(*b));
	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory to check the BAT");
	b->v = v;
	b->off = v->bat->off;
	b->slot_cnt = v->bat->len / 8;
	b->file_len = v->file->size;
	bat_geom_init(&b->g, v->size_len, v->block_len, v->sector_len,
		      v->has_parent);
	b->entry_cnt = u64_min(b->g.entry_cnt, b->slot_cnt);
	if (b->g.entry_cnt > b->slot_cnt)
		check_error(v->c, VHDX_OBJ_BAT, b->off, "2.5",
			    "the BAT region has room for %" PRIu64 " entries, "
			    "the disk needs %" PRIu64, b->slot_cnt,
			    b->g.entry_cnt);
	rc = examine(b, e);
	mem_free(b);
	return rc;
}
