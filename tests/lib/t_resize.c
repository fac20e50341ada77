/* SPDX-License-Identifier: MIT */
#include "t_resize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "check.h"
#include "file_crash.h"
#include "file_fault.h"
#include "file_mem.h"
#include "mem.h"
#include "t.h"

#define CHUNK ((size_t)MIB)

/* ---- making them --------------------------------------------------------- */

static void create(struct t_resize *t, struct memimg *m,
		   const struct vhdx_create_opts *o, struct image *parent)
{
	struct file *f;

	T_OK(file_mem_new(t->loop, "disk", m, &f, &t_err));
	if (parent && o->format == VHDX_FORMAT_VHD)
		T_OK(vhd1_image_create_child(f, "disk", o, parent, &t_err));
	else if (parent)
		T_OK(vhdx_image_create_child(f, "disk", o, parent, &t_err));
	else if (o->format == VHDX_FORMAT_VHDX)
		T_OK(vhdx_image_create(f, o, &t_err));
	else if (o->format == VHDX_FORMAT_VHD)
		T_OK(vhd1_image_create(f, o, &t_err));
	else
		T_OK(raw_image_create(f, o, &t_err));
	file_close(f);
}

static struct image *open_image(const struct t_resize *t, struct file *f,
				unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;

	T_OK(image_open(f, t->opts.format, &o, &img, &t_err));
	return img;
}

static struct image *open_parent(struct t_resize *t, unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(t->loop, "parent", &t->parent, &f, &t_err));
	return open_image(t, f, flags);
}

static void make_parent(struct t_resize *t)
{
	struct vhdx_create_opts o = t->opts;
	uint8_t *buf = malloc(CHUNK);
	struct vhdx_blk *blk;

	o.type = VHDX_TYPE_DYNAMIC;
	o.parent = NULL;
	o.size_len = t->parent_len;
	create(t, &t->parent, &o, NULL);
	T_OK(blk_new(open_parent(t, VHDX_OPEN_WRITE), t->loop, false, &blk,
		     &t_err));
	for (uint64_t voff = 0; voff < t->parent_len; voff += CHUNK) {
		size_t len = (size_t)u64_min(CHUNK, t->parent_len - voff);

		t_fill(buf, len, 1000 + voff);
		T_OK(vhdx_blk_write(blk, voff, buf, len, &t_err));
		if (voff < t->opts.size_len)
			memimg_write(&t->model, voff, buf,
				     u64_min(len, t->opts.size_len - voff));
	}
	T_OK(vhdx_blk_close(blk, &t_err));
	free(buf);
}

void t_resize_begin(struct t_resize *t, enum vhdx_format format,
		    enum vhdx_type type, uint64_t size_len, uint32_t block_len,
		    uint64_t parent_len)
{
	struct image *parent = NULL;
	uint64_t file_len, host_len;

	memset(t, 0, sizeof(*t));
	t->opts = (struct vhdx_create_opts){
		.format = format, .type = parent_len ? VHDX_TYPE_DYNAMIC : type,
		.type_given = true, .size_len = size_len,
		.block_len = block_len };
	t->parent_len = parent_len;
	T_OK(loop_new(&t->loop, &t_err));
	T_OK(vhdx_create_plan(&t->opts, &file_len, &host_len, &t_err));
	t->opts.type = type;
	t->opts.parent = parent_len ? "parent" : NULL;
	memimg_resize(&t->model, size_len);
	if (parent_len) {
		make_parent(t);
		parent = open_parent(t, 0);
	}
	create(t, &t->file, &t->opts, parent);
	if (parent)
		T_OK(parent->ops->close(parent, &t_err));
}

void t_resize_end(struct t_resize *t)
{
	loop_free(t->loop);
	memimg_free(&t->file);
	memimg_free(&t->parent);
	memimg_free(&t->model);
}

void t_resize_open_file(struct t_resize *t, struct file *f, unsigned flags)
{
	struct chain *c;

	t->img = open_image(t, f, flags);
	t->img->parent_len = t->parent_len;
	T_OK(chain_of(t->img, &c, &t_err));
	if (t->parent_len)
		c->layers[c->cnt++] = open_parent(t, 0);
	T_OK(blk_new_chain(c, t->loop, false, &t->blk, &t_err));
}

void t_resize_open(struct t_resize *t, unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(t->loop, "disk", &t->file, &f, &t_err));
	t_resize_open_file(t, f, flags);
}

void t_resize_close(struct t_resize *t)
{
	T_OK(vhdx_blk_close(t->blk, &t_err));
	t->blk = NULL;
}

/* ---- content ------------------------------------------------------------- */

void t_resize_put(struct t_resize *t, uint64_t voff, uint64_t len)
{
	uint8_t *buf = malloc(len);

	t_fill(buf, len, voff + 7);
	memimg_write(&t->model, voff, buf, len);
	T_OK(vhdx_blk_write(t->blk, voff, buf, len, &t_err));
	free(buf);
}

void t_resize_zero(struct t_resize *t, uint64_t voff, uint64_t len)
{
	memimg_zero(&t->model, voff, len);
	T_OK(vhdx_blk_write_zeroes(t->blk, voff, len, &t_err));
}

static void model_resize(struct t_resize *t, uint64_t size_len)
{
	memimg_resize(&t->model, size_len);
}

/* [voff, voff + len): as in the model; data: the disk has something there. */
static void compare(struct t_resize *t, uint64_t voff, uint64_t len, bool data)
{
	uint8_t *got = calloc(1, CHUNK), *want = malloc(CHUNK);
	uint64_t end = voff + len;

	while (voff < end) {
		uint64_t at, n;

		memimg_next_data(&t->model, voff, &at, &n);
		if (!data && (!n || at >= end))
			break;
		if (!data)
			voff = u64_max(voff, at);
		n = u64_min(CHUNK, end - voff);
		memimg_read(&t->model, voff, want, n);
		if (data)
			T_OK(vhdx_blk_read(t->blk, voff, got, n, &t_err));
		T_TRUE(memcmp(got, want, n) == 0);
		voff += n;
	}
	free(got);
	free(want);
}

void t_resize_verify(struct t_resize *t)
{
	struct vhdx_extent x;

	T_EQ_U64(t->img->size_len, t->model.size);
	for (uint64_t voff = 0; voff < t->model.size; voff += x.len) {
		T_OK(vhdx_blk_map(t->blk, voff, t->model.size - voff, &x,
				  &t_err));
		compare(t, voff, x.len, x.kind == VHDX_EXTENT_DATA);
	}
}

void t_resize_check(struct t_resize *t, struct memimg *m, bool errors_only)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res };

	if (t->opts.format == VHDX_FORMAT_RAW)
		return;
	T_OK(file_mem_new(t->loop, "disk", m, &c.file, &t_err));
	if (t->opts.format == VHDX_FORMAT_VHDX)
		T_OK(vhdx_image_check(&c, &t_err));
	else
		T_OK(vhd1_image_check(&c, &t_err));
	T_EQ_U64(res.errors, 0);
	if (!errors_only)
		T_EQ_U64(res.warnings, 0);
	file_close(c.file);
}

void t_resize_to(struct t_resize *t, uint64_t size_len)
{
	T_OK(t->img->ops->resize(t->img, size_len, &t_err));
	model_resize(t, size_len);
}

void t_resize_and_verify(struct t_resize *t, uint64_t size_len)
{
	t_resize_open(t, VHDX_OPEN_WRITE);
	t_resize_to(t, size_len);
	t_resize_verify(t);
	t_resize_close(t);
	t_resize_check(t, &t->file, false);
	t_resize_open(t, 0);
	t_resize_verify(t);
	t_resize_close(t);
}

void t_resize_spoil(struct t_resize *t)
{
	uint64_t size = t->opts.size_len, block = t->opts.block_len;
	uint64_t rest = align_up(size, block) - size;
	uint8_t *buf = malloc(rest);
	struct vhdx_extent x;

	t_fill(buf, rest, 99);
	t_resize_open(t, 0);
	T_OK(vhdx_blk_map(t->blk, size - 512, 512, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0);
	t_resize_close(t);
	memimg_write(&t->file, x.host_off + 512, buf, rest);
	free(buf);
}

/* ---- power failures and errors ------------------------------------------- */

/* The disk has one of the two sizes; the model takes it, for the time. */
static void verify_open(struct t_resize *t, uint64_t size_len)
{
	struct memimg was = { 0 };
	uint64_t now = t->img->size_len, old = t->model.size;

	T_TRUE(now == old || now == size_len);
	memimg_clone(&was, &t->model);
	if (now == size_len || t->in_steps)
		model_resize(t, size_len);
	if (t->in_steps) /* what is cut off may be gone already */
		t->img->size_len = size_len;
	t_resize_verify(t);
	t->img->size_len = now;
	memimg_free(&t->model);
	t->model = was;
}

void t_resize_verify_either(struct t_resize *t, struct memimg *m,
			    uint64_t size_len)
{
	struct file *f;

	T_OK(file_mem_new(t->loop, "disk", m, &f, &t_err));
	t_resize_open_file(t, f, 0);
	verify_open(t, size_len);
	t_resize_close(t);
}

/* The state is recovered, brought to the new size, and then grows. */
static void go_on(struct t_resize *t, struct memimg *m, uint64_t size_len,
		  uint64_t more)
{
	struct memimg was = { 0 };
	struct file *f;

	memimg_clone(&was, &t->model);
	T_OK(file_mem_new(t->loop, "disk", m, &f, &t_err));
	t_resize_open_file(t, f, VHDX_OPEN_WRITE);
	verify_open(t, size_len);
	t_resize_to(t, size_len);
	if (more)
		t_resize_to(t, size_len + more);
	t_resize_verify(t);
	t_resize_close(t);
	t_resize_check(t, m, true);
	memimg_free(&t->model);
	t->model = was;
}

static void verify_instant(struct t_resize *t, struct crash_disk *d, uint64_t k,
			   uint64_t size_len, uint64_t more, uint64_t max)
{
	struct memimg state = { 0 };
	struct crash_iter it;

	crash_iter_init(&it, d, k, max, k);
	while (crash_iter_next(&it, &state)) {
		t_resize_verify_either(t, &state, size_len);
		if (t->opts.format == VHDX_FORMAT_VHDX)
			t_resize_check(t, &state, true);
		go_on(t, &state, size_len, more);
		memimg_free(&state);
		t->states++;
	}
	t->instants++;
}

void t_resize_power_failures(struct t_resize *t, uint64_t size_len,
			     uint64_t more, uint64_t per_instant)
{
	struct crash_world *w = crash_world_new(NULL);
	struct crash_disk *d = crash_disk_new(w, "disk", &t->file);
	unsigned n = 0;
	struct file *f;

	t->instants = t->states = 0;
	T_OK(crash_disk_open(d, t->loop, &f, &t_err));
	t_resize_open_file(t, f, VHDX_OPEN_WRITE);
	T_OK(t->img->ops->resize(t->img, size_len, &t_err));
	t_resize_close(t);
	for (uint64_t k = 0, last = UINT64_MAX; k != last;
	     last = k, k = crash_next(w, k))
		if (!t->stride || n++ % t->stride == 0)
			verify_instant(t, d, k, size_len, more, per_instant);
	crash_world_free(w);
}

/* The nth operation fails; true if there was one. */
static bool fail_one(struct t_resize *t, uint64_t size_len,
		     struct fault_rule rule)
{
	uint64_t failed = 0;
	struct memimg m = { 0 };
	struct file_fault *ff;
	struct file *f;
	int rc, close_rc;

	memimg_clone(&m, &t->file);
	T_OK(file_mem_new(t->loop, "disk", &m, &f, &t_err));
	T_OK(file_fault_new(f, &ff, &t_err));
	t_resize_open_file(t, &ff->w.file, VHDX_OPEN_WRITE);
	ff->failed_total = &failed;
	fault_set(ff, rule);
	rc = t->img->ops->resize(t->img, size_len, &t_err);
	T_TRUE(failed || rc == 0);
	fault_set(ff, (struct fault_rule){ 0 });
	if (rc == 0)
		T_EQ_U64(t->img->size_len, size_len);
	else
		verify_open(t, size_len); /* reads go on */
	rule.nth = rule.sticky && failed;
	fault_set(ff, rule);
	close_rc = vhdx_blk_close(t->blk, NULL);
	T_TRUE(failed || close_rc == 0);
	t_resize_verify_either(t, &m, size_len);
	if (t->opts.format == VHDX_FORMAT_VHDX)
		t_resize_check(t, &m, true);
	go_on(t, &m, size_len, 0);
	memimg_free(&m);
	return failed != 0;
}

void t_resize_faults(struct t_resize *t, uint64_t size_len, unsigned ops,
		     int sys_errno)
{
	struct fault_rule rules[] = { { .extent = FAULT_NOTHING },
				      { .extent = FAULT_HALF },
				      { .extent = FAULT_DONE },
				      { .sticky = true } };

	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		rules[i].ops = ops;
		rules[i].sys_errno = sys_errno;
		do
			rules[i].nth += t->stride ? t->stride : 1;
		while (fail_one(t, size_len, rules[i]));
	}
}

/* The nth allocation fails; false if there are not so many. */
static bool starve_one(struct t_resize *t, uint64_t size_len, uint64_t nth)
{
	struct memimg m = { 0 };
	struct file *f;
	uint64_t seen;
	int rc;

	memimg_clone(&m, &t->file);
	T_OK(file_mem_new(t->loop, "disk", &m, &f, &t_err));
	t_resize_open_file(t, f, VHDX_OPEN_WRITE);
	mem_fail_nth(nth);
	rc = t->img->ops->resize(t->img, size_len, &t_err);
	seen = mem_fail_nth(0);
	T_TRUE(rc ? rc == VHDX_E_NOMEM : t->img->size_len == size_len);
	verify_open(t, size_len);
	t_resize_close(t);
	t_resize_verify_either(t, &m, size_len);
	t_resize_check(t, &m, false);
	go_on(t, &m, size_len, 0);
	memimg_free(&m);
	return seen >= nth;
}

void t_resize_no_memory(struct t_resize *t, uint64_t size_len)
{
	uint64_t nth = 1;

	while (starve_one(t, size_len, nth))
		nth++;
}

void t_resize_full_host(struct t_resize *t, uint64_t size_len)
{
	uint64_t size = t->file.size;
	struct file_fault *ff;
	struct file *f;

	T_OK(file_mem_new(t->loop, "disk", &t->file, &f, &t_err));
	T_OK(file_fault_new(f, &ff, &t_err));
	t_resize_open_file(t, &ff->w.file, VHDX_OPEN_WRITE);
	fault_set(ff, (struct fault_rule){ .ops = 1u << FILE_RESERVE, .nth = 1,
					   .sys_errno = ENOSPC });
	T_FAILS(t->img->ops->resize(t->img, size_len, &t_err), VHDX_E_NOSPC,
		"");
	t_resize_verify(t);
	t_resize_close(t);
	T_EQ_U64(t->file.size, size);
	t_resize_check(t, &t->file, false);
}
