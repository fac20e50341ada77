/* SPDX-License-Identifier: MIT */
#include "file_trace.h"

#include <stdlib.h>

static struct file_trace *trace_of(struct file *f)
{
	return container_of(f, struct file_trace, w.file);
}

static void trace_submit(struct file *f, struct file_io *io)
{
	struct file_trace *t = trace_of(f);

	ASSERT(t->cnt < TRACE_MAX);
	if (io->op != FILE_READ)
		t->ops[t->cnt++] = (struct trace_op){ io->op, io->off,
						      io->len };
	file_wrap_pass(&t->w, io);
}

static void trace_close(struct file *f)
{
	file_close(trace_of(f)->w.inner);
	free(trace_of(f));
}

static const struct file_ops ops = {
	.submit = trace_submit,
	.next_data = file_wrap_next_data,
	.close = trace_close,
};

int file_trace_new(struct file *inner, struct file_trace **out,
		   struct vhdx_err *e)
{
	struct file_trace *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, VHDX_E_NOMEM, "no memory for a trace");
	file_wrap_init(&t->w, inner, &ops);
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
