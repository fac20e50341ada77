/* SPDX-License-Identifier: MIT */
/*
 * Codec of the metadata table. The table has no checksum, so every field is
 * held to its rule; what the items contain is layout.c's business.
 *
 * Metadata table, [MS-VHDX] 2.6.1, first 64 KiB of the metadata region
 *	0	8	"metadata"
 *	8	2	reserved, 0
 *	10	2	EntryCount, at most 2047
 *	12	20	reserved, 0
 *	32	32 * n	entries:
 *		0	16	ItemId; (ItemId, IsUser) is unique
 *		16	4	Offset in the region, from 64 KiB; 0 if empty
 *		20	4	Length, at most 1 MiB; 0: present but empty
 *		24	4	bit 0 IsUser, 1 IsVirtualDisk, 2 IsRequired,
 *				others 0
 *		28	4	reserved, 0
 */
#include "format.h"

#include <assert.h>

#include "le.h"

enum {
	META_CNT = 10,
	META_ENTRY = 32,
	META_ID = 0,
	META_OFF = 16,
	META_LEN = 20,
	META_FLAGS = 24,
	META_RESERVED = 28,

	META_USER = 1,
	META_VDISK = 2,
	META_REQUIRED = 4,
	META_FLAGS_ALL = 7,
};

static_assert(META_ENTRY + FMT_META_ENTRY_LEN * FMT_META_MAX <=
	      FMT_META_TABLE_LEN, "a full metadata table fits");

const struct guid FMT_META_FILE_PARAMS = GUID_INIT(0xcaa16737, 0xfa36, 0x4d43,
	0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b);
const struct guid FMT_META_DISK_SIZE = GUID_INIT(0x2fa54224, 0xcd1b, 0x4876,
	0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8);
const struct guid FMT_META_DISK_ID = GUID_INIT(0xbeca12ab, 0xb2e6, 0x4523,
	0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46);
const struct guid FMT_META_LSS = GUID_INIT(0x8141bf1d, 0xa96f, 0x4709,
	0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f);
const struct guid FMT_META_PSS = GUID_INIT(0xcda348c7, 0x445d, 0x4471,
	0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56);
const struct guid FMT_META_LOCATOR = GUID_INIT(0xa8d35f2d, 0xb30b, 0x454d,
	0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c);
const struct guid FMT_META_INCOMPLETE = GUID_INIT(0x71cc85f0, 0x1b69, 0x4e28,
	0x95, 0x58, 0xc3, 0xbf, 0x83, 0xae, 0x75, 0xd3);
const struct guid FMT_META_CHS = GUID_INIT(0xda02d7bc, 0x3d3a, 0x423c,
	0xac, 0x88, 0x2a, 0x36, 0xab, 0x21, 0x47, 0x9b);
const struct guid FMT_META_PMEM = GUID_INIT(0x10e1ae8a, 0x4b7e, 0x4169,
	0xa4, 0x0f, 0xcd, 0x70, 0xde, 0x92, 0x83, 0x93);

static int entry_verify_place(const struct fmt_meta_entry *m, uint64_t off,
			      uint32_t region_len, struct vhdx_err *e)
{
	if (m->len > FMT_META_ITEM_MAX)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata entry: Length is %u, must be at "
				   "most 1 MiB", m->len);
	if (m->len == 0) {
		if (m->off != 0)
			return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
					   "metadata entry: Offset is %u, must "
					   "be 0 when Length is 0", m->off);
		return 0;
	}
	if (m->off < FMT_META_TABLE_LEN)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata entry: Offset is %u, must be at "
				   "least 64 KiB", m->off);
	if ((uint64_t)m->off + m->len > region_len)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata entry: item %u+%u ends outside "
				   "the region of %u bytes", m->off, m->len,
				   region_len);
	return 0;
}

int meta_entry_decode(const uint8_t b[FMT_META_ENTRY_LEN], uint64_t off,
		      uint32_t region_len, struct fmt_meta_entry *out,
		      struct vhdx_err *e)
{
	uint32_t flags = get_le32(b + META_FLAGS);

	memcpy(out->id.b, b + META_ID, 16);
	out->off = get_le32(b + META_OFF);
	out->len = get_le32(b + META_LEN);
	out->user = flags & META_USER;
	out->vdisk = flags & META_VDISK;
	out->required = flags & META_REQUIRED;
	if (guid_is_zero(&out->id))
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata entry: ItemId is zero");
	if (flags & ~(uint32_t)META_FLAGS_ALL)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata entry: flags are 0x%x, bits 3 to "
				   "31 must be 0", flags);
	if (get_le32(b + META_RESERVED) != 0)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata entry: Reserved2 is 0x%x, must "
				   "be 0", get_le32(b + META_RESERVED));
	return entry_verify_place(out, off, region_len, e);
}

/* Entry i against all before it; see regions_decode about the square. */
static int entry_verify_unique(const struct fmt_meta_table *t, uint32_t i,
			       uint64_t off, struct vhdx_err *e)
{
	const struct fmt_meta_entry *a = &t->e[i];
	char id[GUID_TEXT_LEN];

	for (uint32_t k = 0; k < i; k++) {
		const struct fmt_meta_entry *b = &t->e[k];

		if (guid_eq(&a->id, &b->id) && a->user == b->user) {
			guid_format(&a->id, id);
			return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
					   "metadata table: entries %u and %u "
					   "have the same ItemId %s", k, i,
					   id);
		}
		/* Empty items lie at 0..0 and touch nothing. */
		if (a->off < b->off + b->len && b->off < a->off + a->len)
			return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
					   "metadata table: entries %u (%u+%u) "
					   "and %u (%u+%u) overlap", k, b->off,
					   b->len, i, a->off, a->len);
	}
	return 0;
}

int meta_header_decode(const uint8_t b[FMT_META_ENTRY_LEN], uint64_t off,
		       uint32_t *cnt, struct vhdx_err *e)
{
	if (memcmp(b, "metadata", 8) != 0)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.1",
				   "metadata table: signature is 0x%016llx, "
				   "must be \"metadata\"",
				   (unsigned long long)get_be64(b));
	if (get_le16(b + META_CNT) > FMT_META_MAX)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.1",
				   "metadata table: EntryCount is %u, must be "
				   "at most %u", get_le16(b + META_CNT),
				   FMT_META_MAX);
	*cnt = get_le16(b + META_CNT);
	for (unsigned i = 8; i < META_ENTRY; i++)
		if (b[i] != 0 && i / 2 != META_CNT / 2)
			return err_corrupt(e, VHDX_OBJ_META, off + i,
					   "2.6.1.1",
					   "metadata table: reserved byte %u "
					   "is 0x%02x, must be 0", i, b[i]);
	return 0;
}

int meta_table_decode(const uint8_t *b, uint64_t off, uint32_t region_len,
		      struct fmt_meta_table *out, struct vhdx_err *e)
{
	unsigned users = 0;
	int rc = meta_header_decode(b, off, &out->cnt, e);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < out->cnt; i++) {
		size_t pos = META_ENTRY + (size_t)i * FMT_META_ENTRY_LEN;

		rc = meta_entry_decode(b + pos, off + pos, region_len,
				       &out->e[i], e);
		if (!rc)
			rc = entry_verify_unique(out, i, off + pos, e);
		if (rc)
			return rc;
		users += out->e[i].user;
	}
	if (users > FMT_META_USER_MAX)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata table: %u user entries, must be "
				   "at most %u", users, FMT_META_USER_MAX);
	return 0;
}

const struct fmt_meta_entry *meta_item_find(const struct fmt_meta_table *t,
					    const struct guid *id, bool user)
{
	for (uint32_t i = 0; i < t->cnt; i++)
		if (t->e[i].user == user && guid_eq(&t->e[i].id, id))
			return &t->e[i];
	return NULL;
}

void meta_table_encode(const struct fmt_meta_table *in, uint8_t *b)
{
	memset(b, 0, FMT_META_TABLE_LEN);
	memcpy(b, "metadata", 8);
	put_le16(b + META_CNT, (uint16_t)in->cnt);
	for (uint32_t i = 0; i < in->cnt; i++) {
		const struct fmt_meta_entry *m = &in->e[i];
		uint8_t *p = b + META_ENTRY +
			     (size_t)i * FMT_META_ENTRY_LEN;

		memcpy(p + META_ID, m->id.b, 16);
		put_le32(p + META_OFF, m->off);
		put_le32(p + META_LEN, m->len);
		put_le32(p + META_FLAGS, (m->user ? META_USER : 0u) |
			 (m->vdisk ? META_VDISK : 0u) |
			 (m->required ? META_REQUIRED : 0u));
	}
}
