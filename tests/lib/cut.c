/* SPDX-License-Identifier: MIT */
#include "cut.h"

#include <errno.h>

static void cut_submit(struct file *f, struct file_io *io)
{
	struct cut *c = container_of(f, struct cut, w.file);

	c->cnt += io->op != FILE_READ;
	if (io->op != FILE_READ && c->left == 0) {
		file_wrap_fail(&c->w, io, EIO);
		return;
	}
	c->left -= io->op != FILE_READ;
	file_wrap_pass(&c->w, io);
}

static const struct file_ops ops = {
	.submit = cut_submit,
	.next_data = file_wrap_next_data,
};

void cut_init(struct cut *c, struct file *inner, uint64_t left)
{
	file_wrap_init(&c->w, inner, &ops);
	c->left = left;
	c->cnt = 0;
}
