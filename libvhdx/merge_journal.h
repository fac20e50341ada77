/* SPDX-License-Identifier: MIT */
/*
 * The journal of a merge: a small text file beside the merged child, with which
 * a merge that was cut off is finished. docs/merge.md describes the format.
 * Pure codec; total on hostile bytes: what is not exactly a journal of this
 * version is refused, and a last line with a checksum tells a torn one.
 *
 * It proves nothing by itself: whoever reads one must find, under each path,
 * the identity that it names before he touches the file.
 */
#ifndef MERGE_JOURNAL_H
#define MERGE_JOURNAL_H

#include "guid.h"

#define MERGE_JOURNAL_SUFFIX ".merge"
#define MERGE_JOURNAL_MAX (512 * KIB)
#define MERGE_NAMES_MAX 1024u
#define MERGE_PATH_MAX 4096u

enum merge_phase {
	MERGE_COPY, /* the child still overlays the target */
	MERGE_LINK, /* the target holds all: links and names move to it */
};

/* A file and who it is. */
struct merge_name {
	struct guid id;
	char *path; /* owned */
};

struct merge_names {
	unsigned cnt, cap;
	struct merge_name *v; /* owned */
};

struct merge_journal {
	enum merge_phase phase;
	bool keep;		/* no file is removed */
	struct guid new_id;	/* the target's, COPY: once it is changed */
	struct merge_name child;
	struct merge_name target; /* its id: before the merge */
	struct merge_names layers; /* between the two, from the child down */
	struct merge_names grands; /* children of the child */
};

void merge_journal_free(struct merge_journal *j); /* leaves it empty */

void merge_names_free(struct merge_names *n);

/* path is copied. NOMEM; RANGE: more than MERGE_NAMES_MAX. */
int merge_names_add(struct merge_names *n, const char *path,
		    const struct guid *id, struct vhdx_err *e) must_check;
int merge_name_set(struct merge_name *n, const char *path,
		   const struct guid *id, struct vhdx_err *e) must_check;

/* *text is to be given to mem_free(). Paths that begin with `folder` ("DIR/",
 * or "" for the current one) are written without it, so that the files may be
 * moved together; all others should be absolute. */
int merge_journal_encode(const struct merge_journal *j, const char *folder,
			 char **text, size_t *len,
			 struct vhdx_err *e) must_check;

/* The reverse. CORRUPT names the line; UNSUPPORTED: of another version. */
int merge_journal_decode(const char *text, size_t len, const char *folder,
			 struct merge_journal *out,
			 struct vhdx_err *e) must_check;

#endif
