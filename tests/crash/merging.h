/* SPDX-License-Identifier: MIT */
/* What a merge is to make of a set of disks, whoever carries it out. */
#ifndef MERGING_H
#define MERGING_H

#include "disks.h"

/* The n-th ancestor of disk i; n = 0: itself. -1: there is none. */
int merging_layer(const struct disks *ds, int i, unsigned n);

/* Has a layer from the first below disk i to the n-th another child? */
bool merging_breaks(const struct disks *ds, int i, unsigned n);

/* Merges disk i into its n-th ancestor, in the model: the ancestor shows what i
 * shows, the children of i are on it, and i and what was in between are gone;
 * keep: only what was in between. */
void merging_model(struct disks *ds, int i, unsigned n, bool keep);

/* The merge itself. Children are looked for among all files there are. */
int merging_run(const struct opener *o, struct loop *l, const char *child,
		const char *into, unsigned depth, bool keep,
		struct vhdx_err *e);

#endif
