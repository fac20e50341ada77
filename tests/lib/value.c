/* SPDX-License-Identifier: MIT */
#include "value.h"

#include <string.h>

#include "le.h"

#define MAGIC UINT64_C(0x5d6b69747365630a)

static uint64_t mix(uint64_t lba, uint32_t gen, uint64_t seed)
{
	uint64_t z = (lba + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ seed ^
		     (uint64_t)gen * UINT64_C(0xbf58476d1ce4e5b9);

	z = (z ^ (z >> 29)) * UINT64_C(0x94d049bb133111eb);
	return z | 1;
}

void value_fill(uint8_t *unit, uint64_t lba, uint32_t gen, uint64_t seed)
{
	uint64_t word, step;

	if (gen == GEN_PARENT)
		seed = 0;
	word = mix(lba, gen, seed);
	step = word * 5;
	put_le64(unit, MAGIC ^ seed);
	put_le64(unit + 8, lba);
	put_le64(unit + 16, gen);
	for (size_t i = 24; i < UNIT_LEN; i += 8) {
		put_le64(unit + i, word);
		word += step;
	}
}

uint64_t window_len(uint64_t size_len)
{
	return size_len <= GIB ? size_len : 4 * MIB;
}

uint64_t parent_len(uint64_t size_len)
{
	return size_len - MIB - MIB / 2;
}

bool parent_has(uint64_t size_len, uint64_t lba)
{
	return lba < parent_len(size_len) / UNIT_LEN &&
	       lba * UNIT_LEN % WINDOW_EVERY < window_len(size_len) &&
	       mix(lba / 3, 0, 0) >> 33 & 1;
}

static bool all_zero(const uint8_t *unit)
{
	return unit[0] == 0 && memcmp(unit, unit + 1, UNIT_LEN - 1) == 0;
}

struct value value_of(const uint8_t *unit, uint64_t seed)
{
	struct value v = { VALUE_GARBAGE, 0, 0 };
	uint8_t want[UNIT_LEN];

	if (all_zero(unit)) {
		v.kind = VALUE_ZERO;
		return v;
	}
	v.lba = get_le64(unit + 8);
	v.gen = (uint32_t)get_le64(unit + 16);
	value_fill(want, v.lba, v.gen, seed);
	if (memcmp(unit, want, UNIT_LEN) == 0)
		v.kind = VALUE_WRITE;
	return v;
}

void value_text(const struct value *v, uint64_t lba, char *out, size_t len)
{
	if (v->kind == VALUE_ZERO)
		snprintf(out, len, "zeros");
	else if (v->kind == VALUE_GARBAGE)
		snprintf(out, len, "garbage (torn or foreign; claims write %u "
			 "of sector %ju)", v->gen, (uintmax_t)v->lba);
	else if (v->lba == lba && v->gen == GEN_PARENT)
		snprintf(out, len, "the parent's content");
	else if (v->lba != lba)
		snprintf(out, len, "write %u of ANOTHER sector, %ju", v->gen,
			 (uintmax_t)v->lba);
	else
		snprintf(out, len, "write %u", v->gen);
}
