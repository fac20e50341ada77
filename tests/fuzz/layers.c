/* SPDX-License-Identifier: MIT */
/*
 * An input, as bytes: flags, then patches, each to one layer. The layers differ
 * in block and disk size, each holds some sectors of its own, and the patches
 * go where a chain is held together: locators, BAT entries of blocks and
 * bitmaps, the bits themselves.
 */
#include <string.h>

#include "format.h"
#include "fuzz.h"
#include "guid.h"
#include "image.h"
#include "le.h"
#include "locator.h"
#include "vhdx_create.h"

#define PATCHES_MAX 64
#define KEEP_SUMS 1u

static const struct {
	uint64_t size_len;
	uint32_t block_len;
} shape[FUZZ_LAYERS] = {
	{ 9 * MIB, 1 << 20 }, { 7 * MIB, 2 << 20 }, { 12 * MIB, 1 << 20 },
	{ 8 * MIB, 4 << 20 },
};

enum { HEADERS, META, ITEMS, BLOCKS, BITMAP_ENTRY, BITS, LOG, AREA_CNT };

struct area {
	uint64_t off;
	uint32_t len;
};

static struct layer {
	struct memimg img;
	struct area area[AREA_CNT];
} layers[FUZZ_LAYERS];

static void fill_opts(unsigned n, struct vhdx_create_opts *o)
{
	uint64_t file_len, host_len;

	*o = (struct vhdx_create_opts){
		.format = VHDX_FORMAT_VHDX, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true, .size_len = shape[n].size_len,
		.block_len = shape[n].block_len, .sector_len = 512 };
	ASSERT(vhdx_create_plan(o, &file_len, &host_len, NULL) == 0);
}

static struct image *open_one(unsigned n, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct file *f = fuzz_file(&layers[n].img, flags & VHDX_OPEN_WRITE);
	struct image *img;

	ASSERT(vhdx_image_open(f, &o, &img, NULL) == 0);
	return img;
}

static void create_child(unsigned n)
{
	struct image *parent = open_one(n + 1, 0);
	struct create_child child;
	struct vhdx_create_opts o;
	struct locator loc = { 0 };
	char guid[64] = "{", path[16];
	uint8_t item[1024];
	struct file *f;

	guid_format(&parent->identity, guid + 1);
	strcat(guid, "}");
	snprintf(path, sizeof(path), ".\\l%u", n + 1);
	ASSERT(!locator_set(&loc, "parent_linkage", guid, NULL));
	ASSERT(!locator_set(&loc, "relative_path", path, NULL));
	fill_opts(n, &o);
	o.type = VHDX_TYPE_DIFFERENCING;
	vhdx_image_as_parent(parent, &child);
	child.locator_len = locator_encode(&loc, item);
	child.locator = item;
	f = fuzz_file(&layers[n].img, true);
	ASSERT(vhdx_child_create(f, &o, &child, NULL) == 0);
	file_close(f);
	locator_free(&loc);
	ASSERT(parent->ops->close(parent, NULL) == 0);
}

static void create_base(unsigned n)
{
	struct vhdx_create_opts o;
	struct file *f = fuzz_file(&layers[n].img, true);

	fill_opts(n, &o);
	ASSERT(vhdx_image_create(f, &o, NULL) == 0);
	file_close(f);
}

/* Data here and there; a child is open alone, as its writes need no parent. */
static void fill_layer(unsigned n)
{
	static uint8_t buf[65536];
	struct vhdx_blk *blk;
	uint64_t seed = n + 1;

	memset(buf, (int)n + 1, sizeof(buf));
	ASSERT(blk_new(open_one(n, VHDX_OPEN_WRITE), fuzz_loop(), false, &blk,
		       NULL) == 0);
	for (unsigned i = 0; i < 12; i++) {
		uint64_t voff, len;

		seed = seed * UINT64_C(6364136223846793005) + 12345;
		voff = (seed >> 33) % (shape[n].size_len / 512 - 128) * 512;
		len = UINT64_C(512) << (seed >> 20) % 8;
		ASSERT(!vhdx_blk_write(blk, voff, buf, len, NULL));
	}
	ASSERT(!vhdx_blk_write_zeroes(blk, 3 * MIB + 4096, MIB, NULL));
	ASSERT(vhdx_blk_close(blk, NULL) == 0);
}

static void set_areas(struct layer *l, const struct vhdx_info *info,
		      unsigned n)
{
	/* Where the entry of the first sector bitmap is (2.5). */
	uint64_t ratio = (UINT64_C(512) << 23) / shape[n].block_len;
	uint64_t entry_off = info->bat_off + ratio * 8;
	uint8_t raw[8];

	memimg_read(&l->img, entry_off, raw, sizeof(raw));
	l->area[HEADERS] = (struct area){ FMT_HEADER_OFF(0), 128 };
	l->area[META] = (struct area){ info->meta_off, 512 };
	l->area[ITEMS] = (struct area){ info->meta_off + 65536, 1024 };
	l->area[BLOCKS] = (struct area){ info->bat_off, 128 };
	l->area[BITMAP_ENTRY] = (struct area){ entry_off, 8 };
	l->area[BITS] = (struct area){
		align_down(get_le64(raw), MIB), 12 * 256 };
	l->area[LOG] = (struct area){ info->log_off, 8192 };
}

static void make_all(void)
{
	for (unsigned n = FUZZ_LAYERS; n--;) {
		struct image *img;

		if (n + 1 < FUZZ_LAYERS)
			create_child(n);
		else
			create_base(n);
		fill_layer(n);
		img = open_one(n, 0);
		set_areas(&layers[n], &img->info, n);
		ASSERT(img->ops->close(img, NULL) == 0);
	}
}

static void patch(struct fuzz_in *in, struct memimg imgs[FUZZ_LAYERS])
{
	uint8_t how = fuzz_u8(in);
	unsigned n = how % FUZZ_LAYERS, width = 1u << (how / 4) % 4;
	const struct area *a = &layers[n].area[how / 16 % AREA_CNT];
	uint64_t off = a->off + fuzz_u16(in) % a->len, v = 0;
	uint8_t raw[8];

	memimg_read(&imgs[n], off, raw, sizeof(raw));
	for (unsigned i = 0; i < width; i++)
		v |= (uint64_t)raw[i] << (8 * i);
	v = fuzz_value(in, v);
	for (unsigned i = 0; i < width; i++)
		raw[i] = (uint8_t)(v >> (8 * i));
	memimg_write(&imgs[n], off, raw, width);
	if (how == 0xff)
		memimg_resize(&imgs[n], imgs[n].size / 256 * fuzz_u8(in));
}

void fuzz_layers(struct fuzz_in *in, struct memimg imgs[FUZZ_LAYERS])
{
	uint8_t keep = fuzz_u8(in);

	guid_seed_for_tests(9);
	if (!layers[0].img.size)
		make_all();
	for (unsigned n = 0; n < FUZZ_LAYERS; n++)
		memimg_clone(&imgs[n], &layers[n].img);
	for (unsigned i = 0; in->len && i < PATCHES_MAX; i++)
		patch(in, imgs);
	for (unsigned n = 0; !(keep & KEEP_SUMS) && n < FUZZ_LAYERS; n++)
		for (int slot = 0; slot < 2; slot++)
			fuzz_mend(&imgs[n], FMT_HEADER_OFF(slot),
				  FMT_HEADER_LEN);
}
