/* SPDX-License-Identifier: MIT */
/*
 * MBR: four entries of 16 bytes from 446 on (status, -, -, -, type, -, -, -,
 * first sector, count: both u32), 0x55 0xaa at 510. A boot sector of a file
 * system ends like that too; there the status bytes are text or code, and not
 * all 0x00 or 0x80. Extended partitions lead to a chain of such sectors: entry
 * 0 is a logical partition, entry 1 the next one of the chain.
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
	bool protective; /* the MBR says that there is a GPT */
	bool gpt_seen;	 /* and so does a signature */
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
static void add_part(struct ptab *t, uint64_t lba, uint64_t cnt,
		     uint32_t sector_len)
{
	uint64_t end;

	if (ckd_add(lba, cnt, &end) || ckd_mul(end, (uint64_t)sector_len, &end))
		end = UINT64_MAX;
	t->out->part_cnt++;
	t->out->end_len = u64_max(t->out->end_len, end);
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

static int walk_chain(struct ptab *t, uint32_t first, uint32_t sector_len,
		      struct vhdx_err *e)
{
	uint64_t lba = first, off;
	uint8_t b[512];

	for (unsigned i = 0; i < EBR_MAX; i++) {
		const uint8_t *part = mbr_entry(b, 0), *next = mbr_entry(b, 1);
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
		if (part[4] && get_le32(part + 12))
			add_part(t, lba + get_le32(part + 8),
				 get_le32(part + 12), sector_len);
		if (!next[4] || !get_le32(next + 12))
			return 0;
		lba = (uint64_t)first + get_le32(next + 8);
	}
	damaged(t, "the chain of logical partitions has no end", lba);
	return 0;
}

static int load_mbr(struct ptab *t, uint32_t sector_len, struct vhdx_err *e)
{
	int rc = 0;

	if (!looks_like_mbr(t->mbr))
		return 0;
	for (int i = 0; !rc && i < 4; i++) {
		const uint8_t *p = mbr_entry(t->mbr, i);
		uint32_t first = get_le32(p + 8), cnt = get_le32(p + 12);

		t->protective |= p[4] == 0xee;
		if (!p[4] || p[4] == 0xee || !cnt)
			continue;
		if (t->out->kind == VHDX_TABLE_NONE)
			t->out->kind = VHDX_TABLE_MBR;
		add_part(t, first, cnt, sector_len);
		if (is_extended(p[4]))
			rc = walk_chain(t, first, sector_len, e);
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

static bool take_entries(struct ptab *t, const uint8_t *b, uint32_t cnt,
			 uint32_t len, uint32_t sector_len)
{
	static const uint8_t none[16];

	for (uint32_t i = 0; i < cnt; i++, b += len) {
		uint64_t first = get_le64(b + 32), last = get_le64(b + 40);

		if (memcmp(b, none, sizeof(none)) == 0)
			continue;
		if (last < first)
			return false;
		add_part(t, last, 1, sector_len);
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
	t->out->kind = VHDX_TABLE_GPT;
	t->out->sector_len = sector_len;
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

int parttab_load(parttab_read_fn *read, void *arg, uint64_t size_len,
		 uint32_t sector_len, struct parttab *out, struct vhdx_err *e)
{
	struct ptab t = { .read = read, .arg = arg, .size_len = size_len,
			  .out = out };
	bool good;
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
	/* Next to an MBR of its own, a GPT that is not right is left over. */
	if (!rc && out->kind != VHDX_TABLE_GPT &&
	    (t.protective || (t.gpt_seen && out->kind == VHDX_TABLE_NONE)))
		damaged(&t, "neither copy of the GPT is right", 1);
	return rc;
}
