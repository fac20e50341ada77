/* SPDX-License-Identifier: MIT */
/*
 * A disk that is resized, over files in memory, against a model of its
 * content: for images of every format. One at a time.
 */
#ifndef T_RESIZE_H
#define T_RESIZE_H

#include "image.h"
#include "memimg.h"

struct t_resize {
	struct loop *loop;
	struct vhdx_create_opts opts;
	uint64_t parent_len; /* 0: no child */
	struct memimg file, parent;
	struct memimg model; /* what the disk reads; its size is the disk's */
	struct vhdx_blk *blk; /* NULL: closed */
	struct image *img;    /* blk's leaf */
	bool in_steps; /* it becomes smaller, in several log entries */
	unsigned stride; /* not all instants and failures, but each nth */
	uint64_t instants, states; /* of the last power failures */
};

/* Created, closed. A child's parent is full of data. */
void t_resize_begin(struct t_resize *t, enum vhdx_format format,
		    enum vhdx_type type, uint64_t size_len, uint32_t block_len,
		    uint64_t parent_len);
void t_resize_end(struct t_resize *t);

void t_resize_open(struct t_resize *t, unsigned flags);
/* The same over another file; the chain is t's. */
void t_resize_open_file(struct t_resize *t, struct file *f, unsigned flags);
void t_resize_close(struct t_resize *t);

/* On the open disk, and in the model. */
void t_resize_put(struct t_resize *t, uint64_t voff, uint64_t len);
void t_resize_zero(struct t_resize *t, uint64_t voff, uint64_t len);

/* Resizes the open disk. */
void t_resize_to(struct t_resize *t, uint64_t size_len);

/* Opens, resizes, closes; then everything is as the model says and check has
 * nothing to say. */
void t_resize_and_verify(struct t_resize *t, uint64_t size_len);

/* The open disk reads as the model: its common part, and zeros behind that. */
void t_resize_verify(struct t_resize *t);
/* Opens m, which may be of the size before or after, and does the same. */
void t_resize_verify_either(struct t_resize *t, struct memimg *m,
			    uint64_t size_len);
/* No error and no warning; errors_only: no error. */
void t_resize_check(struct t_resize *t, struct memimg *m, bool errors_only);

/* Garbage in the file where the disk's last block goes on behind its end, as
 * far as there is data. The image is closed. */
void t_resize_spoil(struct t_resize *t);

/* Every instant of a resize: old size or new, right content; recovery; and
 * when it then grows by `more`, zeros come into sight. */
void t_resize_power_failures(struct t_resize *t, uint64_t size_len,
			     uint64_t more, uint64_t per_instant);

/* The same for every operation that fails; a second call completes it. */
void t_resize_faults(struct t_resize *t, uint64_t size_len, unsigned ops,
		     int sys_errno);

/* And for every allocation that fails. */
void t_resize_no_memory(struct t_resize *t, uint64_t size_len);

/* A host that has no room for a fixed disk's new space: nothing changes. */
void t_resize_full_host(struct t_resize *t, uint64_t size_len);

#endif
