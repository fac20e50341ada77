/* SPDX-License-Identifier: MIT */
/*
 * An ordered chain of images: the leaf, its parent, and so on to the base. Only
 * the leaf may be writable; parents are opened read-only and locked shared.
 * Every parent's identity is checked against what its child names; a chain that
 * cannot be resolved or proved is not opened.
 */
#ifndef CHAIN_H
#define CHAIN_H

#include "image.h"

#define CHAIN_MAX VHDX_LAYERS_MAX

struct chain {
	unsigned cnt;
	struct image *layers[CHAIN_MAX]; /* owned; 0 is the leaf */
	/* What led to layer i: the key of the path that its child records, or
	 * LOCATOR_BY_*. Static strings. */
	const char *why[CHAIN_MAX];
};

typedef int chain_image_fn(struct file *f, enum vhdx_format format,
			   const struct image_open_opts *o, struct image **out,
			   struct vhdx_err *e);

struct chain_opts {
	unsigned flags; /* VHDX_OPEN_*, of the leaf */
	enum vhdx_format format; /* of the leaf */
	const char *const *search; /* folders to look for parents in */
	unsigned search_cnt;
	vhdx_msg_fn *msg;
	void *msg_arg;
	chain_image_fn *image_open; /* NULL: image_open(); tests have others */
	/* NULL, or filled on failure: the file that should have been a parent,
	 * by its place, and could not be opened. "": there was none. */
	char *unopened;
	size_t unopened_cap;
};

/* Blocking. NOPARENT (with every path tried), LINKAGE (id expected and found),
 * UNSUPPORTED (deeper than CHAIN_MAX, sector sizes differ), CORRUPT (a cycle),
 * or what opening a layer gave; a parent's with the paths of both. Where
 * several candidates failed in several ways the first one's error counts. */
int chain_open(const struct opener *o, struct loop *loop, const char *path,
	       const struct chain_opts *opts, struct chain **out,
	       struct vhdx_err *e) must_check;

/* A chain of the one image, which it takes over on success. */
int chain_of(struct image *img, struct chain **out,
	     struct vhdx_err *e) must_check;

/* The block device over a chain; takes over the chain on success. loop is
 * borrowed unless own_loop. */
int blk_new_chain(struct chain *chain, struct loop *loop, bool own_loop,
		  struct vhdx_blk **out, struct vhdx_err *e) must_check;

/* parent is what img, a child, names. */
bool chain_is_parent(const struct image *img, const struct image *parent);

/* What it means that a file in img's parent's place has another id. */
const char *chain_other_text(const struct image *img);

/* Two paths of one file, as far as the host can tell. */
bool chain_same_file(const char *a, const char *b);

/* An id as its format writes it; the ids that img's parent may have, "A" or
 * "A or B". Both return out. */
#define CHAIN_LINKAGE_LEN (2 * GUID_TEXT_LEN + 8)
const char *chain_id_text(const struct image *img, const struct guid *id,
			  char out[GUID_TEXT_LEN]);
const char *chain_linkage_text(const struct image *img,
			       char out[CHAIN_LINKAGE_LEN]);

/* Blocking. Leaf first. Frees the chain always; the first error is returned. */
int chain_close(struct chain *c, struct vhdx_err *e); /* NULL allowed */

#endif
