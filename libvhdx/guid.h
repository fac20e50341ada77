/* SPDX-License-Identifier: MIT */
/*
 * GUIDs are 16 raw bytes in Microsoft's mixed-endian order, on disk and in
 * memory; only text conversion knows the order.
 */
#ifndef GUID_H
#define GUID_H

#include "err.h"

struct guid {
	uint8_t b[16];
};

#define GUID_TEXT_LEN 37 /* with the terminating NUL */

/* For constants: the groups of the text form, in text order. */
#define GUID_INIT(d1, d2, d3, b0, b1, b2, b3, b4, b5, b6, b7)                \
	{ { (d1) & 0xff, ((d1) >> 8) & 0xff, ((d1) >> 16) & 0xff,            \
	    ((d1) >> 24) & 0xff, (d2) & 0xff, ((d2) >> 8) & 0xff,            \
	    (d3) & 0xff, ((d3) >> 8) & 0xff, b0, b1, b2, b3, b4, b5, b6, b7 } }

bool guid_is_zero(const struct guid *g);
bool guid_eq(const struct guid *a, const struct guid *b);

/* A version 4 GUID from getrandom(2); never zero. */
void guid_random(struct guid *g);

/* Makes guid_random deterministic (tests); seed 0: random again. */
void guid_seed_for_tests(uint64_t seed);

/* Lower case, no braces. */
void guid_format(const struct guid *g, char out[GUID_TEXT_LEN]);

/* Any case, braces optional, nothing else around it. False if not a GUID. */
bool guid_parse(const char *text, struct guid *out);

#endif
