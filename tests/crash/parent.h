/* SPDX-License-Identifier: MIT */
/*
 * The parent of the disks that have one: an image in memory, made once per
 * process and profile and never changed. About half of its sectors, in short
 * runs, hold what value_fill() makes of GEN_PARENT; the others read as zeros,
 * and it ends a little before its child does. Of a large disk only the
 * beginning of each window is used.
 */
#ifndef PARENT_H
#define PARENT_H

#include "image.h"
#include "memimg.h"
#include "recover.h"

static inline bool is_child(const struct profile *pf)
{
	return pf->type == VHDX_TYPE_DIFFERENCING;
}

/* Makes it, if this profile wants one and there is none yet. Before the case
 * seeds anything. */
void parent_prepare(const struct profile *pf);

/* An empty child of it, on an empty file. Blocking. */
int parent_add_child(struct file *f, const struct profile *pf,
		     const struct vhdx_create_opts *o,
		     struct vhdx_err *e) must_check;

/* Gives the child what another program may leave: a sector bitmap for each
 * chunk, full of bits that mean nothing, as no block is partially present; in
 * a VHD, blocks full of junk that have no bit set. */
void child_add_bits(struct memimg *img, struct loop *l,
		    const struct profile *pf);

/* The device over img and, where the profile has one, its parent. Takes over
 * img on success. */
int device_new(struct image *img, struct loop *l, const struct profile *pf,
	       struct vhdx_blk **out, struct vhdx_err *e) must_check;

/* Nobody has changed a byte of it. */
void parent_verify(const struct profile *pf, struct verdict *v);

#endif
