/* SPDX-License-Identifier: MIT */
/*
 * What a VHDX file says about itself before its BAT is read: identifier,
 * regions, metadata. Loading is strict: whatever an opener must refuse is
 * refused here, with the structure, offset and rule. The file given must show
 * the log as replayed (in place or through file_overlay.c).
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "file.h"
#include "format.h"

struct layout {
	struct fmt_ident ident;
	struct fmt_region_table *regions; /* owned */
	int region_bad; /* copy 0 or 1 is damaged (or 1 differs), the other was
			   used; -1: none */
	struct vhdx_err region_why;
	uint64_t bat_off, meta_off;
	uint32_t bat_len, meta_len;
	struct fmt_meta_table *meta; /* owned */
	uint64_t size_len;
	uint32_t block_len;
	uint32_t sector_len;
	uint32_t physical_sector_len;
	bool leave_allocated; /* "fixed" */
	bool has_parent;
	struct guid disk_id;
	struct bat_geom geom;
};

/* Blocking. hdr gives the log's place, which no region may overlap. Refuses
 * unknown required regions and metadata items (UNSUPPORTED). */
int layout_load(struct file *f, const struct fmt_header *hdr,
		struct layout *l, struct vhdx_err *e) must_check;
void layout_free(struct layout *l); /* zeroed or failed ones allowed */

/* Parts of layout_load that check reuses, on a zeroed l: regions, then meta.
 * After a failure l keeps what had been found so far. */
int layout_load_regions(struct file *f, const struct fmt_header *hdr,
			struct layout *l, struct vhdx_err *e) must_check;
int layout_load_meta(struct file *f, struct layout *l,
		     struct vhdx_err *e) must_check;

/* The creator as UTF-8, unprintables replaced, cut to cap bytes. */
void layout_creator(const struct fmt_ident *id, char *out, size_t cap);

#endif
