/* SPDX-License-Identifier: MIT */
/*
 * Who has a file locked, as far as /proc tells. An answer is good for a message
 * only: it may be out of date when it is read, and processes of other users
 * are invisible to an ordinary one.
 */
#ifndef LOCKINFO_H
#define LOCKINFO_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base.h"

struct lock_holder {
	pid_t pid;
	char command[32]; /* printable; "?" if unknown */
	unsigned others;  /* further processes that have it locked */
};

/* False: none found. */
bool lockinfo_find(const struct stat *file, struct lock_holder *out);

#endif
