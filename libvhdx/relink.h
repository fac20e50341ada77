/* SPDX-License-Identifier: MIT */
/*
 * Telling a child where its parent is. Nothing is recorded before the parent
 * has been proved to be one: by identity, by a chain that opens, by not leading
 * back to the child. The proof stands while the child changes: the parents stay
 * open, and locked, until it is done.
 */
#ifndef RELINK_H
#define RELINK_H

#include "chain.h"
#include "vhdx_edit.h"

/* vhdx_set_parent() over any files. Blocking. result is filled on success. */
int set_parent_image(const struct opener *o, struct loop *l, const char *child,
		     const char *parent,
		     const struct vhdx_set_parent_opts *opts,
		     struct vhdx_set_parent_result *result,
		     struct vhdx_err *e) must_check;

/* Blocking. Whether a merge of the child waits to be finished; fills in the
 * path of its journal. One that cannot be read counts. */
bool relink_merge_pending(const struct opener *o, struct loop *l,
			  const char *child, char *journal, size_t cap);

#endif
