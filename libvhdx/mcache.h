/* SPDX-License-Identifier: MIT */
/*
 * A cache of 4 KiB metadata pages, keyed by file offset: what lies on disk,
 * plus the changes not yet home. A page is pinned while anybody looks at it.
 * Pages are loaded on demand; the pool is fixed at open, so metadata memory is
 * bounded however large the disk.
 *
 * The cache does not write. commit.c takes the dirty pages, oldest first, and
 * keeps them pinned until their home locations carry what it took: a page is
 * never dropped while the file holds an older version of it.
 *
 * All functions: [loop].
 */
#ifndef MCACHE_H
#define MCACHE_H

#include "file.h"

#define MPAGE_LEN 4096u
#define MCACHE_CLEAN UINT64_MAX

struct mpage {
	struct list hash;
	struct list link;    /* on the LRU, the dirty list, or nothing */
	struct list waiters; /* of a page being loaded */
	uint64_t off;
	uint64_t dirty_seq;  /* first change since last taken, or CLEAN */
	unsigned pins;
	unsigned claims;
	bool loading;
	uint8_t *data;
	struct mcache *mc;
	struct file_io io;
	struct iovec iov;
};

struct mcache_wait {
	struct list node;
	uint64_t off;
	struct mpage *page; /* pinned; NULL when res != 0 */
	int res;
	const struct vhdx_err *err; /* when res != 0, during fn only */
	void (*fn)(struct mcache_wait *w);
};

struct mcache;

/* `starved` is called when a caller waits for a page and only cleaning can
 * free one. */
int mcache_new(struct file *f, unsigned page_cnt, void (*starved)(void *arg),
	       void *arg, struct mcache **out, struct vhdx_err *e) must_check;
void mcache_set_claim_max(struct mcache *mc, unsigned max); /* 0 at first */
void mcache_free(struct mcache *mc); /* NULL allowed; drops dirty pages */

/* [async] Pins the page at off (4 KiB multiple): true with w->page set, or
 * false and w->fn runs later. w->fn is set by the caller. */
bool mcache_get(struct mcache *mc, uint64_t off, struct mcache_wait *w);
void mcache_put(struct mcache *mc, struct mpage *p);

/* Permission to change a pinned page later. At most claim_max pages are
 * claimed or dirty at once, so that one log entry can carry
 * them all. False: try again after pages have been taken. A page may be
 * claimed more than once. */
bool mcache_claim(struct mcache *mc, struct mpage *p) must_check;
void mcache_unclaim(struct mcache *mc, struct mpage *p);

/* The caller has changed, or is about to change, a claimed page. */
void mcache_dirty(struct mcache *mc, struct mpage *p);

/* Puts 4 KiB at off, dirty, without loading what was there; false if no page
 * is free or may be claimed. The page must not be cached yet. */
bool mcache_fill(struct mcache *mc, uint64_t off, const uint8_t *data);

/* Forgets the pages of [off, off + len), which are clean and pinned by nobody:
 * the file was changed there by other means, or the place gets another use. */
void mcache_drop(struct mcache *mc, uint64_t off, uint64_t len);

/* No page will be cleaned any more: whoever waits, or would have to wait, for
 * a free page gets err. Cached pages stay readable. */
void mcache_fail(struct mcache *mc, const struct vhdx_err *err);

/* Dirty pages, and the number of changes so far: a change made now gets a
 * number greater than mcache_seq(). */
unsigned mcache_dirty_cnt(const struct mcache *mc);
uint64_t mcache_seq(const struct mcache *mc);
uint64_t mcache_oldest_dirty(const struct mcache *mc); /* or MCACHE_CLEAN */

/* Takes the longest-dirty page off the dirty list, pinned, clean from now on
 * unless changed again; NULL if none. Returned with mcache_put() once home. */
struct mpage *mcache_take(struct mcache *mc);

#endif
