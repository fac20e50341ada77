/* SPDX-License-Identifier: MIT */
/*
 * One image file as the block layer sees it: a map from virtual ranges to
 * ranges of host files, plus a flush. The image never moves payload; the
 * caller (blk.c) does, between map_write and end_write.
 *
 * Every call marked [async] returns true if it is finished on return (the
 * result is in the struct) or false if m->done will run later, on the loop.
 * No call recurses into done. A call may shorten m->len: the caller carries on
 * from there.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include "file.h"
#include "guid.h"
#include "unused.h"
#include "vhdx_edit.h"

enum map_kind {
	MAP_DATA,     /* file, file_off */
	MAP_ZERO,     /* reads as zeros */
	MAP_UNMAPPED, /* discarded or never written: reads as zeros */
	MAP_PARENT,   /* ask the next layer; none: reads as zeros */
};

struct image_map {
	struct list node;	/* the image's, while pending */
	struct image *img;	/* set by the caller */
	uint64_t voff, len;	/* bytes; len is shortened to the extent */
	enum map_kind kind;
	struct file *file;	/* DATA */
	uint64_t file_off;	/* DATA */
	void *claim;		/* map_write -> end_write */
	uint64_t priv[20];	/* the image's: while pending, and from
				 * map_write to end_write */
	int res;
	struct vhdx_err err;
	void (*done)(struct image_map *m);
};

struct image_flush {
	struct list node;
	uint64_t payload_ticket, meta_ticket; /* the image's */
	int res;
	struct vhdx_err err;
	void (*done)(struct image_flush *fl);
	void *opaque; /* the submitter's */
};

struct parent_edit;
struct disk_edit;

/* What compact() is to do. */
struct compact {
	bool dry_run; /* the image may be read-only, and nothing changes */
	const struct vhdx_unused *unused; /* NULL: nothing is known */
	struct vhdx_progress progress;
	struct vhdx_compact_result *result; /* zeroed; lengths of the whole
					       file are up to the caller */
};

struct image_ops {
	/* [async] What is at voff. Never allocates. */
	bool (*map_read)(struct image *img, struct image_map *m);

	/* The rest is for writable images only. */

	/* [async] Makes room for a write at voff: kind is DATA on success. The
	 * claim holds the block until end_write. Between the two the caller
	 * writes the payload. */
	bool (*map_write)(struct image *img, struct image_map *m);

	/* [async] The payload of m's claim is written (ok) or failed: makes a
	 * new block visible, or gives it back. Always ends the claim. */
	bool (*end_write)(struct image *img, struct image_map *m, bool ok);

	/* [async] Discard (zeroes = false) or write-zeroes. The caller holds
	 * the range exclusively. On return kind DATA: this range stays mapped
	 * and the caller is to FILE_ZERO (or for a discard FILE_PUNCH) it
	 * itself, then call end_write; else nothing is left to do. */
	bool (*unmap)(struct image *img, struct image_map *m, bool zeroes);

	/* Everything whose end_write is done becomes durable; fl->done runs
	 * later, never inside the call. */
	void (*flush)(struct image *img, struct image_flush *fl);

	/* Blocking; nothing is in flight. Clean close; frees img always. */
	int (*close)(struct image *img, struct vhdx_err *e);

	/* Changing the image as a whole. Blocking; the image is writable and
	 * nothing is in flight; durable when 0 is returned. After an error or a
	 * power failure the image is as before or as asked, nothing between.
	 * NULL: this format, or type, has no such thing. */

	/* Both ways; whoever calls has settled that what is cut off may go, and
	 * what is added reads as zeros. */
	int (*resize)(struct image *img, uint64_t size_len, struct vhdx_err *e);
	/* Another parent, or other words for the same one. The content that is
	 * this file's own stays, and so does its identity. */
	int (*set_parent)(struct image *img, const struct parent_edit *p,
			  struct vhdx_err *e);
	/* Takes from `from`, of the same format, what belongs to the virtual
	 * disk and not to a file (VHDX: the items marked IsVirtualDisk), but
	 * not its size. */
	int (*adopt)(struct image *img, struct image *from, struct vhdx_err *e);
	/* Drops what is not needed and moves blocks down; the file is cut when
	 * it is closed, and that is all that is left to be done with it. Stops
	 * anywhere: what is done so far stays. result->file_len_after is what
	 * the file is going to have. */
	int (*compact)(struct image *img, const struct compact *c,
		       struct vhdx_err *e);
	/* What a guest sees of the disk beside its data; the values are fit
	 * for it. What is so already is no change. */
	int (*set)(struct image *img, const struct disk_edit *d,
		   struct vhdx_err *e);
};

struct disk_edit {
	struct guid disk_id; /* as the format stores it; zero: stays */
	uint32_t physical_sector_len; /* 0: stays */
};

/* What set_parent() is to record. */
struct parent_edit {
	struct guid linkage;  /* the parent's identity */
	struct guid linkage2; /* zero: there is no second one. VHD has none */
	const char *path;     /* the parent's host path; NULL: paths stay */
};

/* What a differencing image says about its parent. Owned by the image. */
struct parent_ref {
	struct guid linkage[2]; /* identities that are accepted */
	unsigned linkage_cnt;
	/* When the parent's file was last changed, as recorded, in Unix time;
	 * 0: nothing is (VHDX). Copies have other times: it proves nothing. */
	int64_t mtime;
	/* Where it may be, best first: UTF-8, as the file has it ("..\\a.vhdx",
	 * "\\\\?\\C:\\a.vhdx"), and which key said so (static string). */
	unsigned path_cnt;
	struct {
		const char *key;
		char *text; /* owned */
	} paths[8];
};

void parent_ref_free(struct parent_ref *r); /* NULL allowed */

struct image {
	const struct image_ops *ops;
	struct file *file;
	uint64_t size_len;
	uint32_t sector_len;
	uint32_t physical_sector_len;
	uint32_t block_len; /* 0: no allocation unit */
	bool writable;
	/* What a child must name: VHDX DataWriteGuid, VHD unique id. */
	struct guid identity;
	/* The identity that the first change of this session gives it (VHDX:
	 * DataWriteGuid); zero: a new random one. Set after opening by whoever
	 * has told the children already. */
	struct guid next_identity;
	struct parent_ref *parent; /* owned; NULL: a base image */
	/* A child: how far its parent can be seen through it, that is the
	 * parent's size. For resize(), set after opening by whoever knows; 0:
	 * nobody does, and it counts as large enough. */
	uint64_t parent_len;
	struct vhdx_info info;
};

/* INVAL, with what is allowed, if no disk of img's format and sector size can
 * be of this size. */
int image_verify_size(const struct image *img, uint64_t size_len,
		      struct vhdx_err *e) must_check;

struct image_open_opts {
	unsigned flags; /* VHDX_OPEN_* */
	vhdx_msg_fn *msg;
	void *msg_arg;
};

/* Blocking. Take over f on success only. */
int vhdx_image_open(struct file *f, const struct image_open_opts *o,
		    struct image **out, struct vhdx_err *e) must_check;
int vhd1_image_open(struct file *f, const struct image_open_opts *o,
		    struct image **out, struct vhdx_err *e) must_check;
int raw_image_open(struct file *f, const struct image_open_opts *o,
		   struct image **out, struct vhdx_err *e) must_check;

/* Blocking. Write an empty image into the empty file f and sync it. opts is
 * complete (no zeros left to default). */
int vhdx_image_create(struct file *f, const struct vhdx_create_opts *opts,
		      struct vhdx_err *e) must_check;
/* The same for a child, which will have the name `path`, of an open image of
 * the same format that was found at opts->parent. */
int vhdx_image_create_child(struct file *f, const char *path,
			    const struct vhdx_create_opts *opts,
			    struct image *parent,
			    struct vhdx_err *e) must_check;
int vhd1_image_create(struct file *f, const struct vhdx_create_opts *opts,
		      struct vhdx_err *e) must_check;
int vhd1_image_create_child(struct file *f, const char *path,
			    const struct vhdx_create_opts *opts,
			    struct image *parent,
			    struct vhdx_err *e) must_check;
int raw_image_create(struct file *f, const struct vhdx_create_opts *opts,
		     struct vhdx_err *e) must_check;

/* Blocking. By content: VHDX identifier, VHD cookie at the end (512 or 511
 * bytes) or at 0, else raw. */
int image_probe(struct file *f, enum vhdx_format *out,
		struct vhdx_err *e) must_check;

/* Blocking. Opens f as `format` (PROBE: by content). */
int image_open(struct file *f, enum vhdx_format format,
	       const struct image_open_opts *o, struct image **out,
	       struct vhdx_err *e) must_check;

/* The block device over one image (chain.h: over several); takes over img on
 * success. loop is borrowed unless own_loop. */
int blk_new(struct image *img, struct loop *loop, bool own_loop,
	    struct vhdx_blk **out, struct vhdx_err *e) must_check;

/* ---- checking (vhdx_check.c, vhd1_check.c) ----------------------------- */

struct check {
	struct file *file;
	bool repair;  /* file is writable, mend */
	bool dry_run; /* say what would be mended */
	bool in_chain; /* so are its parents */
	vhdx_finding_fn *fn;
	void *arg;
	struct vhdx_check_result *result;
	/* Findings so far that nothing can mend (check.c). */
	uint64_t stuck_errors, stuck_warnings;
};

/* Internal, with VHDX_CHECK_*: the parents are checked as well, as layers of
 * their own. */
#define CHECK_IN_CHAIN (1u << 31)

/* Blocking. vhdx_check() over any files. */
int image_check(const struct opener *o, struct loop *l, const char *path,
		unsigned flags, vhdx_finding_fn *fn, void *arg,
		struct vhdx_check_result *result,
		struct vhdx_err *e) must_check;

int vhdx_image_check(struct check *c, struct vhdx_err *e) must_check;
int vhd1_image_check(struct check *c, struct vhdx_err *e) must_check;

#endif
