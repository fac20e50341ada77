/* SPDX-License-Identifier: MIT */
/*
 * The files of the mount: a folder with `disk`, `info.json` and partitions, or
 * the disk alone as the root. A file is a range of the virtual disk. A
 * partition that is gone from the table stays a node as long as the kernel
 * remembers it or somebody has it open, and keeps showing what it showed.
 */
#ifndef TREE_H
#define TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum node_kind {
	NODE_DIR,
	NODE_DISK,
	NODE_INFO,
	NODE_PART,
};

struct node {
	struct node *next;
	uint64_t ino;
	enum node_kind kind;
	char name[16];
	unsigned part_nr;
	uint64_t off, len;	 /* in the disk, bytes; INFO: len only */
	struct timespec changed;
	uint64_t lookups;	 /* the kernel's */
	unsigned opens;
	unsigned cached_opens;	 /* through the page cache */
	bool gone;		 /* not in the table any more */
	/* Overlapping data was written through another file while this one was
	 * not open: what the kernel may have cached of it is old. */
	bool stale;
	/* inval.c's, under its lock; what inval_wanted is false for is not
	 * known there. */
	atomic_bool inval_wanted;
	uint64_t inval_off, inval_end;
	struct node *inval_next;
};

struct tree {
	struct node *first; /* the root */
	struct node *disk;
	struct node *info; /* NULL: the disk is the root */
	uint64_t next_ino;
};

#define TREE_ROOT_INO 1u

/* False: out of memory. */
bool tree_init(struct tree *t, uint64_t disk_len, bool disk_only);
void tree_free(struct tree *t);

struct node *tree_by_ino(const struct tree *t, uint64_t ino);
struct node *tree_by_name(const struct tree *t, const char *name);

/* Between these two, what is not named is gone afterwards. A partition that was
 * there with the same number, place and length stays the same node. */
void tree_parts_begin(struct tree *t);
bool tree_part(struct tree *t, unsigned nr, uint64_t off, uint64_t len);
void tree_parts_end(struct tree *t);

/* Call whenever lookups or opens went down: frees what is gone for good. */
void tree_release(struct tree *t, struct node *n);

#endif
