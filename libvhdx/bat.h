/* SPDX-License-Identifier: MIT */
/*
 * The block allocation table: where an entry lies, what it may say, and one
 * pass over all of it. Entries are read and changed in cached pages only.
 */
#ifndef BAT_H
#define BAT_H

#include "layout.h"
#include "mcache.h"
#include "space.h"

/* File offset of the entry of payload block blk. */
uint64_t bat_entry_pos(const struct layout *l, uint64_t blk);

/* The same of the sector bitmap of blk's chunk. */
uint64_t bat_bitmap_pos(const struct layout *l, uint64_t blk);

/* Where in its bitmap block (bytes, 0 .. 1 MiB) the bits of blk start, and how
 * many bits, one per sector, a block has. */
uint64_t bat_slice_off(const struct layout *l, uint64_t blk);
unsigned bat_slice_bits(const struct layout *l);

/* The entry at file offset pos, in the pinned page that holds it. */
uint64_t bat_get(const struct mpage *p, uint64_t pos);
void bat_set(struct mpage *p, uint64_t pos, uint64_t entry);

/* May a reader follow this entry of block blk? States that exist and, where
 * they point at the file, a place of their own inside it: not the header area,
 * the log or a region. (Not checked: overlap with other blocks.) */
int bat_verify(const struct layout *l, const struct fmt_header *hdr,
	       uint64_t file_len, uint64_t blk, uint64_t entry,
	       struct vhdx_err *e) must_check;

/* The same for the bitmap entry of blk's chunk; it must be present. */
int bat_verify_bitmap(const struct layout *l, const struct fmt_header *hdr,
		      uint64_t file_len, uint64_t blk, uint64_t entry,
		      struct vhdx_err *e) must_check;

/* The entry's state gives the block space of its own in the file. */
bool bat_has_space(uint64_t entry);

/* Blocking. Every entry in the file that is not zero, ascending, until fn
 * fails; skips holes of the file. */
typedef int bat_entry_fn(void *arg, uint64_t index, uint64_t entry,
			struct vhdx_err *e);
int bat_each(struct file *f, const struct layout *l, bat_entry_fn *fn,
	     void *arg, struct vhdx_err *e) must_check;

/* Blocking. Fills s with everything in use; CORRUPT if two users claim the
 * same space: such a file must not be written to. Skips holes of the file. */
int bat_scan(struct file *f, const struct layout *l,
	     const struct fmt_header *hdr, struct space *s,
	     struct vhdx_err *e) must_check;

#endif
