/* SPDX-License-Identifier: MIT */
/*
 * Loading is in the order of trust: region tables (checksummed), metadata
 * table, items, and last the BAT's room, which depends on all of them.
 *
 * What is beyond the end of the file reads as zeros, which in a BAT would mean
 * an empty disk: a file that was cut off must be refused, not shown as empty.
 * So every item, and every BAT entry that the disk needs, has to lie inside
 * the file. (An extension lost in a crash is restored by replay before this.)
 */
#include "layout.h"

#include <string.h>

#include "le.h"
#include "mem.h"
#include "utf16.h"

static int no_memory(struct vhdx_err *e)
{
	return err_set(e, VHDX_E_NOMEM, "no memory for regions and metadata");
}

/* ---- regions ------------------------------------------------------------- */

static int load_copy(struct file *f, int copy, uint8_t *buf,
		     struct fmt_region_table *t, bool *good,
		     struct vhdx_err *why, struct vhdx_err *e)
{
	int rc = file_read(f, FMT_REGION_OFF(copy), buf, FMT_REGION_LEN, e);

	if (!rc)
		*good = regions_decode(buf, FMT_REGION_OFF(copy), t, why) == 0;
	return rc;
}

static bool regions_eq(const struct fmt_region_table *a,
		       const struct fmt_region_table *b)
{
	if (a->cnt != b->cnt)
		return false;
	for (uint32_t i = 0; i < a->cnt; i++)
		if (!guid_eq(&a->e[i].id, &b->e[i].id) ||
		    a->e[i].off != b->e[i].off || a->e[i].len != b->e[i].len ||
		    a->e[i].required != b->e[i].required)
			return false;
	return true;
}

/* Two intact copies that say different things: the first one counts, because
 * many readers look at nothing else. */
static int choose_copy(struct layout *l, const struct fmt_region_table *second,
		       const bool good[2], const struct vhdx_err why[2],
		       struct vhdx_err *e)
{
	l->region_bad = -1;
	if (!good[0] && !good[1]) {
		err_copy(e, &why[0], VHDX_E_CORRUPT);
		return err_wrap(e, VHDX_E_CORRUPT,
				"both copies of the region table are damaged");
	}
	if (!good[0]) {
		l->region_bad = 0;
		l->region_why = why[0];
		memcpy(l->regions, second, sizeof(*second));
	} else if (!good[1]) {
		l->region_bad = 1;
		l->region_why = why[1];
	} else if (!regions_eq(l->regions, second)) {
		l->region_bad = 1;
		(void)err_corrupt(&l->region_why, VHDX_OBJ_REGION,
				  FMT_REGION_OFF(1), "2.2.3",
				  "the second region table differs from the "
				  "first");
	}
	return 0;
}

static int read_regions(struct file *f, struct layout *l, struct vhdx_err *e)
{
	struct fmt_region_table *second = mem_zalloc(sizeof(*second));
	struct vhdx_err *why = mem_array(2, sizeof(*why));
	uint8_t *buf = mem_alloc(FMT_REGION_LEN);
	bool good[2] = { false, false };
	int rc;

	if (!second || !why || !buf || !l->regions)
		rc = no_memory(e);
	else
		rc = load_copy(f, 0, buf, l->regions, &good[0], &why[0], e);
	if (!rc)
		rc = load_copy(f, 1, buf, second, &good[1], &why[1], e);
	if (!rc)
		rc = choose_copy(l, second, good, why, e);
	mem_free(second);
	mem_free(why);
	mem_free(buf);
	return rc;
}

static int verify_region(const struct fmt_region *r,
			 const struct fmt_header *hdr, uint64_t table_off,
			 struct vhdx_err *e)
{
	bool known = guid_eq(&r->id, &FMT_REGION_BAT) ||
		     guid_eq(&r->id, &FMT_REGION_META);
	char id[GUID_TEXT_LEN];

	guid_format(&r->id, id);
	if (!known && r->required)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_REGION,
			       table_off, "2.2.3.2", "region %s is required "
			       "and not known to this version", id);
	if (hdr->log_len && r->off < hdr->log_off + hdr->log_len &&
	    hdr->log_off < r->off + r->len)
		return err_corrupt(e, VHDX_OBJ_REGION, table_off, "2.2.3.2",
				   "region %s (%llu+%u) overlaps the log "
				   "(%llu+%u)", id, (unsigned long long)r->off,
				   r->len, (unsigned long long)hdr->log_off,
				   hdr->log_len);
	return 0;
}

static const struct fmt_region *find_region(const struct fmt_region_table *t,
					    const struct guid *id)
{
	for (uint32_t i = 0; i < t->cnt; i++)
		if (guid_eq(&t->e[i].id, id))
			return &t->e[i];
	return NULL;
}

int layout_load_regions(struct file *f, const struct fmt_header *hdr,
			struct layout *l, struct vhdx_err *e)
{
	const struct fmt_region *bat, *meta;
	uint64_t off;
	int rc;

	if (!l->regions)
		l->regions = mem_zalloc(sizeof(*l->regions));
	rc = read_regions(f, l, e);
	off = FMT_REGION_OFF(l->region_bad == 0);
	for (uint32_t i = 0; !rc && i < l->regions->cnt; i++)
		rc = verify_region(&l->regions->e[i], hdr, off, e);
	if (rc)
		return rc;
	bat = find_region(l->regions, &FMT_REGION_BAT);
	meta = find_region(l->regions, &FMT_REGION_META);
	if (!bat || !meta)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
				   "the region table has no %s region",
				   bat ? "metadata" : "BAT");
	l->bat_off = bat->off;
	l->bat_len = bat->len;
	l->meta_off = meta->off;
	l->meta_len = meta->len;
	return 0;
}

/* ---- metadata ------------------------------------------------------------ */

enum { ITEM_PARAMS, ITEM_SIZE, ITEM_ID, ITEM_LSS, ITEM_PSS, ITEM_CNT };

/* 2.6.2; the parent locator's content is the chain's business. The flags of a
 * known item change nothing for a reader: check reports odd ones. */
static const struct known_item {
	const struct guid *id;
	const char *name;
	uint32_t len;
} known_items[ITEM_CNT] = {
	[ITEM_PARAMS] = { &FMT_META_FILE_PARAMS, "File Parameters", 8 },
	[ITEM_SIZE] = { &FMT_META_DISK_SIZE, "Virtual Disk Size", 8 },
	[ITEM_ID] = { &FMT_META_DISK_ID, "Virtual Disk ID", 16 },
	[ITEM_LSS] = { &FMT_META_LSS, "Logical Sector Size", 4 },
	[ITEM_PSS] = { &FMT_META_PSS, "Physical Sector Size", 4 },
};

#define ITEM_LEN_MAX 16

static bool item_is_known(const struct fmt_meta_entry *m)
{
	if (m->user)
		return false;
	for (unsigned i = 0; i < ITEM_CNT; i++)
		if (guid_eq(&m->id, known_items[i].id))
			return true;
	return guid_eq(&m->id, &FMT_META_LOCATOR) ||
	       guid_eq(&m->id, &FMT_META_CHS) ||
	       guid_eq(&m->id, &FMT_META_PMEM);
}

static int verify_items(const struct layout *l, struct vhdx_err *e)
{
	char id[GUID_TEXT_LEN];

	if (meta_item_find(l->meta, &FMT_META_INCOMPLETE, false))
		return err_corrupt(e, VHDX_OBJ_META, l->meta_off, "",
				   "the creation of this file was never "
				   "finished: it carries the marker for that");
	for (uint32_t i = 0; i < l->meta->cnt; i++) {
		const struct fmt_meta_entry *m = &l->meta->e[i];

		if (!m->required || item_is_known(m))
			continue;
		guid_format(&m->id, id);
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_META,
			       l->meta_off + m->off, "2.6.1.2",
			       "metadata item %s is required and not known to "
			       "this version", id);
	}
	return 0;
}

static int read_item(struct file *f, const struct layout *l,
		     const struct known_item *k, uint8_t *buf,
		     struct vhdx_err *e)
{
	const struct fmt_meta_entry *m = meta_item_find(l->meta, k->id, false);
	uint64_t off;

	if (!m)
		return err_corrupt(e, VHDX_OBJ_META, l->meta_off, "2.6.2",
				   "metadata item \"%s\" is missing", k->name);
	off = l->meta_off + m->off;
	if (m->len != k->len)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.2",
				   "metadata item \"%s\" has %u bytes, must "
				   "have %u", k->name, m->len, k->len);
	if (off + m->len > f->size)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.1.2",
				   "metadata item \"%s\" lies at %llu, but the "
				   "file ends at %llu", k->name,
				   (unsigned long long)off,
				   (unsigned long long)f->size);
	return file_read(f, off, buf, m->len, e);
}

static uint64_t item_off(const struct layout *l, unsigned item)
{
	return l->meta_off +
	       meta_item_find(l->meta, known_items[item].id, false)->off;
}

static int take_params(struct layout *l, const uint8_t *b, struct vhdx_err *e)
{
	uint32_t block = get_le32(b), flags = get_le32(b + 4);
	uint64_t off = item_off(l, ITEM_PARAMS);

	if (!is_pow2(block) || block < FMT_BLOCK_MIN || block > FMT_BLOCK_MAX)
		return err_corrupt(e, VHDX_OBJ_META, off, "2.6.2.1",
				   "BlockSize is %u, must be a power of two "
				   "from 1 MiB to 256 MiB", block);
	if (flags & ~3u)
		return err_corrupt(e, VHDX_OBJ_META, off + 4, "2.6.2.1",
				   "file parameter flags are 0x%x, bits 2 to "
				   "31 must be 0", flags);
	l->block_len = block;
	l->has_parent = flags & 2;
	l->leave_allocated = (flags & 1) && !l->has_parent;
	if (l->has_parent &&
	    !meta_item_find(l->meta, &FMT_META_LOCATOR, false))
		return err_corrupt(e, VHDX_OBJ_META, off + 4, "2.6.2.6",
				   "the file says that it has a parent, but "
				   "has no parent locator");
	return 0;
}

static int take_sector_len(const struct layout *l, unsigned item,
			   const uint8_t *b, uint32_t *out,
			   struct vhdx_err *e)
{
	*out = get_le32(b);
	if (*out == 512 || *out == 4096)
		return 0;
	return err_corrupt(e, VHDX_OBJ_META, item_off(l, item), "2.6.2",
			   "\"%s\" is %u, must be 512 or 4096",
			   known_items[item].name, *out);
}

/* A size of 0 breaks no rule; qemu makes such files. */
static int take_size(struct layout *l, const uint8_t *b, struct vhdx_err *e)
{
	l->size_len = get_le64(b);
	if (l->size_len % l->sector_len == 0 && l->size_len <= FMT_SIZE_MAX)
		return 0;
	return err_corrupt(e, VHDX_OBJ_META, item_off(l, ITEM_SIZE), "2.6.2.2",
			   "VirtualDiskSize is %llu, must be a multiple of %u "
			   "up to 64 TiB", (unsigned long long)l->size_len,
			   l->sector_len);
}

static int read_items(struct file *f, struct layout *l, struct vhdx_err *e)
{
	uint8_t b[ITEM_CNT][ITEM_LEN_MAX];
	int rc = 0;

	for (unsigned i = 0; i < ITEM_CNT && !rc; i++)
		rc = read_item(f, l, &known_items[i], b[i], e);
	if (!rc)
		rc = take_params(l, b[ITEM_PARAMS], e);
	if (!rc)
		rc = take_sector_len(l, ITEM_LSS, b[ITEM_LSS], &l->sector_len,
				     e);
	if (!rc)
		rc = take_sector_len(l, ITEM_PSS, b[ITEM_PSS],
				     &l->physical_sector_len, e);
	if (!rc)
		rc = take_size(l, b[ITEM_SIZE], e);
	if (!rc)
		memcpy(l->disk_id.b, b[ITEM_ID], 16);
	return rc;
}

static int verify_bat_room(const struct file *f, const struct layout *l,
			   struct vhdx_err *e)
{
	uint64_t need = l->geom.entry_cnt * 8;

	if (need > l->bat_len)
		return err_corrupt(e, VHDX_OBJ_REGION, l->bat_off, "2.5",
				   "the BAT region has %u bytes, a disk of "
				   "%llu bytes in blocks of %u needs %llu",
				   l->bat_len, (unsigned long long)l->size_len,
				   l->block_len, (unsigned long long)need);
	if (l->bat_off + need > f->size)
		return err_corrupt(e, VHDX_OBJ_REGION, l->bat_off, "2.5",
				   "the BAT needs file offsets %llu-%llu, but "
				   "the file ends at %llu: it was cut off",
				   (unsigned long long)l->bat_off,
				   (unsigned long long)(l->bat_off + need),
				   (unsigned long long)f->size);
	return 0;
}

int layout_load_meta(struct file *f, struct layout *l, struct vhdx_err *e)
{
	uint8_t *buf = mem_alloc(FMT_META_TABLE_LEN);
	int rc;

	if (!l->meta)
		l->meta = mem_zalloc(sizeof(*l->meta));
	if (!buf || !l->meta)
		rc = no_memory(e);
	else
		rc = file_read(f, l->meta_off, buf, FMT_META_TABLE_LEN, e);
	if (!rc)
		rc = meta_table_decode(buf, l->meta_off, l->meta_len, l->meta,
				       e);
	mem_free(buf);
	if (!rc)
		rc = verify_items(l, e);
	if (!rc)
		rc = read_items(f, l, e);
	if (rc)
		return rc;
	bat_geom_init(&l->geom, l->size_len, l->block_len, l->sector_len,
		      l->has_parent);
	return verify_bat_room(f, l, e);
}

/* ---- all of it ----------------------------------------------------------- */

static int load_ident(struct file *f, struct layout *l, struct vhdx_err *e)
{
	uint8_t buf[FMT_HEADER_LEN];
	int rc = file_read(f, 0, buf, sizeof(buf), e);

	return rc ? rc : ident_decode(buf, &l->ident, e);
}

int layout_load(struct file *f, const struct fmt_header *hdr,
		struct layout *l, struct vhdx_err *e)
{
	int rc;

	memset(l, 0, sizeof(*l));
	rc = load_ident(f, l, e);
	if (!rc)
		rc = layout_load_regions(f, hdr, l, e);
	if (!rc)
		rc = layout_load_meta(f, l, e);
	if (rc)
		layout_free(l);
	return rc;
}

void layout_free(struct layout *l)
{
	mem_free(l->regions);
	mem_free(l->meta);
	l->regions = NULL;
	l->meta = NULL;
}

/* Control characters would reach the user's terminal: U+0000..001F and
 * U+007F..009F. */
void layout_creator(const struct fmt_ident *id, char *out, size_t cap)
{
	uint16_t clean[ARRAY_LEN(id->creator)];
	size_t cnt = utf16_len(id->creator, ARRAY_LEN(clean));

	for (size_t i = 0; i < cnt; i++) {
		uint16_t c = id->creator[i];

		clean[i] = c < 0x20 || (c >= 0x7f && c < 0xa0) ? '?' : c;
	}
	utf16_to_utf8(clean, cnt, out, cap);
}
