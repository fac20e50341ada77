/* SPDX-License-Identifier: MIT */
/*
 * libvhdx - changing one image as a whole, offline.
 *
 * Every call opens the image itself, alone and exclusively, and is blocking. It
 * is durable when it returns 0; after an error or a power failure the image is
 * intact, and the same call goes on or starts again. All structs: zero means
 * the default.
 */
#ifndef VHDX_EDIT_H
#define VHDX_EDIT_H

#include "vhdx.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* How long work reports and is stopped. Zero-initialise. */
struct vhdx_progress {
	/* Now and then, and at least every 64 MiB of work; NULL allowed. Not
	 * zero: stop, VHDX_E_CANCELED; the image is intact, the same call goes
	 * on. */
	int (*fn)(void *arg, uint64_t done_len, uint64_t total_len);
	void *arg;
};

/* ---- another parent --------------------------------------------------- */

/* Zero-initialise. */
struct vhdx_set_parent_opts {
	/* Take the parent whatever its id is now, and record that. What the
	 * child does not hold itself is from then on what this parent holds. */
	bool ignore_id;
	bool dry_run; /* every check, no change */
	const char *const *search; /* folders to look for its parents in */
	unsigned search_cnt;
	vhdx_msg_fn *msg; /* NULL allowed */
	void *msg_arg;
};

struct vhdx_set_parent_result {
	enum vhdx_format format;
	bool id_matched; /* the parent is the one that the child names */
	bool changed;	 /* false: it was all recorded so already */
	uint8_t id[16];	 /* the parent's identity */
};

/* Records where the parent of a differencing image is now. The parent is proved
 * to be the right one by its identity; it must be a readable chain that the
 * child is no part of, of the same format and sector size: else LINKAGE,
 * UNSUPPORTED, or what opening it gave, and nothing has changed. The child's
 * own identity stays, so its children do not notice. result may be NULL. */
int vhdx_set_parent(const char *child, const char *parent,
		    const struct vhdx_set_parent_opts *opts,
		    struct vhdx_set_parent_result *result, struct vhdx_err *e);

/* ---- what a guest sees of the disk beside its data --------------------- */

/* Zero-initialise: nothing is to change. */
struct vhdx_set_opts {
	const char *disk_id; /* a GUID, or "new" */
	uint32_t physical_sector_len; /* VHDX */
	bool dry_run;
	vhdx_msg_fn *msg; /* NULL allowed */
	void *msg_arg;
};

struct vhdx_set_result {
	enum vhdx_format format;
	bool changed; /* or, in a dry run, would be */
	uint8_t was_disk_id[16], disk_id[16];
	uint32_t was_physical_sector_len, physical_sector_len;
};

/* Changes the virtual disk's own id (VHDX: what SCSI page 83 shows; VHD: the
 * unique id) or the physical sector size that it reports. With either the image
 * becomes another parent: whatever children it has do not open any more. Who
 * calls has seen that there are none (vhdx_scan). result may be NULL. */
int vhdx_set(const char *path, const struct vhdx_set_opts *opts,
	     struct vhdx_set_result *result, struct vhdx_err *e);

/* ---- compacting ------------------------------------------------------ */

/* Ranges of a disk; opaque. */
struct vhdx_unused;

/* Adds bytes of the disk that nothing in it uses; in any order, they may
 * overlap. RANGE if they are not on the disk. */
int vhdx_unused_add(struct vhdx_unused *to, uint64_t voff, uint64_t len,
		    struct vhdx_err *e);

struct vhdx_compact_opts {
	bool dry_run; /* look only: opened shared, not a byte changes */
	struct vhdx_progress progress;
	vhdx_msg_fn *msg;
	void *msg_arg;
	/* Drop also what nothing in the disk uses. Called once, before anything
	 * changes, with the disk open through its whole chain; tells what is
	 * unused. What a guest would read there becomes zeros, so children of
	 * this image are cut off if anything is dropped that held data. */
	int (*unused)(void *arg, struct vhdx_blk *disk, struct vhdx_unused *to,
		      struct vhdx_err *e);
	void *unused_arg;
	const char *const *search; /* with `unused`: folders to look for
				      parents in */
	unsigned search_cnt;
};

/* Lengths in bytes, counts in blocks. */
struct vhdx_compact_result {
	enum vhdx_format format;
	uint64_t size_len;   /* of the virtual disk */
	uint32_t block_len;
	uint64_t file_len, file_len_after;
	uint64_t host_len, host_len_after; /* after: UINT64_MAX in a dry run */
	uint64_t block_cnt;  /* had space in the file, before */
	uint64_t zero_cnt;   /* dropped: all zeros, or all the parent's */
	uint64_t anchor_cnt; /* dropped: discarded, but still with space */
	uint64_t unused_cnt; /* dropped: unused, and not zeros */
	uint64_t bitmap_cnt; /* sector bitmaps dropped, 1 MiB each */
	uint64_t moved_len;  /* copied to a lower place */
	uint64_t hole_len;   /* still free below the end of the file */
	char held_by[200];   /* what keeps the file from being shorter; "" */
};

/* Gives space back that the image does not need: drops blocks that hold
 * nothing but zeros, moves the others down into the holes, cuts the file. What
 * a reader of the disk sees stays, and with it the identity its children name
 * (but see `unused`). A differencing image is compacted alone: its parents are
 * not opened (but see `unused`). UNSUPPORTED for fixed images and raw files.
 * NOSPC: the host was full; what could be dropped is. result may be NULL. */
int vhdx_compact(const char *path, const struct vhdx_compact_opts *opts,
		 struct vhdx_compact_result *result, struct vhdx_err *e);

/* ---- another size ---------------------------------------------------- */

/* What says where the disk's partitions are. */
enum vhdx_table {
	VHDX_TABLE_NONE, /* nothing that is known here */
	VHDX_TABLE_MBR,
	VHDX_TABLE_GPT,
	VHDX_TABLE_DAMAGED, /* there is, or was, one */
};

/* Zero-initialise. */
struct vhdx_resize_opts {
	bool shrink;  /* to become smaller is meant */
	bool force;   /* cut off whatever is there */
	bool dry_run; /* look only: opened shared, not a byte changes */
	struct vhdx_progress progress; /* of looking for data */
	vhdx_msg_fn *msg;
	void *msg_arg;
	const char *const *search; /* folders to look for parents in */
	unsigned search_cnt;
};

/* Lengths in bytes. */
struct vhdx_resize_result {
	enum vhdx_format format;
	enum vhdx_type type;
	uint64_t old_len, new_len; /* of the disk */
	uint64_t file_len, file_len_after; /* after: as before in a dry run */
	uint64_t need_len; /* the host must have free for it */
	enum vhdx_table table;
	uint64_t parts_end_len; /* where the last partition ends */
	/* The smallest size that cuts nothing off: behind the last partition
	 * (and a GPT's backup behind that); without a table, and with `shrink`
	 * only, behind the last data. */
	uint64_t min_len;
};

/* Gives the disk another size. What becomes visible reads as zeros. The
 * partition table is not changed: a GPT's backup, which belongs at the end of
 * the disk, is to be moved there by a partitioning tool. Smaller only with
 * `shrink`, and only VHDX and raw; RANGE, with nothing changed, if that would
 * cut into a partition, or (without a partition table) into data, or if the
 * table cannot be read, unless forced. NOSPC names the shortfall.
 * The identity of a VHDX image changes, so that its children do not open any
 * more: who calls has seen that there are none (vhdx_scan). result may be NULL;
 * it tells of the tables also after RANGE. */
int vhdx_resize(const char *path, uint64_t size_len,
		const struct vhdx_resize_opts *opts,
		struct vhdx_resize_result *result, struct vhdx_err *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
