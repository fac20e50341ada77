/* SPDX-License-Identifier: MIT */
/*
 * GUIDs: comparison, generation, text. The first three groups of the text are
 * little-endian integers in the bytes, the last two are bytes in order.
 */
#include "guid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Text position pair k shows byte text_order[k]. */
static const uint8_t text_order[16] = { 3, 2, 1, 0, 5,  4,  7,  6,
					8, 9, 10, 11, 12, 13, 14, 15 };

static uint64_t test_state; /* 0: the kernel's randomness */

static bool dash_before(size_t k)
{
	return k == 4 || k == 6 || k == 8 || k == 10;
}

bool guid_is_zero(const struct guid *g)
{
	static const struct guid zero;

	return guid_eq(g, &zero);
}

bool guid_eq(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static void fill_from_kernel(uint8_t *p, size_t len)
{
	ssize_t n;

	/* Up to 256 bytes come whole or not at all: getrandom(2). */
	do
		n = getrandom(p, len, 0);
	while (n < 0 && errno == EINTR);
	ASSERT(n == (ssize_t)len);
}

static void fill_from_seed(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		test_state = test_state * UINT64_C(6364136223846793005) +
			     UINT64_C(1442695040888963407);
		p[i] = (uint8_t)(test_state >> 56);
	}
}

void guid_random(struct guid *g)
{
	if (test_state)
		fill_from_seed(g->b, sizeof(g->b));
	else
		fill_from_kernel(g->b, sizeof(g->b));
	g->b[7] = (uint8_t)((g->b[7] & 0x0f) | 0x40); /* version 4 */
	g->b[8] = (uint8_t)((g->b[8] & 0x3f) | 0x80); /* RFC 4122 variant */
}

void guid_seed_for_tests(uint64_t seed)
{
	test_state = seed;
}

void guid_format(const struct guid *g, char out[GUID_TEXT_LEN])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t k = 0; k < 16; k++) {
		uint8_t v = g->b[text_order[k]];

		if (dash_before(k))
			*out++ = '-';
		*out++ = digits[v >> 4];
		*out++ = digits[v & 15];
	}
	*out = '\0';
}

/* -1: not a hexadecimal digit. Independent of the locale. */
static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool guid_parse(const char *text, struct guid *out)
{
	bool braces = *text == '{';
	struct guid g;

	text += braces;
	for (size_t k = 0; k < 16; k++) {
		int hi, lo;

		if (dash_before(k) && *text++ != '-')
			return false;
		hi = digit_value(text[0]);
		lo = hi < 0 ? -1 : digit_value(text[1]);
		if (lo < 0)
			return false;
		g.b[text_order[k]] = (uint8_t)(hi << 4 | lo);
		text += 2;
	}
	if (braces && *text++ != '}')
		return false;
	if (*text)
		return false;
	*out = g;
	return true;
}
