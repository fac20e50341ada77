/* SPDX-License-Identifier: MIT */
#include "disks.h"

#include <string.h>

#include "chain.h"
#include "t.h"
#include "view.h"

void disks_clone(struct disks *dst, const struct disks *src)
{
	memcpy(dst->d, src->d, sizeof(dst->d));
	dst->cnt = src->cnt;
	for (unsigned i = 0; i < src->cnt; i++)
		memimg_clone(&dst->d[i].view, &src->d[i].view);
}

void disks_free(struct disks *ds)
{
	for (unsigned i = 0; i < ds->cnt; i++)
		memimg_free(&ds->d[i].view);
	ds->cnt = 0;
}

struct disk *disks_find(struct disks *ds, const char *path)
{
	for (unsigned i = 0; i < ds->cnt; i++)
		if (ds->d[i].there && strcmp(ds->d[i].path, path) == 0)
			return &ds->d[i];
	return NULL;
}

unsigned disks_child_cnt(const struct disks *ds, int parent)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ds->cnt; i++)
		n += ds->d[i].there && ds->d[i].parent == parent;
	return n;
}

/* A number that is free; DISKS_MAX: none. */
static unsigned free_number(const struct disks *ds)
{
	unsigned i = 0;

	while (i < ds->cnt && ds->d[i].there)
		i++;
	return i;
}

bool disks_room(const struct disks *ds)
{
	return free_number(ds) < DISKS_MAX;
}

/* ---- making them -------------------------------------------------------- */

static int open_chain(const struct disks *ds, const char *path, bool writable,
		      struct chain **out, struct vhdx_err *e)
{
	struct chain_opts o = { .flags = writable ? VHDX_OPEN_WRITE : 0 };

	return chain_open(ds->opener, ds->loop, path, &o, out, e);
}

static int fill_child(struct disks *ds, struct file *f, const char *path,
		      struct vhdx_create_opts *o, struct vhdx_err *e)
{
	uint64_t file_len, host_len;
	struct image *parent;
	struct chain *c;
	int rc = open_chain(ds, o->parent, false, &c, e);

	if (rc)
		return rc;
	parent = c->layers[0];
	o->physical_sector_len = parent->physical_sector_len;
	rc = vhdx_create_plan(o, &file_len, &host_len, e);
	if (!rc && o->format == VHDX_FORMAT_VHD)
		rc = vhd1_image_create_child(f, path, o, parent, e);
	else if (!rc)
		rc = vhdx_image_create_child(f, path, o, parent, e);
	if (chain_close(c, NULL))
		abort();
	return rc;
}

static int fill_base(struct file *f, struct vhdx_create_opts *o,
		     struct vhdx_err *e)
{
	uint64_t file_len, host_len;
	int rc = vhdx_create_plan(o, &file_len, &host_len, e);

	if (rc)
		return rc;
	if (o->format == VHDX_FORMAT_VHD)
		return vhd1_image_create(f, o, e);
	return vhdx_image_create(f, o, e);
}

static void complete(struct vhdx_create_opts *o, const struct disk *parent)
{
	o->type_given = true;
	if (!parent)
		return;
	o->format = parent->format;
	o->type = VHDX_TYPE_DIFFERENCING;
	o->parent = parent->path;
	if (!o->size_len)
		o->size_len = parent->view.size;
	if (!o->block_len)
		o->block_len = parent->block_len;
	o->sector_len = parent->sector_len;
}

int disks_create(struct disks *ds, const char *path, int parent,
		 const struct vhdx_create_opts *want, struct verdict *v)
{
	const struct disk *p = parent < 0 ? NULL : &ds->d[parent];
	struct vhdx_create_opts o = *want;
	unsigned i = free_number(ds);
	struct disk *d = &ds->d[i];
	struct vhdx_err e;
	struct file *f;
	int rc;

	ASSERT(i < DISKS_MAX);
	complete(&o, p);
	if (ds->opener->open(ds->opener, ds->loop, path,
			     OPENER_WRITE | OPENER_CREATE, &f, &e))
		abort();
	rc = p ? fill_child(ds, f, path, &o, &e) : fill_base(f, &o, &e);
	file_close(f);
	if (rc) {
		verdict_set(v, "creating %s: %s", path, e.text);
		return -1;
	}
	*d = (struct disk){ .there = true, .parent = parent,
			    .fixed = o.type == VHDX_TYPE_FIXED,
			    .format = o.format, .block_len = o.block_len,
			    .sector_len = o.sector_len };
	strcpy(d->path, path);
	if (p)
		memimg_clone(&d->view, &p->view);
	memimg_resize(&d->view, o.size_len);
	if (i == ds->cnt)
		ds->cnt++;
	return (int)i;
}

struct vhdx_blk *disks_open(const struct disks *ds, const char *path,
			    bool writable, struct verdict *v)
{
	struct vhdx_blk *blk;
	struct vhdx_err e;
	struct chain *c;

	if (open_chain(ds, path, writable, &c, &e)) {
		verdict_set(v, "%s: opening it %s: %s", path,
			    writable ? "for writing" : "read-only", e.text);
		return NULL;
	}
	if (blk_new_chain(c, ds->loop, false, &blk, &e))
		abort();
	return blk;
}

static void close_device(struct vhdx_blk *blk, const char *path,
			 struct verdict *v)
{
	struct vhdx_err e;

	if (vhdx_blk_close(blk, &e))
		verdict_set(v, "%s: closing: %s", path, e.text);
}

/* ---- filling them ------------------------------------------------------- */

static const uint64_t HOT = 8 * MIB;

/* Now and then whole blocks, mostly a few sectors; of a large disk the first
 * and the last MiBs. */
static void pick_range(const struct disk *d, uint64_t *rng, uint64_t *voff,
		       uint64_t *len)
{
	uint64_t size = d->view.size, sec = d->sector_len;
	uint64_t from = 0, span = u64_min(size, HOT), style;

	if (size > HOT && t_rand(rng) & 1)
		from = align_down(size - HOT, sec);
	style = t_rand_below(rng, 10);
	*voff = from + align_down(t_rand_below(rng, span), sec);
	*len = sec * (1 + t_rand_below(rng, style < 6 ? 8 : 200));
	if (style == 9 && d->block_len) {
		*voff = align_down(*voff, d->block_len);
		*len = u64_min(d->block_len, MIB);
	}
	*len = u64_min(*len, size - *voff);
}

static uint8_t *buffer(void)
{
	static uint8_t buf[MIB];

	return buf;
}

static void do_write(struct disk *d, struct vhdx_blk *blk, uint64_t *rng,
		     uint64_t voff, uint64_t len, struct verdict *v)
{
	uint8_t *buf = buffer();
	struct vhdx_err e;

	t_fill(buf, (size_t)len, t_rand(rng));
	if (vhdx_blk_write(blk, voff, buf, len, &e))
		verdict_set(v, "%s: write: %s", d->path, e.text);
	memimg_write(&d->view, voff, buf, (size_t)len);
}

static void do_zero(struct disk *d, struct vhdx_blk *blk, uint64_t voff,
		    uint64_t len, struct verdict *v)
{
	struct vhdx_err e;

	if (vhdx_blk_write_zeroes(blk, voff, len, &e))
		verdict_set(v, "%s: write zeroes: %s", d->path, e.text);
	memimg_zero(&d->view, voff, len);
}

/* Each sector is what it was or zeros; the device settles which. */
static void do_discard(struct disk *d, struct vhdx_blk *blk, uint64_t voff,
		       uint64_t len, struct verdict *v)
{
	struct memimg zeroed;
	const struct memimg *both[2] = { &d->view, &zeroed };
	uint8_t *buf = buffer();
	struct vhdx_err e;

	if (vhdx_blk_discard(blk, voff, len, &e)) {
		verdict_set(v, "%s: discard: %s", d->path, e.text);
		return;
	}
	memimg_clone(&zeroed, &d->view);
	memimg_zero(&zeroed, voff, len);
	view_verify_range(blk, both, 2, voff, len, v);
	memimg_free(&zeroed);
	if (!v->bad && !vhdx_blk_read(blk, voff, buf, len, &e))
		memimg_write(&d->view, voff, buf, (size_t)len);
}

void disks_request(struct disk *d, struct vhdx_blk *blk, uint64_t *rng,
		   struct verdict *v)
{
	uint64_t voff, len, kind = t_rand_below(rng, 20);
	struct vhdx_err e;

	pick_range(d, rng, &voff, &len);
	if (kind < 13)
		do_write(d, blk, rng, voff, len, v);
	else if (kind < 15)
		do_zero(d, blk, voff, len, v);
	else if (kind < 18)
		do_discard(d, blk, voff, len, v);
	else if (vhdx_blk_flush(blk, &e))
		verdict_set(v, "%s: flush: %s", d->path, e.text);
}

void disks_fill(struct disks *ds, int i, uint64_t *rng, unsigned cnt,
		struct verdict *v)
{
	struct vhdx_blk *blk = disks_open(ds, ds->d[i].path, true, v);

	if (!blk)
		return;
	while (cnt-- > 0 && !v->bad)
		disks_request(&ds->d[i], blk, rng, v);
	close_device(blk, ds->d[i].path, v);
}

static void zero_by_hand(struct disk *d, struct vhdx_blk *blk, uint64_t voff,
			 uint64_t len, struct verdict *v)
{
	uint8_t *buf = buffer();
	struct vhdx_err e;

	memset(buf, 0, (size_t)len);
	if (vhdx_blk_write(blk, voff, buf, len, &e))
		verdict_set(v, "%s: write: %s", d->path, e.text);
	memimg_zero(&d->view, voff, len);
}

void disks_churn(struct disk *d, struct vhdx_blk *blk, uint64_t *rng,
		 struct verdict *v)
{
	uint64_t size = u64_min(d->view.size, 2 * HOT), unit = MIB;

	for (int round = 0; round < 2; round++)
		for (uint64_t at = 0; at < size && !v->bad; at += unit) {
			uint64_t len = u64_min(unit, size - at);
			uint64_t kind = t_rand_below(rng, round ? 8 : 4);

			if (!round && kind)
				do_write(d, blk, rng, at, len, v);
			else if (kind == 1)
				do_zero(d, blk, at, len, v);
			else if (kind == 2)
				do_discard(d, blk, at, len, v);
			else if (kind == 3)
				zero_by_hand(d, blk, at, len, v);
		}
}

static void copy_extent(struct vhdx_blk *in, struct vhdx_blk *out,
			const struct vhdx_extent *x, struct verdict *v)
{
	uint8_t *buf = buffer();
	struct vhdx_err e;

	for (uint64_t at = 0; at < x->len && !v->bad; at += MIB) {
		uint64_t n = u64_min(MIB, x->len - at);

		if (vhdx_blk_read(in, x->voff + at, buf, n, &e) ||
		    vhdx_blk_write(out, x->voff + at, buf, n, &e))
			verdict_set(v, "copying: %s", e.text);
	}
}

void disks_copy(struct disks *ds, int from, int to, struct verdict *v)
{
	struct vhdx_blk *in = disks_open(ds, ds->d[from].path, false, v);
	struct vhdx_blk *out = disks_open(ds, ds->d[to].path, true, v);
	uint64_t size = ds->d[from].view.size, at = 0;
	struct vhdx_extent x;
	struct vhdx_err e;

	while (at < size && !v->bad) {
		if (vhdx_blk_map(in, at, size - at, &x, &e)) {
			verdict_set(v, "map: %s", e.text);
			break;
		}
		if (x.kind == VHDX_EXTENT_DATA)
			copy_extent(in, out, &x, v);
		at += x.len;
	}
	if (in)
		close_device(in, ds->d[from].path, v);
	if (out)
		close_device(out, ds->d[to].path, v);
	memimg_free(&ds->d[to].view);
	memimg_clone(&ds->d[to].view, &ds->d[from].view);
}

/* ---- looking at them ---------------------------------------------------- */

void disks_verify(const struct disks *ds, const char *path,
		  const struct memimg *view, bool writable, struct verdict *v)
{
	struct vhdx_blk *blk = disks_open(ds, path, writable, v);
	bool was = v->bad;

	if (!blk)
		return;
	view_verify(blk, &view, 1, false, true, v);
	if (v->bad && !was)
		verdict_add(v, " (%s)", path);
	close_device(blk, path, v);
}

struct findings {
	const char *path;
	enum vhdx_format format;
	bool strict;
	struct verdict *v;
};

/* VHD has no log. A block that was never entered in its BAT stays behind as a
 * gap, and until somebody has opened it for writing only the footer's copy may
 * be there. */
static bool is_excused(const struct findings *fs, const struct vhdx_finding *f)
{
	if (fs->format != VHDX_FORMAT_VHD)
		return false;
	return f->obj == VHDX_OBJ_PAYLOAD ? f->severity != VHDX_SEV_ERROR
		: f->obj == VHDX_OBJ_FOOTER && f->repairable && !fs->strict;
}

static void finding(void *arg, const struct vhdx_finding *f)
{
	const struct findings *fs = arg;

	if (is_excused(fs, f))
		return;
	if (f->severity == VHDX_SEV_ERROR ||
	    (f->severity == VHDX_SEV_WARNING && fs->strict))
		verdict_set(fs->v, "%s: check finds (%s): %s", fs->path,
			    f->severity == VHDX_SEV_ERROR ? "error"
							  : "warning",
			    f->text);
}

void disks_check(const struct disks *ds, const char *path, bool strict,
		 struct verdict *v)
{
	struct findings fs = { path, VHDX_FORMAT_PROBE, strict, v };
	struct vhdx_check_result res = { 0 };
	struct check c = { .fn = finding, .arg = &fs, .result = &res };
	struct vhdx_err e;
	int rc = ds->opener->open(ds->opener, ds->loop, path, 0, &c.file, &e);

	if (rc) {
		verdict_set(v, "%s: opening it to check: %s", path, e.text);
		return;
	}
	rc = image_probe(c.file, &fs.format, &e);
	res.format = fs.format;
	if (!rc && fs.format == VHDX_FORMAT_VHDX)
		rc = vhdx_image_check(&c, &e);
	else if (!rc && fs.format == VHDX_FORMAT_VHD)
		rc = vhd1_image_check(&c, &e);
	if (rc)
		verdict_set(v, "%s: check cannot be done: %s", path, e.text);
	if (strict && res.log_dirty)
		verdict_set(v, "%s: check finds a dirty log", path);
	file_close(c.file);
}
