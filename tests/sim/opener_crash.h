/* SPDX-License-Identifier: MIT */
/*
 * A folder of crash disks (file_crash.h), with the names in it: an opener whose
 * files, and whose names, lose power together. While a program runs it behaves
 * like opener_mem; later, all the names and contents that may exist after a
 * power failure at any instant of the common clock can be asked for.
 *
 * The laws, beside L1 to L4 of each file:
 * N1  remove() and put() are durable when they have returned 0. While they run
 *     the name may be as before or as asked.
 * N2  A name that was made by opening (OPENER_CREATE), or changed by a remove
 *     or put whose folder sync failed, may be as before or as asked until the
 *     next remove or put in the folder has succeeded. Several such are kept or
 *     lost each on its own.
 * N3  put() replaces a file as a whole: a handle on the old one, and its lock,
 *     live on, as they do after a remove().
 * N4  One writer or many readers at a time, as the host's opener has it; BUSY
 *     else. A read-only handle is written through by no one (ASSERT).
 */
#ifndef OPENER_CRASH_H
#define OPENER_CRASH_H

#include "file_crash.h"
#include "file_fault.h"

#define OPENER_CRASH_MAX 64u
#define OPENER_CRASH_PATH 64u

/* Names and contents. All zero: empty. */
struct crash_tree {
	unsigned cnt;
	struct crash_tree_file {
		char path[OPENER_CRASH_PATH];
		struct memimg img;
	} files[OPENER_CRASH_MAX];
};

/* NULL: not there. */
struct memimg *crash_tree_find(struct crash_tree *t, const char *path);
struct memimg *crash_tree_add(struct crash_tree *t, const char *path);
void crash_tree_remove(struct crash_tree *t, const char *path);
void crash_tree_clone(struct crash_tree *dst, const struct crash_tree *src);
void crash_tree_free(struct crash_tree *t);

/* Kinds of failure beside those of file_fault.h: bits of fault_rule.ops. The
 * extent DONE of a remove or put: the name has changed, its sync failed. */
#define FAULT_OPEN (1u << 16)
#define FAULT_REMOVE (1u << 17)
#define FAULT_PUT (1u << 18)
#define FAULT_GET (1u << 19)
#define FAULT_NAMES (FAULT_OPEN | FAULT_REMOVE | FAULT_PUT | FAULT_GET)

struct opener_crash {
	struct opener opener;
	struct crash_world *world;
	uint64_t free_len; /* what the opener tells; UINT64_MAX to begin with */
	bool foreign; /* whose are small files? */
	/* Counted over all files, or those called fault_path, and all opens. */
	struct fault_rule fault;
	const char *fault_path;
	uint64_t failed_cnt; /* made to fail */
	char failed_path[OPENER_CRASH_PATH]; /* the first of them */
	struct crash_names *names;
};

/* opts as for crash_world_new(); tree: what is there, durably; NULL: nothing.
 * Copied. */
void opener_crash_init(struct opener_crash *o, const struct crash_opts *opts,
		       const struct crash_tree *tree);
void opener_crash_fini(struct opener_crash *o); /* no file is open */

/* How many handles are open on all files. */
unsigned opener_crash_open_cnt(const struct opener_crash *o);

/* The names that a program sees now; how many. */
unsigned opener_crash_list(const struct opener_crash *o,
			   char names[][OPENER_CRASH_PATH]);

/* What a program sees now. */
void opener_crash_now(const struct opener_crash *o, struct crash_tree *out);

/* That becomes the durable start of a new world, without a record; the file
 * `from` (NULL: none), is called `to` there. Nothing is open. */
void opener_crash_restart(struct opener_crash *o, const char *from,
			  const char *to);

/* ---- after a power failure ---------------------------------------------- */

/* Changes of files and names that are open at instant k. */
uint64_t opener_crash_changes(struct opener_crash *o, uint64_t k);

/* A number stands for one choice of what survives: 0 nothing that need not, 1
 * everything, others chosen at random, file by file and together. */
void opener_crash_build(struct opener_crash *o, uint64_t k, uint64_t number,
			struct crash_tree *out);

/* How many states to try at k, and the number of the n-th: all subsets of whole
 * changes and some torn ones where the changes are few, else a sample. */
uint64_t opener_crash_state_cnt(struct opener_crash *o, uint64_t k,
				uint64_t max);
uint64_t opener_crash_state(struct opener_crash *o, uint64_t k, uint64_t n,
			    uint64_t *rng);

#endif
