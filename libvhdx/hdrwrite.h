/* SPDX-License-Identifier: MIT */
/*
 * The header update protocol (header.h) for the running engine: the same two
 * steps, twice, without blocking the loop. One update at a time.
 */
#ifndef HDRWRITE_H
#define HDRWRITE_H

#include "header.h"

struct hdr_write {
	struct file *file;
	struct header_pair *pair;
	void (*done)(struct hdr_write *w); /* w->io.res, w->io.err */
	struct file_io io;
	struct iovec iov;
	int left; /* copies still to be written */
	uint8_t buf[FMT_HEADER_LEN];
};

/* Brings both copies to pair->cur as edited by the caller; w->done runs later,
 * never inside the call. On failure the file has at least one valid copy.
 * CORRUPT, with nothing started, if the sequence numbers are used up. */
int hdr_write_start(struct hdr_write *w, struct vhdx_err *e) must_check;

#endif
