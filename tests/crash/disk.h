/* SPDX-License-Identifier: MIT */
/*
 * A host file on a disk that may lose power: every operation is recorded, and
 * for every moment any state that a real disk could be in afterwards can be
 * made. Operations in flight complete in a random (seeded) order, so that
 * nobody can rely on an order he did not ask for.
 *
 * What power leaves at a moment: all operations that had completed before the
 * submission of a sync that has completed; and of every other one submitted so
 * far, in the order of completion: all of it, nothing, or for transfers any
 * 512-byte parts. A size change is kept or lost as a whole; data beyond the end
 * that is left is gone.
 *
 * A moment is a number of recorded happenings: submissions and completions.
 */
#ifndef DISK_H
#define DISK_H

#include "file.h"
#include "memimg.h"

struct disk;

/* Holds `start`, all durable. Half of the seeds give a host that cannot punch
 * holes. */
struct disk *disk_new(struct loop *l, const struct memimg *start,
		      uint64_t seed);
void disk_free(struct disk *d); /* its file is closed */

/* The disk's file; one handle at a time, closed by its user. */
struct file *disk_open(struct disk *d);

/* The content as its user sees it. Borrowed. */
const struct memimg *disk_content(const struct disk *d);

/* The nth operation from now (1 = the next to complete) fails with `code`. A
 * failing write may have written its beginning; a failing sync has made nothing
 * durable. With `sticky` so do all later ones. 0: none. */
void disk_fail(struct disk *d, uint64_t nth, int code, bool sticky);

/* What failed: a FILE_* operation, or -1 if none was reached. */
int disk_failed_op(const struct disk *d);

/* Happenings so far. */
uint64_t disk_pos(const struct disk *d);

/* The first moment from pos on just before a sync completes, else pos. */
uint64_t disk_next_sync(const struct disk *d, uint64_t pos);

/* Operations whose fate is open if power fails at pos. */
unsigned disk_open_cnt(struct disk *d, uint64_t pos);

/* One of the states. With DISK_SUBSET, bit i of pick says whether open
 * operation i is applied, whole; else pick 0 applies none, 1 all, and any other
 * number is a seed for a mixture with tears. *out is the caller's to free. */
#define DISK_SUBSET (UINT64_C(1) << 63)
void disk_state(struct disk *d, uint64_t pos, uint64_t pick,
		struct memimg *out);

/* The operation at that happening, for people. */
void disk_describe(const struct disk *d, uint64_t pos, char *out, size_t len);

#endif
