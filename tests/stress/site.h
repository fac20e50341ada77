/* SPDX-License-Identifier: MIT */
/*
 * Where the disk under stress lives: a kind of image, alone or on two parents,
 * on files of the host, through the page cache or past it, or on simulated ones
 * that complete late and out of order and can lose power. Any file operation
 * can be made to fail.
 */
#ifndef SITE_H
#define SITE_H

#include "image.h"
#include "opener_crash.h"
#include "truth.h"

struct kind {
	const char *name;
	enum vhdx_format format;
	enum vhdx_type type; /* of the base, or DIFFERENCING: depth 3 */
	uint32_t block_len, sector_len;
};

extern const struct kind kinds[];
extern const size_t kind_cnt;

enum backing { BACK_SIM, BACK_CACHED, BACK_DIRECT, BACK_CNT };
extern const char *const backing_names[BACK_CNT];

/* Where files of the host go: BACK_CACHED is in either. Set before all else. */
extern const char *site_folders[2];

struct site {
	const struct kind *kind;
	enum backing backing;
	uint64_t seed;
	uint64_t size_len; /* of the disk */
	char folder[200];
	struct opener_crash oc; /* BACK_SIM */
	struct opener real;	/* the others: with failures */
	const struct opener *opener; /* either */
	struct fault_rule rule; /* of the others */
	uint64_t failed_cnt;
};

/* Makes the images; what the parents hold goes into *truth, which is new.
 * False: text says why. */
bool site_begin(struct site *s, const struct kind *k, enum backing b,
		uint64_t seed, struct truth **truth, char *text, size_t len);
void site_end(struct site *s);

/* The device; it owns its loop. */
int site_open(struct site *s, bool writable, struct vhdx_blk **out,
	      struct vhdx_err *e);

/* From now on. All zero: nothing fails any more. */
void site_fault(struct site *s, struct fault_rule rule);
bool site_fault_waits(const struct site *s); /* it has not struck yet */
uint64_t site_failed_cnt(const struct site *s);

/* BACK_SIM. What a power failure at this moment leaves, chosen by `number`; and
 * going on with it, once the device is closed. */
void site_cut(struct site *s, uint64_t number, struct crash_tree *out);
void site_restart(struct site *s, struct crash_tree *tree);
/* What there is now becomes durable, and the record of the past goes. Nothing
 * is open. */
void site_settle(struct site *s);

/* Does check find the leaf without an error, and its log clean (strict)? */
bool site_check(struct site *s, bool strict, char *text, size_t len);

#endif
