/* SPDX-License-Identifier: MIT */
/*
 * The model disk: for every 512-byte unit, the history of what was asked to
 * happen to it, and from that which values a read may return and which a
 * reader may find after a power failure at a given moment. It knows nothing of
 * images; its rules are the promises of vhdx_blk.h:
 *
 * M1  A read returns the value of an operation that had begun before the read
 *     ended and that no operation, itself begun after the first had ended, had
 *     overwritten completely before the read began.
 * M2  A successful flush makes durable whatever had ended, successfully,
 *     before the flush was submitted; FUA makes the operation itself durable.
 * M3  After a failure any begun operation may have happened or not, unit by
 *     unit, but nothing older than a durable one shows.
 * M4  A failed operation may have happened or not, for ever.
 * M5  A discard leaves the old value or zeros; which one is settled when it is
 *     first read in quiet, and so is the winner of overlapping writes.
 * M6  A child starts as its parent's content. That is one more old value: M1
 *     and M3 say when it may still show, and once it may not it never does.
 *
 * Two clocks: `tick` orders submissions and completions among themselves, and
 * `pos` (the number of events the crash disk has recorded) ties them to the
 * moments at which power may fail.
 */
#ifndef MODEL_H
#define MODEL_H

#include "value.h"

struct model;

enum model_kind { MODEL_WRITE, MODEL_ZERO, MODEL_DISCARD, MODEL_FLUSH,
		  MODEL_READ };

struct model_bad {
	uint64_t lba; /* 512-byte units */
	char text[1024]; /* what was found and what is allowed */
};

/* A disk of zeros, or a child that shows its parent (value.h). seed goes into
 * the contents. */
struct model *model_new(uint64_t size_len, uint64_t seed, bool child);
void model_free(struct model *m); /* NULL allowed */

/* An operation begins. Returns its number; for a write also its generation,
 * with which the caller has the buffer filled by model_fill(). */
uint32_t model_begin(struct model *m, enum model_kind kind, uint64_t voff,
		     uint64_t len, bool fua, uint64_t pos);
void model_fill(const struct model *m, uint32_t op, uint8_t *buf);

/* ... and ends. */
void model_end(struct model *m, uint32_t op, bool ok, uint64_t pos);

/* The content a successful read `op` (ended already) has delivered. */
bool model_verify_read(struct model *m, uint32_t op, const uint8_t *buf,
		       struct model_bad *bad);

/* May [voff, voff + len) hold buf after a power failure at `pos`? (What began
 * when pos events had been recorded has left no trace by then.) */
bool model_verify_crash(const struct model *m, uint64_t pos, uint64_t voff,
			const uint8_t *buf, uint64_t len,
			struct model_bad *bad);

/* Every unit ever touched, as ranges that also take in their neighbours (so
 * that a write next door is noticed). Borrowed, valid until the next begin. */
struct model_range {
	uint64_t voff, len; /* bytes */
};
const struct model_range *model_touched(struct model *m, size_t *cnt);

/* From now on the disk holds exactly what `read` delivers and all of it is
 * durable; operations in the past are forgotten. */
void model_rebase(struct model *m,
		  void (*read)(void *arg, uint64_t voff, uint8_t *buf,
			       uint64_t len), void *arg);

/* Highest operation number so far. */
uint32_t model_op_cnt(const struct model *m);

#endif
