/* SPDX-License-Identifier: MIT */
/*
 * What the kernel asks of the mount, beside data: names, attributes, opening
 * and closing. Answered at once, but for what io.h does.
 */
#ifndef OPS_H
#define OPS_H

#include "mnt.h"

/* userdata of the session: a struct mnt. */
extern const struct fuse_lowlevel_ops ops_table;

/* Of what was still open when the session ended. */
void ops_forget_handles(struct mnt *m);

#endif
