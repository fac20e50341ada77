/* SPDX-License-Identifier: MIT */
/*
 * Images that stand on each other, in the folder of a simulated opener, and for
 * each the bytes it must show through its chain: its view. The only place where
 * these tests open, fill and look at images, and so the only one that has to be
 * right about what a child shows.
 */
#ifndef DISKS_H
#define DISKS_H

#include "image.h"
#include "opener_crash.h"
#include "recover.h"

#define DISKS_MAX 24

struct disk {
	char path[OPENER_CRASH_PATH];
	bool there;
	bool fixed;
	int parent; /* index; -1: none */
	enum vhdx_format format;
	uint32_t block_len, sector_len;
	struct memimg view; /* owned; its size is the disk's */
};

struct disks {
	const struct opener *opener; /* what the calls below go through */
	struct loop *loop;
	struct disk d[DISKS_MAX];
	unsigned cnt;
};

/* Copies the views, not the opener nor the loop. */
void disks_clone(struct disks *dst, const struct disks *src);
void disks_free(struct disks *ds);
struct disk *disks_find(struct disks *ds, const char *path); /* NULL: none */
unsigned disks_child_cnt(const struct disks *ds, int parent); /* that are */

/* Is there a number for one more? */
bool disks_room(const struct disks *ds);

/* A new empty image; its number. Where `want` leaves size, block and sector
 * length out, a child takes those of its parent. parent: number or -1. */
int disks_create(struct disks *ds, const char *path, int parent,
		 const struct vhdx_create_opts *want, struct verdict *v);

/* With its chain, as a device. NULL: v says why. */
struct vhdx_blk *disks_open(const struct disks *ds, const char *path,
			    bool writable, struct verdict *v);

/* cnt random requests, writes for the most part, to disk i and its view; then
 * a clean close. It must have no children. */
void disks_fill(struct disks *ds, int i, uint64_t *rng, unsigned cnt,
		struct verdict *v);
/* One of them against an open device. */
void disks_request(struct disk *d, struct vhdx_blk *blk, uint64_t *rng,
		   struct verdict *v);

/* Fills most blocks of it, then empties some: discarded, zeroed, overwritten
 * with zeros. */
void disks_churn(struct disk *d, struct vhdx_blk *blk, uint64_t *rng,
		 struct verdict *v);

/* Writes what `from` shows into `to`, a disk of the same size. */
void disks_copy(struct disks *ds, int from, int to, struct verdict *v);

/* The image opens and shows exactly this. */
void disks_verify(const struct disks *ds, const char *path,
		  const struct memimg *view, bool writable,
		  struct verdict *v);

/* check finds no error in the file (strict: nor a warning, nor a dirty log). */
void disks_check(const struct disks *ds, const char *path, bool strict,
		 struct verdict *v);

#endif
