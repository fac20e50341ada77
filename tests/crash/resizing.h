/* SPDX-License-Identifier: MIT */
/* Resizing a disk of a set, and which sizes these tests may ask for. */
#ifndef RESIZING_H
#define RESIZING_H

#include "disks.h"

/* A fixed disk takes its space, so it stays small. */
bool resizing_can(const struct disks *ds, int i, uint64_t size_len);

int resizing_run(const struct opener *o, struct loop *l, const char *path,
		 uint64_t size_len, struct vhdx_err *e);

#endif
