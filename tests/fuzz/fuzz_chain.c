/* SPDX-License-Identifier: MIT */
/*
 * A damaged chain: found and proved as any other, or put together by force so
 * that the damage is reached whatever the links say. Then it is read through
 * the index and layer by layer (F5), mapped, and written through its leaf (F2).
 */
#include <string.h>

#include "chain.h"
#include "fuzz.h"
#include "opener_mem.h"

#define LEN 4096u
#define PLACES 48u
#define LINKS 2u /* in the first byte: open as its links say */

static struct memimg imgs[FUZZ_LAYERS];

static uint64_t place(const struct vhdx_geometry *g, unsigned i)
{
	uint64_t at = (uint64_t)i * 192 * KIB + (i % 5) * 512 * (i % 3);
	uint64_t last = g->size_len > LEN ? g->size_len - LEN : 0;

	return align_down(u64_min(at, last), g->sector_len);
}

static uint64_t len_at(const struct vhdx_geometry *g, uint64_t voff)
{
	return u64_min(LEN, g->size_len - voff);
}

static void mapped(struct image_map *m)
{
	m->img = NULL;
}

/* What layer n itself says of one sector. */
static int ask(struct image *img, uint64_t voff, struct image_map *m)
{
	m->img = img;
	m->voff = voff;
	m->len = img->sector_len;
	m->res = 0;
	m->done = mapped;
	if (!img->ops->map_read(img, m))
		while (m->img)
			loop_turn(fuzz_loop(), -1);
	return m->res;
}

/* One sector, by nothing but asking layer after layer. */
static int plain_sector(const struct chain *c, uint64_t voff, uint8_t *out)
{
	uint32_t len = c->layers[0]->sector_len;
	struct image_map m;

	memset(out, 0, len);
	for (unsigned n = 0; n < c->cnt; n++) {
		int rc;

		if (n && voff >= c->layers[n]->size_len)
			return 0;
		rc = ask(c->layers[n], voff, &m);
		if (rc)
			return rc;
		if (m.kind == MAP_DATA)
			return file_read(m.file, m.file_off, out, len, NULL);
		if (m.kind != MAP_PARENT)
			return 0;
	}
	return VHDX_E_NOPARENT;
}

/* F5 */
static void compare(struct vhdx_blk *blk, const struct chain *c)
{
	static uint8_t got[LEN], want[LEN];
	struct vhdx_geometry g;
	struct vhdx_extent x;

	vhdx_blk_geometry(blk, &g);
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t voff = place(&g, i), len = len_at(&g, voff);
		int rc = vhdx_blk_read(blk, voff, got, len, NULL), plain = 0;

		for (uint64_t at = 0; !plain && at < len; at += g.sector_len)
			plain = plain_sector(c, voff + at, want + at);
		ASSERT((rc == 0) == (plain == 0));
		ASSERT(rc || memcmp(got, want, len) == 0);
		if (vhdx_blk_map(blk, voff, g.size_len - voff, &x, NULL) == 0)
			ASSERT(x.voff == voff && x.len > 0 &&
			       x.len <= g.size_len - voff && x.depth < c->cnt);
	}
}

static struct image *open_layer(unsigned n, bool writable)
{
	struct image_open_opts o = { .flags = writable ? VHDX_OPEN_WRITE : 0 };
	struct file *f = fuzz_file(&imgs[n], writable);
	struct image *img;

	if (vhdx_image_open(f, &o, &img, NULL) == 0)
		return img;
	file_close(f);
	return NULL;
}

/* Layers as far as they open and have the leaf's sectors; NULL: none. */
static struct vhdx_blk *stack(bool writable, struct chain **out)
{
	struct image *leaf = open_layer(0, writable);
	struct vhdx_blk *blk;
	struct chain *c;

	if (!leaf)
		return NULL;
	ASSERT(chain_of(leaf, &c, NULL) == 0);
	while (c->cnt < FUZZ_LAYERS) {
		struct image *img = open_layer(c->cnt, false);

		if (!img || img->sector_len != leaf->sector_len) {
			if (img)
				ASSERT(!img->ops->close(img, NULL));
			break;
		}
		c->layers[c->cnt++] = img;
	}
	*out = c;
	ASSERT(blk_new_chain(c, fuzz_loop(), false, &blk, NULL) == 0);
	return blk;
}

static void read_by_force(void)
{
	struct vhdx_blk *blk;
	struct chain *c; /* blk's */

	blk = stack(false, &c);
	if (!blk)
		return;
	compare(blk, c);
	compare(blk, c); /* now the index has learned */
	ASSERT(vhdx_blk_close(blk, NULL) == 0);
}

/* F2 */
static void write_by_force(void)
{
	static uint8_t held[PLACES][LEN];
	uint8_t buf[LEN];
	struct vhdx_geometry g;
	struct vhdx_blk *blk;
	bool known[PLACES];
	struct chain *c;

	blk = stack(true, &c);
	if (!blk)
		return;
	vhdx_blk_geometry(blk, &g);
	for (unsigned i = 0; i < PLACES; i++)
		known[i] = !vhdx_blk_read(blk, place(&g, i), held[i],
					  len_at(&g, place(&g, i)), NULL);
	for (unsigned i = 0; i < PLACES; i += 3) {
		uint64_t voff = place(&g, i), len = len_at(&g, voff);
		bool zero = i % 2;

		memset(held[i], zero ? 0 : 0xc0 + (int)i, LEN);
		known[i] = !(zero ? vhdx_blk_write_zeroes(blk, voff, len, NULL)
			     : vhdx_blk_write(blk, voff, held[i], len, NULL));
		for (unsigned k = 0; k < PLACES; k++)
			if (k != i && place(&g, k) < voff + len &&
			    voff < place(&g, k) + LEN)
				known[k] = false;
	}
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t voff = place(&g, i), len = len_at(&g, voff);

		ASSERT(!known[i] ||
		       (!vhdx_blk_read(blk, voff, buf, len, NULL) &&
			memcmp(buf, held[i], len) == 0));
	}
	(void)vhdx_blk_close(blk, NULL);
}

/* As anybody opens it: what is not proved is refused, in words. */
static void open_by_links(void)
{
	static struct opener_mem om;
	struct chain_opts o = { .format = VHDX_FORMAT_PROBE };
	struct vhdx_err e;
	struct chain *c;
	char path[16];

	opener_mem_init(&om);
	for (unsigned n = 0; n < FUZZ_LAYERS; n++) {
		snprintf(path, sizeof(path), FUZZ_LAYER_PATH, n);
		memimg_clone(&opener_mem_add(&om, path)->img, &imgs[n]);
	}
	if (chain_open(&om.opener, fuzz_loop(), "/l0", &o, &c, &e))
		ASSERT(e.code && e.text[0]);
	else
		ASSERT(chain_close(c, NULL) == 0);
	opener_mem_free(&om);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct memimg before[FUZZ_LAYERS];

	fuzz_layers(&in, imgs);
	for (unsigned n = 0; n < FUZZ_LAYERS; n++)
		memimg_clone(&before[n], &imgs[n]);
	if (len && data[0] & LINKS)
		open_by_links();
	else
		read_by_force();
	ASSERT(memimg_eq(&imgs[0], &before[0], NULL)); /* F3 */
	if (!(len && data[0] & LINKS))
		write_by_force();
	for (unsigned n = 0; n < FUZZ_LAYERS; n++) {
		ASSERT(!n || memimg_eq(&imgs[n], &before[n], NULL)); /* F5 */
		memimg_free(&imgs[n]);
		memimg_free(&before[n]);
	}
	return 0;
}
