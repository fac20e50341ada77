/* SPDX-License-Identifier: MIT */
/*
 * Copying the content of one open device into another, new and empty one:
 * many requests in flight, both sides sparse. What the source's map calls zero
 * or unmapped is not read; zeros found in what is read are not written.
 */
#ifndef COPY_H
#define COPY_H

#include "vhdx.h"

struct copy_result {
	bool dst_failed; /* else the error is the source's */
	uint64_t data_len; /* bytes written */
};

/* Blocking; both devices are idle before and after. Ends with a flush of dst:
 * on 0 the copy is durable. CANCELED after Ctrl-C. Calls progress_update()
 * with the position in the virtual disk. */
int copy_run(struct vhdx_blk *src, struct vhdx_blk *dst, uint64_t size_len,
	     struct copy_result *result, struct vhdx_err *e);

/* What a copy of src would have to write at most, by its map alone; or, with
 * `exact`, after reading and skipping zeros. Blocking. */
int copy_measure(struct vhdx_blk *src, uint64_t size_len, bool exact,
		 uint64_t *data_len, struct vhdx_err *e);

#define COPY_GRAIN 4096u

/* The first run of data (whole grains with anything but zeros in them) at or
 * after *pos; false if there is none. len may end within a grain. */
bool copy_next_run(const uint8_t *buf, uint64_t len, uint64_t *pos,
		   uint64_t *run_len);

bool copy_is_zero(const uint8_t *buf, uint64_t len);

#endif
