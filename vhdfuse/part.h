/* SPDX-License-Identifier: MIT */
/*
 * The partitions of the disk become files. Looked for when mounting, and when
 * a name is asked for after somebody has written where a table may be.
 */
#ifndef PART_H
#define PART_H

#include "mnt.h"

/* Blocking, for some small reads: not from a completion. A table that makes no
 * sense has no files. */
void part_scan(struct mnt *m);

/* The same if a table may have changed. */
void part_refresh(struct mnt *m);

/* [ { name, number, offset, length } ] */
json_t *part_report(const struct mnt *m);

#endif
