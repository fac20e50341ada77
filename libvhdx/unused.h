/* SPDX-License-Identifier: MIT */
/*
 * Ranges of a virtual disk that nothing in it uses: collected in any order,
 * then sorted and joined, then asked.
 */
#ifndef UNUSED_H
#define UNUSED_H

#include "err.h"

struct vhdx_unused {
	uint64_t size_len; /* of the disk */
	uint64_t cnt, cap;
	struct unused_range {
		uint64_t voff, end;
	} *v; /* owned */
};

void unused_init(struct vhdx_unused *u, uint64_t size_len);
void unused_free(struct vhdx_unused *u);

/* After the last vhdx_unused_add(): sorted, and none touches another. */
void unused_sort(struct vhdx_unused *u);

/* All of [voff, voff + len) is unused. False for u NULL. */
bool unused_covers(const struct vhdx_unused *u, uint64_t voff, uint64_t len);

#endif
