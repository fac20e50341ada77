/* SPDX-License-Identifier: MIT */
/*
 * UTF-16 (as VHDX stores names) to and from UTF-8. Total: any input gives
 * well-formed output. What cannot be represented - a surrogate without its
 * partner, an ill-formed UTF-8 byte, a NUL inside the text - becomes U+FFFD,
 * one per bad unit or byte, so the loss is visible and lengths stay bounded:
 * at most 3 bytes of UTF-8 per UTF-16 unit, at most one unit per byte.
 *
 * Units are uint16_t in host order, or, in the le_ forms, pairs of bytes as on
 * disk, at any alignment.
 */
#ifndef UTF16_H
#define UTF16_H

#include <stddef.h>
#include <stdint.h>

/* Bytes, with the NUL, that hold the UTF-8 of any `units` units. */
#define UTF16_UTF8_MAX(units) (3 * (size_t)(units) + 1)

/* Units before the first NUL, at most cnt. */
size_t utf16_len(const uint16_t *src, size_t cnt);
size_t utf16le_len(const uint8_t *src, size_t cnt);

/* Converts cnt units. Writes at most cap bytes (cap > 0), whole characters
 * only, always terminated. Returns the bytes that the whole text needs without
 * the NUL: a value >= cap tells that it was cut. */
size_t utf16_to_utf8(const uint16_t *src, size_t cnt, char *out, size_t cap);
size_t utf16le_to_utf8(const uint8_t *src, size_t cnt, char *out, size_t cap);

/* Converts len bytes. Writes at most cap units, whole characters only, not
 * terminated. Returns the units that the whole text needs: a value > cap tells
 * that it was cut. */
size_t utf16_from_utf8(const char *src, size_t len, uint16_t *out, size_t cap);
size_t utf16le_from_utf8(const char *src, size_t len, uint8_t *out,
			 size_t cap);

#endif
