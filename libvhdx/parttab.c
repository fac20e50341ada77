/* SPDX-License-Identifier: MIT */
/*
 * MBR: four entries of 16 bytes from 446 on (status, -, -, -, type, -, -, -,
 * first sector, count: both u32), 0x55 0xaa at 510. A boot sector of a file
 * system ends like that too; there the status bytes are text or code, and not
 * all 0x00 or 0x80. Extended partitions lead to a chain of such sectors: entry
 * 0 is a logical partition, counted from that sector on, entry 1 the next one
 * of the chain, counted from the extended partition on. Linux takes any of the
 * four for either, entries 2 and 3 as partitions only within what the chain
 * gives that sector; sectors without a partition take no number.
 *
 * GPT header, in the second and in the last sector
 *	 0  8 "EFI PART"	24  8 this sector	80  4 entries
 *	12  4 length		32  8 the other header	84  4 bytes of each
 *	16  4 CRC-32		72  8 entries' sector	88  4 CRC-32 of them all
 * GPT entry
 *	 0 16 type (0: none)	32  8 first sector	40  8 last sector
 */
#include "parttab.h"

#include <inttypes.h>
#include <string.h>

#include "err.h"
#include "le.h"
#include "mem.h"

#define SECTOR_MAX 4096u
#define EBR_MAX 256u /* logical partitions; nobody has so many */
#define GPT_ENTRIES_LEN_MAX (4 * MIB)
#define GPT_HEADER_LEN 92u

struct ptab {
	parttab_read_fn *read;
	void *arg;
	uint64_t size_len;
	struct parttab *out;
	uint8_t mbr[SECTOR_MAX];
	bool protective;  /* the MBR says that there is a GPT */
	bool gpt_seen;	  /* and so does a signature */
	unsigned next_nr; /* of a logical partition */
};

/* CRC-32 of IEEE 802.3, which is not CRC-32C; short inputs only. */
static uint32_t crc32_ieee(uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* Any range of the disk; buf has room for it. */
static int read_at(struct ptab *t, uint64_t off, uint8_t *buf, size_t len,
		   struct vhdx_err *e)
{
	uint8_t b[SECTOR_MAX];
	int rc = 0;

	while (!rc && len) {
		uint64_t from = align_down(off, SECTOR_MAX);
		size_t have = (size_t)u64_min(SECTOR_MAX, t->size_len - from);
		size_t n = (size_t)u64_min(len, from + have - off);

		rc = t->read(t->arg, from, b, have, e);
		memcpy(buf, b + (off - from), n);
		off += n;
		buf += n;
		len -= n;
	}
	return rc;
}

static bool in_disk(const struct ptab *t, uint64_t lba, uint32_t sector_len,
		    uint64_t len, uint64_t *off)
{
	uint64_t end;

	return !ckd_mul(lba, (uint64_t)sector_len, off) &&
	       !ckd_add(*off, len, &end) && end <= t->size_len;
}

static void damaged(struct ptab *t, const char *text, uint64_t lba)
{
	if (t->out->kind == VHDX_TABLE_DAMAGED)
		return;
	t->out->kind = VHDX_TABLE_DAMAGED;
	(void)err_set(&t->out->why, VHDX_E_CORRUPT, "%s (sector %" PRIu64 ")",
		      text, lba);
}

/* Saturates: whatever ends beyond every disk ends beyond this one. */
static uint64_t note_end(struct ptab *t, uint64_t lba, uint64_t cnt,
			 uint32_t sector_len)
{
	uint64_t end;

	if (ckd_add(lba, cnt, &end) || ckd_mul(end, (uint64_t)sector_len, &end))
		end = UINT64_MAX;
	t->out->end_len = u64_max(t->out->end_len, end);
	return end;
}

static void add_part(struct ptab *t, unsigned nr, uint64_t lba, uint64_t cnt,
		     uint32_t sector_len, const uint8_t *type, size_t type_len)
{
	struct parttab *out = t->out;
	struct parttab_part *p = &out->parts[out->part_cnt];
	uint64_t end = note_end(t, lba, cnt, sector_len), off;

	if (ckd_mul(lba, (uint64_t)sector_len, &off) || off >= t->size_len)
		return;
	if (out->part_cnt == PARTTAB_MAX) {
		out->more = true;
		return;
	}
	*p = (struct parttab_part){ .nr = nr, .off = off };
	p->len = u64_min(end, t->size_len) - off;
	memcpy(p->type, type, type_len);
	out->part_cnt++;
}

/* ---- MBR ----------------------------------------------------------------- */

static const uint8_t *mbr_entry(const uint8_t *b, int i)
{
	return b + 446 + 16 * i;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool looks_like_mbr(const uint8_t *b)
{
	if (b[510] != 0x55 || b[511] != 0xaa)
		return false;
	for (int i = 0; i < 4; i++)
		if (mbr_entry(b, i)[0] & 0x7f)
			return false;
	return true;
}

static bool is_used(const uint8_t *entry)
{
	return entry[4] && get_le32(entry + 12);
}

static void add_mbr_part(struct ptab *t, unsigned nr, uint64_t base_lba,
			 const uint8_t *entry, uint32_t sector_len)
{
	add_part(t, nr, base_lba + get_le32(entry + 8), get_le32(entry + 12),
		 sector_len, entry + 4, 1);
}

/* The logical partitions that the sector b names, of the chain's link at lba,
 * cnt sectors long. */
static void add_logical(struct ptab *t, const uint8_t *b, uint64_t lba,
			uint64_t cnt, uint32_t sector_len)
{
	for (int i = 0; i < 4; i++) {
		const uint8_t *p = mbr_entry(b, i);

		if (!is_used(p) || is_extended(p[4]))
			continue;
		if (i < 2 || (uint64_t)get_le32(p + 8) + get_le32(p + 12) <=
				     cnt)
			add_mbr_part(t, t->next_nr++, lba, p, sector_len);
	}
}

/* The entry that leads to the next link, or NULL. */
static const uint8_t *next_link(const uint8_t *b)
{
	for (int i = 0; i < 4; i++)
		if (is_used(mbr_entry(b, i)) && is_extended(mbr_entry(b, i)[4]))
			return mbr_entry(b, i);
	return NULL;
}

/* From the extended partition `first`, cnt sectors long. */
static int walk_chain(struct ptab *t, uint32_t first, uint32_t cnt,
		      uint32_t sector_len, struct vhdx_err *e)
{
	uint64_t lba = first, off;
	uint8_t b[512];

	for (unsigned i = 0; i < EBR_MAX; i++) {
		const uint8_t *next;
		int rc;

		if (!in_disk(t, lba, sector_len, sizeof(b), &off)) {
			damaged(t, "the chain of logical partitions leaves "
				"the disk", lba);
			return 0;
		}
		rc = read_at(t, off, b, sizeof(b), e);
		if (rc)
			return rc;
		if (b[510] != 0x55 || b[511] != 0xaa) {
			damaged(t, "the chain of logical partitions is broken",
				lba);
			return 0;
		}
		add_logical(t, b, lba, cnt, sector_len);
		next = next_link(b);
		if (!next)
			return 0;
		lba = (uint64_t)first + get_le32(next + 8);
		cnt = get_le32(next + 12);
	}
	damaged(t, "the chain of logical partitions has no end", lba);
	return 0;
}

static void load_primary(struct ptab *t, uint32_t sector_len)
{
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *p = mbr_entry(t->mbr, (int)i);
		unsigned at = t->out->part_cnt;

		t->protective |= p[4] == 0xee;
		if (!is_used(p) || p[4] == 0xee)
			continue;
		t->out->kind = VHDX_TABLE_MBR;
		t->out->head_len = sector_len;
		add_mbr_part(t, i + 1, 0, p, sector_len);
		if (t->out->part_cnt > at)
			t->out->parts[at].extended = is_extended(p[4]);
	}
}

static int load_mbr(struct ptab *t, uint32_t sector_len, struct vhdx_err *e)
{
	int rc = 0;

	if (!looks_like_mbr(t->mbr))
		return 0;
	load_primary(t, sector_len);
	t->next_nr = 5;
	for (int i = 0; !rc && i < 4; i++) {
		const uint8_t *p = mbr_entry(t->mbr, i);

		if (is_used(p) && is_extended(p[4]))
			rc = walk_chain(t, get_le32(p + 8), get_le32(p + 12),
					sector_len, e);
	}
	t->out->min_len = t->out->end_len;
	return rc;
}

/* ---- GPT ----------------------------------------------------------------- */

static bool header_is_right(struct ptab *t, uint8_t *b, uint64_t lba,
			    uint32_t sector_len)
{
	uint32_t len = get_le32(b + 12), crc = get_le32(b + 16);

	if (memcmp(b, "EFI PART", 8) != 0)
		return false;
	t->gpt_seen = true;
	if (len < GPT_HEADER_LEN || len > sector_len)
		return false;
	put_le32(b + 16, 0);
	return crc32_ieee(0, b, len) == crc && get_le64(b + 24) == lba;
}

/* Lists them if an MBR guards them; where they end counts in any case. False:
 * they make no sense. */
static bool take_entries(struct ptab *t, const uint8_t *b, uint32_t cnt,
			 uint32_t len, uint32_t sector_len)
{
	static const uint8_t none[16];

	for (uint32_t i = 0; i < cnt; i++) {
		const uint8_t *p = b + (size_t)i * len;

		if (memcmp(p, none, sizeof(none)) != 0 &&
		    (get_le64(p + 40) < get_le64(p + 32) ||
		     get_le64(p + 40) == UINT64_MAX))
			return false;
	}
	if (t->protective)
		t->out->part_cnt = 0;
	for (uint32_t i = 0; i < cnt; i++, b += len) {
		uint64_t first = get_le64(b + 32), last = get_le64(b + 40);

		if (memcmp(b, none, sizeof(none)) == 0)
			continue;
		if (t->protective)
			add_part(t, i + 1, first, last - first + 1, sector_len,
				 b, 16);
		else
			note_end(t, last, 1, sector_len);
	}
	return true;
}

/* The header at lba, if it is right and so are its entries. */
static int load_gpt_at(struct ptab *t, uint64_t lba, uint32_t sector_len,
		       bool *good, struct vhdx_err *e)
{
	uint8_t b[SECTOR_MAX], *entries;
	uint64_t off, table_len, end;
	uint32_t cnt, len;
	int rc;

	*good = false;
	if (!in_disk(t, lba, sector_len, sector_len, &off))
		return 0;
	rc = read_at(t, off, b, sector_len, e);
	if (rc || !header_is_right(t, b, lba, sector_len))
		return rc;
	cnt = get_le32(b + 80);
	len = get_le32(b + 84);
	table_len = (uint64_t)cnt * len;
	if (len < 128 || !cnt || table_len > GPT_ENTRIES_LEN_MAX ||
	    !in_disk(t, get_le64(b + 72), sector_len, table_len, &off))
		return 0;
	entries = mem_alloc((size_t)table_len);
	if (!entries)
		return err_set(e, VHDX_E_NOMEM, "no memory for a GPT");
	rc = read_at(t, off, entries, (size_t)table_len, e);
	if (!rc && crc32_ieee(0, entries, (size_t)table_len) ==
			   get_le32(b + 88))
		*good = take_entries(t, entries, cnt, len, sector_len);
	mem_free(entries);
	if (!*good)
		return rc;
	t->out->mixed = !t->protective || t->out->kind == VHDX_TABLE_MBR;
	t->out->backup = lba != 1;
	if (t->protective || t->out->kind == VHDX_TABLE_NONE) {
		t->out->kind = VHDX_TABLE_GPT;
		t->out->sector_len = sector_len;
		t->out->head_len = t->out->backup ? 2 * sector_len
						  : off + table_len;
	}
	end = align_up(table_len, sector_len) + sector_len;
	if (ckd_add(t->out->end_len, end, &t->out->min_len))
		t->out->min_len = UINT64_MAX;
	return 0;
}

static int load_gpt(struct ptab *t, uint32_t sector_len, bool *good,
		    struct vhdx_err *e)
{
	const uint32_t lens[] = { sector_len, sector_len == 512 ? 4096 : 512 };
	int rc = 0;

	*good = false;
	for (int i = 0; !rc && !*good && i < 2; i++)
		rc = load_gpt_at(t, 1, lens[i], good, e);
	/* A backup alone may be left over from an earlier life of the disk. */
	if (rc || *good ||
	    (t->out->kind == VHDX_TABLE_MBR && !t->protective))
		return rc;
	for (int i = 0; !rc && !*good && i < 2; i++)
		if (t->size_len / lens[i] > 2)
			rc = load_gpt_at(t, t->size_len / lens[i] - 1, lens[i],
					 good, e);
	return rc;
}

/* Next to an MBR of its own, a GPT that is not right is left over. */
static void judge_without_gpt(struct ptab *t)
{
	if (t->protective ||
	    (t->gpt_seen && t->out->kind == VHDX_TABLE_NONE))
		damaged(t, "neither copy of the GPT is right", 1);
	t->out->mixed = t->gpt_seen;
}

int parttab_load(parttab_read_fn *read, void *arg, uint64_t size_len,
		 uint32_t sector_len, struct parttab *out, struct vhdx_err *e)
{
	struct ptab t = { .read = read, .arg = arg, .size_len = size_len,
			  .out = out };
	bool good = false;
	int rc;

	memset(out, 0, sizeof(*out));
	out->sector_len = sector_len;
	if (size_len < 512)
		return 0;
	rc = read_at(&t, 0, t.mbr, (size_t)u64_min(size_len, SECTOR_MAX), e);
	if (!rc)
		rc = load_mbr(&t, sector_len, e);
	if (!rc && out->kind != VHDX_TABLE_DAMAGED)
		rc = load_gpt(&t, sector_len, &good, e);
	if (!rc && !good && out->kind != VHDX_TABLE_DAMAGED)
		judge_without_gpt(&t);
	if (rc || out->kind == VHDX_TABLE_DAMAGED)
		out->part_cnt = 0;
	return rc;
}
