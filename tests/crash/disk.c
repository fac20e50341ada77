/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <string.h>

#include "file_mem.h"
#include "t.h"

#define NEVER UINT64_MAX
#define SECTOR 512u

struct dop {
	enum file_op op;
	uint64_t off, len;
	uint8_t *data; /* WRITE; owned */
	bool extends;  /* WRITE: beyond the end when it took effect */
	uint64_t submit, done; /* happenings */
	struct file_io *io; /* until done */
};

struct disk {
	struct file file;
	struct loop_task task;
	bool opened;
	bool can_punch;
	uint64_t rng;
	uint64_t pos;
	struct memimg start, live;
	struct dop *ops; /* in order of submission */
	size_t op_cnt, op_max;
	size_t *order; /* ops in order of completion */
	size_t done_cnt;
	size_t *queue; /* submitted, not complete */
	size_t queue_cnt;
	uint64_t fail_in; /* operations to go; 0: none fails */
	int fail_code;
	bool fail_sticky;
	int failed_op;
	/* `start` and the first base_cnt of order[], for disk_state. */
	struct memimg base;
	size_t base_cnt;
};

static void run(struct loop_task *t);

struct disk *disk_new(struct loop *l, const struct memimg *start,
		      uint64_t seed)
{
	struct disk *d = calloc(1, sizeof(*d));

	ASSERT(d);
	d->file.loop = l;
	d->rng = seed;
	d->can_punch = t_rand_below(&d->rng, 2);
	d->failed_op = -1;
	loop_task_init(&d->task, run);
	memimg_clone(&d->start, start);
	memimg_clone(&d->live, start);
	memimg_clone(&d->base, start);
	return d;
}

void disk_free(struct disk *d)
{
	ASSERT(!d->opened);
	for (size_t i = 0; i < d->op_cnt; i++)
		free(d->ops[i].data);
	memimg_free(&d->start);
	memimg_free(&d->live);
	memimg_free(&d->base);
	free(d->ops);
	free(d->order);
	free(d->queue);
	free(d);
}

const struct memimg *disk_content(const struct disk *d)
{
	return &d->live;
}

uint64_t disk_pos(const struct disk *d)
{
	return d->pos;
}

/* ---- the file ---------------------------------------------------------- */

static void grow(struct disk *d)
{
	if (d->op_cnt < d->op_max)
		return;
	d->op_max = d->op_max ? 2 * d->op_max : 256;
	d->ops = realloc(d->ops, d->op_max * sizeof(*d->ops));
	d->order = realloc(d->order, d->op_max * sizeof(*d->order));
	d->queue = realloc(d->queue, d->op_max * sizeof(*d->queue));
	ASSERT(d->ops && d->order && d->queue);
}

static uint8_t *copy_data(const struct file_io *io)
{
	uint8_t *data = malloc(io->len + !io->len);
	struct iovec v;
	size_t n;

	ASSERT(data);
	for (uint64_t at = 0; at < io->len; at += n) {
		file_iov_window(io, at, &v, 1, &n);
		memcpy(data + at, v.iov_base, n);
	}
	return data;
}

static void disk_submit(struct file *f, struct file_io *io)
{
	struct disk *d = container_of(f, struct disk, file);

	grow(d);
	d->queue[d->queue_cnt++] = d->op_cnt;
	d->ops[d->op_cnt++] = (struct dop){
		.op = io->op, .off = io->off, .len = io->len, .io = io,
		.data = io->op == FILE_WRITE ? copy_data(io) : NULL,
		.submit = io->op == FILE_READ ? d->pos : d->pos++,
		.done = NEVER };
	if (list_empty(&d->task.node))
		loop_defer(f->loop, &d->task);
}

void disk_fail(struct disk *d, uint64_t nth, int code, bool sticky)
{
	d->fail_in = nth;
	d->fail_code = code;
	d->fail_sticky = sticky;
}

int disk_failed_op(const struct disk *d)
{
	return d->failed_op;
}

static bool fails(struct disk *d)
{
	if (!d->fail_in || (d->fail_in > 1 && d->fail_in--))
		return false;
	d->fail_in = d->fail_sticky;
	return true;
}

/* Takes no effect, except that a write may have begun. */
static void complete_failed(struct disk *d, size_t i)
{
	struct dop *o = &d->ops[i];
	struct file_io *io = o->io;
	uint64_t part = t_rand_below(&d->rng, o->len / SECTOR + 1) * SECTOR;

	o->io = NULL;
	o->done = d->pos;
	if (d->failed_op < 0)
		d->failed_op = (int)o->op;
	if (o->op == FILE_WRITE && part && o->off + part <= d->live.size) {
		o->len = part;
		memimg_write(&d->live, o->off, o->data, part);
		d->order[d->done_cnt++] = i;
		d->pos++;
	} else {
		o->op = FILE_READ; /* nothing happened */
	}
	io->res = err_set(&io->err, d->fail_code, "injected failure");
	io->done(io);
}

static void complete(struct disk *d, size_t i)
{
	struct dop *o = &d->ops[i];
	struct file_io *io = o->io;

	o->io = NULL;
	o->extends = o->op == FILE_WRITE && o->off + o->len > d->live.size;
	if (o->op == FILE_PUNCH && !d->can_punch) {
		o->op = FILE_READ; /* nothing happens */
		io->res = 0;
		io->res_punched = false;
	} else {
		file_mem_apply(&d->live, io);
		ASSERT(!io->res);
	}
	d->file.size = d->live.size;
	o->done = o->op == FILE_READ ? d->pos : d->pos++;
	if (o->op != FILE_READ)
		d->order[d->done_cnt++] = i;
	io->done(io);
}

/* A few of the operations in flight complete. */
static void run(struct loop_task *t)
{
	struct disk *d = container_of(t, struct disk, task);
	uint64_t cnt = 1 + t_rand_below(&d->rng, 3);

	while (cnt-- && d->queue_cnt) {
		size_t at = t_rand_below(&d->rng, d->queue_cnt);
		size_t i = d->queue[at];

		d->queue[at] = d->queue[--d->queue_cnt];
		if (fails(d))
			complete_failed(d, i);
		else
			complete(d, i);
	}
	if (d->queue_cnt && list_empty(&d->task.node))
		loop_defer(d->file.loop, &d->task);
}

static int disk_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			  uint64_t *len, struct vhdx_err *e)
{
	(void)e;
	memimg_next_data(&container_of(f, struct disk, file)->live, off,
			 data_off, len);
	return 0;
}

static void disk_close(struct file *f)
{
	struct disk *d = container_of(f, struct disk, file);

	ASSERT(d->opened && !d->queue_cnt);
	d->opened = false;
}

static const struct file_ops disk_ops = {
	.submit = disk_submit,
	.next_data = disk_next_data,
	.close = disk_close,
};

struct file *disk_open(struct disk *d)
{
	ASSERT(!d->opened);
	d->opened = true;
	d->file.ops = &disk_ops;
	d->file.path = "disk";
	d->file.size = d->live.size;
	d->file.writable = true;
	return &d->file;
}

/* ---- states ------------------------------------------------------------ */

/* How many of order[] are durable if power fails at pos: syncs cover what was
 * complete when they were submitted, so that is a prefix. */
static size_t durable_cnt(const struct disk *d, uint64_t pos)
{
	uint64_t covered = 0;
	size_t cnt = 0;

	for (size_t i = 0; i < d->done_cnt; i++) {
		const struct dop *o = &d->ops[d->order[i]];

		if (o->op == FILE_SYNC && o->done < pos)
			covered = u64_max(covered, o->submit);
	}
	while (cnt < d->done_cnt && d->ops[d->order[cnt]].done < covered)
		cnt++;
	return cnt;
}

uint64_t disk_next_sync(const struct disk *d, uint64_t pos)
{
	uint64_t next = NEVER;

	for (size_t i = 0; i < d->done_cnt; i++) {
		const struct dop *o = &d->ops[d->order[i]];

		if (o->op == FILE_SYNC && o->done >= pos)
			next = u64_min(next, o->done);
	}
	return next == NEVER ? pos : next;
}

/* Operations open at pos, oldest completion first, then those in flight. */
static size_t open_ops(const struct disk *d, uint64_t pos, size_t from,
		       size_t *out)
{
	size_t n = 0;

	for (size_t i = from; i < d->done_cnt; i++) {
		const struct dop *o = &d->ops[d->order[i]];

		if (o->done < pos && o->op != FILE_SYNC)
			out[n++] = d->order[i];
	}
	for (size_t i = 0; i < d->op_cnt; i++) {
		const struct dop *o = &d->ops[i];

		if (o->submit < pos && o->done >= pos && o->op != FILE_SYNC &&
		    o->op != FILE_READ)
			out[n++] = i;
	}
	return n;
}

static void put(const struct dop *o, uint64_t from, uint64_t to,
		struct memimg *img)
{
	uint64_t off = o->off + from, len = to - from;

	if (o->op != FILE_WRITE) {
		memimg_zero(img, off, len);
		return;
	}
	if (!o->extends) { /* the size it lay within may be lost */
		if (off >= img->size)
			return;
		len = u64_min(len, img->size - off);
	}
	memimg_write(img, off, o->data + from, len);
}

static void apply_whole(const struct dop *o, struct memimg *img)
{
	if (o->op == FILE_TRUNCATE)
		memimg_resize(img, o->off);
	else if (o->op != FILE_SYNC)
		put(o, 0, o->len, img);
}

/* Any 512-byte parts of it: a few runs of kept and lost ones. */
static void apply_torn(const struct dop *o, struct memimg *img, uint64_t *rng)
{
	uint64_t at = 0;
	bool keep = t_rand_below(rng, 2);

	if (o->op == FILE_TRUNCATE || o->len <= SECTOR) {
		if (keep)
			apply_whole(o, img);
		return;
	}
	while (at < o->len) {
		uint64_t max = t_rand_below(rng, 2) ? 2 : o->len / SECTOR;
		uint64_t run_end = at + SECTOR * (1 + t_rand_below(rng, max));

		run_end = u64_min(o->len, run_end - (o->off + run_end) % SECTOR);
		if (keep)
			put(o, at, run_end, img);
		keep = !keep;
		at = run_end;
	}
}

enum fate { LOST, KEPT, TORN };

/* Mixtures that find mistakes: mostly kept, mostly lost, all but one, only
 * one, only the last ones. */
static enum fate choose(uint64_t style, uint64_t special, size_t i, size_t n,
			uint64_t *rng)
{
	uint64_t dice = t_rand_below(rng, 16);
	enum fate hit = dice < 5 ? TORN : KEPT;

	switch (style) {
	case 0:
		return dice < 7 ? LOST : dice < 14 ? KEPT : TORN;
	case 1:
		return dice < 2 ? LOST : dice < 15 ? KEPT : TORN;
	case 2:
		return dice < 13 ? LOST : dice < 15 ? KEPT : TORN;
	case 3: /* all but one */
		return i != special ? KEPT : dice < 8 ? LOST : TORN;
	case 4: /* only one */
		return i == special ? hit : LOST;
	case 5: /* the later ones overtook the earlier ones */
		return i >= special ? KEPT : LOST;
	case 6: /* in order, the last one torn */
		return i < special ? KEPT : i == special ? TORN : LOST;
	default: /* the latest one only */
		return i + 1 == n ? hit : LOST;
	}
}

static void base_to(struct disk *d, size_t cnt)
{
	if (cnt < d->base_cnt) {
		memimg_free(&d->base);
		memimg_clone(&d->base, &d->start);
		d->base_cnt = 0;
	}
	while (d->base_cnt < cnt)
		apply_whole(&d->ops[d->order[d->base_cnt++]], &d->base);
}

void disk_state(struct disk *d, uint64_t pos, uint64_t pick,
		struct memimg *out)
{
	size_t durable = durable_cnt(d, pos), n;
	size_t *open = malloc((d->op_cnt + 1) * sizeof(*open));
	uint64_t rng = pick * 0x9e3779b97f4a7c15 + pos, style, special = 0;

	ASSERT(open);
	base_to(d, durable);
	memimg_clone(out, &d->base);
	n = open_ops(d, pos, durable, open);
	style = t_rand_below(&rng, 8);
	if (n)
		special = t_rand_below(&rng, n);
	for (size_t i = 0; i < n; i++) {
		const struct dop *o = &d->ops[open[i]];
		enum fate fate = pick == 1 ? KEPT : LOST;

		if (pick & DISK_SUBSET)
			fate = pick >> i & 1 ? KEPT : LOST;
		else if (pick > 1)
			fate = choose(style, special, i, n, &rng);
		if (fate == KEPT)
			apply_whole(o, out);
		else if (fate == TORN)
			apply_torn(o, out, &rng);
	}
	free(open);
}

unsigned disk_open_cnt(struct disk *d, uint64_t pos)
{
	size_t *open = malloc((d->op_cnt + 1) * sizeof(*open));
	size_t n;

	ASSERT(open);
	n = open_ops(d, pos, durable_cnt(d, pos), open);
	free(open);
	return (unsigned)n;
}

void disk_describe(const struct disk *d, uint64_t pos, char *out, size_t len)
{
	static const char *const names[] = {
		[FILE_READ] = "read", [FILE_WRITE] = "write",
		[FILE_SYNC] = "sync", [FILE_TRUNCATE] = "truncate",
		[FILE_ZERO] = "zero", [FILE_PUNCH] = "punch",
		[FILE_RESERVE] = "reserve",
	};

	snprintf(out, len, "the end");
	for (size_t i = 0; i < d->op_cnt; i++) {
		const struct dop *o = &d->ops[i];

		if (o->op != FILE_READ && (o->submit == pos || o->done == pos))
			snprintf(out, len, "%s of %s, %ju bytes at %ju",
				 o->submit == pos ? "submission" : "completion",
				 names[o->op], (uintmax_t)o->len,
				 (uintmax_t)o->off);
	}
}
