/* SPDX-License-Identifier: MIT */
/*
 * The recording half of the crash disk. An operation goes
 *
 *	submitted --(exec_delay turns)--> takes effect on `now`
 *		  --(done_delay turns)--> completed, io->done()
 *
 * Submission and completion are events on the world's clock. What changes
 * nothing that could be lost takes the same way, for the sake of disorder, but
 * is not recorded.
 */
#include <string.h>

#include "crash_record.h"
#include "file_copy.h"
#include "file_mem.h"
#include "t.h"

struct crash_file {
	struct file file;
	struct crash_disk *disk;
	unsigned in_flight;
};

static void *must_alloc(void *p)
{
	ASSERT(p);
	return p;
}

static void ops_add(struct crash_ops *o, struct crash_op *op)
{
	if (o->cnt == o->room) {
		o->room = o->room ? 2 * o->room : 64;
		o->v = must_alloc(realloc(o->v, o->room * sizeof(o->v[0])));
	}
	o->v[o->cnt++] = op;
}

static uint64_t event_add(struct crash_world *w, struct crash_event ev)
{
	if (w->event_cnt == w->event_room) {
		w->event_room = w->event_room ? 2 * w->event_room : 256;
		w->events = must_alloc(realloc(w->events, w->event_room *
					       sizeof(w->events[0])));
	}
	w->events[w->event_cnt] = ev;
	return ++w->event_cnt;
}

static uint64_t event(const struct crash_op *op, bool completed)
{
	return event_add(op->disk->world,
			 (struct crash_event){ op, completed, NULL });
}

uint64_t crash_mark(struct crash_world *w, const char *text)
{
	char *copy = must_alloc(strdup(text));

	return event_add(w, (struct crash_event){ NULL, false, copy });
}

static struct crash_file *crash_of(struct file *f)
{
	return container_of(f, struct crash_file, file);
}

static unsigned delay(struct crash_world *w)
{
	return w->opts.max_delay ? (unsigned)t_rand_below(&w->rand,
						w->opts.max_delay + 1) : 0;
}

static void copy_data(struct crash_op *op)
{
	const struct file_io *io = op->io;
	uint64_t pos = 0;

	op->data = must_alloc(malloc((size_t)io->len));
	while (pos < io->len) {
		struct iovec v;
		size_t n;

		file_iov_window(io, pos, &v, 1, &n);
		memcpy(op->data + pos, v.iov_base, n);
		pos += n;
	}
}

/* To the disk a copy is a write. */
static void peek_data(struct crash_op *op)
{
	op->data = must_alloc(malloc((size_t)op->len));
	ASSERT(!file_copy_peek(op->io, 0, op->data, (size_t)op->len));
	op->op = FILE_WRITE;
}

/* Moves the stable prefix over everything that is complete by now. */
static void advance_stable(struct crash_disk *d)
{
	static const struct crash_fate whole = { FATE_WHOLE, 0, true };

	while (d->stable_idx < d->order.cnt &&
	       d->order.v[d->stable_idx]->completed != CRASH_NEVER) {
		uint64_t size = d->stable.size;

		crash_apply(&d->stable, &size, d->order.v[d->stable_idx++],
			    &whole);
		memimg_resize(&d->stable, size);
	}
}

static bool grows_now(const struct crash_op *op)
{
	return op->op == FILE_WRITE &&
	       op->off + op->len > op->disk->now.size;
}

static bool is_recorded(const struct crash_op *op)
{
	return op->op != FILE_READ && op->op != FILE_RESERVE &&
	       op->op != FILE_SCAN;
}

static void crash_step(struct loop_task *t);

static void crash_submit(struct file *f, struct file_io *io)
{
	struct crash_disk *d = crash_of(f)->disk;
	struct crash_op *op = must_alloc(calloc(1, sizeof(*op)));

	ASSERT(f->writable || io->op == FILE_READ || io->op == FILE_SYNC ||
	       io->op == FILE_SCAN);
	crash_of(f)->in_flight++;
	d->waiting++;
	op->disk = d;
	op->io = io;
	op->op = io->op;
	op->off = io->off;
	op->len = io->op == FILE_SYNC || io->op == FILE_TRUNCATE ? 0 : io->len;
	op->completed = CRASH_NEVER;
	op->exec_delay = delay(d->world);
	op->done_delay = delay(d->world);
	if (op->op == FILE_WRITE)
		copy_data(op);
	if (op->op == FILE_COPY)
		peek_data(op);
	op->grows = grows_now(op);
	if (op->op == FILE_SYNC) {
		advance_stable(d);
		op->base_idx = d->stable_idx;
		memimg_clone(&op->base, &d->stable);
	}
	if (is_recorded(op)) {
		op->submitted = event(op, false);
		ops_add(&d->all, op);
	}
	loop_task_init(&op->task, crash_step);
	loop_defer(f->loop, &op->task);
}

static void execute(struct crash_op *op)
{
	struct crash_disk *d = op->disk;
	bool ignored = op->op == FILE_PUNCH && d->world->opts.no_punch;

	d->waiting--;
	op->executed = true;
	op->grows = grows_now(op);
	if (!ignored)
		file_mem_apply(&d->now, op->io);
	if (is_recorded(op) && op->op != FILE_SYNC && !ignored &&
	    op->io->res == 0)
		ops_add(&d->order, op);
}

static void complete(struct crash_op *op)
{
	struct file_io *io = op->io;
	struct file *f = io->file;

	crash_of(f)->in_flight--;
	if (io->res == 0 && op->op == FILE_TRUNCATE)
		f->size = op->off;
	if (io->res == 0 && op->op == FILE_WRITE)
		f->size = u64_max(f->size, op->off + op->len);
	op->io = NULL;
	if (is_recorded(op)) {
		op->completed = event(op, true);
		if (op->op == FILE_SYNC)
			ops_add(&op->disk->syncs, op);
	} else {
		free(op);
	}
	io->done(io);
}

static void crash_step(struct loop_task *t)
{
	struct crash_op *op = container_of(t, struct crash_op, task);

	if (op->exec_delay > 0) {
		op->exec_delay--;
	} else {
		if (!op->executed)
			execute(op);
		if (op->done_delay == 0) {
			complete(op);
			return;
		}
		op->done_delay--;
	}
	loop_defer(op->io->file->loop, t);
}

static int crash_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			   uint64_t *len, struct vhdx_err *e)
{
	(void)e;
	memimg_next_data(&crash_of(f)->disk->now, off, data_off, len);
	return 0;
}

static uint64_t crash_host_len(struct file *f)
{
	return memimg_page_cnt(&crash_of(f)->disk->now) * MEMIMG_PAGE;
}

static void crash_peek(struct file *f, uint64_t off, void *buf, size_t len)
{
	memimg_read(&crash_of(f)->disk->now, off, buf, len);
}

static void crash_close(struct file *f)
{
	ASSERT(crash_of(f)->in_flight == 0);
	crash_of(f)->disk->open_cnt--;
	free(crash_of(f));
}

static const struct file_ops crash_ops = {
	.submit = crash_submit,
	.next_data = crash_next_data,
	.host_len = crash_host_len,
	.close = crash_close,
	.copies = true,
	.peek = crash_peek,
};

struct crash_world *crash_world_new(const struct crash_opts *opts)
{
	struct crash_world *w = must_alloc(calloc(1, sizeof(*w)));

	if (opts)
		w->opts = *opts;
	w->rand = w->opts.seed;
	return w;
}

static void disk_free(struct crash_disk *d)
{
	ASSERT(d->open_cnt == 0);
	for (size_t i = 0; i < d->all.cnt; i++) {
		memimg_free(&d->all.v[i]->base);
		free(d->all.v[i]->data);
		free(d->all.v[i]);
	}
	free(d->all.v);
	free(d->order.v);
	free(d->syncs.v);
	free(d->window.slots);
	memimg_free(&d->now);
	memimg_free(&d->initial);
	memimg_free(&d->stable);
	free(d->name);
	free(d);
}

void crash_world_free(struct crash_world *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->disk_cnt; i++)
		disk_free(w->disks[i]);
	for (size_t i = 0; i < w->event_cnt; i++)
		free(w->events[i].mark);
	free(w->disks);
	free(w->events);
	free(w);
}

struct crash_disk *crash_disk_new(struct crash_world *w, const char *name,
				  const struct memimg *initial)
{
	struct crash_disk *d = must_alloc(calloc(1, sizeof(*d)));

	d->world = w;
	d->name = must_alloc(strdup(name));
	d->window.k = CRASH_NEVER;
	if (initial) {
		memimg_clone(&d->now, initial);
		memimg_clone(&d->initial, initial);
		memimg_clone(&d->stable, initial);
	}
	w->disks = must_alloc(realloc(w->disks, (w->disk_cnt + 1) *
				      sizeof(struct crash_disk *)));
	w->disks[w->disk_cnt++] = d;
	return d;
}

int crash_disk_open(struct crash_disk *d, struct loop *l, struct file **out,
		    struct vhdx_err *e)
{
	struct crash_file *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", d->name);
	c->disk = d;
	c->file = (struct file){ .ops = &crash_ops, .loop = l,
				 .path = d->name, .size = d->now.size,
				 .writable = true };
	d->open_cnt++;
	*out = &c->file;
	return 0;
}

const struct memimg *crash_disk_content(const struct crash_disk *d)
{
	return &d->now;
}
