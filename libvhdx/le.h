/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of little- and big-endian integers at any alignment.
 * On-disk bytes are touched through these only: no packed structs, no casts.
 */
#ifndef LE_H
#define LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define LE_DEFINE(bits, order, suffix)                                     \
	static inline uint##bits##_t get_##suffix##bits(const uint8_t *p)  \
	{                                                                  \
		uint##bits##_t v;                                          \
		memcpy(&v, p, sizeof(v));                                  \
		return order##bits##toh(v);                                \
	}                                                                  \
	static inline void put_##suffix##bits(uint8_t *p, uint##bits##_t v) \
	{                                                                  \
		v = hto##order##bits(v);                                   \
		memcpy(p, &v, sizeof(v));                                  \
	}

LE_DEFINE(16, le, le)
LE_DEFINE(32, le, le)
LE_DEFINE(64, le, le)
LE_DEFINE(16, be, be)
LE_DEFINE(32, be, be)
LE_DEFINE(64, be, be)

#undef LE_DEFINE

#endif
