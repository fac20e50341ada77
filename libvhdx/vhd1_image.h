/* SPDX-License-Identifier: MIT */
/*
 * The state of an open dynamic or differencing VHD, shared by its files:
 *   vhd1_io.c       mapping: what is where; the invariants of the write path
 *   vhd1_place.c    gives a block its place in the file
 *   vhd1_bitmap.c   dynamic: sector bitmaps of blocks that others wrote
 *   vhd1_sectors.c  differencing: which sectors are here
 *   vhd1_flush.c    makes it all durable
 * All of it runs on the loop thread; nothing allocates after open.
 */
#ifndef VHD1_IMAGE_H
#define VHD1_IMAGE_H

#include "image.h"
#include "raw.h"
#include "vhd1_load.h"

/* Blocks that can be getting a place at the same time. */
#define VHD1_PLACE_MAX 32
/* The file grows by so many places, or a quarter, but not by more than that. */
#define VHD1_GROW_CNT 16
#define VHD1_GROW_MAX (4 * GIB)
/* Sector bitmaps kept in memory: this many, or what takes 1 MiB. */
#define VHD1_BM_MAX 64
/* BAT bytes per write. */
#define VHD1_BAT_CHUNK (64 * KIB)

struct vhd1;
struct vhd1_sectors;

/* A block's first bitmap on its way to the file. */
struct vhd1_place {
	struct vhd1 *v;
	struct list node;    /* v->place_idle or v->place_busy */
	struct list waiting; /* image_map: writers of this block */
	uint32_t blk;
	struct iovec iov;
	struct file_io io;
};

enum vhd1_bm_state { VHD1_BM_READING, VHD1_BM_READY, VHD1_BM_WRITING };

/* The bitmap of a block in memory. */
struct vhd1_bm {
	struct vhd1 *v;
	struct list node;    /* v->bm_free, or v->bm_used, oldest use first */
	struct list waiting; /* image_map: want their bits set */
	struct list writing; /* image_map: their bits are being written */
	enum vhd1_bm_state state;
	uint32_t blk;
	uint8_t *bits;
	struct iovec iov;
	struct file_io io;
};

enum vhd1_round {
	VHD1_ROUND_IDLE,
	VHD1_ROUND_FOOTER,
	VHD1_ROUND_EXTEND,
	VHD1_ROUND_SYNC1,
	VHD1_ROUND_BITS,
	VHD1_ROUND_BAT,
	VHD1_ROUND_SYNC2,
	VHD1_ROUND_REFUSE,
};

struct vhd1 {
	struct image img;
	struct vhd1_bat bat;
	uint8_t footer[VHD1_FOOTER_LEN]; /* as it is in the file */
	struct vhd1_header header;	 /* as it is in the file */
	struct vhd1_sectors *sectors;	 /* NULL: it has no parent */
	bool failed;
	struct vhdx_err cause;	/* the first one */
	struct raw_extent extent; /* read-only images: holes of the file */

	/* The end of the file. [end_off, ...) is ours to place blocks in. */
	uint64_t end_off;
	uint64_t kept_end; /* end of the last block that holds payload */
	bool footer_stale; /* end_off has moved over the footer */
	uint64_t grown_off; /* the footer is here, behind free space; or 0 */
	bool growing;
	bool grows_no_more; /* the host has no room for a large step */
	struct file_io grow_io;
	struct iovec grow_iov;

	struct list place_idle, place_busy; /* vhd1_place */
	struct list place_wait;		    /* image_map */
	bool place_held; /* the footer is being written behind end_off */
	uint8_t *first_bits; /* of a new block: all set, a child's none; where
				they are shorter, a page that ends with them */
	uint64_t first_lead; /* of that page, before the bits */

	struct list bm_free, bm_used; /* vhd1_bm */
	struct list bm_wait;	      /* image_map: no bitmap to be had */

	/* One bit per BAT sector: holds READY blocks; is in this round. */
	uint64_t *dirty, *round_set;
	uint32_t bat_sectors;
	bool any_dirty;
	bool unsynced; /* a write has ended since the last sync began */
	uint64_t synced_change_cnt; /* the file's when it began */
	bool round_bat;	 /* this round publishes blocks */
	bool round_bits; /* it writes sector bitmaps */
	bool round_again; /* one is wanted for what comes after capture */
	enum vhd1_round round;
	uint32_t round_next; /* BAT sector to go on with */
	struct list flush_now, flush_next; /* image_flush */
	uint8_t *bat_buf;
	struct iovec round_iov;
	struct file_io round_io;
	struct loop_task refuse;

	struct vhd1_place place[VHD1_PLACE_MAX];
	struct vhd1_bm bm[VHD1_BM_MAX];
	uint8_t *bm_mem;
};

static inline enum vhd1_state vhd1_state_of(const struct vhd1 *v, uint32_t blk)
{
	return (enum vhd1_state)(v->bat.flags[blk] & VHD1_STATE_MASK);
}

static inline void vhd1_state_set(struct vhd1 *v, uint32_t blk,
				  enum vhd1_state st)
{
	v->bat.flags[blk] = (uint8_t)((v->bat.flags[blk] & ~VHD1_STATE_MASK) |
				      st);
}

/* The block that m starts in; blk.c keeps m within the disk. */
static inline uint32_t vhd1_blk_of(const struct vhd1 *v,
				   const struct image_map *m)
{
	return (uint32_t)(m->voff / v->bat.block_len);
}

static inline bool vhd1_has_parent(const struct vhd1 *v)
{
	return v->img.info.type == VHDX_TYPE_DIFFERENCING;
}

/* What open has found out. */
struct vhd1_found {
	struct vhdx_info info;
	struct vhd1_bat bat;
	struct vhd1_header header;
	const uint8_t *footer;
	struct parent_ref *parent; /* NULL: it has none */
	uint64_t end_off; /* from where on the file is free to grow */
	bool writable;
};

/* vhd1_io.c. Takes over f and on success what `found` owns, its BAT and the
 * parent, which it sets to nothing. */
int vhd1_image_new(struct file *f, struct vhd1_found *found, struct image **out,
		   struct vhdx_err *e) must_check;
/* The block was NEW: from now on it is READY, and to be published. */
void vhd1_holds_payload(struct vhd1 *v, uint32_t blk);
void vhd1_map_data(struct vhd1 *v, struct image_map *m);
/* First failure wins. After it nothing is written any more. */
void vhd1_fail(struct vhd1 *v, const struct vhdx_err *why);
int vhd1_refuse(const struct vhd1 *v, struct vhdx_err *e);
/* Completes every map on the list with res; why is copied. */
void vhd1_complete_maps(struct list *maps, int res, const struct vhdx_err *why);

/* Blocking. */
int vhd1_flush_blocking(struct vhd1 *v, struct vhdx_err *e) must_check;
/* Blocking. The same, and the footer is right behind end_off. */
int vhd1_settle(struct vhd1 *v, struct vhdx_err *e) must_check;

/* vhd1_place.c: [async] as map_write of image.h. */
int vhd1_place_init(struct vhd1 *v, struct vhdx_err *e) must_check;
bool vhd1_place(struct vhd1 *v, struct image_map *m);
void vhd1_place_hold(struct vhd1 *v);
void vhd1_place_release(struct vhd1 *v);

/* vhd1_bitmap.c: [async] m's payload is written; sets its bits in the block's
 * bitmap, in the file too, unless they are known to be set. */
int vhd1_bm_init(struct vhd1 *v, struct vhdx_err *e) must_check;
bool vhd1_bm_mark(struct vhd1 *v, struct image_map *m);

/* vhd1_flush.c */
int vhd1_flush_init(struct vhd1 *v, struct vhdx_err *e) must_check;
void vhd1_flush(struct image *img, struct image_flush *fl);
void vhd1_dirty(struct vhd1 *v, uint32_t blk);
/* A round that captures what is there now, though no flush waits for it. */
void vhd1_flush_kick(struct vhd1 *v);
void vhd1_flush_bits_done(struct vhd1 *v, int res, const struct vhdx_err *why);

#endif
