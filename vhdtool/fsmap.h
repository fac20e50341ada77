/* SPDX-License-Identifier: MIT */
/*
 * What the file systems in a disk do not use, by a helper program
 * (vhdfsmap/main.c) that is shown the disk through a socket and can do nothing
 * else. What it answers comes, in the end, from whoever wrote the disk: every
 * number is checked, every text is cleaned, and its time is limited. What it
 * says of a part counts only when it has come to the end of it.
 */
#ifndef FSMAP_H
#define FSMAP_H

#include "fsmap_proto.h"
#include "vhdx_edit.h"

struct fsmap_part {
	uint64_t off, len;	   /* bytes */
	uint64_t unused_len;
	char name[FSMAP_TEXT_LEN]; /* "partition 1" */
	char text[FSMAP_TEXT_LEN]; /* "ext4, clean; ..." */
};

struct fsmap {
	unsigned cnt; /* ascending */
	struct fsmap_part parts[FSMAP_PART_MAX];
	char note[256]; /* about the disk as a whole; "" */
};

/* vhdx_compact_opts.unused; arg is a struct fsmap, zeroed. UNSUPPORTED: there
 * is no helper. A helper that fails leaves the rest of the disk alone, and a
 * note. */
int fsmap_unused(void *arg, struct vhdx_blk *disk, struct vhdx_unused *to,
		 struct vhdx_err *e);

#endif
