/* SPDX-License-Identifier: MIT */
/*
 * The second pass over the BAT: offsets where the state says that there is
 * none, soft anchors (the former place of a block that is now unmapped or
 * undefined), entries behind the last block. By the format no reader follows
 * any of them, so they may be cleared - but only where they lead nowhere.
 *
 * An entry that leads to space which nothing else owns may be a sound entry
 * whose state, or a table whose disk size, was damaged (one bit makes "fully
 * present" a "zero"). Clearing it would lose the only trace of the data. Such
 * an entry is told, left alone, and its space is kept (K4).
 *
 * Nothing is cleared either while anything else is wrong for good: the BAT
 * might not be what, or where, it seems to be.
 *
 * Entries are cleared in place, in whole pages: an entry never straddles a
 * sector, so that after a crash each one is old or new, and either is right
 * (K3).
 */
#include "check_bat.h"

#include <inttypes.h>
#include <string.h>

#include "le.h"
#include "mem.h"

#define NO_KIND 255u

struct verdict {
	uint8_t kind; /* enum bat_kind, or NO_KIND: nothing is wrong */
	bool clear;   /* leads nowhere */
};

/* The entry points at space inside the file that nothing else owns; takes
 * it. */
static bool leads_somewhere(struct bat_check *b, uint64_t off, uint64_t len)
{
	uint64_t mib;

	if (off < FMT_FIRST_OFF || off >= b->file_len ||
	    len > align_up(b->file_len, MIB) - off ||
	    mibmap_taken(&b->v->map, off, len, &mib))
		return false;
	mibmap_take(&b->v->map, off, len, &mib);
	return true;
}

static struct verdict judge(struct bat_check *b, uint64_t idx, uint64_t entry)
{
	struct verdict none = { .kind = NO_KIND };
	struct bat_slot s = bat_slot_at(b, idx);
	uint64_t off = bat_entry_off(entry);
	uint64_t len = s.bitmap ? MIB : b->v->block_len;
	unsigned state = bat_entry_state(entry);
	bool anchor = state == BAT_UNDEFINED || state == BAT_UNMAPPED;

	if (s.behind)
		return leads_somewhere(b, off, len) ?
			       (struct verdict){ KIND_BEHIND_LIVE, false } :
			       (struct verdict){ KIND_BEHIND, true };
	if (off == 0)
		return none;
	if (state == BAT_NOT_PRESENT || (state == BAT_ZERO && !s.bitmap))
		return leads_somewhere(b, off, len) ?
			       (struct verdict){ KIND_OFFSET_LIVE, false } :
			       (struct verdict){ KIND_OFFSET, true };
	if (anchor && !s.bitmap && !leads_somewhere(b, off, len))
		return (struct verdict){ KIND_ANCHOR, true };
	return none;
}

static void tell(struct bat_check *b, uint64_t idx, uint64_t entry,
		 struct verdict d)
{
	enum check_fix fix = d.clear && b->may_clear ? vck_fix(b->v)
						 : CHECK_NO_FIX;
	uint64_t off = bat_entry_off(entry);
	unsigned state = bat_entry_state(entry);

	switch (d.kind) {
	case KIND_OFFSET:
		bat_say(b, KIND_OFFSET, idx, fix, "has state %u, which has no "
			"place in the file, but file offset %" PRIu64, state,
			off);
		break;
	case KIND_OFFSET_LIVE:
		bat_say(b, KIND_OFFSET_LIVE, idx, fix, "has state %u, which "
			"has no place in the file, but the offset %" PRIu64
			" of space that nothing else uses; either may be "
			"wrong, so it is left alone", state, off);
		break;
	case KIND_ANCHOR:
		bat_say(b, KIND_ANCHOR, idx, fix, "has state %u and the former "
			"place %" PRIu64 ", which is outside the file or "
			"belongs to something else", state, off);
		break;
	case KIND_BEHIND:
		bat_say(b, KIND_BEHIND, idx, fix, "is 0x%016" PRIx64 ", but "
			"lies behind the last block", entry);
		break;
	case KIND_BEHIND_LIVE:
		bat_say(b, KIND_BEHIND_LIVE, idx, fix, "is 0x%016" PRIx64
			", but lies behind the last block, and leads to space "
			"that nothing else uses; the disk's size may be "
			"wrong, so it is left alone", entry);
		break;
	default:
		break;
	}
}

static void clear(uint8_t *p, uint64_t entry, struct verdict d)
{
	put_le64(p, d.kind == KIND_BEHIND ? 0 : bat_entry_state(entry));
}

/* Writes the pages that hold an entry to clear, then makes them durable. */
static int mend(struct bat_check *b, uint64_t first, uint8_t *entries,
		uint32_t cnt, const struct verdict *d, struct vhdx_err *e)
{
	const uint32_t per_page = FMT_LOG_SECTOR / 8;
	struct file *f = b->v->c->file;
	bool wrote = false;

	for (uint32_t p = 0; p < cnt; p += per_page) {
		bool dirty = false;
		int rc = 0;

		for (uint32_t i = p; i < cnt && i < p + per_page; i++) {
			uint8_t *at = entries + 8 * (size_t)i;

			if (d[i].clear)
				clear(at, get_le64(at), d[i]);
			dirty |= d[i].clear;
		}
		if (!dirty)
			continue;
		wrote = true;
		rc = vck_begin_mending(b->v, e);
		if (!rc)
			rc = file_write(f, b->off + (first + p) * 8,
					entries + 8 * (size_t)p,
					FMT_LOG_SECTOR, e);
		if (rc)
			return rc;
	}
	return wrote ? file_sync(f, e) : 0;
}

static int window(struct bat_check *b, uint64_t first, uint8_t *entries,
		  uint32_t cnt, struct vhdx_err *e)
{
	struct verdict *d = mem_array(cnt, sizeof(*d));
	uint64_t *found = mem_array(cnt, sizeof(*found));
	int rc = 0;

	if (!d || !found) {
		rc = err_set(e, VHDX_E_NOMEM, "no memory to check the BAT");
		goto out;
	}
	for (uint32_t i = 0; i < cnt; i++) {
		found[i] = get_le64(entries + 8 * (size_t)i);
		d[i].kind = NO_KIND;
		if (found[i])
			d[i] = judge(b, first + i, found[i]);
	}
	if (b->may_clear && vck_mends(b->v))
		rc = mend(b, first, entries, cnt, d, e);
	for (uint32_t i = 0; i < cnt && !rc; i++)
		if (d[i].kind != NO_KIND)
			tell(b, first + i, found[i], d[i]);
out:
	mem_free(d);
	mem_free(found);
	return rc;
}

int bat_second_pass(struct bat_check *b, struct vhdx_err *e)
{
	b->may_clear = b->v->may_mend && b->v->c->stuck_errors == 0;
	return bat_walk(b, window, e);
}
