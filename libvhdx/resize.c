/* SPDX-License-Identifier: MIT */
/*
 * Resizing from the outside: opens the image with all that it stands on, looks
 * whether what would be cut off is needed, and has the format do the work. The
 * image is ours alone, and stays open, from the first look to the last change.
 */
#include "resize.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "parttab.h"

#define WINDOW_LEN (64 * MIB)
#define READ_LEN MIB

struct job {
	const struct opener *o;
	const char *path;
	const struct vhdx_resize_opts *opts;
	struct vhdx_resize_result *r;
	struct vhdx_blk *blk;
	struct image *img;
	struct parttab table;
};

/* ---- what is on the disk ------------------------------------------------- */

static int read_disk(void *arg, uint64_t off, void *buf, size_t len,
		     struct vhdx_err *e)
{
	struct job *j = arg;

	return vhdx_blk_read(j->blk, off, buf, len, e);
}

static int look_at_table(struct job *j, struct vhdx_err *e)
{
	int rc = parttab_load(read_disk, j, j->r->old_len, j->img->sector_len,
			      &j->table, e);

	j->r->table = j->table.kind;
	j->r->parts_end_len = j->table.end_len;
	j->r->min_len = j->table.min_len;
	return rc;
}

/* The end of what is not zero among len bytes. */
static size_t data_end(const uint8_t *b, size_t len)
{
	while (len && !b[len - 1])
		len--;
	return len;
}

/* *end: behind the last byte of data of [from, to), or 0. */
static int look_in_extent(struct job *j, uint64_t from, uint64_t to,
			  uint8_t *buf, uint64_t *end, struct vhdx_err *e)
{
	int rc = 0;

	while (!rc && from < to && !*end) {
		uint64_t at = align_down(to - 1, READ_LEN);
		size_t len;

		at = u64_max(at, from);
		len = (size_t)(to - at);
		rc = vhdx_blk_read(j->blk, at, buf, len, e);
		len = rc ? 0 : data_end(buf, len);
		*end = len ? at + len : 0;
		to = at;
	}
	return rc;
}

static int look_in_window(struct job *j, uint64_t from, uint64_t to,
			  uint8_t *buf, uint64_t *end, struct vhdx_err *e)
{
	struct vhdx_extent x;
	int rc = 0;

	*end = 0;
	while (!rc && from < to) {
		uint64_t found = 0;

		rc = vhdx_blk_map(j->blk, from, to - from, &x, e);
		if (!rc && x.kind == VHDX_EXTENT_DATA)
			rc = look_in_extent(j, from, from + x.len, buf, &found,
					    e);
		*end = u64_max(*end, found);
		from += x.len;
	}
	return rc;
}

static int report(const struct job *j, uint64_t done, uint64_t total,
		  struct vhdx_err *e)
{
	const struct vhdx_progress *p = &j->opts->progress;

	if (!p->fn || !p->fn(p->arg, done, total))
		return 0;
	return err_set(e, VHDX_E_CANCELED, "%s: stopped; nothing was changed",
		       j->path);
}

/* Where the data behind `from` ends; 0: there are none. From the end on, in
 * windows: the last data are what is asked for. */
static int find_data(struct job *j, uint64_t from, uint64_t *end,
		     struct vhdx_err *e)
{
	uint64_t size = j->r->old_len, to = size, at;
	uint8_t *buf = mem_alloc(READ_LEN);
	int rc = 0;

	*end = 0;
	if (!buf)
		return err_set(e, VHDX_E_NOMEM, "no memory to look for data");
	for (; !rc && to > from && !*end; to = at) {
		at = u64_max(from, align_down(to - 1, WINDOW_LEN));
		rc = look_in_window(j, at, to, buf, end, e);
		if (!rc)
			rc = report(j, size - at, size - from, e);
	}
	mem_free(buf);
	return rc;
}

/* ---- may it be cut off? ------------------------------------------------- */

static int refuse_parts(const struct job *j, uint64_t min, struct vhdx_err *e)
{
	bool gpt = j->table.kind == VHDX_TABLE_GPT;

	return err_set(e, VHDX_E_RANGE, "%s: the last partition ends at %"
		       PRIu64 "%s, so the disk can have no less than %" PRIu64
		       " bytes; %" PRIu64 " would cut into it (--force does)",
		       j->path, j->table.end_len,
		       gpt ? ", and the GPT's backup belongs behind it" : "",
		       min, j->r->new_len);
}

static int check_free_of_data(struct job *j, struct vhdx_err *e)
{
	uint64_t end;
	int rc = find_data(j, j->r->new_len, &end, e);

	if (rc || !end)
		return rc;
	j->r->min_len = align_up(end, j->img->sector_len);
	return err_set(e, VHDX_E_RANGE, "%s: there is no partition table to go "
		       "by, and behind the new end at %" PRIu64 " there is "
		       "data, the last of it at %" PRIu64 ": the disk may be "
		       "one file system (--force cuts it off)", j->path,
		       j->r->new_len, end - 1);
}

static int check_shrink(struct job *j, struct vhdx_err *e)
{
	uint64_t min = j->table.min_len;

	if (!j->opts->shrink)
		return err_set(e, VHDX_E_INVAL, "%s: the disk has %" PRIu64
			       " bytes, %" PRIu64 " are less; if that is what "
			       "is meant, say --shrink", j->path,
			       j->r->old_len, j->r->new_len);
	if (j->r->format == VHDX_FORMAT_VHD)
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: a VHD can only grow "
			       "(convert it to a VHDX, which can shrink)",
			       j->path);
	if (j->opts->force)
		return 0;
	if (j->table.kind == VHDX_TABLE_DAMAGED)
		return err_set(e, VHDX_E_RANGE, "%s: where partitions end "
			       "cannot be told: %s; --force cuts off what is "
			       "there", j->path, j->table.why.text);
	if (j->table.kind == VHDX_TABLE_NONE)
		return check_free_of_data(j, e);
	if (min <= UINT64_MAX - j->img->sector_len)
		min = align_up(min, j->img->sector_len);
	return j->r->new_len < min ? refuse_parts(j, min, e) : 0;
}

/* ---- space -------------------------------------------------------------- */

static uint64_t need_len(const struct job *j)
{
	const struct vhdx_resize_result *r = j->r;
	uint64_t block = j->img->block_len ? j->img->block_len : 512;

	if (r->new_len <= r->old_len || r->format == VHDX_FORMAT_RAW)
		return 0;
	if (r->type == VHDX_TYPE_FIXED)
		return align_up(r->new_len, block) -
		       align_up(r->old_len, block);
	if (r->format == VHDX_FORMAT_VHD)
		return div_up(r->new_len, block) * 4 + 2 * block;
	return block; /* what is written of a BAT is little, or holes */
}

static int check_space(struct job *j, struct vhdx_err *e)
{
	uint64_t have = UINT64_MAX;

	j->r->need_len = need_len(j);
	if (j->o->free_len && j->r->type == VHDX_TYPE_FIXED)
		have = j->o->free_len(j->o, j->path);
	if (have >= j->r->need_len)
		return 0;
	return err_set(e, VHDX_E_NOSPC, "%s: %" PRIu64 " bytes are needed and "
		       "%" PRIu64 " are free: %" PRIu64 " are missing", j->path,
		       j->r->need_len, have, j->r->need_len - have);
}

/* ---- all of it ---------------------------------------------------------- */

static int work(struct job *j, struct vhdx_err *e)
{
	bool smaller = j->r->new_len < j->r->old_len;
	int rc = image_verify_size(j->img, j->r->new_len, e);

	if (rc)
		return rc;
	rc = look_at_table(j, e);
	if (rc && !smaller)
		rc = 0; /* it would only have been worth knowing */
	if (!rc && smaller)
		rc = check_shrink(j, e);
	if (!rc)
		rc = check_space(j, e);
	if (rc || j->opts->dry_run || j->r->new_len == j->r->old_len)
		return rc;
	return j->img->ops->resize(j->img, j->r->new_len, e);
}

static int open_disk(struct job *j, struct loop *l, struct vhdx_err *e)
{
	struct chain_opts co = {
		.flags = j->opts->dry_run ? 0 : VHDX_OPEN_WRITE,
		.search = j->opts->search,
		.search_cnt = j->opts->search_cnt,
		.msg = j->opts->msg,
		.msg_arg = j->opts->msg_arg,
	};
	struct chain *c;
	int rc = chain_open(j->o, l, j->path, &co, &c, e);

	if (rc)
		return rc;
	j->img = c->layers[0];
	if (c->cnt > 1)
		j->img->parent_len = c->layers[1]->size_len;
	if (j->img->ops->resize)
		rc = blk_new_chain(c, l, false, &j->blk, e);
	else
		rc = err_set(e, VHDX_E_UNSUPPORTED, "%s: this version cannot "
			     "resize a %s %s", j->path,
			     vhdx_type_name(j->img->info.type),
			     vhdx_format_name(j->img->info.format));
	if (rc)
		(void)chain_close(c, NULL);
	return rc;
}

/* The closed file; what cannot be told stays as it was. */
static void measure_after(struct job *j, struct loop *l)
{
	struct file *f;

	if (j->o->open(j->o, l, j->path, OPENER_NOLOCK, &f, NULL))
		return;
	j->r->file_len_after = f->size;
	file_close(f);
}

int resize_image(const struct opener *o, struct loop *l, const char *path,
		 uint64_t size_len, const struct vhdx_resize_opts *opts,
		 struct vhdx_resize_result *r, struct vhdx_err *e)
{
	struct job j = { .o = o, .path = path, .opts = opts, .r = r };
	int rc, close_rc;

	memset(r, 0, sizeof(*r));
	rc = open_disk(&j, l, e);
	if (rc)
		return rc;
	r->format = j.img->info.format;
	r->type = j.img->info.type;
	r->old_len = j.img->size_len;
	r->new_len = size_len;
	r->file_len = r->file_len_after = j.img->file->size;
	rc = work(&j, e);
	close_rc = vhdx_blk_close(j.blk, rc ? NULL : e);
	measure_after(&j, l);
	return rc ? rc : close_rc;
}

int vhdx_resize(const char *path, uint64_t size_len,
		const struct vhdx_resize_opts *opts,
		struct vhdx_resize_result *result, struct vhdx_err *e)
{
	static const struct vhdx_resize_opts none;
	struct vhdx_resize_result unwanted;
	struct loop *l;
	int rc = loop_new(&l, e);

	if (rc)
		return rc;
	rc = resize_image(&opener_default, l, path, size_len,
			  opts ? opts : &none, result ? result : &unwanted, e);
	loop_free(l);
	return rc;
}
