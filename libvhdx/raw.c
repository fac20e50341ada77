/* SPDX-License-Identifier: MIT */
/*
 * Guarantees: a write that is complete before a flush is submitted is covered
 * by the sync of that flush; flushes that wait while a sync is under way share
 * the next one, and one that finds nothing written since the last sync needs
 * none. The first one always syncs: whoever wrote before us may have been
 * killed before he could. A failed sync is final: the kernel may have dropped
 * the pages, so that a second sync would succeed over lost data.
 */
#include "raw.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

struct raw {
	struct image img;
	struct raw_extent extent; /* read-only images */
	raw_resize_fn *resize;
	struct file_io sync;
	struct loop_task no_sync; /* completes flushes that need none */
	struct list now;	 /* flushes that the sync under way is for */
	struct list next;
	bool busy;
	bool dirty; /* something is complete since the last sync began */
	bool failed;
	struct vhdx_err cause;
};

static struct raw *raw_of(struct image *img)
{
	return container_of(img, struct raw, img);
}

void raw_extent_apply(struct raw_extent *x, struct image_map *m)
{
	uint64_t at = m->file_off;

	if (at < x->off || at - x->off >= x->len) {
		uint64_t data, len;

		if (file_next_data(m->file, at, &data, &len, NULL)) {
			x->len = 0; /* not known: all is data */
			return;
		}
		/* Whole sectors, also where the file ends within one. */
		uint64_t end = align_up(data + len, 512);

		data = align_down(data, 512);
		x->hole = len == 0 || data > at;
		x->off = at;
		x->len = len == 0 ? UINT64_MAX - at
				  : (x->hole ? data : end) - at;
	}
	m->len = u64_min(m->len, x->len - (at - x->off));
	if (x->hole)
		m->kind = MAP_ZERO;
}

static bool refuse(struct raw *r, struct image_map *m)
{
	m->res = err_set(&m->err, VHDX_E_FAILED, "%s: an earlier failure "
			 "closed this image to writes: %s", r->img.file->path,
			 r->cause.text);
	return true;
}

static bool raw_map_read(struct image *img, struct image_map *m)
{
	m->kind = MAP_DATA;
	m->file = img->file;
	m->file_off = m->voff;
	m->res = 0;
	if (!img->writable)
		raw_extent_apply(&raw_of(img)->extent, m);
	return true;
}

static bool raw_map_write(struct image *img, struct image_map *m)
{
	struct raw *r = raw_of(img);

	if (r->failed)
		return refuse(r, m);
	m->kind = MAP_DATA;
	m->file = img->file;
	m->file_off = m->voff;
	m->res = 0;
	return true;
}

static bool raw_end_write(struct image *img, struct image_map *m, bool ok)
{
	struct raw *r = raw_of(img);

	if (!MUTATED(RAW_WRITES_COUNT))
		r->dirty = true;
	m->res = 0;
	return ok && r->failed ? refuse(r, m) : true;
}

static bool raw_unmap(struct image *img, struct image_map *m, bool zeroes)
{
	(void)zeroes;
	return raw_map_write(img, m);
}

static void complete_all(struct raw *r, int res, const struct vhdx_err *why)
{
	struct list done;

	list_init(&done);
	list_splice(&done, &r->now);
	while (!list_empty(&done)) {
		struct image_flush *fl = list_first(&done, struct image_flush,
						    node);

		list_del(&fl->node);
		fl->res = res ? err_copy(&fl->err, why, res) : 0;
		fl->done(fl);
	}
}

static void start(struct raw *r)
{
	r->busy = true;
	list_splice(&r->now, &r->next);
	if (r->failed || !r->img.writable || !r->dirty) {
		loop_defer(r->img.file->loop, &r->no_sync);
		return;
	}
	r->dirty = false;
	file_submit(r->img.file, &r->sync);
}

static void finish(struct raw *r, int res, const struct vhdx_err *why)
{
	complete_all(r, res, why);
	r->busy = false;
	if (!list_empty(&r->next))
		start(r);
}

static void synced(struct file_io *io)
{
	struct raw *r = io->opaque;

	if (io->res) {
		r->failed = true;
		r->cause = io->err;
	}
	finish(r, io->res, &io->err);
}

static void not_synced(struct loop_task *t)
{
	struct raw *r = container_of(t, struct raw, no_sync);
	struct vhdx_err why;
	int rc = 0;

	if (r->failed)
		rc = err_set(&why, VHDX_E_FAILED, "%s: an earlier failure "
			     "closed this image to writes: %s",
			     r->img.file->path, r->cause.text);
	finish(r, rc, &why);
}

static void raw_flush(struct image *img, struct image_flush *fl)
{
	struct raw *r = raw_of(img);

	list_add_tail(&r->next, &fl->node);
	if (!r->busy)
		start(r);
}

static int raw_close(struct image *img, struct vhdx_err *e)
{
	struct raw *r = raw_of(img);
	int rc = 0;

	if (r->failed)
		rc = err_set(e, VHDX_E_FAILED, "%s: not everything written "
			     "is durable: %s", img->file->path, r->cause.text);
	else if (img->writable)
		rc = file_sync(img->file, e);
	file_close(img->file);
	mem_free(r);
	return rc;
}

void raw_fail(struct image *img, const struct vhdx_err *why)
{
	struct raw *r = raw_of(img);

	if (r->failed)
		return;
	r->failed = true;
	r->cause = *why;
}

static int raw_resize(struct image *img, uint64_t size_len, struct vhdx_err *e)
{
	struct raw *r = raw_of(img);
	int rc = image_verify_size(img, size_len, e);

	if (rc || size_len == img->size_len)
		return rc;
	if (r->failed)
		return err_set(e, VHDX_E_FAILED, "%s: an earlier failure "
			       "closed this image to writes: %s",
			       img->file->path, r->cause.text);
	if (!r->resize)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: this version "
			       "cannot resize it", img->file->path);
	return r->resize(img, size_len, e);
}

/* The host's own file length is the disk's: one step, both ways. What it adds
 * reads as zeros. */
static int resize_file(struct image *img, uint64_t size_len,
		       struct vhdx_err *e)
{
	struct vhdx_err why;
	int rc = file_truncate(img->file, size_len, &why);

	if (rc)
		return err_copy(e, &why, rc);
	img->size_len = size_len;
	rc = file_sync(img->file, &why);
	if (!rc)
		return 0;
	raw_fail(img, &why);
	return err_copy(e, &why, rc);
}

static const struct image_ops raw_ops = {
	.map_read = raw_map_read,
	.map_write = raw_map_write,
	.end_write = raw_end_write,
	.unmap = raw_unmap,
	.flush = raw_flush,
	.close = raw_close,
	.resize = raw_resize,
};

int raw_window_open(struct file *f, const struct image_open_opts *o,
		    const struct vhdx_info *info, raw_resize_fn *resize,
		    struct image **out, struct vhdx_err *e)
{
	struct raw *r;

	if (o->flags & VHDX_OPEN_WRITE && !f->writable)
		return err_set(e, VHDX_E_READONLY,
			       "%s is open for reading only", f->path);
	r = mem_zalloc(sizeof(*r));
	if (!r)
		return err_set(e, VHDX_E_NOMEM, "no memory for an open image");
	r->img.ops = &raw_ops;
	r->img.file = f;
	r->img.size_len = info->size_len;
	r->img.sector_len = info->sector_len;
	r->img.physical_sector_len = info->physical_sector_len;
	r->img.writable = o->flags & VHDX_OPEN_WRITE;
	r->img.info = *info;
	r->resize = resize;
	r->dirty = !MUTATED(FIRST_FLUSH_SYNCS);
	r->sync.op = FILE_SYNC;
	r->sync.done = synced;
	r->sync.opaque = r;
	loop_task_init(&r->no_sync, not_synced);
	list_init(&r->now);
	list_init(&r->next);
	*out = &r->img;
	return 0;
}

int raw_image_open(struct file *f, const struct image_open_opts *o,
		   struct image **out, struct vhdx_err *e)
{
	struct vhdx_info info = {
		.format = VHDX_FORMAT_RAW,
		.type = VHDX_TYPE_FIXED,
		.file_len = f->size,
		.host_len = file_host_len(f),
		.sector_len = 512,
		.physical_sector_len = 512,
	};
	char text[160];

	if (f->size > INT64_MAX - 511)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s is too large",
			       f->path);
	info.size_len = align_up(f->size, 512);
	if (info.size_len != f->size && o->msg) {
		snprintf(text, sizeof(text), "the file has %ju bytes; the disk "
			 "is padded with zeros to whole sectors, %ju bytes",
			 (uintmax_t)f->size, (uintmax_t)info.size_len);
		o->msg(o->msg_arg, text);
	}
	return raw_window_open(f, o, &info, resize_file, out, e);
}

/* A raw image stays sparse: where the space is wanted, writing takes it. */
int raw_image_create(struct file *f, const struct vhdx_create_opts *opts,
		     struct vhdx_err *e)
{
	int rc = file_truncate(f, opts->size_len, e);

	return rc ? rc : file_sync(f, e);
}
