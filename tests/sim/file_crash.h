/* SPDX-License-Identifier: MIT */
/*
 * Disks that lose power. While a program runs on them they behave like memory
 * files and record what was submitted and what was completed, in order; later
 * any legal content after a power failure at any recorded instant can be asked
 * for. All disks of a world share one clock, so the instant can be a joint one.
 *
 * The laws:
 * L1  A sync covers exactly the changes that were complete before it was
 *     submitted. Once it is complete, what it covers is on the medium for ever.
 * L2  Any other change submitted by the instant may be there, be missing, or
 *     be torn: any subset of its 512-byte sectors.
 * L3  The file size is separate: what a truncate or a growing write did to it
 *     is kept or lost on its own, whatever becomes of the data. Bytes beyond
 *     the size that survived are zeros.
 * L4  A sector shows the newest surviving change in the order in which the
 *     changes took effect. (Two unsynced ones landing the other way round
 *     gives nothing new: it is the newer one torn away where they overlap.)
 *
 * With delays, a change takes effect some turns after its submission and
 * completes some turns later still, so that many are in flight and finish out
 * of order. Everything follows from the seed.
 */
#ifndef FILE_CRASH_H
#define FILE_CRASH_H

#include "file.h"
#include "memimg.h"

struct crash_world;
struct crash_disk;

struct crash_opts {
	uint64_t seed;
	unsigned max_delay; /* turns, per step; 0: next turn, in order */
	bool no_punch;	    /* FILE_PUNCH does nothing and says so */
};

/* opts NULL: all zero. Freed with all its disks; no file may be open. */
struct crash_world *crash_world_new(const struct crash_opts *opts);
void crash_world_free(struct crash_world *w); /* NULL allowed */

/* ---- running ----------------------------------------------------------- */

/* Durable content at the start: *initial (copied; NULL: an empty file). */
struct crash_disk *crash_disk_new(struct crash_world *w, const char *name,
				  const struct memimg *initial);

/* A file over the disk. After file_close() it may be opened again: the record
 * goes on. */
int crash_disk_open(struct crash_disk *d, struct loop *l, struct file **out,
		    struct vhdx_err *e) must_check;

/* What a reader sees now. Borrowed. */
const struct memimg *crash_disk_content(const struct crash_disk *d);

/* ---- instants ---------------------------------------------------------- */

/* How many events there have been. Instant k is the moment after the k-th;
 * 0 is before the first. */
uint64_t crash_now(const struct crash_world *w);

/* Something else happens that counts, a change of names say: one more event,
 * and an instant. text is copied. Returns the new crash_now(). */
uint64_t crash_mark(struct crash_world *w, const char *text);

/* The next instant after k at which the set of legal contents of some disk
 * differs from before (a change is submitted, a sync completes, a mark), or the
 * last one. k itself if there is none. */
uint64_t crash_next(const struct crash_world *w, uint64_t k);

#define CRASH_TEXT_LEN 160
/* "event 17: a.vhdx: write 4096+512 submitted", for messages. */
void crash_event_text(const struct crash_world *w, uint64_t k,
		      char out[CRASH_TEXT_LEN]);

/* ---- contents after a power failure ------------------------------------ */

enum crash_pick_kind {
	CRASH_NONE,  /* just what is guaranteed */
	CRASH_ALL,   /* everything submitted */
	CRASH_OPS,   /* bit i: pending change i is there, whole, size too */
	CRASH_ATOMS, /* bit i: atom i: one sector of a change, or its size */
	CRASH_SEED,  /* at random */
};

struct crash_pick {
	enum crash_pick_kind kind;
	uint64_t arg;
};

/* Changes that L2 leaves open at instant k, and the atoms they consist of. */
uint64_t crash_op_cnt(struct crash_disk *d, uint64_t k);
uint64_t crash_atom_cnt(struct crash_disk *d, uint64_t k);

/* The content of d for this choice. The caller frees *out. */
void crash_build(struct crash_disk *d, uint64_t k,
		 const struct crash_pick *pick, struct memimg *out);

/* All contents of one disk at k where they are at most max; else max of them:
 * none, all, all but one, just one, and random ones. */
struct crash_iter {
	struct crash_disk *disk;
	uint64_t k, max, seed, next;
	struct crash_pick pick; /* of the last content, to build it again */
};

void crash_iter_init(struct crash_iter *it, struct crash_disk *d, uint64_t k,
		     uint64_t max, uint64_t seed);
bool crash_iter_all(const struct crash_iter *it); /* gives all there are */
bool crash_iter_next(struct crash_iter *it, struct memimg *out);

#endif
