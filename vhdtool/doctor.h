/* SPDX-License-Identifier: MIT */
/*
 * What `doctor` knows of the images in some folders: the library's forest, the
 * health of each image, and a list of what is wrong with the command that mends
 * it. Finding changes nothing; doctor_mend.c alone does, and only what needs no
 * guessing.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <jansson.h>

#include "opt.h"
#include "vhdx_chain.h"

#define DOCTOR_PATHS_MAX 64u

struct doctor_args {
	bool json;
	bool apply;
	bool recursive;
	struct opt_list search;
	/* What was asked for. */
	const char *const *folders;
	unsigned folder_cnt;
	const char *const *files;
	unsigned file_cnt;
};

/* An image of the forest, in the tree as it is drawn. */
struct doctor_node {
	bool shown;   /* it, or one of its tree, is in what was asked for */
	bool broken;  /* it cannot be opened with its parents */
	bool copies_told; /* of the first with its id: the group is listed */
	int check_code; /* VHDX_E_*: check had to give up */
	uint64_t errors, repairable;
	size_t parent, child, next; /* VHDX_NO_IMAGE: there is none */
};

/* What --apply does about a problem, to files in what was asked for. */
enum doctor_mend {
	MEND_NOTHING, /* it would be a guess, or is elsewhere */
	MEND_REPLAY,
	MEND_MERGE,
	MEND_PATH,
};

struct doctor_problem {
	enum vhdx_severity severity;
	const char *kind; /* one word, for programs */
	const char *path; /* borrowed from the forest */
	char *text;
	char *command;	  /* NULL: there is none */
	enum doctor_mend mend;
	size_t image, parent; /* for MEND_*; VHDX_NO_IMAGE */
};

/* A merge that could be done. */
struct doctor_merge {
	size_t child, target;
	unsigned depth;
	uint64_t frees_len, needs_len, lacks_len; /* bytes on the host */
	char *command;
};

struct doctor {
	const struct doctor_args *args;
	struct vhdx_forest *forest;
	struct vhdx_forest *asked; /* without the search folders; or NULL */
	struct doctor_node *nodes;
	struct doctor_problem *problems;
	size_t problem_cnt, problem_cap;
	uint64_t errors, warnings;
	struct doctor_merge *merges;
	size_t merge_cnt;
	bool no_memory;
};

/* Scans, and lists the problems; with `deep` each image is examined as by
 * check. Returns an exit status that is not about the images: after an error
 * was reported, doctor_free() is due all the same. */
int doctor_find(struct doctor *d, const struct doctor_args *args, bool deep);
void doctor_free(struct doctor *d);

/* Whether the image's merge was begun and not finished. */
bool doctor_has_journal(const struct doctor *d, const char *path);

/* After a deep doctor_find(): the merges of leaves that break no other image.
 * Each is computed as `merge --dry-run` does. */
int doctor_find_merges(struct doctor *d);

/* The next node of a walk that shows every tree, a parent before its children;
 * VHDX_NO_IMAGE first and after the last. *depth: 0 is a root. */
size_t doctor_next(const struct doctor *d, size_t at, unsigned *depth);

/* Mends what is safe; tells about each step on stdout, or in `done`. */
int doctor_mend(const struct doctor_args *args, json_t *done);

void doctor_print(const struct doctor *d);
int doctor_print_json(const struct doctor *d, json_t *done);

#endif
