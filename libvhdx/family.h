/* SPDX-License-Identifier: MIT */
/*
 * Who is whose parent, in a set of image files: the scan behind vhdx_chain.h.
 * Whoever asks for the children of an image asks here, because the answer goes
 * by identity: a name proves nothing.
 *
 * One image is open at any time, alone and read-only; what is kept of each is
 * what vhdx_found shows, so the memory is bounded by the number of files.
 * Nothing is changed, and nothing is locked.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "chain.h"
#include "vhdx_chain.h"

/* What a folder holds, or what a path leads to. */
struct family_entry {
	const char *name; /* without the folder; valid during the call */
	bool folder;	  /* a real one, no symbolic link to one */
	bool link;	  /* reached through a symbolic link */
	uint64_t dev, ino; /* together: which file it is */
	uint64_t len;	  /* bytes */
};

/* The host's folders; tests have their own. */
struct family_host {
	/* Calls fn for each subfolder and each file of the folder that may be
	 * an image, in any order. fn returns false to end it early: 0. */
	int (*list)(const struct family_host *h, const char *folder,
		    bool (*fn)(void *arg, const struct family_entry *en),
		    void *arg, struct vhdx_err *e);
	/* False: nothing that may be an image. name is not set. */
	bool (*look)(const struct family_host *h, const char *path,
		     struct family_entry *out);
};

extern const struct family_host family_host_default;

struct family_opts {
	const struct family_host *host; /* NULL: the default */
	chain_image_fn *image_open;	/* NULL: image_open() */
	const struct vhdx_scan_opts *scan;
};

/* vhdx_scan() over any files. The forest borrows fo->host. */
int family_scan(const struct opener *o, struct loop *l,
		const struct family_opts *fo, struct vhdx_forest **out,
		struct vhdx_err *e) must_check;

/* ---- for family_*.c only ------------------------------------------------ */

/* What is known of an image beyond its struct vhdx_found. */
struct family_own {
	uint64_t dev, ino;
	bool there; /* dev and ino are known */
	bool link;  /* found through a symbolic link */
	bool named; /* its name says that it is an image */
	struct parent_ref *ref; /* owned; NULL: no child */
};

struct family {
	struct vhdx_forest pub;
	const struct family_host *host;
	struct vhdx_found *found; /* pub.images */
	struct family_own *own;	  /* as many */
	size_t cap;
	struct vhdx_leftover *left; /* pub.leftovers */
	size_t left_cap;
	size_t *hash; /* by dev and ino: index + 1; 0: free */
	size_t hash_len; /* a power of two; 0: none yet */
};

static inline struct family *family_of(const struct vhdx_forest *f)
{
	return container_of(f, struct family, pub);
}

/* family_set.c: the set of files, each counted once. */

/* A new member, or the one that is that file already. Its path is copied.
 * en NULL: nobody knows which file it is. */
int family_add(struct family *f, const char *path,
	       const struct family_entry *en, size_t *out,
	       struct vhdx_err *e) must_check;
size_t family_find_file(const struct family *f, const struct family_entry *en);

/* path is copied. */
int family_add_leftover(struct family *f, enum vhdx_leftover_kind kind,
			const char *path, bool busy,
			struct vhdx_err *e) must_check;

/* family_link.c: parents, copies and circles, once all are known. */
int family_link(struct family *f, struct vhdx_err *e) must_check;

#endif
