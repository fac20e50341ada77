/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps as VHDX stores them: bit k is bit k % 8 of byte k / 8, least
 * significant first. Ranges are [from, to).
 */
#ifndef BITS_H
#define BITS_H

#include "base.h"

/* Length of the run of equal bits that starts at `from`; *value: which. */
unsigned bits_run(const uint8_t *map, unsigned from, unsigned to, bool *value);

void bits_fill(uint8_t *map, unsigned from, unsigned to, bool value);

#endif
