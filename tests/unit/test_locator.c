/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <stdlib.h>
#include <string.h>

#include "le.h"
#include "locator.h"
#include "mem.h"

#define ID1 "{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}"
#define ID2 "{11111111-24C8-49A6-A959-5E4BF1288BFB}"

static uint8_t item[4096];
static uint32_t item_len;
static struct locator loc;
static struct parent_ref *ref;

/* Two bytes of ASCII each, at pos. */
static uint32_t wide(uint32_t pos, const char *s)
{
	for (; *s; s++, pos += 2)
		put_le16(item + pos, (uint8_t)*s);
	return pos;
}

/* By hand, not by the encoder: strings behind a table of cnt pairs. */
static void build(uint32_t cnt, const char *const kv[][2])
{
	uint32_t pos = 20 + 12 * cnt;

	memset(item, 0, sizeof(item));
	t_hex(item, "b7ef4ab0 9ed1 814a b789 25b8e9445913 0000");
	put_le16(item + 18, (uint16_t)cnt);
	for (uint32_t i = 0; i < cnt; i++) {
		uint8_t *e = item + 20 + 12 * i;

		for (uint32_t k = 0; k < 2; k++) {
			uint32_t end = wide(pos, kv[i][k]);

			put_le32(e + 4 * k, pos);
			put_le16(e + 8 + 2 * k, (uint16_t)(end - pos));
			pos = end;
		}
	}
	item_len = pos;
}

static const char *const five[][2] = {
	{ "parent_linkage", ID1 },
	{ "absolute_win32_path", "\\\\?\\C:\\vm\\base.vhdx" },
	{ "parent_linkage2", ID2 },
	{ "relative_path", ".\\base.vhdx" },
	{ "volume_path", "\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}"
			 "\\vm\\base.vhdx" },
};

static int decode(void)
{
	/* Exactly its length, for the sanitizer. */
	uint8_t *b = malloc(item_len + 1u);
	int rc;

	memcpy(b, item, item_len);
	rc = locator_decode(b, item_len, 0x300000, &loc, &t_err);
	free(b);
	return rc;
}

static void five_keys_of_windows_are_understood(void)
{
	build(5, five);
	T_OK(decode());
	T_OK(locator_parent(&loc, 0, &ref, &t_err));
	T_EQ_U64(ref->linkage_cnt, 2);
	T_TRUE(ref->linkage[0].b[0] == 0xc3 && ref->linkage[1].b[0] == 0x11);
	T_EQ_U64(ref->path_cnt, 3);
	T_TRUE(strcmp(ref->paths[0].text, ".\\base.vhdx") == 0);
	T_TRUE(strcmp(ref->paths[1].key, "volume_path") == 0);
	T_TRUE(strcmp(ref->paths[2].text, five[1][1]) == 0);
	parent_ref_free(ref);
	locator_free(&loc);
}

static void round_trip_keeps_every_byte(void)
{
	static const char *const kv[][2] = { { "parent_linkage", ID1 },
					     { "their_own", "??x" } };
	uint8_t out[sizeof(item)];

	build(2, kv);
	put_le16(item + item_len - 6, 0xd800); /* no partner follows */
	put_le16(item + item_len - 4, 0xd801);
	T_OK(decode());
	T_EQ_U64(locator_encode(&loc, NULL), item_len);
	T_EQ_U64(locator_encode(&loc, out), item_len);
	T_TRUE(memcmp(out, item, item_len) == 0);
	locator_free(&loc);
}

/* The five keys with one field of the item changed. */
static void spoilt(uint32_t at, uint32_t v, unsigned len, int code,
		   const char *part)
{
	build(5, five);
	if (len == 2)
		put_le16(item + at, (uint16_t)v);
	else
		put_le32(item + at, v);
	T_FAILS(decode(), code, part);
	T_EQ_U64(loc.cnt, 0);
}

static void every_rule_rejects(void)
{
	spoilt(0, 1, 4, VHDX_E_UNSUPPORTED, "type");
	spoilt(18, 60000, 2, VHDX_E_CORRUPT, "do not fit");
	spoilt(20, 0, 4, VHDX_E_CORRUPT, "key of entry 0");
	spoilt(24, 0, 4, VHDX_E_CORRUPT, "value of entry 0");
	spoilt(28, 0, 2, VHDX_E_CORRUPT, "must not be 0");
	spoilt(30, 77, 2, VHDX_E_CORRUPT, "even number");
	spoilt(24, UINT32_MAX, 4, VHDX_E_CORRUPT, "ends outside");
	spoilt(24, item_len - 74, 4, VHDX_E_CORRUPT, "ends outside");
	spoilt(82, 0, 2, VHDX_E_CORRUPT, "NUL");
}

static void short_item_is_rejected(void)
{
	build(0, five);
	item_len = 19;
	T_FAILS(decode(), VHDX_E_CORRUPT, "19 bytes");
}

static void same_key_twice_is_rejected(void)
{
	static const char *const kv[][2] = { { "a", "1" }, { "a", "2" } };

	build(2, kv);
	T_FAILS(decode(), VHDX_E_CORRUPT, "same key");
}

static void too_many_entries_are_not_handled(void)
{
	build(0, five);
	put_le16(item + 18, LOCATOR_ENTRY_MAX + 1);
	item_len = 2000;
	T_FAILS(decode(), VHDX_E_UNSUPPORTED, "65 entries");
}

static void means(const char *key, const char *value, const char *part)
{
	build(5, five);
	T_OK(decode());
	T_OK(locator_set(&loc, "volume_path", NULL, &t_err));
	T_OK(locator_set(&loc, "absolute_win32_path", NULL, &t_err));
	T_OK(locator_set(&loc, key, value, &t_err));
	T_FAILS(locator_parent(&loc, 0, &ref, &t_err), VHDX_E_CORRUPT, part);
	T_TRUE(!ref);
	locator_free(&loc);
}

static void parent_needs_linkage_and_path(void)
{
	means("parent_linkage", NULL, "no parent_linkage");
	means("parent_linkage", "{83ed}", "must be a GUID");
	means("parent_linkage2", "x", "must be a GUID");
	means("relative_path", NULL, "no path");
}

static void text_that_is_not_utf8_is_refused(void)
{
	memset(&loc, 0, sizeof(loc));
	T_FAILS(locator_set(&loc, "k", "a\xff", &t_err), VHDX_E_INVAL, "UTF-8");
	T_FAILS(locator_set(&loc, "k", "", &t_err), VHDX_E_INVAL, "1 to");
	T_EQ_U64(loc.cnt, 0);
}

static void made(const char *child, const char *parent, const char *rel)
{
	struct guid id;
	char *text;

	T_TRUE(guid_parse(ID1, &id));
	T_OK(locator_make(child, parent, &id, &loc, &t_err));
	text = locator_get(&loc, "relative_path");
	CU_ASSERT_STRING_EQUAL(text, rel);
	mem_free(text);
	text = locator_get(&loc, "parent_linkage");
	CU_ASSERT_STRING_EQUAL(text, ID1);
	mem_free(text);
	locator_free(&loc);
}

static void made_paths_lead_from_the_childs_folder(void)
{
	made("/no/v/c", "/no/v/b", ".\\b");
	made("/no/v/c", "/no/v/s/b", ".\\s\\b");
	made("/no/v/c", "/no/vw/b", "..\\vw\\b");
	made("/no/v/./s//c", "/no/v/s/../b", "..\\b");
	made("/no/b/c", "/b", "..\\..\\b");
}

static void backslash_or_self_cannot_be_recorded(void)
{
	struct guid id = { { 1 } };

	T_FAILS(locator_make("/no/c", "/no/x\\b", &id, &loc, &t_err),
		VHDX_E_INVAL, "backslash");
	T_FAILS(locator_make("/no/c", "/no/./c", &id, &loc, &t_err),
		VHDX_E_INVAL, "own parent");
	T_EQ_U64(loc.cnt, 0);
}

static char seen[512];

static bool note(void *arg, const char *path, const char *why)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s=%s ", path, why);
	return arg && strstr(path, arg);
}

static void candidates_come_in_order_once(void)
{
	static const char *const folders[] = { "/p", "q/" };

	build(5, five);
	T_OK(decode());
	T_OK(locator_set(&loc, "volume_path", "\\\\?\\\\srv\\x.vhdx", &t_err));
	T_OK(locator_parent(&loc, 0, &ref, &t_err));
	seen[0] = '\0';
	T_OK(locator_candidates(ref, "d/c", folders, 2, note, NULL, &t_err));
	CU_ASSERT_STRING_EQUAL(seen, "d/base.vhdx=relative_path "
		"/srv/x.vhdx=volume_path /p/base.vhdx=search "
		"/p/x.vhdx=search q/base.vhdx=search q/x.vhdx=search ");
	seen[0] = '\0';
	T_OK(locator_candidates(ref, "d/c", folders, 2, note, "srv", &t_err));
	T_TRUE(!strstr(seen, "search"));
	parent_ref_free(ref);
	locator_free(&loc);
}

static const struct t_test tests[] = {
	T_TEST(five_keys_of_windows_are_understood),
	T_TEST(round_trip_keeps_every_byte),
	T_TEST(every_rule_rejects),
	T_TEST(short_item_is_rejected),
	T_TEST(same_key_twice_is_rejected),
	T_TEST(too_many_entries_are_not_handled),
	T_TEST(parent_needs_linkage_and_path),
	T_TEST(text_that_is_not_utf8_is_refused),
	T_TEST(made_paths_lead_from_the_childs_folder),
	T_TEST(backslash_or_self_cannot_be_recorded),
	T_TEST(candidates_come_in_order_once),
	T_END,
};

const struct t_suite t_suite_locator = { "locator", tests };
