/* SPDX-License-Identifier: MIT */
#include "cut.h"

#include <stdlib.h>

struct relay {
	struct file_io io;
	struct file_io *outer;
	struct loop_task fail;
};

static void finish(struct relay *r)
{
	struct file_io *outer = r->outer;

	outer->res = r->io.res;
	outer->err = r->io.err;
	outer->res_punched = r->io.res_punched;
	free(r);
	outer->done(outer);
}

static void relay_done(struct file_io *io)
{
	struct relay *r = container_of(io, struct relay, io);

	r->outer->file->size = io->file->size;
	finish(r);
}

static void relay_fail(struct loop_task *t)
{
	struct relay *r = container_of(t, struct relay, fail);

	r->io.res = err_set(&r->io.err, VHDX_E_IO, "the power is gone");
	finish(r);
}

static void cut_submit(struct file *f, struct file_io *io)
{
	struct cut *c = container_of(f, struct cut, file);
	struct relay *r = calloc(1, sizeof(*r));

	r->outer = io;
	r->io = *io;
	r->io.done = relay_done;
	loop_task_init(&r->io.task, NULL);
	loop_task_init(&r->fail, relay_fail);
	c->cnt += io->op != FILE_READ;
	if (io->op != FILE_READ && c->left == 0) {
		loop_defer(f->loop, &r->fail);
		return;
	}
	c->left -= io->op != FILE_READ;
	file_submit(c->inner, &r->io);
}

static int cut_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			 uint64_t *len, struct vhdx_err *e)
{
	struct cut *c = container_of(f, struct cut, file);

	return file_next_data(c->inner, off, data_off, len, e);
}

static const struct file_ops ops = {
	.submit = cut_submit,
	.next_data = cut_next_data,
};

void cut_init(struct cut *c, struct file *inner, uint64_t left)
{
	c->inner = inner;
	c->file = *inner;
	c->file.ops = &ops;
	c->left = left;
	c->cnt = 0;
}
