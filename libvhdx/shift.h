/* SPDX-License-Identifier: MIT */
/*
 * Looks whether a range of a file holds anything, or copies it to another
 * place of the same file, reading it once. Several jobs run side by side, each
 * with a buffer and one operation of its own; holes of the host file are
 * not read, and zeros are not written: where the source has zeros, the place it
 * goes to becomes a hole, or zeros.
 *
 * Where the caller drops a source that turns out to be all zeros (or of no use
 * to anybody), nothing is written for it. He knows that nobody changes the
 * source or looks at the destination meanwhile.
 */
#ifndef SHIFT_H
#define SHIFT_H

#include "file.h"

#define SHIFT_NOWHERE UINT64_MAX
#define SHIFT_BUF_LEN MIB
#define SHIFT_GRAIN (64 * KIB) /* zeros are looked for in pieces of that */

struct shift {
	/* The caller's. */
	struct file *file;
	uint64_t src_off, len;
	uint64_t dst_off;  /* NOWHERE: only look, up to the first data */
	bool empty_goes;   /* one that is `empty` is dropped: no need to copy */
	uint64_t look_len; /* bytes from here on are copied, but need not be
			      there for the sake of anybody */
	/* [pos, pos + len) of the source is of no use; NULL: all is. */
	bool (*useless)(const struct shift *s, uint64_t pos, uint64_t len);
	void (*done)(struct shift *s);
	void *opaque;
	uint64_t *work_len; /* counts bytes along */
	uint8_t *buf;	    /* SHIFT_BUF_LEN */
	/* Results. */
	int res;
	struct vhdx_err err;
	bool empty; /* nothing but zeros and useless bytes in look_len */
	bool nonzero; /* there were useless bytes other than zeros */
	/* Its own. */
	uint64_t pos;	    /* source bytes dealt with */
	uint64_t zeros_from; /* zeros up to pos that dst lacks */
	uint64_t data_end;  /* in the file: no hole is known before it */
	uint64_t buf_pos, buf_len; /* of the source, in buf */
	struct loop_task task;
	struct file_io io;
	struct iovec iov;
};

/* [loop] done() runs later, never inside the call. The struct is zeroed but
 * for what is the caller's. */
void shift_start(struct shift *s);

#endif
