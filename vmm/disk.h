/* SPDX-License-Identifier: MIT */
/*
 * One image that the VM has as a disk, and the only place of the VMM that opens
 * images: for storvsp, which calls on its own thread, and to look at what is to
 * be opened. What is written to is nobody's parent, unless that is forced:
 * a write would cut the children off.
 */
#ifndef DISK_H
#define DISK_H

#include "conf.h"

struct disk {
	struct conf_disk conf; /* owned; the path is absolute */
	const struct conf *vm; /* search, ... */
};

/* Takes what *conf owns, also on failure. NOTFOUND. */
int disk_create(struct conf_disk *conf, const struct conf *vm,
		struct disk **out, struct vhdx_err *e) must_check;
void disk_destroy(struct disk *d); /* NULL allowed */

/* May it be written to? INVAL with the name of a child. Blocking, looks through
 * the image's folder. */
int disk_check(const struct disk *d, struct vhdx_err *e) must_check;

/* For storvsp_disk.open; arg is the disk. */
int disk_open(void *arg, struct vhdx_blk **out, uint8_t id[16],
	      struct vhdx_err *e) must_check;

/* Read-only, and closed again. */
int disk_try(const struct disk *d, struct vhdx_info *info,
	     struct vhdx_err *e) must_check;

/* For storvsp_reopen's change, while the disk is closed. */
struct disk_resize {
	const struct disk *d;
	uint64_t size_len;
	bool shrink;
};
int disk_resize(void *arg, struct vhdx_err *e) must_check;

#endif
