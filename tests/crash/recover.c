/* SPDX-License-Identifier: MIT */
#include "recover.h"

#include <stdarg.h>
#include <string.h>

#include "crc32c.h"
#include "file_mem.h"
#include "header.h"
#include "image.h"
#include "parent.h"

#define CHUNK (256 * KIB)

void verdict_set(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	if (v->bad)
		return;
	v->bad = true;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}

void verdict_add(struct verdict *v, const char *fmt, ...)
{
	size_t used = strlen(v->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->text + used, sizeof(v->text) - used, fmt, ap);
	va_end(ap);
}

struct vhdx_blk *open_device(struct file *f, const struct profile *pf,
			     bool writable, struct verdict *v)
{
	struct image_open_opts o = { .flags = writable ? VHDX_OPEN_WRITE : 0 };
	struct vhdx_blk *blk;
	struct image *img;
	struct vhdx_err e;

	if (image_open(f, pf->format, &o, &img, &e)) {
		verdict_set(v, "opening it %s: %s",
			    writable ? "for writing" : "read-only", e.text);
		file_close(f);
		return NULL;
	}
	if (device_new(img, f->loop, pf, &blk, &e))
		abort();
	return blk;
}

static void verify_chunk(struct vhdx_blk *blk, struct expect *x,
			 uint64_t voff, uint64_t len, uint32_t *sum,
			 struct verdict *v)
{
	static uint8_t buf[CHUNK];
	struct model_bad bad;
	struct vhdx_err e;

	if (vhdx_blk_read(blk, voff, buf, len, &e)) {
		verdict_set(v, "reading %ju bytes at %ju: %s", (uintmax_t)len,
			    (uintmax_t)voff, e.text);
		return;
	}
	*sum = crc32c(*sum, buf, len);
	if (!model_verify_crash(x->model, x->pos, voff, buf, len, &bad))
		verdict_set(v, "sector %ju shows %s", (uintmax_t)bad.lba,
			    bad.text);
}

void content_verify(struct vhdx_blk *blk, struct expect *x, struct verdict *v)
{
	uint32_t sum = 0;
	size_t cnt;
	const struct model_range *r = model_touched(x->model, &cnt);

	for (size_t i = 0; i < cnt; i++)
		for (uint64_t at = 0; at < r[i].len && !v->bad; at += CHUNK)
			verify_chunk(blk, x, r[i].voff + at,
				     u64_min(CHUNK, r[i].len - at), &sum, v);
	if (v->bad)
		return;
	if (x->seen && x->content != sum)
		verdict_set(v, "a sector changed its value between two looks");
	x->seen = true;
	x->content = sum;
}

static void close_device(struct vhdx_blk *blk, struct verdict *v)
{
	struct vhdx_err e;

	if (vhdx_blk_close(blk, &e))
		verdict_set(v, "closing: %s", e.text);
}

void recover_readonly(struct loop *l, const struct memimg *img,
		      struct expect *x, struct verdict *v)
{
	struct memimg copy;
	struct vhdx_blk *blk;
	struct vhdx_err e;
	struct file *f;
	uint64_t diff;

	memimg_clone(&copy, img);
	if (file_mem_new(l, "state", &copy, &f, &e))
		abort();
	f->writable = false;
	blk = open_device(f, x->pf, false, v);
	if (blk) {
		content_verify(blk, x, v);
		close_device(blk, v);
	}
	if (!memimg_eq(&copy, img, &diff))
		verdict_set(v, "a read-only open changed byte %ju",
			    (uintmax_t)diff);
	memimg_free(&copy);
}

void recover_writable(struct file *f, struct expect *x, struct verdict *v)
{
	struct vhdx_blk *blk = open_device(f, x->pf, true, v);

	if (!blk)
		return;
	content_verify(blk, x, v);
	content_verify(blk, x, v);
	close_device(blk, v);
}

/* ---- a cleanly closed file -------------------------------------------- */

struct findings {
	const struct expect *x;
	struct verdict *v;
};

/* A block that was never entered in the BAT of a VHD stays behind as a gap:
 * that format has no log to undo it with. */
static bool is_excused(const struct findings *fs, const struct vhdx_finding *f)
{
	if (fs->x->region_bad && f->obj == VHDX_OBJ_REGION)
		return true;
	return fs->x->pf->format == VHDX_FORMAT_VHD &&
	       f->severity == VHDX_SEV_WARNING && f->obj == VHDX_OBJ_PAYLOAD;
}

static void finding(void *arg, const struct vhdx_finding *f)
{
	struct findings *fs = arg;

	if (f->severity >= VHDX_SEV_WARNING && !is_excused(fs, f))
		verdict_set(fs->v, "check finds (%s): %s",
			    f->severity == VHDX_SEV_ERROR ? "error" : "warning",
			    f->text);
}

static void run_check(struct file *f, bool repair, struct findings *fs,
		      struct vhdx_check_result *res)
{
	struct check c = { .file = f, .repair = repair,
			   .fn = repair ? NULL : finding, .arg = fs,
			   .result = res };
	struct vhdx_err e;
	int rc = 0;

	*res = (struct vhdx_check_result){ .format = fs->x->pf->format };
	if (res->format == VHDX_FORMAT_VHDX)
		rc = vhdx_image_check(&c, &e);
	else if (res->format == VHDX_FORMAT_VHD)
		rc = vhd1_image_check(&c, &e);
	if (rc)
		verdict_set(fs->v, "check%s cannot be done: %s",
			    repair ? " --repair" : "", e.text);
}

static void check_verify(struct file *f, struct expect *x, struct verdict *v)
{
	struct findings fs = { x, v };
	struct vhdx_check_result res;

	run_check(f, false, &fs, &res);
	if (res.log_dirty)
		verdict_set(v, "check finds a dirty log after a clean close");
}

void recover_repair(struct file *f, struct expect *x, struct verdict *v)
{
	struct findings fs = { x, v };
	struct vhdx_check_result res;

	run_check(f, true, &fs, &res);
	if (res.errors)
		verdict_set(v, "check --repair leaves %ju errors",
			    (uintmax_t)res.errors);
	file_close(f);
}

static void headers_verify(struct file *f, struct verdict *v)
{
	struct header_pair p;
	struct vhdx_err e;

	if (header_load(f, &p, &e)) {
		verdict_set(v, "headers: %s", e.text);
		return;
	}
	for (int i = 0; i < 2; i++)
		if (!p.valid[i])
			verdict_set(v, "header %d is invalid after a clean "
				    "close: %s", i, p.why[i].text);
		else if (!guid_is_zero(&p.copy[i].log))
			verdict_set(v, "header %d names a log after a clean "
				    "close", i);
	if (f->size % MIB)
		verdict_set(v, "the file is %ju bytes long, not whole MiB",
			    (uintmax_t)f->size);
}

void clean_verify(struct loop *l, const struct memimg *img, struct expect *x,
		  struct verdict *v)
{
	struct memimg copy;
	struct vhdx_err e;
	struct file *f;

	memimg_clone(&copy, img);
	if (file_mem_new(l, "closed", &copy, &f, &e))
		abort();
	f->writable = false;
	if (x->pf->format == VHDX_FORMAT_VHDX)
		headers_verify(f, v);
	check_verify(f, x, v);
	file_close(f);
	memimg_free(&copy);
	if (!v->bad)
		recover_readonly(l, img, x, v);
}
