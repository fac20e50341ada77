/* SPDX-License-Identifier: MIT */
#include "file_wrap.h"

#include <stdlib.h>

/* One request passed on. */
struct relay {
	struct file_io io;
	struct file_io *outer;
	int fail_errno; /* 0: none */
};

void file_wrap_init(struct file_wrap *w, struct file *inner,
		    const struct file_ops *ops)
{
	w->inner = inner;
	w->file = *inner;
	w->file.ops = ops;
}

struct file_wrap *file_wrap_of(struct file *f)
{
	return container_of(f, struct file_wrap, file);
}

static int failed(struct file_io *io, int sys_errno)
{
	return err_sys(&io->err, sys_errno, "%s: injected failure",
		       io->file->path);
}

static void relay_done(struct file_io *io)
{
	struct relay *r = container_of(io, struct relay, io);
	struct file_io *outer = r->outer;

	outer->file->size = io->file->size;
	outer->res = io->res;
	outer->res_punched = io->res_punched && !r->fail_errno;
	outer->res_zero_len = io->res_zero_len;
	outer->res_copied_len = io->res_copied_len;
	outer->res_from_failed = io->res_from_failed;
	if (io->res)
		outer->err = io->err;
	if (r->fail_errno)
		outer->res = failed(outer, r->fail_errno);
	free(r);
	outer->done(outer);
}

void file_wrap_pass_failing(struct file_wrap *w, struct file_io *io,
			    uint64_t len, int sys_errno)
{
	struct relay *r = calloc(1, sizeof(*r));

	ASSERT(r);
	r->outer = io;
	r->fail_errno = sys_errno;
	r->io = (struct file_io){ .op = io->op, .off = io->off, .len = len,
				  .iov = io->iov, .iov_cnt = io->iov_cnt,
				  .iov_skip = io->iov_skip, .from = io->from,
				  .from_off = io->from_off,
				  .done = relay_done };
	if (io->skip_zeros)
		file_submit_skipping(w->inner, &r->io);
	else
		file_submit(w->inner, &r->io);
}

void file_wrap_pass(struct file_wrap *w, struct file_io *io)
{
	file_wrap_pass_failing(w, io, io->len, 0);
}

static void fail_now(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);

	io->done(io);
}

void file_wrap_fail(struct file_wrap *w, struct file_io *io, int sys_errno)
{
	io->res = failed(io, sys_errno);
	loop_task_init(&io->task, fail_now);
	loop_defer(w->file.loop, &io->task);
}

int file_wrap_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			uint64_t *len, struct vhdx_err *e)
{
	return file_next_data(file_wrap_of(f)->inner, off, data_off, len, e);
}

uint64_t file_wrap_host_len(struct file *f)
{
	return file_host_len(file_wrap_of(f)->inner);
}

void file_wrap_peek(struct file *f, uint64_t off, void *buf, size_t len)
{
	struct file *inner = file_wrap_of(f)->inner;

	inner->ops->peek(inner, off, buf, len);
}
