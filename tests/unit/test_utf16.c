/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "base.h"
#include "utf16.h"

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static bool gives(const uint16_t *src, size_t cnt, const char *want)
{
	char out[64];

	return utf16_to_utf8(src, cnt, out, sizeof(out)) == strlen(want) &&
	       strcmp(out, want) == 0;
}

static void every_length_of_utf8_is_made(void)
{
	const uint16_t src[] = { 'A', 0xe9, 0x20ac, 0xd83d, 0xdcbe };

	T_TRUE(gives(src, ARRAY_LEN(src),
		     "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xbe"));
	T_TRUE(gives(src, 0, ""));
}

static void unpaired_surrogates_become_replacements(void)
{
	T_TRUE(gives((uint16_t[]){ 0xd83d }, 1, BAD));
	T_TRUE(gives((uint16_t[]){ 0xd83d, 'x' }, 2, BAD "x"));
	T_TRUE(gives((uint16_t[]){ 0xdcbe, 'x' }, 2, BAD "x"));
	T_TRUE(gives((uint16_t[]){ 0xdcbe, 0xd83d }, 2, BAD BAD));
	T_TRUE(gives((uint16_t[]){ 0xd83d, 0xd83d, 0xdcbe }, 3,
		     BAD "\xf0\x9f\x92\xbe"));
}

static void nul_inside_is_visible(void)
{
	T_TRUE(gives((uint16_t[]){ 'a', 0, 'b' }, 3, "a" BAD "b"));
}

static void output_is_cut_at_a_whole_character(void)
{
	const uint16_t src[] = { 'a', 0x20ac, 'b' };
	char out[8];

	for (size_t cap = 1; cap <= sizeof(out); cap++) {
		const char *want = cap > 5 ? "a\xe2\x82\xac" "b"
				   : cap == 5 ? "a\xe2\x82\xac"
				   : cap > 1 ? "a" : "";

		memset(out, 'Z', sizeof(out));
		T_EQ_U64(utf16_to_utf8(src, 3, out, cap), 5);
		T_TRUE(strcmp(out, want) == 0);
		for (size_t i = cap; i < sizeof(out); i++)
			T_TRUE(out[i] == 'Z');
	}
}

static void disk_form_reads_any_alignment(void)
{
	const uint8_t raw[] = { 0xff, 'h', 0, 0xac, 0x20, 0, 0 };
	char out[8];

	T_EQ_U64(utf16le_len(raw + 1, 3), 2);
	T_EQ_U64(utf16le_to_utf8(raw + 1, 2, out, sizeof(out)), 4);
	T_TRUE(strcmp(out, "h\xe2\x82\xac") == 0);
}

static void len_stops_at_nul_or_at_the_end(void)
{
	const uint16_t src[] = { 'a', 'b', 0, 'c' };

	T_EQ_U64(utf16_len(src, 4), 2);
	T_EQ_U64(utf16_len(src, 2), 2);
	T_EQ_U64(utf16_len(src, 0), 0);
}

static void every_code_point_round_trips(void)
{
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		uint16_t u[2] = { (uint16_t)c, 0 }, back[4];
		size_t n = 1;
		char utf8[UTF16_UTF8_MAX(2)];

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		if (c > 0xffff) {
			u[0] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
			u[1] = (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff));
			n = 2;
		}
		size_t len = utf16_to_utf8(u, n, utf8, sizeof(utf8));

		if (utf16_from_utf8(utf8, len, back, 4) != n ||
		    memcmp(u, back, 2 * n) != 0)
			T_EQ_U64(c, 0);
	}
}

static void ill_formed_utf8_gives_one_replacement_per_byte(void)
{
	static const struct {
		const char *src;
		size_t len, bad;
	} cases[] = {
		{ "\x80", 1, 1 },		/* continuation alone */
		{ "\xc0\xaf", 2, 2 },		/* overlong */
		{ "\xe0\x9f\xbf", 3, 3 },	/* overlong */
		{ "\xf0\x8f\xbf\xbf", 4, 4 },	/* overlong */
		{ "\xed\xa0\x80", 3, 3 },	/* a surrogate */
		{ "\xf4\x90\x80\x80", 4, 4 },	/* beyond U+10FFFF */
		{ "\xf5\x80\x80\x80", 4, 4 },
		{ "\xe2\x82", 2, 2 },		/* cut short */
		{ "\xff", 1, 1 },
		{ "\0", 1, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint16_t out[8];

		T_EQ_U64(utf16_from_utf8(cases[i].src, cases[i].len, out, 8),
			 cases[i].bad);
		for (size_t k = 0; k < cases[i].bad; k++)
			T_EQ_U64(out[k], 0xfffd);
	}
}

static void units_are_cut_at_a_whole_character(void)
{
	const char src[] = "a\xf0\x9f\x92\xbe" "b";
	uint16_t out[4] = { 1, 1, 1, 1 };

	T_EQ_U64(utf16_from_utf8(src, 6, out, 2), 4);
	T_EQ_U64(out[0], 'a');
	T_EQ_U64(out[1], 1); /* half a pair is never written */
	T_EQ_U64(utf16_from_utf8(src, 6, out, 4), 4);
	T_EQ_U64(out[3], 'b');
	T_EQ_U64(utf16_from_utf8(src, 6, NULL, 0), 4);
}

static void disk_form_writes_little_endian(void)
{
	uint8_t out[5] = { 0, 0, 0, 0, 9 };

	T_EQ_U64(utf16le_from_utf8("h\xe2\x82\xac", 4, out, 2), 2);
	T_TRUE(memcmp(out, "h\0\xac\x20\x09", 5) == 0);
}

/* Whatever the units, the result fits UTF16_UTF8_MAX and converts back to
 * text that no longer changes. */
static void random_units_stay_in_bounds_and_settle(void)
{
	uint64_t seed = 7;

	for (int round = 0; round < 20000; round++) {
		uint16_t u[12], back[36], again[36];
		char a[UTF16_UTF8_MAX(12)];
		size_t cnt = t_rand_below(&seed, 13), len, n;

		for (size_t i = 0; i < cnt; i++)
			u[i] = (uint16_t)(t_rand_below(&seed, 2)
				? 0xd800 + t_rand_below(&seed, 0x800)
				: t_rand_below(&seed, 0x10000));
		len = utf16_to_utf8(u, cnt, a, sizeof(a));
		T_TRUE(len < sizeof(a) && strlen(a) == len);
		n = utf16_from_utf8(a, len, back, ARRAY_LEN(back));
		T_TRUE(n <= cnt);
		T_EQ_U64(utf16_to_utf8(back, n, a, sizeof(a)), len);
		T_EQ_U64(utf16_from_utf8(a, len, again, 36), n);
		T_TRUE(memcmp(back, again, 2 * n) == 0);
	}
}

static void random_bytes_stay_in_bounds(void)
{
	uint64_t seed = 8;

	for (int round = 0; round < 20000; round++) {
		char src[16];
		uint16_t out[16];
		size_t len = t_rand_below(&seed, 17);

		for (size_t i = 0; i < len; i++)
			src[i] = (char)t_rand(&seed);
		T_TRUE(utf16_from_utf8(src, len, out, 16) <= len);
	}
}

static const struct t_test tests[] = {
	T_TEST(every_length_of_utf8_is_made),
	T_TEST(unpaired_surrogates_become_replacements),
	T_TEST(nul_inside_is_visible),
	T_TEST(output_is_cut_at_a_whole_character),
	T_TEST(disk_form_reads_any_alignment),
	T_TEST(len_stops_at_nul_or_at_the_end),
	T_TEST(every_code_point_round_trips),
	T_TEST(ill_formed_utf8_gives_one_replacement_per_byte),
	T_TEST(units_are_cut_at_a_whole_character),
	T_TEST(disk_form_writes_little_endian),
	T_TEST(random_units_stay_in_bounds_and_settle),
	T_TEST(random_bytes_stay_in_bounds),
	T_END,
};

const struct t_suite t_suite_utf16 = { "utf16", tests };
