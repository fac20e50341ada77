/* SPDX-License-Identifier: MIT */
/*
 * The partitions of the disk become files. Looked for when mounting, and when
 * a name is asked for after somebody has written where a table may be: then on
 * the side (aside.h), and who asks waits for what was written before he did.
 */
#ifndef PART_H
#define PART_H

#include "mnt.h"

/* Blocking, for some small reads: before the loop runs. A table that makes no
 * sense has no files. */
void part_scan(struct mnt *m);

/* Somebody has written where a table may be. */
void part_touch(struct mnt *m);

/* The files are those of the table as it is. */
bool part_is_current(const struct mnt *m);

/* Who wants to know; the caller's until go() is called. */
struct part_wait {
	struct part_wait *next;
	uint64_t seq;
	void (*go)(struct part_wait *w, bool ok); /* false: out of memory */
};

/* go() is called, later, once the files are those of the table as it is now. */
void part_when_current(struct mnt *m, struct part_wait *w);

/* [ { name, number, offset, length } ] */
json_t *part_report(const struct mnt *m);

#endif
