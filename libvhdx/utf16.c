/* SPDX-License-Identifier: MIT */
/*
 * UTF-16 <-> UTF-8. Both directions go through one code point at a time; each
 * step consumes at least one input element, so every loop is bounded by the
 * input's length.
 */
#include "utf16.h"

#include <stdbool.h>

#include "le.h"

#define REPLACEMENT 0xfffdu

/* Units in memory or on disk; exactly one of the two is set. */
struct units {
	const uint16_t *host;
	const uint8_t *le;
};

static uint16_t unit_at(struct units u, size_t i)
{
	return u.host ? u.host[i] : get_le16(u.le + 2 * i);
}

static bool is_high(uint16_t u)
{
	return (u & 0xfc00) == 0xd800;
}

static bool is_low(uint16_t u)
{
	return (u & 0xfc00) == 0xdc00;
}

static uint32_t next_from_units(struct units u, size_t cnt, size_t *i)
{
	uint16_t a = unit_at(u, (*i)++);

	if (is_high(a) && *i < cnt && is_low(unit_at(u, *i))) {
		uint16_t b = unit_at(u, (*i)++);

		return 0x10000u + ((a & 0x3ffu) << 10 | (b & 0x3ffu));
	}
	return a == 0 || is_high(a) || is_low(a) ? REPLACEMENT : a;
}

static size_t put_utf8(uint32_t c, char b[4])
{
	if (c < 0x80) {
		b[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		b[0] = (char)(0xc0 | c >> 6);
		b[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		b[0] = (char)(0xe0 | c >> 12);
		b[1] = (char)(0x80 | (c >> 6 & 0x3f));
		b[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	b[0] = (char)(0xf0 | c >> 18);
	b[1] = (char)(0x80 | (c >> 12 & 0x3f));
	b[2] = (char)(0x80 | (c >> 6 & 0x3f));
	b[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static size_t units_to_utf8(struct units u, size_t cnt, char *out, size_t cap)
{
	size_t need = 0, used = 0;

	for (size_t i = 0; i < cnt;) {
		char b[4];
		size_t n = put_utf8(next_from_units(u, cnt, &i), b);

		/* used == need until the first character that does not fit:
		 * nothing shorter may follow a gap. */
		if (used == need && need + n < cap) {
			memcpy(out + used, b, n);
			used += n;
		}
		need += n;
	}
	out[used] = '\0';
	return need;
}

/* The length of the well-formed sequence at s (Unicode, table 3-7), or 0. */
static size_t sequence_len(const uint8_t *s, size_t len)
{
	uint8_t lo = 0x80, hi = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	if (s[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		hi = 0x8f; /* beyond U+10FFFF */
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static uint32_t next_from_utf8(const uint8_t *s, size_t len, size_t *i)
{
	static const uint8_t lead_mask[5] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const uint8_t *p = s + *i;
	size_t n = sequence_len(p, len - *i);
	uint32_t c = p[0] & lead_mask[n];

	*i += n ? n : 1;
	for (size_t k = 1; k < n; k++)
		c = c << 6 | (p[k] & 0x3fu);
	return c ? c : REPLACEMENT; /* ill-formed (masked to 0), or a NUL */
}

static void put_unit(uint16_t *host, uint8_t *le, size_t i, uint32_t v)
{
	if (host)
		host[i] = (uint16_t)v;
	else
		put_le16(le + 2 * i, (uint16_t)v);
}

static size_t utf8_to_units(const char *src, size_t len, uint16_t *host,
			    uint8_t *le, size_t cap)
{
	size_t need = 0;

	for (size_t i = 0; i < len;) {
		uint32_t c = next_from_utf8((const uint8_t *)src, len, &i);
		size_t n = c < 0x10000 ? 1 : 2;

		/* Once cut, always cut: the rest must not fill the gap. */
		if (need > cap || need + n > cap) {
			cap = 0;
		} else if (n == 1) {
			put_unit(host, le, need, c);
		} else {
			c -= 0x10000;
			put_unit(host, le, need, 0xd800 | c >> 10);
			put_unit(host, le, need + 1, 0xdc00 | (c & 0x3ff));
		}
		need += n;
	}
	return need;
}

size_t utf16_len(const uint16_t *src, size_t cnt)
{
	size_t i = 0;

	while (i < cnt && src[i])
		i++;
	return i;
}

size_t utf16le_len(const uint8_t *src, size_t cnt)
{
	size_t i = 0;

	while (i < cnt && get_le16(src + 2 * i))
		i++;
	return i;
}

size_t utf16_to_utf8(const uint16_t *src, size_t cnt, char *out, size_t cap)
{
	return units_to_utf8((struct units){ .host = src }, cnt, out, cap);
}

size_t utf16le_to_utf8(const uint8_t *src, size_t cnt, char *out, size_t cap)
{
	return units_to_utf8((struct units){ .le = src }, cnt, out, cap);
}

size_t utf16_from_utf8(const char *src, size_t len, uint16_t *out, size_t cap)
{
	return utf8_to_units(src, len, out, NULL, cap);
}

size_t utf16le_from_utf8(const char *src, size_t len, uint8_t *out,
			 size_t cap)
{
	return utf8_to_units(src, len, NULL, out, cap);
}
