/* SPDX-License-Identifier: MIT */
/*
 * libvhdx - changing one image as a whole, offline.
 *
 * Every call opens the image itself, alone and exclusively, and is blocking. It
 * is durable when it returns 0; after an error or a power failure the image is
 * intact, and the same call goes on or starts again. All structs: zero means
 * the default.
 */
#ifndef VHDX_EDIT_H
#define VHDX_EDIT_H

#include "vhdx.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* How long work reports and is stopped. Zero-initialise. */
struct vhdx_progress {
	/* Now and then, and at least every 64 MiB of work; NULL allowed. Not
	 * zero: stop, VHDX_E_CANCELED; the image is intact, the same call goes
	 * on. */
	int (*fn)(void *arg, uint64_t done_len, uint64_t total_len);
	void *arg;
};

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
