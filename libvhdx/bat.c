/* SPDX-License-Identifier: MIT */
#include "bat.h"

#include <string.h>

#include "le.h"
#include "mem.h"

#define SCAN_LEN MIB

uint64_t bat_entry_pos(const struct layout *l, uint64_t blk)
{
	return l->bat_off + bat_payload_index(&l->geom, blk) * 8;
}

uint64_t bat_bitmap_pos(const struct layout *l, uint64_t blk)
{
	uint64_t chunk = blk / l->geom.chunk_ratio;

	return l->bat_off + bat_bitmap_index(&l->geom, chunk) * 8;
}

uint64_t bat_slice_off(const struct layout *l, uint64_t blk)
{
	return blk % l->geom.chunk_ratio * (bat_slice_bits(l) / 8);
}

unsigned bat_slice_bits(const struct layout *l)
{
	return l->block_len / l->sector_len;
}

uint64_t bat_get(const struct mpage *p, uint64_t pos)
{
	ASSERT(p->off == align_down(pos, MPAGE_LEN));
	return get_le64(p->data + (pos - p->off));
}

void bat_set(struct mpage *p, uint64_t pos, uint64_t entry)
{
	ASSERT(p->off == align_down(pos, MPAGE_LEN));
	put_le64(p->data + (pos - p->off), entry);
}

bool bat_has_space(uint64_t entry)
{
	switch (bat_entry_state(entry)) {
	case BAT_FULLY_PRESENT:
	case BAT_PARTIALLY_PRESENT:
		return true;
	case BAT_UNDEFINED:
	case BAT_UNMAPPED: /* kept for the block should it be written again */
		return bat_entry_off(entry) != 0;
	default:
		return false;
	}
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* The structure that [off, off + len) runs into, or NULL. */
static const char *collision(const struct layout *l,
			     const struct fmt_header *hdr, uint64_t off,
			     uint64_t len)
{
	if (off < FMT_FIRST_OFF)
		return "the header area";
	if (overlap(off, len, hdr->log_off, hdr->log_len))
		return "the log";
	for (uint32_t i = 0; i < l->regions->cnt; i++)
		if (overlap(off, len, l->regions->e[i].off,
			    l->regions->e[i].len))
			return "a region";
	return NULL;
}

/* The last block of a file may be cut short (QEMU): the rest reads as zeros.
 * One that starts beyond the end has lost its data. */
static int verify_place(const struct layout *l, const struct fmt_header *hdr,
			uint64_t file_len, uint64_t off, uint64_t len,
			uint64_t pos, const char *name, uint64_t n,
			struct vhdx_err *e)
{
	const char *what;
	uint64_t end;

	if (ckd_add(off, len, &end) || off >= file_len)
		return err_corrupt(e, VHDX_OBJ_BAT, pos, "2.5.1.1",
				   "BAT entry of %s %llu points at file "
				   "offset %llu; the file ends at %llu", name,
				   (unsigned long long)n,
				   (unsigned long long)off,
				   (unsigned long long)file_len);
	what = collision(l, hdr, off, len);
	if (what)
		return err_corrupt(e, VHDX_OBJ_BAT, pos, "2.5.1.1",
				   "BAT entry of %s %llu points at file "
				   "offset %llu, which runs into %s", name,
				   (unsigned long long)n,
				   (unsigned long long)off, what);
	return 0;
}

int bat_verify(const struct layout *l, const struct fmt_header *hdr,
	       uint64_t file_len, uint64_t blk, uint64_t entry,
	       struct vhdx_err *e)
{
	unsigned state = bat_entry_state(entry);

	if (state == 4 || state == 5 ||
	    (state == BAT_PARTIALLY_PRESENT && !l->has_parent))
		return err_corrupt(e, VHDX_OBJ_BAT, bat_entry_pos(l, blk),
				   "2.5.1.1",
				   "BAT entry of block %llu has state %u; "
				   "allowed here: %s", (unsigned long long)blk,
				   state, l->has_parent ? "0-3, 6, 7"
							: "0-3, 6");
	if (!bat_has_space(entry))
		return 0;
	return verify_place(l, hdr, file_len, bat_entry_off(entry),
			    l->block_len, bat_entry_pos(l, blk), "block", blk,
			    e);
}

int bat_verify_bitmap(const struct layout *l, const struct fmt_header *hdr,
		      uint64_t file_len, uint64_t blk, uint64_t entry,
		      struct vhdx_err *e)
{
	uint64_t pos = bat_bitmap_pos(l, blk), chunk;

	chunk = blk / l->geom.chunk_ratio;
	if (bat_entry_state(entry) != BAT_SB_PRESENT)
		return err_corrupt(e, VHDX_OBJ_BITMAP, pos, "2.5.1.2",
				   "the sector bitmap of chunk %llu has state "
				   "%u, must have 6: block %llu is partially "
				   "present", (unsigned long long)chunk,
				   bat_entry_state(entry),
				   (unsigned long long)blk);
	return verify_place(l, hdr, file_len, bat_entry_off(entry), MIB, pos,
			    "sector bitmap", chunk, e);
}

/* off is inside the file (rounded up to MiB); a block may end beyond it. */
static int take(struct space *s, uint64_t off, uint64_t len, uint64_t pos,
		const char *what, uint64_t n, struct vhdx_err *e)
{
	int rc = space_reserve(s, off + len, e);

	if (rc)
		return rc;
	space_grow(s, off + len); /* a block cut short by the end of the file */
	if (space_take(s, off, len))
		return 0;
	return err_corrupt(e, VHDX_OBJ_BAT, pos, "2.5.1.1",
			   "%s %llu claims file offsets %llu-%llu, a part of "
			   "which another structure or block uses", what,
			   (unsigned long long)n, (unsigned long long)off,
			   (unsigned long long)(off + len));
}

static int take_structure(struct space *s, uint64_t off, uint64_t len,
			  uint64_t pos, const char *what, uint64_t n,
			  struct vhdx_err *e)
{
	uint64_t end;

	if (ckd_add(off, len, &end) || end > s->mib_cnt * MIB)
		return err_corrupt(e, VHDX_OBJ_REGION, pos, "2.2.3",
				   "%s %llu lies at file offset %llu, length "
				   "%llu; the file ends at %llu", what,
				   (unsigned long long)n,
				   (unsigned long long)off,
				   (unsigned long long)len,
				   (unsigned long long)s->mib_cnt * MIB);
	return take(s, off, len, pos, what, n, e);
}

static int take_structures(const struct layout *l,
			   const struct fmt_header *hdr, struct space *s,
			   struct vhdx_err *e)
{
	int rc = take_structure(s, 0, FMT_FIRST_OFF, 0, "header area", 0, e);

	if (!rc && hdr->log_len)
		rc = take_structure(s, hdr->log_off, hdr->log_len,
				    FMT_HEADER_OFF(0), "log", 0, e);
	for (uint32_t i = 0; !rc && i < l->regions->cnt; i++)
		rc = take_structure(s, l->regions->e[i].off,
				    l->regions->e[i].len,
				    FMT_REGION_OFF(0) + 16 + i * 32, "region",
				    i, e);
	return rc;
}

struct scan {
	const struct layout *l;
	const struct fmt_header *hdr;
	uint64_t file_len;
	struct space *s;
};

static int scan_entry(void *arg, uint64_t index, uint64_t entry,
		      struct vhdx_err *e)
{
	const struct scan *sc = arg;
	const struct layout *l = sc->l;
	uint64_t row = index / (l->geom.chunk_ratio + 1);
	uint64_t blk = index - row;
	int rc;

	if (index % (l->geom.chunk_ratio + 1) == l->geom.chunk_ratio) {
		/* A bitmap slot: of the blocks before it; means nothing
		 * without a parent. */
		if (!l->has_parent || bat_entry_state(entry) == 0)
			return 0;
		rc = bat_verify_bitmap(l, sc->hdr, sc->file_len, blk - 1, entry,
				       e);
		return rc ? rc : take(sc->s, bat_entry_off(entry), MIB,
				      l->bat_off + index * 8, "sector bitmap",
				      row, e);
	}
	rc = bat_verify(l, sc->hdr, sc->file_len, blk, entry, e);
	if (rc || !bat_has_space(entry))
		return rc;
	return take(sc->s, bat_entry_off(entry), l->block_len,
		    bat_entry_pos(l, blk), "block", blk, e);
}

/* The first entry from i on that is not all zeros, or cnt. Of the BAT of a
 * large disk hardly anything else is looked at. */
static uint64_t next_entry(const uint8_t *buf, uint64_t i, uint64_t cnt)
{
	while (cnt - i >= 8) {
		uint64_t w[8];

		memcpy(w, buf + i * 8, sizeof(w));
		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			break;
		i += 8;
	}
	while (i < cnt && get_le64(buf + i * 8) == 0)
		i++;
	return i;
}

int bat_each(struct file *f, const struct layout *l, bat_entry_fn *fn,
	     void *arg, struct vhdx_err *e)
{
	uint64_t pos = l->bat_off, end = pos + l->geom.entry_cnt * 8;
	uint64_t data_off, len;
	uint8_t *buf = mem_alloc(SCAN_LEN);
	int rc = 0;

	if (!buf)
		return err_set(e, VHDX_E_NOMEM, "no memory to read the BAT");
	while (!rc && pos < end) {
		rc = file_next_data(f, pos, &data_off, &len, e);
		if (rc || !len || data_off >= end)
			break;
		pos = u64_max(pos, align_down(data_off, 8));
		len = u64_min(data_off + len, end) - pos;
		len = u64_min(align_up(len, 8), SCAN_LEN);
		rc = file_read(f, pos, buf, len, e);
		for (uint64_t i = next_entry(buf, 0, len / 8);
		     !rc && i < len / 8; i = next_entry(buf, i + 1, len / 8))
			rc = fn(arg, (pos - l->bat_off) / 8 + i,
				get_le64(buf + i * 8), e);
		pos += len;
	}
	mem_free(buf);
	return rc;
}

int bat_scan(struct file *f, const struct layout *l,
	     const struct fmt_header *hdr, struct space *s,
	     struct vhdx_err *e)
{
	struct scan sc = { .l = l, .hdr = hdr, .file_len = f->size, .s = s };
	int rc = space_init(s, f->size, e);

	if (!rc)
		rc = take_structures(l, hdr, s, e);
	if (!rc)
		rc = bat_each(f, l, scan_entry, &sc, e);
	if (rc)
		space_fini(s);
	return rc;
}
