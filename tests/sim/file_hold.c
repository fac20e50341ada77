/* SPDX-License-Identifier: MIT */
#include "file_hold.h"

#include <stdlib.h>

/* One request passed on; the wrapped one completes when it does. */
struct relay {
	struct file_io io;
	struct file_io *outer;
};

static struct file_hold *hold_of(struct file *f)
{
	return container_of(f, struct file_hold, file);
}

static void relay_done(struct file_io *io)
{
	struct relay *r = container_of(io, struct relay, io);
	struct file_io *outer = r->outer;

	outer->res = io->res;
	outer->err = io->err;
	outer->res_punched = io->res_punched;
	outer->res_zero_len = io->res_zero_len;
	outer->file->size = io->file->size;
	free(r);
	outer->done(outer);
}

static void pass_on(struct file_hold *h, struct file_io *io)
{
	struct relay *r = malloc(sizeof(*r));

	ASSERT(r);
	r->io = *io;
	loop_task_init(&r->io.task, NULL);
	r->io.done = relay_done;
	r->outer = io;
	if (io->skip_zeros)
		file_submit_skipping(h->inner, &r->io);
	else
		file_submit(h->inner, &r->io);
}

static void hold_submit(struct file *f, struct file_io *io)
{
	struct file_hold *h = hold_of(f);

	if (!h->holding) {
		pass_on(h, io);
		return;
	}
	loop_task_init(&io->task, NULL);
	list_add_tail(&h->held, &io->task.node);
	h->held_cnt++;
}

struct file_io *file_hold_nth(struct file_hold *h, unsigned n)
{
	struct list *it;

	list_for_each(it, &h->held)
		if (n-- == 0)
			return list_entry(it, struct file_io, task.node);
	return NULL;
}

void file_hold_let(struct file_hold *h, struct file_io *io)
{
	list_del(&io->task.node);
	h->held_cnt--;
	pass_on(h, io);
}

void file_hold_end(struct file_hold *h)
{
	h->holding = false;
	while (h->held_cnt)
		file_hold_let(h, file_hold_nth(h, 0));
}

static int hold_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			  uint64_t *len, struct vhdx_err *e)
{
	return file_next_data(hold_of(f)->inner, off, data_off, len, e);
}

static void hold_close(struct file *f)
{
	ASSERT(!hold_of(f)->held_cnt);
	file_close(hold_of(f)->inner);
	free(hold_of(f));
}

static const struct file_ops ops = {
	.submit = hold_submit,
	.next_data = hold_next_data,
	.close = hold_close,
};

int file_hold_new(struct file *inner, struct file_hold **out,
		  struct vhdx_err *e)
{
	struct file_hold *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, VHDX_E_NOMEM, "no memory for a holding file");
	h->inner = inner;
	h->file = *inner;
	h->file.ops = &ops;
	list_init(&h->held);
	*out = h;
	return 0;
}
