/* SPDX-License-Identifier: MIT */
/*
 * Which MiB of a file are owned: one bit each, for the overlaps and leaks that
 * a check looks for. Memory is a bit per MiB, at most MIBMAP_MAX of them;
 * beyond that (256 TiB) nothing is tracked.
 */
#ifndef MIBMAP_H
#define MIBMAP_H

#include "err.h"

#define MIBMAP_MAX (UINT64_C(1) << 28)

struct mibmap {
	uint64_t *bits; /* owned */
	uint64_t cnt;	/* MiB that are tracked */
};

/* Zeros for the first cnt MiB. */
int mibmap_init(struct mibmap *m, uint64_t cnt, struct vhdx_err *e) must_check;
void mibmap_free(struct mibmap *m);

/* Takes [off, off + len), bytes in MiB multiples, as far as it is tracked.
 * False: some of it was taken already; *mib is the first such. */
bool mibmap_take(struct mibmap *m, uint64_t off, uint64_t len, uint64_t *mib);

/* Is any of the range taken? */
bool mibmap_taken(const struct mibmap *m, uint64_t off, uint64_t len,
		  uint64_t *mib);

/* The first run of free MiB at or after `mib`: its start, and its length in
 * *cnt, which is 0 when there is none. */
uint64_t mibmap_free_run(const struct mibmap *m, uint64_t mib, uint64_t *cnt);

#endif
