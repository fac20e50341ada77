/* SPDX-License-Identifier: MIT */
#include "file_trace.h"

#include <stdlib.h>

/* One request passed on; the wrapped one completes when it does. */
struct relay {
	struct file_io io;
	struct file_io *outer;
};

static struct file_trace *trace_of(struct file *f)
{
	return container_of(f, struct file_trace, file);
}

static void relay_done(struct file_io *io)
{
	struct relay *r = container_of(io, struct relay, io);
	struct file_io *outer = r->outer;

	outer->res = io->res;
	outer->err = io->err;
	outer->res_punched = io->res_punched;
	outer->file->size = io->file->size;
	free(r);
	outer->done(outer);
}

static void trace_submit(struct file *f, struct file_io *io)
{
	struct file_trace *t = trace_of(f);
	struct relay *r = malloc(sizeof(*r));

	ASSERT(r && t->cnt < TRACE_MAX);
	if (io->op != FILE_READ)
		t->ops[t->cnt++] = (struct trace_op){ io->op, io->off,
						      io->len };
	r->io = *io;
	loop_task_init(&r->io.task, NULL);
	r->io.done = relay_done;
	r->outer = io;
	file_submit(t->inner, &r->io);
}

static int trace_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			   uint64_t *len, struct vhdx_err *e)
{
	return file_next_data(trace_of(f)->inner, off, data_off, len, e);
}

static void trace_close(struct file *f)
{
	file_close(trace_of(f)->inner);
	free(trace_of(f));
}

static const struct file_ops ops = {
	.submit = trace_submit,
	.next_data = trace_next_data,
	.close = trace_close,
};

int file_trace_new(struct file *inner, struct file_trace **out,
		   struct vhdx_err *e)
{
	struct file_trace *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, VHDX_E_NOMEM, "no memory for a trace");
	t->inner = inner;
	t->file = *inner;
	t->file.ops = &ops;
	*out = t;
	return 0;
}

unsigned file_trace_count(const struct file_trace *t, enum file_op op,
			  unsigned from)
{
	unsigned n = 0;

	for (unsigned i = from; i < t->cnt; i++)
		n += t->ops[i].op == op;
	return n;
}
