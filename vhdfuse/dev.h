/* SPDX-License-Identifier: MIT */
/*
 * The image behind the mount: opened for writing where that can be, for reading
 * else; or a child made over it (--overlay). Refuses what vhdtool refuses: a
 * damaged image that looks raw, and writing to what has children.
 */
#ifndef DEV_H
#define DEV_H

#include "conf.h"

struct dev {
	struct vhdx_blk *blk;
	char *image;	/* absolute */
	char *overlay;	/* absolute; NULL: none */
	bool made;	/* the overlay is new */
	bool read_only;
};

/* Blocking. STATUS_OK, or an exit status after a message. */
int dev_open(struct dev *d, const struct conf *c);

/* Flushes and closes; says what has become of an overlay. `changed`: something
 * was written. Returns `status`, or a worse one after a message. */
int dev_close(struct dev *d, bool changed, int status);

#endif
