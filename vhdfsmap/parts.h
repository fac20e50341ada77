/* SPDX-License-Identifier: MIT */
#ifndef PARTS_H
#define PARTS_H

#include "disk.h"

enum table { TABLE_NONE, TABLE_MBR, TABLE_GPT, TABLE_BAD };

/* The partitions of the disk, in ascending order, none of which overlaps
 * another. BAD: there is a table, but not one to be relied upon; *why says why
 * (static string). */
enum table parts_find(struct part *parts, unsigned max, unsigned *cnt,
		      const char **why);

#endif
