/* SPDX-License-Identifier: MIT */
/*
 * Guest memory, and the only door to it: every access of the host to a guest
 * physical address is checked here against the memory the guest really has, and
 * every change is marked, so that a snapshot or a migration can find what vCPUs
 * did not write themselves. The guest changes this memory at any time: read
 * once, then check what was read.
 *
 * The regions are fixed before the guest runs; after that everything here may
 * be called from any thread.
 */
#ifndef GMEM_H
#define GMEM_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "base.h"

#define GMEM_PAGE UINT64_C(4096)
#define GMEM_REGIONS 4

struct gmem_region {
	uint64_t gpa, len;	/* whole pages; regions do not overlap */
	uint8_t *hva;		/* the caller's mapping */
	_Atomic uint64_t *dirty; /* one bit a page; NULL: not tracked */
};

struct gmem {
	struct gmem_region region[GMEM_REGIONS];
	unsigned cnt;
};

/* False, and nothing was done, unless all of [gpa, gpa + len) is memory. */
bool gmem_read(const struct gmem *m, uint64_t gpa, void *buf, size_t len)
	must_check;
bool gmem_write(const struct gmem *m, uint64_t gpa, const void *buf,
		size_t len) must_check;

/* The page at gpa (page aligned), to be kept: NULL if it is not memory. Who
 * writes to it marks it. */
uint8_t *gmem_page(const struct gmem *m, uint64_t gpa) must_check;

/* [gpa, gpa + len) in one piece, to be filled before the guest runs: NULL if it
 * is not all in one region. Who writes to it marks it. */
uint8_t *gmem_range(const struct gmem *m, uint64_t gpa, uint64_t len)
	must_check;

/* [off, off + len) of the list of pages `pfn` as buffers, neighbours joined.
 * The number of iov filled; -1 if a page is not memory, or off + len is beyond
 * pfn_cnt pages, or iov_max does not do. */
int gmem_iov(const struct gmem *m, const uint64_t *pfn, unsigned pfn_cnt,
	     uint32_t off, uint32_t len, struct iovec *iov, int iov_max)
	must_check;

/* The host has written here (host addresses inside a region). */
void gmem_dirty(const struct gmem *m, const void *hva, size_t len);

#endif
