/* SPDX-License-Identifier: MIT */
/*
 * Which partitions of the disk may be looked into. The table itself is read by
 * the library's parttab; here is what it must be for something to be dropped: a
 * table that is not in order in every respect leaves the disk alone.
 */
#ifndef PARTS_H
#define PARTS_H

#include "disk.h"

enum table { TABLE_NONE, TABLE_GOOD, TABLE_BAD };

/* The partitions of the disk, in ascending order, none of which overlaps
 * another. BAD: there is a table, but not one to be relied upon; *why says why
 * (static string). */
enum table parts_find(struct part *parts, unsigned max, unsigned *cnt,
		      const char **why);

#endif
