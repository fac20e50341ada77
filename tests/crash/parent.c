/* SPDX-License-Identifier: MIT */
#include "parent.h"

#include <string.h>

#include "bat.h"
#include "chain.h"
#include "file_mem.h"
#include "guid.h"
#include "le.h"
#include "locator.h"
#include "vhd1_load.h"
#include "vhdx_create.h"

#define PARENTS_MAX 8

static struct parent {
	const struct profile *pf;
	struct memimg img, pristine;
} parents[PARENTS_MAX];

static bool is_vhd(const struct profile *pf)
{
	return pf->format == VHDX_FORMAT_VHD;
}

static struct parent *parent_of(const struct profile *pf)
{
	struct parent *p = parents;

	/* By name: fault runs have a profile of their own making. */
	while (p->pf && strcmp(p->pf->name, pf->name) != 0)
		ASSERT(++p < parents + PARENTS_MAX);
	return p;
}

static struct image *open_parent(struct parent *p, struct loop *l,
				 bool writable)
{
	struct image_open_opts o = { .flags = writable ? VHDX_OPEN_WRITE : 0 };
	struct image *img;
	struct vhdx_err e;
	struct file *f;

	if (file_mem_new(l, "parent", &p->img, &f, &e))
		abort();
	f->writable = writable;
	if (image_open(f, p->pf->format, &o, &img, &e)) {
		fprintf(stderr, "opening the parent: %s\n", e.text);
		abort();
	}
	return img;
}

/* ---- making it ---------------------------------------------------------- */

static void create(struct parent *p, struct loop *l)
{
	struct vhdx_create_opts o = {
		.format = p->pf->format, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true, .block_len = 2 * MIB,
		.size_len = parent_len(p->pf->size_len),
		.sector_len = p->pf->sector_len };
	uint64_t file_len, host_len;
	struct vhdx_err e;
	struct file *f;

	if (vhdx_create_plan(&o, &file_len, &host_len, &e) ||
	    file_mem_new(l, "parent", &p->img, &f, &e) ||
	    (is_vhd(p->pf) ? vhd1_image_create(f, &o, &e)
			   : vhdx_image_create(f, &o, &e)))
		abort();
	file_close(f);
}

static void fill_mib(struct vhdx_blk *blk, uint64_t size_len, uint64_t voff)
{
	static uint8_t buf[MIB];
	uint64_t len = u64_min(MIB, parent_len(size_len) - voff);
	struct vhdx_err e;

	memset(buf, 0, sizeof(buf));
	for (uint64_t i = 0; i < len / UNIT_LEN; i++)
		if (parent_has(size_len, voff / UNIT_LEN + i))
			value_fill(buf + i * UNIT_LEN, voff / UNIT_LEN + i,
				   GEN_PARENT, 0);
	if (vhdx_blk_write(blk, voff, buf, len, &e))
		abort();
}

void parent_prepare(const struct profile *pf)
{
	struct parent *p = parent_of(pf);
	uint64_t size = pf->size_len, end = parent_len(size);
	struct vhdx_blk *blk;
	struct vhdx_err e;
	struct loop *l;

	if (!is_child(pf) || p->pf)
		return;
	p->pf = profile_find(pf->name);
	guid_seed_for_tests(4711);
	if (loop_new(&l, &e))
		abort();
	create(p, l);
	if (blk_new(open_parent(p, l, true), l, false, &blk, &e))
		abort();
	for (uint64_t win = 0; win < end; win += WINDOW_EVERY)
		for (uint64_t at = 0; at < window_len(size) && win + at < end;
		     at += MIB)
			fill_mib(blk, size, win + at);
	if (vhdx_blk_close(blk, &e))
		abort();
	loop_free(l);
	memimg_clone(&p->pristine, &p->img);
}

/* ---- using it ----------------------------------------------------------- */

static int add_vhd_child(struct file *f, struct image *parent,
			 const struct vhdx_create_opts *o, struct vhdx_err *e)
{
	struct vhdx_create_opts child = *o;

	child.parent = "/nowhere/parent";
	return vhd1_image_create_child(f, "/nowhere/child", &child, parent, e);
}

static int add_vhdx_child(struct file *f, struct image *img,
			  const struct vhdx_create_opts *o, struct vhdx_err *e)
{
	struct locator loc = { 0 };
	struct create_child child;
	uint8_t item[1024];
	char guid[64] = "{";
	int rc;

	guid_format(&img->identity, guid + 1);
	strcat(guid, "}");
	rc = locator_set(&loc, "parent_linkage", guid, e);
	if (!rc)
		rc = locator_set(&loc, "relative_path", ".\\parent", e);
	vhdx_image_as_parent(img, &child);
	child.locator_len = locator_encode(&loc, item);
	child.locator = item;
	if (!rc)
		rc = vhdx_child_create(f, o, &child, e);
	locator_free(&loc);
	return rc;
}

int parent_add_child(struct file *f, const struct profile *pf,
		     const struct vhdx_create_opts *o, struct vhdx_err *e)
{
	struct image *img = open_parent(parent_of(pf), f->loop, false);
	int rc = is_vhd(pf) ? add_vhd_child(f, img, o, e)
			    : add_vhdx_child(f, img, o, e);

	if (img->ops->close(img, NULL))
		abort();
	return rc;
}

static void add_junk(struct memimg *img, uint64_t at, uint64_t len)
{
	uint8_t junk[MEMIMG_PAGE];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)(i * 29 + i / 7 + 0x5a);
	memimg_resize(img, at + len);
	for (uint64_t i = 0; i < len; i += sizeof(junk))
		memimg_write(img, at + i, junk, sizeof(junk));
}

/* Every other block has a place, with junk in it and no bit set. */
static void add_empty_blocks(struct memimg *img, const struct profile *pf)
{
	uint32_t bitmap_len = vhd1_bitmap_len(pf->block_len);
	uint8_t footer[VHD1_FOOTER_LEN], header[VHD1_HEADER_LEN], entry[4];
	struct vhd1_header h;

	memimg_read(img, 0, footer, sizeof(footer));
	memimg_read(img, VHD1_FOOTER_LEN, header, sizeof(header));
	if (vhd1_header_decode(header, VHD1_FOOTER_LEN, &h, NULL))
		abort();
	memimg_resize(img, img->size - VHD1_FOOTER_LEN);
	for (uint32_t blk = 0; blk < h.bat_cnt; blk += 2) {
		uint64_t at = img->size;

		memimg_resize(img, at + bitmap_len);
		add_junk(img, at + bitmap_len, pf->block_len);
		put_be32(entry, (uint32_t)(at / VHD1_SECTOR));
		memimg_write(img, h.bat_off + 4 * blk, entry, sizeof(entry));
	}
	memimg_write(img, img->size, footer, sizeof(footer));
}

static void add_bitmap(struct memimg *img, const struct layout *l, uint64_t blk)
{
	uint64_t at = img->size;
	uint8_t entry[8];

	add_junk(img, at, MIB);
	put_le64(entry, bat_entry_make(BAT_SB_PRESENT, at));
	memimg_write(img, bat_bitmap_pos(l, blk), entry, sizeof(entry));
}

void child_add_bits(struct memimg *img, struct loop *l,
		    const struct profile *pf)
{
	struct image_open_opts o = { 0 };
	struct create_child as_parent; /* a way to the layout */
	struct layout layout;
	struct image *child;
	struct vhdx_err e;
	struct file *f;

	if (is_vhd(pf)) {
		add_empty_blocks(img, pf);
		return;
	}
	if (file_mem_new(l, "child", img, &f, &e) ||
	    vhdx_image_open(f, &o, &child, &e))
		abort();
	vhdx_image_as_parent(child, &as_parent);
	layout = *as_parent.parent;
	if (child->ops->close(child, &e))
		abort();
	for (uint64_t blk = 0; blk < div_up(pf->size_len, pf->block_len);
	     blk += layout.geom.chunk_ratio)
		add_bitmap(img, &layout, blk);
}

int device_new(struct image *img, struct loop *l, const struct profile *pf,
	       struct vhdx_blk **out, struct vhdx_err *e)
{
	struct chain *c;
	int rc;

	if (!is_child(pf))
		return blk_new(img, l, false, out, e);
	rc = chain_of(img, &c, e);
	if (rc)
		return rc;
	c->layers[c->cnt++] = open_parent(parent_of(pf), l, false);
	return blk_new_chain(c, l, false, out, e);
}

void parent_verify(const struct profile *pf, struct verdict *v)
{
	const struct parent *p = parent_of(pf);
	uint64_t diff;

	if (is_child(pf) && !memimg_eq(&p->img, &p->pristine, &diff))
		verdict_set(v, "byte %ju of the parent has changed",
			    (uintmax_t)diff);
}
