/* SPDX-License-Identifier: MIT */
/*
 * Self-identifying sector contents. A unit of 512 bytes says which sector it
 * was written to and by which write, and every one of its bytes depends on
 * both: whatever is read back names its origin, or is torn, or is foreign.
 *
 * The unit is always 512 bytes, whatever the disk's sector size, because that
 * is what a power failure tears at.
 */
#ifndef VALUE_H
#define VALUE_H

#include "base.h"

#define UNIT_LEN 512u

enum value_kind {
	VALUE_ZERO,    /* nothing but zeros */
	VALUE_WRITE,   /* gen: what that write put into unit `lba` */
	VALUE_GARBAGE, /* anything else: torn, mixed, or never written by us */
};

struct value {
	enum value_kind kind;
	uint32_t gen;
	uint64_t lba; /* units */
};

/* The generation of what the parent of a differencing disk holds: the same
 * bytes whatever the seed, as one parent serves all cases. */
#define GEN_PARENT UINT32_MAX

/* Where a disk of size_len bytes, and its parent, may hold anything but zeros:
 * in the first window_len() bytes of every WINDOW_EVERY, one chunk of a disk
 * with 512-byte sectors. */
#define WINDOW_EVERY (4 * GIB)
uint64_t window_len(uint64_t size_len);

/* The parent's length, and whether it has content in unit lba. */
uint64_t parent_len(uint64_t size_len);
bool parent_has(uint64_t size_len, uint64_t lba);

/* gen > 0. */
void value_fill(uint8_t *unit, uint64_t lba, uint32_t gen, uint64_t seed);
struct value value_of(const uint8_t *unit, uint64_t seed);

/* "zeros", "write 17", "write 17 of sector 99 (!)", "garbage 0011.." */
void value_text(const struct value *v, uint64_t lba, char *out, size_t len);

#endif
