/* SPDX-License-Identifier: MIT */
/*
 * A device to VHDX_OP_COPY from and for nothing else: what lies at an offset of
 * its file is what lies at that address of this program.
 */
#ifndef MEMORY_BLK_H
#define MEMORY_BLK_H

#include "vhdx_blk.h"

/* Lives for ever. */
struct vhdx_blk *memory_blk(void);

/* The copy of what is at p, which stays as it is until that is done. */
struct vhdx_copy memory_blk_copy(const void *p);

#endif
