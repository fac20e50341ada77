/* SPDX-License-Identifier: MIT */
/*
 * What all files have in common that pass requests on to another one.
 */
#ifndef FILE_WRAP_H
#define FILE_WRAP_H

#include "file.h"

struct file_wrap {
	struct file file;
	struct file *inner;
};

/* Looks like inner, whose owner stays who it is. */
void file_wrap_init(struct file_wrap *w, struct file *inner,
		    const struct file_ops *ops);
struct file_wrap *file_wrap_of(struct file *f);

/* io was submitted to w->file, and completes as inner does the same. */
void file_wrap_pass(struct file_wrap *w, struct file_io *io);
/* Inner does the first len bytes of it; io fails. */
void file_wrap_pass_failing(struct file_wrap *w, struct file_io *io,
			    uint64_t len, int sys_errno);
/* io fails, from the loop, and inner never hears of it. */
void file_wrap_fail(struct file_wrap *w, struct file_io *io, int sys_errno);

/* For file_ops: as inner does. */
int file_wrap_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			uint64_t *len, struct vhdx_err *e);
uint64_t file_wrap_host_len(struct file *f);
void file_wrap_peek(struct file *f, uint64_t off, void *buf, size_t len);

#endif
