/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "fuzz.h"
#include "guid.h"
#include "image.h"

#define SAMPLES 24
#define LEN 4096u

struct sample {
	uint64_t voff;
	bool read; /* content is valid */
	uint8_t content[LEN];
};

/* FUZZ_VERBOSE=1 in the environment, to look into one input. */
static bool fuzz_verbose(void)
{
	return getenv("FUZZ_VERBOSE") != NULL;
}

static struct vhdx_blk *open_blk(struct memimg *img, enum vhdx_format format,
				 bool writable, int *rc)
{
	struct image_open_opts o = { .flags = writable ? VHDX_OPEN_WRITE : 0 };
	struct file *f = fuzz_file(img, writable);
	struct vhdx_blk *blk;
	struct image *image;
	struct vhdx_err e;

	*rc = image_open(f, format, &o, &image, &e);
	if (*rc) {
		if (fuzz_verbose())
			fprintf(stderr, "open%s: %s\n", writable ? " to write"
				: "", e.text);
		ASSERT(e.code == *rc && e.text[0]);
		file_close(f);
		return NULL;
	}
	ASSERT(blk_new(image, fuzz_loop(), false, &blk, NULL) == 0);
	return blk;
}

/* Where to look: the ends, around the borders of blocks, here and there. */
static void choose(const struct vhdx_geometry *g, struct sample *s)
{
	uint64_t block = g->block_len ? g->block_len : MIB;
	uint64_t last = g->size_len > LEN ? g->size_len - LEN : 0;

	for (uint64_t i = 0; i < SAMPLES; i++) {
		uint64_t at = i * block;

		if (i >= 8)
			at = g->size_len / SAMPLES * i;
		if (i % 4 == 3)
			at += block - LEN;
		if (i == SAMPLES - 1)
			at = last;
		s[i].voff = align_down(u64_min(at, last), g->sector_len);
	}
}

static uint64_t len_at(const struct vhdx_geometry *g, uint64_t voff)
{
	return u64_min(LEN, g->size_len - voff);
}

/* Reads all samples. `must`: they have to be readable, unless they are the
 * parent's of a child that is open alone. With `known`, what was
 * read before is still the same. */
static void look(struct vhdx_blk *blk, struct sample *s, bool must, bool known)
{
	struct vhdx_geometry g;
	struct vhdx_extent x;
	uint8_t buf[LEN];

	vhdx_blk_geometry(blk, &g);
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t len = len_at(&g, s[i].voff);
		int rc = vhdx_blk_read(blk, s[i].voff, buf, len, NULL);

		ASSERT(rc == 0 || rc == VHDX_E_NOPARENT || !must);
		if (known && s[i].read)
			ASSERT(rc == 0 &&
			       memcmp(buf, s[i].content, len) == 0);
		s[i].read = rc == 0;
		if (rc == 0)
			memcpy(s[i].content, buf, len);
		if (len && vhdx_blk_map(blk, s[i].voff, len, &x, NULL) == 0)
			ASSERT(x.voff == s[i].voff && x.len > 0 &&
			       x.len <= len);
	}
}

static int read_copy(const struct memimg *img, enum vhdx_format format,
		     bool must)
{
	static struct sample s[SAMPLES];
	struct vhdx_geometry g;
	struct vhdx_info info;
	struct vhdx_blk *blk;
	struct memimg copy;
	int rc;

	memimg_clone(&copy, img);
	blk = open_blk(&copy, format, false, &rc);
	if (blk) {
		vhdx_blk_geometry(blk, &g);
		vhdx_get_info(blk, &info);
		choose(&g, s);
		look(blk, s, must, false);
		look(blk, s, must, true);
		ASSERT(vhdx_blk_write(blk, 0, s, g.sector_len, NULL) ==
		       VHDX_E_READONLY);
		ASSERT(vhdx_blk_close(blk, NULL) == 0);
	}
	ASSERT(memimg_eq(&copy, img, NULL)); /* F3 */
	memimg_free(&copy);
	return rc;
}

int fuzz_read(const struct memimg *img, enum vhdx_format format)
{
	return read_copy(img, format, false);
}

/* Overwrites sample i; what it holds and overlaps is known afterwards. */
static void change(struct vhdx_blk *blk, struct sample *s, unsigned i)
{
	struct vhdx_geometry g;
	uint8_t buf[LEN];
	uint64_t len;
	int rc;

	vhdx_blk_geometry(blk, &g);
	len = len_at(&g, s[i].voff);
	memset(buf, (int)(0xa0 + i), sizeof(buf));
	if (i % 3 == 2) {
		memset(buf, 0, sizeof(buf));
		rc = vhdx_blk_write_zeroes(blk, s[i].voff, len, NULL);
	} else {
		rc = vhdx_blk_write(blk, s[i].voff, buf, len, NULL);
	}
	for (unsigned k = 0; k < SAMPLES; k++)
		if (s[k].voff < s[i].voff + LEN && s[i].voff < s[k].voff + LEN)
			s[k].read = false;
	if (rc)
		return;
	s[i].read = true;
	memcpy(s[i].content, buf, len);
}

void fuzz_write(const struct memimg *img, enum vhdx_format format)
{
	static struct sample s[SAMPLES];
	struct vhdx_geometry g;
	struct vhdx_blk *blk;
	struct memimg copy;
	int rc;

	memimg_clone(&copy, img);
	blk = open_blk(&copy, format, true, &rc);
	if (blk) {
		vhdx_blk_geometry(blk, &g);
		choose(&g, s);
		look(blk, s, false, false);
		for (unsigned i = 0; i < SAMPLES; i += 5)
			change(blk, s, i);
		look(blk, s, false, true); /* F2 */
		rc = vhdx_blk_flush(blk, NULL);
		for (unsigned i = 2; i < SAMPLES; i += 7)
			change(blk, s, i);
		if (vhdx_blk_close(blk, NULL) == 0 && rc == 0) {
			blk = open_blk(&copy, format, false, &rc);
			ASSERT(blk);
			look(blk, s, false, true); /* F2 */
			ASSERT(vhdx_blk_close(blk, NULL) == 0);
		}
	}
	memimg_free(&copy);
}

/* ---- another parent ------------------------------------------------------ */

/* The parent is recorded; true if that was said to be so. */
static bool relink(struct memimg *img, enum vhdx_format format,
		   const struct guid *id)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_ALONE |
					      VHDX_OPEN_WRITE };
	struct parent_edit p = { .linkage = *id, .path = "/t/parent" };
	struct file *f = fuzz_file(img, true);
	struct image *image;
	int rc;

	if (image_open(f, format, &o, &image, NULL)) {
		file_close(f);
		return false;
	}
	rc = image->parent && image->ops->set_parent
		     ? image->ops->set_parent(image, &p, NULL)
		     : VHDX_E_UNSUPPORTED;
	if (rc == 0)
		ASSERT(guid_eq(&image->parent->linkage[0], id));
	return image->ops->close(image, NULL) == 0 && rc == 0;
}

void fuzz_relink(const struct memimg *img, enum vhdx_format format)
{
	static const struct guid id = { { 9, 8, 7 } }, old = { { 6, 5, 4 } };
	static struct sample s[SAMPLES];
	struct vhdx_geometry g;
	struct vhdx_blk *blk;
	struct memimg copy;
	int rc;

	memimg_clone(&copy, img);
	blk = open_blk(&copy, format, false, &rc);
	if (blk) {
		vhdx_blk_geometry(blk, &g);
		choose(&g, s);
		look(blk, s, false, false);
		ASSERT(vhdx_blk_close(blk, NULL) == 0);
		for (int i = 0; i < 3; i++) /* there, back, and there */
			(void)relink(&copy, format, i % 2 ? &old : &id);
		blk = open_blk(&copy, format, false, &rc);
		ASSERT(blk);
		look(blk, s, false, true); /* F5 */
		ASSERT(vhdx_blk_close(blk, NULL) == 0);
	}
	memimg_free(&copy);
}

/* ---- check and repair ---------------------------------------------------- */

static void finding(void *arg, const struct vhdx_finding *f)
{
	(void)arg;
	if (fuzz_verbose())
		fprintf(stderr, "finding: severity %d%s%s: %s\n", f->severity,
			f->repairable ? ", repairable" : "",
			f->repaired ? ", repaired" : "", f->text);
	ASSERT(f->text[0] && strlen(f->text) < 4096);
	ASSERT(!f->repaired || f->repairable);
}

static int run_check(struct memimg *img, enum vhdx_format format, bool repair,
		     struct vhdx_check_result *res)
{
	struct file *f = fuzz_file(img, repair);
	struct check c = { .file = f, .repair = repair, .fn = finding,
			   .result = res };
	struct vhdx_err e;
	int rc;

	*res = (struct vhdx_check_result){ .format = format };
	rc = format == VHDX_FORMAT_VHD ? vhd1_image_check(&c, &e)
				       : vhdx_image_check(&c, &e);
	file_close(f);
	return rc;
}

void fuzz_check(const struct memimg *img, enum vhdx_format format)
{
	struct vhdx_check_result res;
	struct memimg copy;
	int rc;

	memimg_clone(&copy, img);
	rc = run_check(&copy, format, false, &res);
	ASSERT(memimg_eq(&copy, img, NULL));
	memimg_free(&copy);
	if (rc || res.errors)
		return;
	rc = read_copy(img, format, true); /* F1 */
	ASSERT(rc == 0 || rc == VHDX_E_UNSUPPORTED);
}

void fuzz_repair(const struct memimg *img, enum vhdx_format format)
{
	struct vhdx_check_result first, second;
	struct memimg copy;

	memimg_clone(&copy, img);
	if (run_check(&copy, format, true, &first) == 0 && first.repaired) {
		ASSERT(run_check(&copy, format, false, &second) == 0);
		ASSERT(second.errors <= first.errors);
		if (!first.errors)
			fuzz_check(&copy, format);
	}
	memimg_free(&copy);
}
