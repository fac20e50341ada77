/* SPDX-License-Identifier: MIT */
/*
 * A real file past the page cache: transfers go to the loop's aio ring, all
 * else to the ordinary file (file_posix.c) of the same inode underneath.
 */
#ifndef FILE_DIRECT_H
#define FILE_DIRECT_H

#include "file.h"

/* Takes over fd, open with O_DIRECT, and on success inner, which is the same
 * file. An error if the host has no ring to give: use inner as it is. */
int file_direct_new(struct file *inner, int fd, struct file **out,
		    struct vhdx_err *e) must_check;

/* As on a host that wants this alignment; 0: leave it. Of a file made by
 * file_direct_new() only: false for another. */
bool file_direct_align_for_tests(struct file *f, uint32_t mem_align,
				 uint32_t off_align);

/* What O_DIRECT on fd asks of memory and of offset and length, in bytes. Where
 * the kernel does not say: 4096, which suits every host. */
void dioalign_find(int fd, uint32_t *mem_align, uint32_t *off_align);

#endif
