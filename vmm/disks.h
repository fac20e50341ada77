/* SPDX-License-Identifier: MIT */
/*
 * The VM's disks and the controllers they stand at: which image is where, and
 * what is being done to it. A disk that is added, removed or resized is taken
 * for that long, and everybody else gets BUSY.
 *
 * The table is the bus thread's. Blocking parts are told apart: they work on a
 * disk that was taken, on whatever thread.
 */
#ifndef DISKS_H
#define DISKS_H

#include "disk.h"
#include "storvsp.h"

struct bus;
struct disks;

/* Opens every disk of conf, with a controller for each that is used and the
 * first in any case. Blocking. conf stays the caller's, and its disks stay. */
int disks_create(const struct conf *conf, struct disks **out,
		 struct vhdx_err *e) must_check;
/* Offers the controllers to the guest, those made later too. */
int disks_offer(struct disks *s, struct bus *bus,
		struct vhdx_err *e) must_check;
/* Channels are closed. Flushes and closes the disks; the first error. Blocking.
 * NULL allowed. */
int disks_destroy(struct disks *s, struct vhdx_err *e) must_check;

/* ---- one disk, taken ---------------------------------------------------- */

/* A new disk, with its place chosen if it has none; takes what *conf owns, also
 * on failure. EXISTS: the place is taken; NOTFOUND: the image. */
int disks_take_new(struct disks *s, struct conf_disk *conf, struct disk **out,
		   struct vhdx_err *e) must_check;
/* Of a disk: by its image, if path is not NULL, else by its place. */
struct disk_place {
	unsigned controller, lun;
	const char *path;
};
/* NOTFOUND, BUSY. */
int disks_take(struct disks *s, const struct disk_place *p, struct disk **out,
	       struct vhdx_err *e) must_check;
/* Fills in the place, whatever is being done to the disk. NOTFOUND. */
int disks_find(const struct disks *s, struct disk_place *p,
	       struct vhdx_err *e) must_check;
/* Back to the table; it is not there any more: forgotten. */
void disks_give(struct disks *s, struct disk *d, bool there);

struct storvsp *disks_vsp(const struct disks *s, unsigned controller);
/* Blocking, on a disk that is taken. */
int disks_attach(struct storvsp *v, struct disk *d,
		 struct vhdx_err *e) must_check;

/* What is there now, for status: up to `max` of *out, copies of the
 * configuration (the paths too), by place. The count. */
unsigned disks_list(const struct disks *s, struct conf_disk *out, unsigned max);

#endif
