/* SPDX-License-Identifier: MIT */
/* One file system per function: tells what is unused in p, or why nothing is
 * said, and always a verdict. True: it is in order, and so not in use. */
#ifndef FS_H
#define FS_H

#include "disk.h"

bool fs_ext(struct part *p);
bool fs_ntfs(struct part *p);

/* idle: what else is on the disk says that the swap is not in use. */
void fs_swap(struct part *p, bool idle);

/* What is in p, as the blkid library names it ("ext4", "LVM2_member"); "" if
 * nothing is known there, NULL if several things are, or it cannot be read.
 * fd is scratch space. */
const char *fs_probe(struct part *p, int fd);

/* Looks like NTFS by its first sector. */
bool fs_has_ntfs(struct part *p);

#endif
