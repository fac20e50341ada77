/* SPDX-License-Identifier: MIT */
/*
 * Partition tables, MBR with logical partitions and GPT. A table that is not in
 * order in every respect is none: then the disk is left alone. (The blkid
 * library knows more kinds, but wants a file of the disk's full size.)
 */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GPT_ENTRIES_MAX 256u
#define MBR_TABLE 446

static uint32_t le32(const uint8_t *b)
{
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

static uint64_t le64(const uint8_t *b)
{
	return le32(b) | (uint64_t)le32(b + 4) << 32;
}

/* Reflected, 0xedb88320. */
static uint32_t crc32(const uint8_t *b, size_t len)
{
	uint32_t c = ~0u;

	while (len--) {
		c ^= *b++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
	}
	return ~c;
}

struct list {
	struct part *v;
	unsigned max, cnt;
	const char *why; /* it is not in order */
};

/* In sectors; what is not on the disk is no partition. */
static void add(struct list *l, unsigned nr, uint64_t lba, uint64_t sectors,
		bool plain)
{
	uint64_t max = disk_len() / disk_sector_len();
	struct part *p;

	if (!lba || !sectors || lba >= max || sectors > max - lba) {
		l->why = "a partition is not on the disk";
		return;
	}
	if (l->cnt == l->max) {
		l->why = "too many partitions";
		return;
	}
	p = &l->v[l->cnt++];
	*p = (struct part){ .off = lba * disk_sector_len(),
			    .len = sectors * disk_sector_len(),
			    .foreign = !plain };
	snprintf(p->name, sizeof(p->name), "partition %u", nr);
}

/* ---- MBR ---------------------------------------------------------------- */

/* Of a partition that holds one file system, or swap, as a whole, and not a
 * piece of a volume that goes on elsewhere (Windows' dynamic disks, LVM). */
static bool is_plain_type(uint8_t type)
{
	return type == 0x83 || type == 0x82 || type == 0x07 || type == 0x17 ||
	       type == 0x27;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* The chain of logical partitions in the extended one. */
static void add_logical(struct list *l, uint64_t base, uint64_t cnt)
{
	uint8_t s[512];
	uint64_t at = base, last = 0;

	for (unsigned nr = 5; !l->why; nr++) {
		const uint8_t *e = s + MBR_TABLE;
		uint64_t next;

		if (!disk_read(at * disk_sector_len(), s, 512) ||
		    s[510] != 0x55 || s[511] != 0xaa) {
			l->why = "the chain of logical partitions is broken";
			return;
		}
		if (e[4])
			add(l, nr, at + le32(e + 8), le32(e + 12),
			    is_plain_type(e[4]));
		next = le32(e + 16 + 8);
		if (!e[16 + 4])
			return;
		if (!is_extended(e[16 + 4]) || next <= last || next >= cnt) {
			l->why = "the chain of logical partitions is broken";
			return;
		}
		last = next;
		at = base + next;
	}
}

static bool has_mbr(const uint8_t *s)
{
	bool any = false;

	if (s[510] != 0x55 || s[511] != 0xaa)
		return false;
	for (int i = 0; i < 4; i++) {
		const uint8_t *e = s + MBR_TABLE + 16 * i;

		if (e[0] & 0x7f)
			return false;
		if (e[4] && (!le32(e + 8) || !le32(e + 12)))
			return false;
		any |= e[4] != 0;
	}
	return any;
}

static void read_mbr(struct list *l, const uint8_t *s)
{
	for (unsigned i = 0; i < 4 && !l->why; i++) {
		const uint8_t *e = s + MBR_TABLE + 16 * i;

		if (e[4] && is_extended(e[4]))
			add_logical(l, le32(e + 8), le32(e + 12));
		else if (e[4])
			add(l, i + 1, le32(e + 8), le32(e + 12),
			    is_plain_type(e[4]));
	}
}

/* ---- GPT ---------------------------------------------------------------- */

/* The same for a GPT. */
static bool is_plain_guid(const uint8_t b[16])
{
	static const uint8_t types[][16] = {
		/* Linux data */
		{ 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
		  0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 },
		/* root x86 */
		{ 0x40, 0x95, 0x47, 0x44, 0x97, 0xf2, 0xb2, 0x41,
		  0x9a, 0xf7, 0xd1, 0x31, 0xd5, 0xf0, 0x45, 0x8a },
		/* root x86-64 */
		{ 0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
		  0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09 },
		/* root arm64 */
		{ 0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41,
		  0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae },
		/* home */
		{ 0xe1, 0xc7, 0x3a, 0x93, 0xb4, 0x2e, 0x13, 0x4f,
		  0xb8, 0x44, 0x0e, 0x14, 0xe2, 0xae, 0xf9, 0x15 },
		/* srv */
		{ 0x25, 0x84, 0x8f, 0x3b, 0xe0, 0x20, 0x3b, 0x4f,
		  0x90, 0x7f, 0x1a, 0x25, 0xa7, 0x6f, 0x98, 0xe8 },
		/* var */
		{ 0x16, 0xb0, 0x21, 0x4d, 0x34, 0xb5, 0xc2, 0x45,
		  0xa9, 0xfb, 0x5c, 0x16, 0xe0, 0x91, 0xfd, 0x2d },
		/* swap */
		{ 0x6d, 0xfd, 0x57, 0x06, 0xab, 0xa4, 0xc4, 0x43,
		  0x84, 0xe5, 0x09, 0x33, 0xc8, 0x4b, 0x4f, 0x4f },
		/* Windows data */
		{ 0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44,
		  0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7 },
		/* Windows recovery */
		{ 0xa4, 0xbb, 0x94, 0xde, 0xd1, 0x06, 0x40, 0x4d,
		  0xa1, 0x6a, 0xbf, 0xd5, 0x01, 0x79, 0xd6, 0xac },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (memcmp(b, types[i], 16) == 0)
			return true;
	return false;
}

static void read_gpt(struct list *l, const uint8_t *h, uint32_t sector_len)
{
	uint32_t len = le32(h + 12), cnt = le32(h + 80), each = le32(h + 84);
	uint8_t copy[512], *table;
	static const uint8_t nil[16];

	l->why = "the GPT is damaged";
	if (len < 92 || len > 512 || cnt > GPT_ENTRIES_MAX || each != 128)
		return;
	memcpy(copy, h, 512);
	memset(copy + 16, 0, 4);
	if (crc32(copy, len) != le32(h + 16) || le64(h + 24) != 1)
		return;
	table = calloc(cnt, each);
	if (!table)
		return;
	if (le64(h + 72) < disk_len() / sector_len &&
	    disk_read(le64(h + 72) * sector_len, table,
		      (uint64_t)cnt * each) &&
	    crc32(table, (size_t)cnt * each) == le32(h + 88))
		l->why = NULL;
	for (unsigned i = 0; i < cnt && !l->why; i++) {
		const uint8_t *e = table + (size_t)i * each;
		uint64_t first = le64(e + 32), last = le64(e + 40);

		if (memcmp(e, nil, 16) == 0)
			continue;
		if (last < first || last == UINT64_MAX)
			l->why = "the GPT is damaged";
		else
			add(l, i + 1, first, last - first + 1,
			    is_plain_guid(e));
	}
	free(table);
}

/* ---- both --------------------------------------------------------------- */

static int by_off(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

static void sort(struct list *l)
{
	qsort(l->v, l->cnt, sizeof(*l->v), by_off);
	for (unsigned i = 1; i < l->cnt; i++)
		if (l->v[i - 1].off + l->v[i - 1].len > l->v[i].off)
			l->why = "partitions overlap";
}

enum table parts_find(struct part *parts, unsigned max, unsigned *cnt,
		      const char **why)
{
	uint32_t sector_len = disk_sector_len();
	struct list l = { .v = parts, .max = max };
	uint8_t s[512], gpt[512] = { 0 };
	enum table t = TABLE_NONE;

	*cnt = 0;
	*why = NULL;
	if (!disk_read(0, s, 512)) {
		*why = "its first sector cannot be read";
		return TABLE_BAD;
	}
	if (disk_len() >= 2 * sector_len + 512)
		(void)disk_read(sector_len, gpt, 512);
	if (memcmp(gpt, "EFI PART", 8) == 0) {
		t = TABLE_GPT;
		read_gpt(&l, gpt, sector_len);
	} else if (has_mbr(s)) {
		t = TABLE_MBR;
		read_mbr(&l, s);
		for (int i = 0; i < 4; i++)
			if (s[MBR_TABLE + 16 * i + 4] == 0xee)
				l.why = "the GPT is gone";
	}
	if (!l.why)
		sort(&l);
	*why = l.why;
	*cnt = l.cnt;
	return l.why ? TABLE_BAD : t;
}
