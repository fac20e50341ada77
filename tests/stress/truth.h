/* SPDX-License-Identifier: MIT */
/*
 * What a disk may show while many requests are in flight. For every unit of 512
 * bytes: which values were put there, when each request began and ended, and
 * from that which values a read may return. Any thread; one lock.
 *
 * T1  A read returns the value of a request that had begun before the read
 *     ended, and that no other had overwritten for good: begun after the first
 *     had ended, and itself ended before the read began. So every value was
 *     possible at some instant between the read's submission and its end, and
 *     requests in flight together win in any order, unit by unit.
 * T2  A cancelled or failed request has happened or not, unit by unit; so has a
 *     discard. What it was is settled by a read in quiet (no other request to
 *     that unit between them and it): later reads do not change their mind.
 *     Only a failed one stays open, as long as nothing overwrites it.
 * T3  After a power failure, or an open that follows a failure, T1 holds with
 *     "durable" for "ended": what had ended with success before a successful
 *     flush began is the oldest that may show, and so is what carried FUA.
 *
 * T4  On files of the host a read may find a unit half done that is being
 *     written meanwhile: the page cache copies without a lock. Then each byte
 *     of it is one of what T1 allows.
 *
 * The crash suite's model (tests/crash/model.h) has the same rules and knows
 * more moments at which power may fail; this one forgets what can no longer
 * show, so that it may run for ever, and is asked from several threads.
 */
#ifndef TRUTH_H
#define TRUTH_H

#include "base.h"
#include "list.h"
#include "value.h"

struct truth;

enum truth_kind { TRUTH_READ, TRUTH_WRITE, TRUTH_ZERO, TRUTH_DISCARD,
		  TRUTH_FLUSH };

enum truth_end { TRUTH_OK, TRUTH_CANCELED, TRUTH_FAILED };

struct truth_op {
	enum truth_kind kind;
	bool fua;
	uint64_t voff, len; /* bytes */
	uint32_t gen;	    /* set by truth_begin(): of a write's content */
	uint64_t start;	    /* the rest is the model's */
	struct list node;
};

struct truth_bad {
	char text[800]; /* which unit, what was found and what is allowed */
};

/* A disk of zeros. seed goes into the contents (value.h). halves: T4. */
struct truth *truth_new(uint64_t size_len, uint64_t seed, bool halves);
void truth_free(struct truth *t); /* NULL allowed */

/* All that unit lba can show, from now on and durably; gen 0: zeros. */
void truth_rebase(struct truth *t, uint64_t lba, uint32_t gen);

/* kind, fua, voff and len are set. */
void truth_begin(struct truth *t, struct truth_op *op);
/* The content of a write, op->len bytes. */
void truth_fill(const struct truth *t, const struct truth_op *op,
		uint8_t *buf);
void truth_end(struct truth *t, struct truth_op *op, enum truth_end how);

/* A read that succeeded ends: may it show buf? NULL: op->len zeros. */
bool truth_end_read(struct truth *t, struct truth_op *op, const uint8_t *buf,
		    struct truth_bad *bad);

/* The moment now: does it come after that at which op began? */
uint64_t truth_now(struct truth *t);

/* Power fails now: what ends later makes nothing durable. Until the units are
 * rebased. */
void truth_cut(struct truth *t);

/* T3. Nothing is in flight. */
bool truth_verify_crash(struct truth *t, uint64_t voff, uint64_t len,
			const uint8_t *buf, struct truth_bad *bad);

/* The generation in a unit that was verified. */
uint32_t truth_gen(const struct truth *t, const uint8_t *unit);

#endif
