/* SPDX-License-Identifier: MIT */
/*
 * An opener over files in memory, found by path; ".." and "." in it count as
 * they do in a file system without symbolic links. No locks; it remembers how
 * each file was opened. Running out of places aborts.
 */
#ifndef OPENER_MEM_H
#define OPENER_MEM_H

#include "file_mem.h"

#define OPENER_MEM_MAX 300u

struct opener_mem {
	struct opener opener;
	unsigned cnt;
	struct opener_mem_file {
		char path[64];
		struct memimg img;
		unsigned flags;	   /* of the last open */
		unsigned open_cnt; /* opens so far */
		int fail;	   /* VHDX_E_* that opening gives */
	} files[OPENER_MEM_MAX];
};

void opener_mem_init(struct opener_mem *m);
void opener_mem_free(struct opener_mem *m); /* the files' content */

/* A new empty file. */
struct opener_mem_file *opener_mem_add(struct opener_mem *m, const char *path);
struct opener_mem_file *opener_mem_find(struct opener_mem *m,
					const char *path);

#endif
