/* SPDX-License-Identifier: MIT */
/*
 * What must hold for the content that a power failure left: it opens, read-only
 * without a byte being changed and for writing; every touched sector shows an
 * allowed value and goes on showing it; after a clean close the file is beyond
 * reproach. Says what is wrong in one line, or nothing.
 */
#ifndef RECOVER_TEST_H
#define RECOVER_TEST_H

#include "model.h"
#include "rig.h"
#include "workload.h"

struct verdict {
	bool bad;
	char text[1600];
};

/* The first finding stays. */
void verdict_set(struct verdict *v, const char *fmt, ...) printf_like(2, 3);
void verdict_add(struct verdict *v, const char *fmt, ...) printf_like(2, 3);

struct expect {
	const struct profile *pf;
	struct model *model;
	uint64_t pos; /* when power failed */
	/* Checksum of all touched sectors, once seen. Every later look must
	 * find the same. */
	bool seen;
	uint32_t content;
	bool region_bad; /* a region table copy was damaged to begin with, and
			    only a writing session is to mend it */
};

/* Opens f (taken over, whatever the result). NULL: v says why. */
struct vhdx_blk *open_device(struct file *f, const struct profile *pf,
			     bool writable, struct verdict *v);

/* Reads all touched sectors of an open device and judges them. */
void content_verify(struct vhdx_blk *blk, struct expect *x, struct verdict *v);

/* Read-only: same answers, and not a byte of img changes. */
void recover_readonly(struct loop *l, const struct memimg *img,
		      struct expect *x, struct verdict *v);

/* By check --repair, on a disk that may record: it must leave no error. */
void recover_repair(struct file *f, struct expect *x, struct verdict *v);

/* For writing, on a disk that holds the content and may record: verify twice,
 * close, look again. */
void recover_writable(struct file *f, struct expect *x, struct verdict *v);

/* A file that has been closed without an error. */
void clean_verify(struct loop *l, const struct memimg *img, struct expect *x,
		  struct verdict *v);

#endif
