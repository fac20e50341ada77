/* SPDX-License-Identifier: MIT */
/*
 * Changing what a guest sees of a disk beside its data. Says nothing about
 * children: who calls has looked for them.
 */
#ifndef DISK_SET_H
#define DISK_SET_H

#include "chain.h"
#include "vhdx_edit.h"

/* vhdx_set() over any files. Blocking. result is filled on success. */
int set_image(const struct opener *o, struct loop *l, const char *path,
	      const struct vhdx_set_opts *opts, struct vhdx_set_result *result,
	      struct vhdx_err *e) must_check;

#endif
