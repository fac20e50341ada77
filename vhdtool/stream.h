/* SPDX-License-Identifier: MIT */
/*
 * Between an open device and the standard streams, in order, with several
 * requests in flight. Offsets need not be whole sectors. int: an exit status,
 * after a message.
 */
#ifndef STREAM_H
#define STREAM_H

#include "vhdx.h"

/* [voff, voff+len) of the disk to stdout. */
int stream_out(const char *path, struct vhdx_blk *blk, uint64_t voff,
	       uint64_t len);

/* stdin to the disk from voff on: exactly len bytes, or with len
 * OPT_NOT_GIVEN up to the end of the input. *done_len: bytes handed to the
 * device so far, also on failure. Does not flush. */
int stream_in(const char *path, struct vhdx_blk *blk, uint64_t voff,
	      uint64_t len, uint64_t *done_len);

#endif
