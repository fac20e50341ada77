/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parttab.h"

static struct parttab tab;

static int read_disk(void *arg, uint64_t off, void *buf, size_t len,
		     struct vhdx_err *e)
{
	(void)arg;
	(void)e;
	return disk_read(off, buf, len) ? 0 : VHDX_E_IO;
}

/* ---- types --------------------------------------------------------------- */

/* Of a partition that holds one file system, or swap, as a whole, and not a
 * piece of a volume that goes on elsewhere (Windows' dynamic disks, LVM). */
static bool is_plain_byte(uint8_t type)
{
	return type == 0x83 || type == 0x82 || type == 0x07 || type == 0x17 ||
	       type == 0x27;
}

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

static bool is_plain(const struct parttab_part *p)
{
	return tab.kind == VHDX_TABLE_GPT ? is_plain_guid(p->type)
					  : is_plain_byte(p->type[0]);
}

/* ---- is the table in order? ---------------------------------------------- */

static bool overlaps(const struct parttab_part *a,
		     const struct parttab_part *b)
{
	return a->off < b->off + b->len && b->off < a->off + a->len;
}

static bool is_within(const struct parttab_part *a,
		      const struct parttab_part *room)
{
	return a->off >= room->off &&
	       a->off - room->off <= room->len &&
	       a->len <= room->len - (a->off - room->off);
}

/* Logical partitions are each in the extended one, no other overlaps. */
static const char *objection_to_places(void)
{
	for (unsigned i = 0; i < tab.part_cnt; i++) {
		const struct parttab_part *p = &tab.parts[i];
		bool logical = tab.kind == VHDX_TABLE_MBR && p->nr > 4;
		bool roomed = false;

		for (unsigned k = 0; k < tab.part_cnt; k++) {
			const struct parttab_part *q = &tab.parts[k];

			if (logical && q->extended)
				roomed |= is_within(p, q);
			else if (i != k && overlaps(p, q) &&
				 !(p->extended && q->nr > 4))
				return "partitions overlap";
		}
		if (logical && !roomed)
			return "a logical partition is not in the extended one";
		if (p->off < tab.head_len)
			return "a partition is over the partition table";
	}
	return NULL;
}

/* Why not, or NULL. */
static const char *objection(void)
{
	if (tab.kind == VHDX_TABLE_DAMAGED)
		return tab.why.text;
	if (tab.mixed)
		return "its MBR and its GPT contradict each other";
	if (tab.backup)
		return "the GPT is damaged, but for its backup";
	if (tab.sector_len != disk_sector_len())
		return "the GPT is for sectors of another size";
	if (tab.min_len > disk_len())
		return "a partition is not on the disk, or over the GPT";
	if (tab.more)
		return "too many partitions";
	return objection_to_places();
}

/* ---- both ---------------------------------------------------------------- */

static int by_off(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

enum table parts_find(struct part *parts, unsigned max, unsigned *cnt,
		      const char **why)
{
	*cnt = 0;
	*why = "its partition table cannot be read";
	if (parttab_load(read_disk, NULL, disk_len(), disk_sector_len(), &tab,
			 NULL))
		return TABLE_BAD;
	if (tab.kind == VHDX_TABLE_NONE)
		return TABLE_NONE;
	*why = objection();
	if (*why)
		return TABLE_BAD;
	for (unsigned i = 0; i < tab.part_cnt && *cnt < max; i++) {
		const struct parttab_part *p = &tab.parts[i];
		struct part *to = &parts[*cnt];

		if (p->extended)
			continue;
		*to = (struct part){ .off = p->off, .len = p->len,
				     .foreign = !is_plain(p) };
		snprintf(to->name, sizeof(to->name), "partition %u", p->nr);
		++*cnt;
	}
	qsort(parts, *cnt, sizeof(*parts), by_off);
	return TABLE_GOOD;
}
