/* SPDX-License-Identifier: MIT */
/*
 * The inside of an open VHDX image, shared by the vhdx_*.c files and by nobody
 * else. Everything lives on the loop.
 *
 *   vhdx_open.c   open, recover, scan, close
 *   vhdx_read.c   map_read
 *   vhdx_write.c  map_write, end_write: allocation (rules W1..W5)
 *   vhdx_partial.c  the same for blocks that are partly the parent's
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
#define VI_SLICE_MAX 16u   /* pages of bits: 256 MiB blocks, 512 byte sectors */
#define VI_GROW_LEN (64 * MIB) /* a step of growth, at least */
#define VI_GROW_MAX (4 * GIB)
#define VI_OFFER_LEN (32 * MIB) /* of it are offered at a time */

enum session {
	SESSION_CLEAN,	  /* not a byte of the file changed yet */
	SESSION_STARTING, /* the headers are being written */
	SESSION_FILE,	  /* FileWriteGuid is new: the file may change */
	SESSION_OPEN,	  /* DataWriteGuid too: so may what a reader sees */
};

enum alloc_state {
	ALLOC_BITMAP, /* partial: its sector bitmap is being made or loaded */
	ALLOC_SPACE, /* waits for the file to grow */
	ALLOC_ZERO,  /* stale space is being zeroed */
	ALLOC_READY,
};

/* A block between "needs space" and "in the BAT", or while claims on it last.
 * At most one per block. */
struct alloc {
	struct list node;  /* of its hash bucket, or the free ones */
	struct list queue; /* waiting for growth, pages to claim, or a bitmap */
	struct vhdx_image *vi;
	uint64_t blk;
	uint64_t file_off;
	enum alloc_state state;
	unsigned refs;	   /* claims */
	bool own;	   /* the space was this block's before (soft anchor) */
	bool has_space;	   /* from the space map, to be given back */
	bool published;	   /* in the BAT */
	bool whole;	   /* one write covers it all: nobody may join */
	bool claimed;	   /* its pages may be changed */
	struct mpage *page; /* of the BAT entry; pinned */
	struct list waiters; /* image_map, until READY */
	struct file_io io;
	/* Blocks that stay partly the parent's (vhdx_partial.c). */
	bool partial;
	bool makes_bitmap;	/* of its chunk; it is on vi->makers */
	bool has_bitmap_space;	/* taken, not in the BAT yet */
	struct list maker;
	struct list dependents;	/* allocs that wait for the bitmap it makes */
	struct loop_task task;
	struct mcache_wait w;
	struct mpage *bitmap_page; /* of the bitmap's BAT entry; pinned */
	uint64_t bitmap_off;
	unsigned slice_cnt;
	struct mpage *slice[VI_SLICE_MAX]; /* the block's bits; pinned */
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
	enum session session, session_goal;
	bool session_sized;   /* the file is whole MiB, regions are mended */
	bool file_guid_fresh; /* FileWriteGuid was changed since opening */
	bool growing;	      /* a size change under way or asked for */
	bool grows_little;    /* the host has refused a large step */
	bool reclaiming;      /* a punch under way */
	bool keep_freed;      /* freed space is about to be used again, or cut
				 off: it is not punched */
	struct list session_waiters; /* image_map */
	struct list alloc_waiters;   /* image_map, for a free struct alloc */
	struct list claim_waiters;   /* image_map, to change a page */
	struct list freed_waiters;   /* image_map, for room in freed[] */
	struct list grow_queue;	     /* struct alloc */
	struct list claim_queue;     /* struct alloc, to change pages */
	struct list makers;	     /* struct alloc, making a bitmap */
	unsigned partial_cnt;	     /* allocs that are partial */
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
	uint64_t block_off;	/* of a partially present block, in the file */
	struct mpage *bits_page; /* for end_write; pinned, claimed */
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
	return m->voff >> __builtin_ctz(m->img->block_len); /* 2^n */
}

/* Ends m with an error; always true. */
bool vmap_fail(struct image_map *m, const struct vhdx_err *err);

/* [async] Continues with next(m) when the BAT page of m's block is pinned in
 * vmap_of(m)->w.page; ends m if it cannot be read. */
bool vmap_with_page(struct image_map *m, bool (*next)(struct image_map *m));

/* The same for any page: the one that holds file offset pos. */
bool vmap_with_page_at(struct image_map *m, uint64_t pos,
		       bool (*next)(struct image_map *m));

/* [async] Continues with next(m) when the page with the bits of m's block from
 * m->voff on is pinned; m->len is cut to the block and that page. The block is
 * partially present at vmap_of(m)->block_off. */
bool vmap_with_bits(struct image_map *m, bool (*next)(struct image_map *m));
/* The bits of m in that page. */
void vmap_bits(const struct image_map *m, unsigned *from, unsigned *to);

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
int vhdx_image_resize(struct image *img, uint64_t size_len, struct vhdx_err *e);

/* vhdx_relink.c, vhdx_adopt.c, vhdx_set.c: image_ops. */
int vhdx_relink(struct image *img, const struct parent_edit *p,
		struct vhdx_err *e);
int vhdx_adopt(struct image *img, struct image *from, struct vhdx_err *e);
int vhdx_set_disk(struct image *img, const struct disk_edit *d,
		  struct vhdx_err *e);

/* [async] Continues with next(m) when the file may be changed. */
bool session_enter(struct image_map *m, bool (*next)(struct image_map *m));

/* The same for who works on the image as a whole. Blocking; nothing is in
 * flight. visible: what a reader of the disk sees is going to change; else only
 * the file does (locator, places of blocks), and children stay. */
int vhdx_session(struct vhdx_image *vi, bool visible,
		 struct vhdx_err *e) must_check;

/* Blocking. Everything so far is durable, everything asynchronous at rest. */
int vhdx_settle(struct vhdx_image *vi, struct vhdx_err *e) must_check;

/* Blocking; settled. The parent locator as it is in the file, and its file
 * offset; the image has a parent. *out is to be freed, after an error too. */
struct locator;
int vhdx_load_locator(struct vhdx_image *vi, struct locator *out, uint64_t *off,
		      struct vhdx_err *e) must_check;

/* Blocking; settled. What the file says about itself is read anew. */
int vhdx_reload(struct vhdx_image *vi, struct vhdx_err *e) must_check;

/* As space_alloc(); false: the file must grow. */
bool space_find(struct vhdx_image *vi, uint64_t len, uint64_t *off,
		bool *zero) must_check;
/* Calls alloc_retry() for al when the file has grown, or alloc_failed(). */
void space_wait_growth(struct vhdx_image *vi, struct alloc *al);
void alloc_retry(struct alloc *al);
void alloc_failed(struct alloc *al, const struct vhdx_err *err);
void alloc_init(struct vhdx_image *vi);
void grow_start(struct loop_task *t);

/* vhdx_partial.c: brings the bits of al's block into claimed pages, making the
 * chunk's bitmap first where there is none; ends in alloc_retry() or
 * alloc_failed(), never inside the call. */
void partial_start(struct alloc *al);
void partial_retry(struct alloc *al); /* the file has grown */
void partial_publish(struct alloc *al); /* just before its BAT entry changes */
void partial_set_bits(struct alloc *al, const struct image_map *m);
void partial_release(struct alloc *al);
bool partial_has_room(const struct vhdx_image *vi);

/* Pages may have become claimable: whoever waits tries again. */
void claims_wake(struct vhdx_image *vi);
void claims_changed(struct vhdx_image *vi);

/* The block's space is no longer mapped, as of the page change just made.
 * The caller has seen freed_has_room(). */
bool freed_has_room(const struct vhdx_image *vi);
void freed_add(struct vhdx_image *vi, uint64_t off, uint64_t len);
void freed_reclaim(struct vhdx_image *vi);
bool space_is_idle(const struct vhdx_image *vi);

#endif
