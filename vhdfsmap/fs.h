/* SPDX-License-Identifier: MIT */
/* One file system per function: tells what is unused in p, or why nothing is
 * said, and always a verdict. */
#ifndef FS_H
#define FS_H

#include "disk.h"

void fs_ext(struct part *p);
void fs_ntfs(struct part *p);
void fs_swap(struct part *p);

/* What is in p, as the blkid library names it ("ext4", "LVM2_member"); "" if
 * nothing is known there, NULL if several things are, or it cannot be read.
 * fd is scratch space. */
const char *fs_probe(struct part *p, int fd);

/* Looks like NTFS by its first sector. */
bool fs_has_ntfs(struct part *p);

#endif
