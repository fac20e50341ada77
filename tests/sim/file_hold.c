/* SPDX-License-Identifier: MIT */
#include "file_hold.h"

#include <stdlib.h>

static struct file_hold *hold_of(struct file *f)
{
	return container_of(f, struct file_hold, w.file);
}

static void hold_submit(struct file *f, struct file_io *io)
{
	struct file_hold *h = hold_of(f);

	if (!h->holding) {
		file_wrap_pass(&h->w, io);
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
	file_wrap_pass(&h->w, io);
}

void file_hold_end(struct file_hold *h)
{
	h->holding = false;
	while (h->held_cnt)
		file_hold_let(h, file_hold_nth(h, 0));
}

static void hold_close(struct file *f)
{
	ASSERT(!hold_of(f)->held_cnt);
	file_close(hold_of(f)->w.inner);
	free(hold_of(f));
}

static const struct file_ops ops = {
	.submit = hold_submit,
	.next_data = file_wrap_next_data,
	.close = hold_close,
};

int file_hold_new(struct file *inner, struct file_hold **out,
		  struct vhdx_err *e)
{
	struct file_hold *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, VHDX_E_NOMEM, "no memory for a holding file");
	file_wrap_init(&h->w, inner, &ops);
	list_init(&h->held);
	*out = h;
	return 0;
}
