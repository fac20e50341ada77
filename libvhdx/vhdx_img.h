/* SPDX-License-Identifier: MIT */
/*
 * The inside of an open VHDX image, shared by the vhdx_*.c files and by nobody
 * else. Everything lives on the loop.
 *
 *   vhdx_open.c   open, recover, scan, close
 *   vhdx_read.c   map_read
 *   vhdx_write.c  map_write, end_write: allocation (rules W1..W5)
 *   vhdx_trim.c   unmap
 *   vhdx_space.c  the session's start, growing the file, giving space back
 */
#ifndef VHDX_IMG_H
#define VHDX_IMG_H

#include "bat.h"
#include "commit.h"
#include "header.h"
#include "image.h"
#include "layout.h"
#include "mcache.h"
#include "space.h"

#define VI_PAGES 1024u	   /* metadata pages in memory */
#define VI_ALLOCS 256u	   /* blocks being allocated at once */
#define VI_FREED 4096u	   /* freed ranges waiting to become durable */
#define VI_GROW_LEN (32 * MIB)

enum session {
	SESSION_CLEAN,	  /* not a byte of the file changed yet */
	SESSION_STARTING, /* the headers are being written */
	SESSION_OPEN,
};

enum alloc_state {
	ALLOC_SPACE, /* waits for the file to grow */
	ALLOC_ZERO,  /* stale space is being zeroed */
	ALLOC_READY,
};

/* A block between "needs space" and "in the BAT", or while claims on it last.
 * At most one per block. */
struct alloc {
	struct list node;  /* of its hash bucket, or the free ones */
	struct list queue; /* waiting for the file to grow */
	struct vhdx_image *vi;
	uint64_t blk;
	uint64_t file_off;
	enum alloc_state state;
	unsigned refs;	   /* claims */
	bool own;	   /* the space was this block's before (soft anchor) */
	bool published;	   /* in the BAT */
	struct mpage *page; /* of the BAT entry; pinned, claimed */
	struct list waiters; /* image_map, until READY */
	struct file_io io;
};

/* Space whose freeing is not durable yet. */
struct freed {
	uint64_t off, len;
	uint64_t seq; /* durable when commit_durable() is greater */
};

struct vhdx_image {
	struct image img;
	struct layout layout;
	struct header_pair hdr;
	struct mcache *mc;
	/* Writable only. */
	struct commit *cm;
	struct space space;
	enum session session;
	bool file_guid_fresh; /* recovery has changed FileWriteGuid already */
	bool growing;	      /* a size change under way or asked for */
	bool reclaiming;      /* a punch under way */
	struct list session_waiters; /* image_map */
	struct list alloc_waiters;   /* image_map, for a free struct alloc */
	struct list claim_waiters;   /* image_map, to change a page */
	struct list freed_waiters;   /* image_map, for room in freed[] */
	struct list grow_queue;	     /* struct alloc */
	struct list allocs_free;
	struct list alloc_buckets[VI_ALLOCS];
	struct alloc *allocs;	     /* owned */
	struct freed *freed;	     /* owned ring */
	unsigned freed_head, freed_cnt;
	struct hdr_write hw;
	struct loop_task grow_task;
	struct file_io grow_io, punch_io;
	uint8_t *region_copy; /* owned; when a copy is to be mended */
	struct freed punching;
};

/* The image's part of a struct image_map. */
struct vmap {
	struct mcache_wait w;
	struct image_map *m;
	/* What to do once what it waits for is there, and after that. */
	bool (*next)(struct image_map *m);
	bool (*after)(struct image_map *m);
	bool zeroes; /* unmap: write-zeroes, not discard */
};

static inline struct vhdx_image *vi_of(struct image *img)
{
	return container_of(img, struct vhdx_image, img);
}

static inline struct vmap *vmap_of(struct image_map *m)
{
	_Static_assert(sizeof(struct vmap) <= sizeof(m->priv),
		       "image_map.priv is too small");
	return (struct vmap *)(void *)m->priv;
}

/* The block of m->voff. */
static inline uint64_t vmap_blk(const struct image_map *m)
{
	return m->voff / m->img->block_len;
}

/* Ends m with an error; always true. */
bool vmap_fail(struct image_map *m, const struct vhdx_err *err);

/* [async] Continues with next(m) when the BAT page of m's block is pinned in
 * vmap_of(m)->w.page; ends m if it cannot be read. */
bool vmap_with_page(struct image_map *m, bool (*next)(struct image_map *m));

/* Gives the page back. */
void vmap_put_page(struct image_map *m);

/* Verified entry of m's block in the pinned page; false: m has failed. */
bool vmap_entry(struct image_map *m, uint64_t *entry);

/* Runs next() of everybody on a waiting list, and done() of the finished. */
void vmap_wake(struct list *waiters);

/* Gives the page back; next(m) runs after a round has begun. Always false. */
bool vmap_wait_for_round(struct image_map *m, struct list *waiters,
			 bool (*next)(struct image_map *m));

/* Nothing is written any more: m has failed. */
bool vmap_commit_failed(struct image_map *m);

bool vhdx_map_read(struct image *img, struct image_map *m);
bool vhdx_map_write(struct image *img, struct image_map *m);
bool vhdx_end_write(struct image *img, struct image_map *m, bool ok);
bool vhdx_unmap(struct image *img, struct image_map *m, bool zeroes);

/* [async] Continues with next(m) when the file may be changed. */
bool session_enter(struct image_map *m, bool (*next)(struct image_map *m));

/* Calls alloc_retry() for al when the file has grown, or alloc_failed(). */
void space_wait_growth(struct vhdx_image *vi, struct alloc *al);
void alloc_retry(struct alloc *al);
void alloc_failed(struct alloc *al, const struct vhdx_err *err);
void alloc_init(struct vhdx_image *vi);
void grow_start(struct loop_task *t);

/* The block's space is no longer mapped, as of the page change just made.
 * The caller has seen freed_has_room(). */
bool freed_has_room(const struct vhdx_image *vi);
void freed_add(struct vhdx_image *vi, uint64_t off, uint64_t len);
void freed_reclaim(struct vhdx_image *vi);
bool space_is_idle(const struct vhdx_image *vi);

#endif
