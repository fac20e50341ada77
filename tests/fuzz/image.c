/* SPDX-License-Identifier: MIT */
/*
 * An input, as bytes: base, flags, patches. The flags say which checksums are
 * NOT mended (so that the empty input is an intact image). Numbers are written
 * in the byte order of the format.
 */
#include <string.h>

#include "crc32c.h"
#include "format.h"
#include "fuzz.h"
#include "guid.h"
#include "image.h"
#include "le.h"
#include "utf16.h"
#include "vhd1_format.h"

#define PATCHES_MAX 64

#define KEEP_HEADER_SUMS 1u
#define KEEP_REGION_SUMS 2u
#define KEEP_LOG_SUMS 4u
#define KEEP_VHD_SUMS 8u

struct area {
	uint64_t off;
	uint32_t len; /* of the part worth patching */
};

enum { IDENT, HEADER0, HEADER1, REGION0, REGION1, LOG, META, ITEMS, BAT,
       BAT_END, PAYLOAD, AREA_CNT };

struct base {
	enum vhdx_format format;
	enum vhdx_type type;
	uint64_t size_len;
	uint32_t block_len, sector_len;
	enum { CLOSED, DIRTY /* as a crash would leave it */, CHILD } how;
	/* Once made: */
	bool made;
	struct memimg img;
	struct area area[AREA_CNT];
};

#define BASE(format, type, size, block, sector, how) \
	{ VHDX_FORMAT_##format, VHDX_TYPE_##type, size, block, sector, how, \
	  false, { 0 }, { { 0 } } }

static struct base bases[] = {
	BASE(VHDX, DYNAMIC, 8 * MIB, 1 << 20, 512, CLOSED),
	BASE(VHDX, DYNAMIC, 15 * MIB, 2 << 20, 4096, CLOSED),
	BASE(VHDX, FIXED, 3 * MIB, 1 << 20, 512, CLOSED),
	BASE(VHDX, DYNAMIC, 64 * TIB, 1 << 20, 512, CLOSED),
	BASE(VHDX, DYNAMIC, 8 * MIB, 1 << 20, 512, DIRTY),
	BASE(VHD, DYNAMIC, 4 * MIB, 1 << 19, 512, CLOSED),
	BASE(VHD, FIXED, MIB, 0, 512, CLOSED),
	BASE(VHD, DYNAMIC, 64 * GIB, 1 << 21, 512, DIRTY),
	BASE(VHDX, DYNAMIC, 8 * MIB, 1 << 20, 512, CHILD),
	BASE(VHD, DIFFERENCING, 4 * MIB, 1 << 19, 512, CLOSED),
};

/* The choice of the first ones came before the others existed: an old input
 * still means what it meant. */
#define FIRST_BASES 9u

uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->p++;
}

uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}

uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t low = fuzz_u16(in);

	return low | (uint32_t)fuzz_u16(in) << 16;
}

uint64_t fuzz_u64(struct fuzz_in *in)
{
	uint64_t low = fuzz_u32(in);

	return low | (uint64_t)fuzz_u32(in) << 32;
}

struct loop *fuzz_loop(void)
{
	static struct loop *l;

	if (!l)
		ASSERT(loop_new(&l, NULL) == 0);
	return l;
}

struct file *fuzz_file(struct memimg *img, bool writable)
{
	struct file *f;

	ASSERT(file_mem_new(fuzz_loop(), "image", img, &f, NULL) == 0);
	f->writable = writable;
	return f;
}

/* ---- bases -------------------------------------------------------------- */

static int fill(struct file *f, struct vhdx_create_opts *o)
{
	struct image parent = { .identity = { { 1, 2, 3 } } };

	o->parent = "/nowhere/parent.vhd";
	if (o->format == VHDX_FORMAT_VHDX)
		return vhdx_image_create(f, o, NULL);
	if (o->type == VHDX_TYPE_DIFFERENCING)
		return vhd1_image_create_child(f, "/nowhere/child.vhd", o,
					       &parent, NULL);
	return vhd1_image_create(f, o, NULL);
}

static void create(struct base *b)
{
	struct vhdx_create_opts o = {
		.format = b->format, .type = b->type, .type_given = true,
		.size_len = b->size_len, .block_len = b->block_len,
		.sector_len = b->sector_len };
	struct file *f = fuzz_file(&b->img, true);
	uint64_t file_len, host_len;

	ASSERT(vhdx_create_plan(&o, &file_len, &host_len, NULL) == 0);
	ASSERT(fill(f, &o) == 0);
	file_close(f);
}

static void set_areas(struct base *b, const struct vhdx_info *info)
{
	const struct area vhdx[] = {
		[IDENT] = { 0, 1024 },
		[HEADER0] = { FMT_HEADER_OFF(0), 128 },
		[HEADER1] = { FMT_HEADER_OFF(1), 128 },
		[REGION0] = { FMT_REGION_OFF(0), 192 },
		[REGION1] = { FMT_REGION_OFF(1), 192 },
		[LOG] = { info->log_off, 65536 },
		[META] = { info->meta_off, 512 },
		[ITEMS] = { info->meta_off + 65536, 512 },
		[BAT] = { info->bat_off, 256 },
		[BAT_END] = { info->bat_off + info->bat_len - 4096, 4096 },
		[PAYLOAD] = { 4 * MIB, 4096 },
	};
	const struct area vhd[] = {
		{ 0, 512 }, { 512, 1024 }, { 1536, 256 },
		{ b->img.size - 512, 512 }, { 2048, 4096 },
	};
	/* Locators, then the BAT, then the first bitmap. */
	const struct area child[] = {
		{ 0, 512 }, { 512, 1024 }, { 1536, 256 }, { 9728, 256 },
		{ 18432, 64 }, { b->img.size - 512, 512 }, { 19968, 1024 },
		{ 552, 32 }, { 1088, 192 },
	};

	for (unsigned i = 0; i < AREA_CNT; i++)
		b->area[i] = b->format == VHDX_FORMAT_VHDX ? vhdx[i]
			   : b->type != VHDX_TYPE_DIFFERENCING
				     ? vhd[i % ARRAY_LEN(vhd)]
				     : child[i % ARRAY_LEN(child)];
}

static void add_string(uint8_t *item, uint32_t *at, uint8_t *entry,
		       const char *text)
{
	size_t units = utf16le_from_utf8(text, strlen(text), item + *at, 128);

	put_le32(entry, *at);
	put_le16(entry + 4, (uint16_t)(units * 2));
	*at += (uint32_t)units * 2;
}

/* A parent locator with two entries: key offset, value offset, key length,
 * value length each. Returns its length. */
static uint32_t make_locator(uint8_t *item)
{
	static const char *const kv[] = {
		"parent_linkage", "{83ed0ec3-24c8-49a6-a959-5e4bd1288480}",
		"relative_path", ".\\parent.vhdx" };
	struct guid type = GUID_INIT(0xb04aefb7, 0xd19e, 0x4a81, 0xb7, 0x89,
				     0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);
	uint32_t at = 20 + 2 * 12;

	memcpy(item, type.b, 16);
	put_le32(item + 16, 2 << 16);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *entry = item + 20 + i / 2 * 12, one[6];

		add_string(item, &at, one, kv[i]);
		memcpy(entry + i % 2 * 4, one, 4);
		memcpy(entry + 8 + i % 2 * 2, one + 4, 2);
	}
	return at;
}

/* Makes a child of it: HasParent, and a parent locator. */
static void give_parent(struct base *b, uint64_t meta_off)
{
	static struct fmt_meta_table t;
	static uint8_t buf[FMT_META_TABLE_LEN], item[1024];
	struct fmt_meta_entry *e;

	memimg_read(&b->img, meta_off, buf, sizeof(buf));
	ASSERT(meta_table_decode(buf, meta_off, (uint32_t)MIB, &t, NULL) == 0);
	for (uint32_t i = 0; i < t.cnt; i++)
		if (guid_eq(&t.e[i].id, &FMT_META_FILE_PARAMS))
			memimg_write(&b->img, meta_off + t.e[i].off + 4,
				     "\2", 1);
	e = &t.e[t.cnt++];
	*e = (struct fmt_meta_entry){ .id = FMT_META_LOCATOR,
				      .off = 65536 + 128, .required = true };
	e->len = make_locator(item);
	memimg_write(&b->img, meta_off + e->off, item, e->len);
	meta_table_encode(&t, buf);
	memimg_write(&b->img, meta_off, buf, sizeof(buf));
}

/* A few blocks of content, two flushes; dirty ones are caught in the act. */
static void make(struct base *b)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	static uint8_t buf[8192];
	struct memimg act = { 0 };
	struct vhdx_info info;
	struct vhdx_blk *blk;
	struct image *img;

	guid_seed_for_tests(7);
	create(b);
	memset(buf, 0x5a, sizeof(buf));
	ASSERT(image_open(fuzz_file(&b->img, true), b->format, &o, &img,
			  NULL) == 0);
	ASSERT(blk_new(img, fuzz_loop(), false, &blk, NULL) == 0);
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t voff = i * b->size_len / 3 / 4096 * 4096;

		ASSERT(vhdx_blk_write(blk, voff, buf, 8192, NULL) == 0);
		ASSERT(vhdx_blk_flush(blk, NULL) == 0);
	}
	ASSERT(vhdx_blk_discard(blk, 0, u64_min(b->size_len, 2 * MIB),
				NULL) == 0);
	ASSERT(vhdx_blk_flush(blk, NULL) == 0);
	vhdx_get_info(blk, &info);
	memimg_clone(&act, &b->img);
	ASSERT(vhdx_blk_close(blk, NULL) == 0);
	if (b->how == CHILD)
		give_parent(b, info.meta_off);
	if (b->how == DIRTY) {
		memimg_free(&b->img);
		b->img = act;
	} else {
		memimg_free(&act);
	}
	set_areas(b, &info);
	b->made = true;
}

/* ---- patches ------------------------------------------------------------ */

static struct area pick_area(struct base *b, struct fuzz_in *in)
{
	return b->area[fuzz_u8(in) % AREA_CNT];
}

/* Where in an area: mostly where fields lie. */
static uint64_t pick_off(const struct area *a, struct fuzz_in *in)
{
	uint16_t n = fuzz_u16(in);

	return a->off + (n & 0x8000 ? n : n * 4u) % a->len;
}

uint64_t fuzz_value(struct fuzz_in *in, uint64_t old)
{
	static const uint64_t special[] = {
		0, 1, 2, 6, 7, 512, 4096, 65536, MIB, 2 * MIB, 4 * MIB,
		256 * MIB, 4 * GIB, 64 * TIB, 256 * TIB, INT32_MAX, UINT32_MAX,
		INT64_MAX, UINT64_MAX, UINT64_MAX - MIB + 1, 0x8000000000000000,
	};
	uint8_t how = fuzz_u8(in);

	if (how < ARRAY_LEN(special))
		return special[how];
	if (how < 64)
		return old + how - 42;
	if (how < 96)
		return old ^ UINT64_C(1) << (fuzz_u8(in) % 64);
	if (how < 160) /* a BAT entry, a region offset */
		return (uint64_t)(how - 96) * MIB + fuzz_u8(in) % 8;
	return fuzz_u64(in);
}

static void patch_field(struct base *b, struct fuzz_in *in, struct memimg *img)
{
	struct area a = pick_area(b, in);
	uint64_t off = pick_off(&a, in), v = 0;
	unsigned width = 1u << fuzz_u8(in) % 4;
	uint8_t raw[8];

	memimg_read(img, off, raw, width);
	for (unsigned i = 0; i < width; i++) {
		unsigned at = b->format == VHDX_FORMAT_VHD ? width - 1 - i : i;

		v |= (uint64_t)raw[at] << (8 * i);
	}
	v = fuzz_value(in, v);
	for (unsigned i = 0; i < width; i++) {
		unsigned at = b->format == VHDX_FORMAT_VHD ? width - 1 - i : i;

		raw[at] = (uint8_t)(v >> (8 * i));
	}
	memimg_write(img, off, raw, width);
}

static void patch_copy(struct base *b, struct fuzz_in *in, struct memimg *img)
{
	struct area from = pick_area(b, in), to = pick_area(b, in);
	uint32_t len = (uint32_t)u64_min(from.len, to.len);
	uint8_t buf[4096];

	len = (uint32_t)u64_min(len, 32u * (1 + fuzz_u8(in) % 128u));
	memimg_read(img, pick_off(&from, in), buf, len);
	memimg_write(img, pick_off(&to, in), buf, len);
}

static void patch_size(struct fuzz_in *in, struct memimg *img)
{
	uint8_t how = fuzz_u8(in);
	uint64_t n = fuzz_u16(in);

	if (how < 64)
		memimg_resize(img, n * 512);
	else if (how < 128)
		memimg_resize(img, n * MIB);
	else if (how < 192)
		memimg_resize(img, img->size - u64_min(img->size, n));
	else if (how < 250)
		memimg_resize(img, img->size + n * 64);
	else
		memimg_resize(img, 64 * TIB + n);
}

static void patch_bytes(struct base *b, struct fuzz_in *in, struct memimg *img)
{
	struct area a = pick_area(b, in);
	uint64_t off = pick_off(&a, in);
	uint8_t buf[64], len = fuzz_u8(in) % sizeof(buf);

	for (uint8_t i = 0; i < len; i++)
		buf[i] = fuzz_u8(in);
	memimg_write(img, off, buf, len);
}

/* The log's GUID in both headers, so that the log counts. */
static struct guid arm_log(struct memimg *img)
{
	struct guid g = { { 0x6c, 0x6f, 0x67 } };

	for (int slot = 0; slot < 2; slot++)
		memimg_write(img, FMT_HEADER_OFF(slot) + 48, g.b, 16);
	return g;
}

/* A well-formed log entry with targets of the input's choice. */
static void patch_log(struct base *b, struct fuzz_in *in, struct memimg *img)
{
	static uint8_t buf[9 * FMT_LOG_SECTOR];
	uint8_t *sector = buf + FMT_LOG_SECTOR;
	uint32_t at = fuzz_u8(in) * FMT_LOG_SECTOR;
	struct fmt_log_entry h = {
		.log = arm_log(img),
		.tail = fuzz_u8(in) * FMT_LOG_SECTOR,
		.seq = 1 + fuzz_u8(in),
		.desc_cnt = fuzz_u8(in) % 9,
		.flushed_len = fuzz_u8(in) * MIB,
		.last_len = fuzz_u8(in) * MIB,
	};

	memset(buf, 0, sizeof(buf));
	for (uint32_t i = 0; i < h.desc_cnt; i++) {
		uint8_t how = fuzz_u8(in);
		struct area a = pick_area(b, in);
		struct fmt_log_desc d = {
			.zero = how & 1, .seq = h.seq,
			.zero_len = fuzz_u8(in) * UINT64_C(4096),
			.file_off = how & 2 ? fuzz_value(in, a.off) : a.off };
		uint8_t page[4096];

		memset(page, how, sizeof(page));
		if (how & 4)
			memimg_read(img, a.off, page, sizeof(page));
		if (!d.zero) {
			log_data_encode(page, h.seq, &d, sector);
			sector += FMT_LOG_SECTOR;
		}
		log_desc_encode(&d, buf + FMT_LOG_HEADER_LEN +
					    i * FMT_LOG_DESC_LEN);
	}
	h.len = (uint32_t)(sector - buf);
	log_entry_encode(&h, buf);
	log_entry_seal(buf, h.len);
	for (uint32_t i = 0; i < h.len; i += FMT_LOG_SECTOR)
		memimg_write(img, b->area[LOG].off +
				  (at + i) % (uint32_t)MIB,
			     buf + i, FMT_LOG_SECTOR);
}

/* ---- checksums ----------------------------------------------------------- */

void fuzz_mend(struct memimg *img, uint64_t off, size_t len)
{
	static uint8_t buf[FMT_REGION_LEN];

	memimg_read(img, off, buf, len);
	put_le32(buf + 4, 0);
	put_le32(buf + 4, crc32c(0, buf, len));
	memimg_write(img, off + 4, buf + 4, 4);
}

static void mend_log(const struct base *b, struct memimg *img)
{
	static uint8_t ring[MIB];
	uint64_t off = b->area[LOG].off;

	for (uint32_t at = 0; at < MIB; at += FMT_LOG_SECTOR) {
		uint8_t head[FMT_LOG_HEADER_LEN];
		uint32_t len, first;

		memimg_read(img, off + at, head, sizeof(head));
		len = get_le32(head + 8);
		if (memcmp(head, "loge", 4) || !len || len % 4096 || len > MIB)
			continue;
		first = (uint32_t)u64_min(len, MIB - at);
		memimg_read(img, off + at, ring, first);
		memimg_read(img, off, ring + first, len - first);
		log_entry_seal(ring, len);
		memimg_write(img, off + at + 4, ring + 4, 4);
	}
}

static void mend_vhd(struct memimg *img, uint64_t off, size_t len, size_t pos)
{
	uint8_t buf[VHD1_HEADER_LEN];

	memimg_read(img, off, buf, len);
	put_be32(buf + pos, vhd1_checksum(buf, len, pos));
	memimg_write(img, off + pos, buf + pos, 4);
}

static void mend_all(const struct base *b, unsigned keep, struct memimg *img)
{
	if (b->format == VHDX_FORMAT_VHD) {
		if (keep & KEEP_VHD_SUMS)
			return;
		mend_vhd(img, 0, VHD1_FOOTER_LEN, 64);
		mend_vhd(img, 512, VHD1_HEADER_LEN, 36);
		if (img->size >= 512)
			mend_vhd(img, img->size - 512, VHD1_FOOTER_LEN, 64);
		return;
	}
	for (int i = 0; i < 2; i++) {
		if (!(keep & KEEP_HEADER_SUMS))
			fuzz_mend(img, FMT_HEADER_OFF(i), FMT_HEADER_LEN);
		if (!(keep & KEEP_REGION_SUMS))
			fuzz_mend(img, FMT_REGION_OFF(i), FMT_REGION_LEN);
	}
	if (!(keep & KEEP_LOG_SUMS))
		mend_log(b, img);
}

static void patch(struct base *b, struct fuzz_in *in, struct memimg *img)
{
	unsigned how = fuzz_u8(in) % 8;

	if (how == 0)
		patch_size(in, img);
	else if (how == 1)
		patch_copy(b, in, img);
	else if (how == 2)
		patch_bytes(b, in, img);
	else if (how == 3 && b->format == VHDX_FORMAT_VHDX)
		patch_log(b, in, img);
	else
		patch_field(b, in, img);
}

void fuzz_image(struct fuzz_in *in, enum vhdx_format format,
		struct memimg *img)
{
	unsigned first = fuzz_u8(in);
	unsigned more = (unsigned)ARRAY_LEN(bases) - FIRST_BASES;
	unsigned at = first < 0xe0 ? first % FIRST_BASES
				   : FIRST_BASES + first % more;
	unsigned keep = fuzz_u8(in);

	while (bases[at].format != format)
		at = (at + 1) % ARRAY_LEN(bases);
	if (!bases[at].made)
		make(&bases[at]);
	guid_seed_for_tests(8);
	memimg_clone(img, &bases[at].img);
	for (unsigned i = 0; in->len && i < PATCHES_MAX; i++)
		patch(&bases[at], in, img);
	mend_all(&bases[at], keep, img);
}
