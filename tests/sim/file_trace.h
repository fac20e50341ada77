/* SPDX-License-Identifier: MIT */
/*
 * A file that passes everything on and remembers, in order of submission, what
 * was asked of it: for tests of "this before that" and "so many syncs".
 */
#ifndef FILE_TRACE_H
#define FILE_TRACE_H

#include "file_wrap.h"

#define TRACE_MAX 16384

struct trace_op {
	enum file_op op;
	uint64_t off, len;
};

struct file_trace {
	struct file_wrap w; /* owns inner */
	unsigned cnt;	    /* changes and syncs; reads are not recorded */
	struct trace_op ops[TRACE_MAX];
};

/* Takes over inner; closed with the result. */
int file_trace_new(struct file *inner, struct file_trace **out,
		   struct vhdx_err *e) must_check;

/* How many recorded operations of a kind, from index `from` on. */
unsigned file_trace_count(const struct file_trace *t, enum file_op op,
			  unsigned from);

#endif
