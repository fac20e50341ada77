/* SPDX-License-Identifier: MIT */
/*
 * The recovery of an image that another program left dirty: power fails at
 * any moment of it, and what the next recovery shows is what a read-only open
 * of the untouched image shows. There is no model; the first look is the truth.
 */
#include <string.h>

#include "case.h"
#include "crc32c.h"
#include "file_mem.h"
#include "guid.h"
#include "t.h"

#define MOMENTS 40
#define STATES 8
#define CHUNK (256 * KIB)

/* False if the image or bzip2 is not there. */
static bool unpack(const char *name, struct memimg *img)
{
	const char *path = t_shared(name);
	uint8_t page[MEMIMG_PAGE];
	char cmd[600];
	uint64_t off = 0;
	size_t n;
	FILE *f;

	*img = (struct memimg){ 0 };
	if (!path)
		return false;
	snprintf(cmd, sizeof(cmd), "bzip2 -dc '%s' 2>/dev/null", path);
	f = popen(cmd, "r");
	while (f && (n = fread(page, 1, sizeof(page), f)) > 0) {
		if (page[0] || memcmp(page, page + 1, n - 1))
			memimg_write(img, off, page, n);
		off += n;
	}
	if (f)
		pclose(f);
	if (off)
		memimg_resize(img, off);
	return off > 0;
}

/* Checksum of everything that is mapped, and where. */
static uint32_t look(struct vhdx_blk *blk, struct verdict *v)
{
	static uint8_t buf[CHUNK];
	struct vhdx_geometry g;
	struct vhdx_extent x;
	struct vhdx_err e;
	uint32_t sum = 0;

	vhdx_blk_geometry(blk, &g);
	for (uint64_t at = 0; at < g.size_len && !v->bad; at += x.len) {
		int rc = vhdx_blk_map(blk, at, g.size_len - at, &x, &e);

		if (!rc && x.kind == VHDX_EXTENT_DATA) {
			x.len = u64_min(x.len, CHUNK);
			rc = vhdx_blk_read(blk, at, buf, x.len, &e);
			sum = crc32c(sum, &at, sizeof(at));
			sum = crc32c(sum, buf, x.len);
		}
		if (rc)
			verdict_set(v, "looking at %ju: %s", (uintmax_t)at,
				    e.text);
	}
	return sum;
}

static void look_at(struct file *f, bool writable, uint32_t *truth,
		    struct verdict *v)
{
	static const struct profile base = { .format = VHDX_FORMAT_VHDX,
					     .type = VHDX_TYPE_DYNAMIC };
	struct vhdx_blk *blk = open_device(f, &base, writable, v);
	struct vhdx_err e;
	uint32_t sum;

	if (!blk)
		return;
	sum = look(blk, v);
	if (!*truth)
		*truth = sum;
	if (sum != *truth)
		verdict_set(v, "%s, it shows something else",
			    writable ? "for writing" : "read-only");
	if (vhdx_blk_close(blk, &e))
		verdict_set(v, "closing: %s", e.text);
}

static void look_readonly(struct loop *l, const struct memimg *img,
			  uint32_t *truth, struct verdict *v)
{
	struct memimg copy;
	struct file *f;

	memimg_clone(&copy, img);
	if (file_mem_new(l, "image", &copy, &f, NULL))
		abort();
	f->writable = false;
	look_at(f, false, truth, v);
	if (!memimg_eq(&copy, img, NULL))
		verdict_set(v, "a read-only open has changed the file");
	memimg_free(&copy);
}

static void fail_at(struct loop *l, struct rig *first, uint64_t at,
		    uint64_t state, uint32_t *truth, struct verdict *v)
{
	struct memimg img;
	struct rig r;

	rig_state(first, at, state, &img);
	look_readonly(l, &img, truth, v);
	rig_init(&r, &img, state);
	if (!v->bad)
		look_at(rig_open(&r, l), true, truth, v);
	if (!v->bad)
		look_readonly(l, crash_disk_content(r.disk), truth, v);
	memimg_free(&img);
	if (!v->bad)
		rig_fini(&r);
	else
		verdict_add(v, "\n  at %ju, state %ju of the recovery",
			    (uintmax_t)at, (uintmax_t)state);
}

bool foreign_run(const char *name, uint64_t seed, struct tally *t,
		 struct verdict *v)
{
	uint64_t at[MOMENTS], rng = seed;
	struct memimg img;
	struct loop *l;
	struct rig rig;
	uint32_t truth = 0;
	size_t cnt;

	*v = (struct verdict){ 0 };
	if (!unpack(name, &img))
		return true; /* there is nothing to look at here */
	if (loop_new(&l, NULL))
		abort();
	guid_seed_for_tests(seed + 1);
	look_readonly(l, &img, &truth, v);
	rig_init(&rig, &img, seed);
	if (!v->bad)
		look_at(rig_open(&rig, l), true, &truth, v);
	memimg_free(&img);
	if (v->bad)
		return false;
	cnt = rig_instants(&rig, MOMENTS, &rng, at);
	t->cases++;
	t->moments += cnt;
	for (size_t i = 0; i < cnt; i++)
		for (uint64_t n = 0; n < rig_state_cnt(&rig, at[i], STATES) &&
				     !v->bad; n++) {
			fail_at(l, &rig, at[i],
				rig_state_number(&rig, at[i], n, &rng), &truth,
				v);
			t->states++;
			t->recoveries++;
		}
	if (v->bad)
		return false;
	rig_fini(&rig);
	loop_free(l);
	return true;
}
