/* SPDX-License-Identifier: MIT */
#include "bits.h"

#include <string.h>

static bool get(const uint8_t *map, unsigned i)
{
	return map[i / 8] >> (i % 8) & 1;
}

/* The 64 bits from i on, a multiple of 8; only to be compared with all ones or
 * all zeros. */
static uint64_t word(const uint8_t *map, unsigned i)
{
	uint64_t w;

	memcpy(&w, map + i / 8, sizeof(w));
	return w;
}

unsigned bits_run(const uint8_t *map, unsigned from, unsigned to, bool *value)
{
	unsigned i = from;
	uint64_t whole;

	*value = get(map, from);
	whole = *value ? UINT64_MAX : 0;
	while (i < to) {
		if (i % 8 == 0 && to - i >= 64 && word(map, i) == whole)
			i += 64;
		else if (i % 8 == 0 && to - i >= 8 &&
			 map[i / 8] == (uint8_t)whole)
			i += 8;
		else if (get(map, i) == *value)
			i++;
		else
			break;
	}
	return i - from;
}

void bits_fill(uint8_t *map, unsigned from, unsigned to, bool value)
{
	for (unsigned i = from; i < to;) {
		if (i % 8 == 0 && to - i >= 8) {
			map[i / 8] = value ? 0xff : 0;
			i += 8;
			continue;
		}
		if (value)
			map[i / 8] |= (uint8_t)(1u << (i % 8));
		else
			map[i / 8] &= (uint8_t)~(1u << (i % 8));
		i++;
	}
}
