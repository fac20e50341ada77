/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "guid.h"

/* The BAT's region id, MS-VHDX 2.2.3.2, in both of its forms. */
#define BAT_TEXT "2dc27766-f623-4200-9d64-115e9bfd4a08"
static const struct guid bat_guid =
	GUID_INIT(0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b,
		  0xfd, 0x4a, 0x08);
static const uint8_t bat_bytes[16] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6,
				       0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e,
				       0x9b, 0xfd, 0x4a, 0x08 };

static void initialiser_stores_mixed_endian_bytes(void)
{
	T_TRUE(memcmp(bat_guid.b, bat_bytes, 16) == 0);
}

static void format_is_lower_case_without_braces(void)
{
	char text[GUID_TEXT_LEN];

	guid_format(&bat_guid, text);
	T_TRUE(strcmp(text, BAT_TEXT) == 0);
}

static void parse_takes_any_case_and_braces(void)
{
	struct guid g;

	T_TRUE(guid_parse(BAT_TEXT, &g) && guid_eq(&g, &bat_guid));
	memset(&g, 0, sizeof(g));
	T_TRUE(guid_parse("{2DC27766-F623-4200-9D64-115E9BFD4A08}", &g));
	T_TRUE(guid_eq(&g, &bat_guid));
}

static void parse_refuses_everything_else(void)
{
	static const char *const bad[] = {
		"", "{", "{}", "2dc27766", BAT_TEXT "0", BAT_TEXT " ",
		" " BAT_TEXT, "{" BAT_TEXT, BAT_TEXT "}", "{" BAT_TEXT "}}",
		"2dc27766f62342009d64115e9bfd4a08",
		"2dc27766-f623-4200-9d64-115e9bfd4a0",
		"2dc27766-f623-4200-9d64-115e9bfd4a0g",
		"2dc2776-6f623-4200-9d64-115e9bfd4a08",
		"2dc27766-f623-4200-9d64_115e9bfd4a08",
		"+dc27766-f623-4200-9d64-115e9bfd4a08",
	};
	struct guid g = bat_guid;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		T_TRUE(!guid_parse(bad[i], &g));
	T_TRUE(guid_eq(&g, &bat_guid)); /* untouched */
}

static void format_and_parse_round_trip(void)
{
	uint64_t seed = 1;

	for (int i = 0; i < 1000; i++) {
		char text[GUID_TEXT_LEN];
		struct guid a, b;

		for (size_t k = 0; k < 16; k++)
			a.b[k] = (uint8_t)t_rand(&seed);
		guid_format(&a, text);
		T_TRUE(guid_parse(text, &b));
		T_TRUE(guid_eq(&a, &b));
	}
}

static void only_all_zero_bytes_are_zero(void)
{
	struct guid g = { { 0 } };

	T_TRUE(guid_is_zero(&g));
	for (size_t k = 0; k < 16; k++) {
		g.b[k] = 1;
		T_TRUE(!guid_is_zero(&g));
		g.b[k] = 0;
	}
}

static void random_guids_differ_and_are_version_4(void)
{
	struct guid g[64];

	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		guid_random(&g[i]);
		T_EQ_U64(g[i].b[7] >> 4, 4);
		T_EQ_U64(g[i].b[8] >> 6, 2);
		for (size_t k = 0; k < i; k++)
			T_TRUE(!guid_eq(&g[i], &g[k]));
	}
}

static void seed_repeats_until_it_is_taken_back(void)
{
	struct guid a, b, c;

	guid_seed_for_tests(42);
	guid_random(&a);
	guid_random(&c);
	guid_seed_for_tests(42);
	guid_random(&b);
	T_TRUE(guid_eq(&a, &b) && !guid_eq(&a, &c));
	guid_seed_for_tests(0);
	guid_random(&b);
	T_TRUE(!guid_eq(&b, &c));
}

static const struct t_test tests[] = {
	T_TEST(initialiser_stores_mixed_endian_bytes),
	T_TEST(format_is_lower_case_without_braces),
	T_TEST(parse_takes_any_case_and_braces),
	T_TEST(parse_refuses_everything_else),
	T_TEST(format_and_parse_round_trip),
	T_TEST(only_all_zero_bytes_are_zero),
	T_TEST(random_guids_differ_and_are_version_4),
	T_TEST(seed_repeats_until_it_is_taken_back),
	T_END,
};

const struct t_suite t_suite_guid = { "guid", tests };
