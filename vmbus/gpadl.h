/* SPDX-License-Identifier: MIT */
/*
 * GPADLs: lists of guest pages under a handle the guest has chosen. They come
 * in pieces, from a hostile hand.
 *
 * Guarantees: never more than VMBUS_GPADL_MAX of them, of together not more
 * than VMBUS_GPADL_PAGES_MAX pages (G1); one that is ready is exactly as long
 * as its ranges say, every range has pages, and every page number is below
 * 2^52 (G2). Whether the guest has such pages is for others to see.
 */
#ifndef GPADL_H
#define GPADL_H

#include "due.h"
#include "proto.h"

struct server_chan;

enum gpadl_state {
	GPADL_COMING, /* words are missing */
	GPADL_READY,
	GPADL_TEARING, /* the guest has asked for its end */
};

struct gpadl {
	struct list node;
	uint32_t id;
	enum gpadl_state state;
	struct server_chan *chan; /* whose; NULL: its channel is gone */
	struct due torn; /* TORNDOWN is on its way */
	uint16_t range_cnt;
	uint32_t page_cnt; /* of all ranges */
	uint32_t word_cnt, got_cnt;
	/* Ranges, one behind the other: offset << 32 | length, in bytes, then
	 * the numbers of its pages. */
	uint64_t word[];
};

#define GPADL_BUCKETS 256u

struct gpadl_set {
	struct list bucket[GPADL_BUCKETS];
	unsigned cnt;
	uint32_t page_cnt; /* as announced */
};

void gpadl_set_init(struct gpadl_set *set);

struct gpadl *gpadl_find(struct gpadl_set *set, uint32_t id);

/* GPADL_HEADER. PROTO_OK: *out is there, ready or not; else the status to
 * answer with, and *why in words. */
uint32_t gpadl_begin(struct gpadl_set *set, struct server_chan *chan,
		     const struct proto_in *m, struct gpadl **out,
		     const char **why) must_check;
/* GPADL_BODY for one that is coming. Not PROTO_OK: it has been freed. */
uint32_t gpadl_more(struct gpadl_set *set, struct gpadl *g,
		    const struct proto_in *m, const char **why) must_check;

void gpadl_free(struct gpadl_set *set, struct gpadl *g);
void gpadl_free_all(struct gpadl_set *set);
/* The channel is no more. What is being torn down stays, without it. */
void gpadl_orphan(struct gpadl_set *set, const struct server_chan *chan);

/* Usable as two rings, the first of so many pages: one range of whole pages.
 * Both rings have at least a page. */
bool gpadl_is_ring(const struct gpadl *g, uint32_t to_host_cnt);
const uint64_t *gpadl_ring_pfn(const struct gpadl *g);

#endif
