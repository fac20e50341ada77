/* SPDX-License-Identifier: MIT */
/*
 * Merging a child into an ancestor, offline. merge.c has the order of its steps
 * and why a kill between any two of them loses nothing. Everything goes through
 * the opener, so that the tests run it on simulated disks.
 */
#ifndef MERGE_H
#define MERGE_H

#include "chain.h"
#include "merge_journal.h"
#include "vhdx_chain.h"

struct family_host;

/* vhdx_merge() over any files. Children are looked for among opts->children; if
 * that is NULL in the folders of the merged files, on `host` (family.h). */
int merge_chain_on(const struct opener *o, const struct family_host *host,
		   struct loop *l, const char *child,
		   const struct vhdx_merge_opts *opts,
		   struct vhdx_merge_result *result,
		   struct vhdx_err *e) must_check;

/* The same without folders: opts->children are all there are. */
int merge_chain(const struct opener *o, struct loop *l, const char *child,
		const struct vhdx_merge_opts *opts,
		struct vhdx_merge_result *result,
		struct vhdx_err *e) must_check;

/* ---- for merge*.c only -------------------------------------------------- */

struct merge {
	const struct opener *opener;
	struct loop *loop;
	const struct family_host *host; /* NULL: no folder is looked into */
	const struct vhdx_merge_opts *opts;
	struct vhdx_merge_result *result;
	const char *child;    /* the file, not a symbolic link to it */
	char *journal_path;   /* owned */
	bool has_journal;     /* it is on the disk */
	bool foreign;	      /* others may have written it */
	bool copying;	      /* the target may hold some of it */
	struct merge_journal j;
	/* The layers that are merged, from the child down: found again under
	 * these paths with these identities, or the merge ends. */
	struct merge_names layers;
	enum vhdx_format format;
	struct guid target_id; /* now */
	uint64_t size_len;     /* the child's */
	uint64_t parent_len;   /* the target's parent's size; 0: a base */
};

/* merge_plan.c: opens and proves the whole chain, finds all that the merge has
 * to do with, reports it, and refuses what cannot be done; fills m->j and
 * m->layers. Changes nothing. */
int merge_plan(struct merge *m, struct vhdx_err *e) must_check;

/* merge_kin.c: sorts the given children; the journal's grandchildren get those
 * that are not in it yet. final: only children of the merged child count. */
int merge_kin(struct merge *m, bool final, struct vhdx_err *e) must_check;

/* merge_other.c: refuses where another merge that was cut off, the one whose
 * journal is at path, or one of any of the files that this merge has to do
 * with, needs one of these files as it is. */
int merge_check_other(const struct merge *m, const char *path,
		      struct vhdx_err *e) must_check;
int merge_check_others(const struct merge *m, struct vhdx_err *e) must_check;

/* M8: refuses a journal of another child, and what a foreign one names where
 * its folder does not say so. */
int merge_check_own(const struct merge *m, struct vhdx_err *e) must_check;

/* merge_copy.c: blocking; into dst, all that src holds itself (no extent is the
 * PARENT's) below size_len. Nothing is flushed. dst is a writable VHDX or VHD
 * image. */
int merge_copy(struct merge *m, struct vhdx_blk *src, struct vhdx_blk *dst,
	       bool unmaps, struct vhdx_err *e) must_check;

/* merge_link.c */

/* Opens one image alone. write: exclusively. id NULL, or who it has to be. */
int merge_open(const struct merge *m, const char *path, bool write,
	       const struct guid *id, struct image **out,
	       struct vhdx_err *e) must_check;

/* Makes the image n, if that is what its path leads to, name the parent;
 * nothing is written where it does so already (set_parent). */
int merge_relink(const struct merge *m, const struct merge_name *n,
		 const struct parent_edit *edit, struct vhdx_err *e) must_check;

/* M6 and M7: all but the journal's removal. */
int merge_links(struct merge *m, struct vhdx_err *e) must_check;

/* merge.c */

/* Of the child at `child`; NOTFOUND: there is none. */
int merge_get_journal(const struct merge *m, const char *child,
		      const char *journal_path, struct merge_journal *out,
		      bool *foreign, struct vhdx_err *e) must_check;
int merge_put_journal(struct merge *m, struct vhdx_err *e) must_check;

bool merge_names_id(const struct parent_ref *ref, const struct guid *id);

#endif
