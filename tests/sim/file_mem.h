/* SPDX-License-Identifier: MIT */
/*
 * A file in memory: every operation takes effect, and completes, on the next
 * turn of the loop, in the order of submission. Durability does not exist
 * here; file_crash.h simulates that.
 */
#ifndef FILE_MEM_H
#define FILE_MEM_H

#include "file.h"
#include "memimg.h"

/* A file over *img, which is borrowed and keeps its content after
 * file_close(): opening it again is opening "the same file". NULL: an image of
 * its own. Clear (*out)->writable for a read-only one. `path` is copied. */
int file_mem_new(struct loop *l, const char *path, struct memimg *img,
		 struct file **out, struct vhdx_err *e) must_check;

struct memimg *file_mem_img(struct file *f);

/* Carries out io on *img: sets io->res, io->err and res_punched, completes
 * nothing. For other simulated files. */
void file_mem_apply(struct memimg *img, struct file_io *io);

#endif
