/* SPDX-License-Identifier: MIT */
/*
 * The content of a simulated file: sparse bytes and a size. A clone costs
 * nothing and shares everything with its original until either is written, so
 * that thousands of states of one disk can be derived from each other. Sizes
 * go up to 256 TiB; only pages that were written take memory.
 *
 * One thread per family of clones. Running out of memory aborts.
 */
#ifndef MEMIMG_H
#define MEMIMG_H

#include "base.h"

#define MEMIMG_PAGE 4096u
#define MEMIMG_MAX_LEN (256 * TIB)

struct memimg_node;

/* All zero is an empty image. */
struct memimg {
	struct memimg_node *root;
	uint64_t size; /* bytes */
};

void memimg_clone(struct memimg *dst, const struct memimg *src);
void memimg_free(struct memimg *m); /* leaves it empty */

/* Beyond the end: zeros. */
void memimg_read(const struct memimg *m, uint64_t off, void *buf, size_t len);
/* Grows the image as needed; off + len <= MEMIMG_MAX_LEN. */
void memimg_write(struct memimg *m, uint64_t off, const void *buf, size_t len);
/* The range reads as zeros; whole pages of it are given back. Keeps the
 * size. */
void memimg_zero(struct memimg *m, uint64_t off, uint64_t len);
void memimg_resize(struct memimg *m, uint64_t size);

/* The next run of pages at or after off that are present, cut to the size;
 * *len = 0: none. */
void memimg_next_data(const struct memimg *m, uint64_t off, uint64_t *data_off,
		      uint64_t *len);
uint64_t memimg_page_cnt(const struct memimg *m);

/* Same size, same bytes. *diff_off (may be NULL): the first difference. */
bool memimg_eq(const struct memimg *a, const struct memimg *b,
	       uint64_t *diff_off);

#endif
