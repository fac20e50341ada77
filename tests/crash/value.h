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

/* gen > 0. */
void value_fill(uint8_t *unit, uint64_t lba, uint32_t gen, uint64_t seed);
struct value value_of(const uint8_t *unit, uint64_t seed);

/* "zeros", "write 17", "write 17 of sector 99 (!)", "garbage 0011.." */
void value_text(const struct value *v, uint64_t lba, char *out, size_t len);

#endif
