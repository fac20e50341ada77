/* SPDX-License-Identifier: MIT */
/*
 * The structure of a parent locator: type, entries, keys. Whether the parent
 * is there, and is the right one, is not a matter of this file.
 */
#include "vhdx_check.h"

#include <inttypes.h>
#include <string.h>

#include "le.h"
#include "utf16.h"

enum {
	LOCATOR_HEADER_LEN = 20,
	LOCATOR_RESERVED = 16,
	LOCATOR_CNT = 18,
	LOCATOR_ENTRY_LEN = 12,
	ENTRY_KEY_OFF = 0,
	ENTRY_VALUE_OFF = 4,
	ENTRY_KEY_LEN = 8,
	ENTRY_VALUE_LEN = 10,

	NAME_MAX_LEN = 64,

	/* Real ones have five entries; 65535 would take hours to compare. */
	COMPARE_MAX = 256,
};

static const struct guid type_vhdx = GUID_INIT(0xb04aefb7, 0xd19e, 0x4a81,
	0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);

struct locator {
	struct vck *v;
	const uint8_t *b;
	uint32_t len;
	uint64_t off;
	bool linkage, path;
	struct check_many bad; /* strings */
};

static bool has_nul(const uint8_t *p, uint32_t len)
{
	return utf16le_len(p, len / 2) != len / 2;
}

/* The bytes of a key or value, or NULL with the reason told. */
static const uint8_t *string_at(struct locator *l, uint32_t i,
				const char *what, uint32_t off, uint32_t len)
{
	uint64_t pos = l->off + LOCATOR_HEADER_LEN + LOCATOR_ENTRY_LEN * i;
	const char *why = NULL;

	if (off == 0 || len == 0)
		why = "offset and length must not be 0";
	else if ((uint64_t)off + len > l->len)
		why = "it ends outside the item";
	else if (len % 2)
		why = "UTF-16 has an even number of bytes";
	else if (has_nul(l->b + off, len))
		why = "it contains a NUL";
	if (!why)
		return l->b + off;
	if (check_in_full(&l->bad))
		check_error(l->v->c, VHDX_OBJ_LOCATOR, pos, "2.6.2.6.2",
			    "parent locator: the %s of entry %" PRIu32 " (%"
			    PRIu32 "+%" PRIu32 " of %" PRIu32 "): %s", what, i,
			    off, len, l->len, why);
	return NULL;
}

static void say_linkage(const struct locator *l, const char *key,
			const uint8_t *value, uint32_t len)
{
	char text[NAME_MAX_LEN];
	struct guid id;

	utf16le_to_utf8(value, len / 2, text, sizeof(text));
	if (!guid_parse(text, &id))
		check_error(l->v->c, VHDX_OBJ_LOCATOR, l->off, "2.6.2.6.3",
			    "parent locator: %s is \"%s\", must be a GUID", key,
			    text);
}

static void entry(struct locator *l, uint32_t i)
{
	const uint8_t *b = l->b + LOCATOR_HEADER_LEN + LOCATOR_ENTRY_LEN * i;
	uint32_t key_len = get_le16(b + ENTRY_KEY_LEN);
	uint32_t value_len = get_le16(b + ENTRY_VALUE_LEN);
	const uint8_t *key = string_at(l, i, "key",
				       get_le32(b + ENTRY_KEY_OFF), key_len);
	const uint8_t *value = string_at(l, i, "value",
					 get_le32(b + ENTRY_VALUE_OFF),
					 value_len);
	char name[NAME_MAX_LEN];

	if (!key || !value)
		return;
	utf16le_to_utf8(key, key_len / 2, name, sizeof(name));
	if (strcmp(name, "parent_linkage") == 0)
		l->linkage = true;
	if (strncmp(name, "parent_linkage", 14) == 0)
		say_linkage(l, name, value, value_len);
	if (strcmp(name, "relative_path") == 0 ||
	    strcmp(name, "volume_path") == 0 ||
	    strcmp(name, "absolute_win32_path") == 0)
		l->path = true;
}

static bool same_key(const struct locator *l, uint32_t i, uint32_t k)
{
	const uint8_t *a = l->b + LOCATOR_HEADER_LEN + LOCATOR_ENTRY_LEN * i;
	const uint8_t *b = l->b + LOCATOR_HEADER_LEN + LOCATOR_ENTRY_LEN * k;
	uint32_t len = get_le16(a + ENTRY_KEY_LEN);
	uint64_t a_off = get_le32(a), b_off = get_le32(b);

	return len == get_le16(b + ENTRY_KEY_LEN) && a_off + len <= l->len &&
	       b_off + len <= l->len &&
	       memcmp(l->b + a_off, l->b + b_off, len) == 0;
}

static void say_doubles(const struct locator *l, uint32_t cnt)
{
	struct check_many bad = { 0 };

	if (cnt > COMPARE_MAX) {
		check_warn(l->v->c, VHDX_OBJ_LOCATOR, l->off, "2.6.2.6.2",
			   "parent locator: there are %" PRIu32 " entries; the "
			   "keys of the first %d are compared", cnt,
			   COMPARE_MAX);
		cnt = COMPARE_MAX;
	}
	for (uint32_t i = 0; i < cnt; i++)
		for (uint32_t k = 0; k < i; k++)
			if (same_key(l, i, k) && check_in_full(&bad))
				check_error(l->v->c, VHDX_OBJ_LOCATOR, l->off,
					    "2.6.2.6.2", "parent locator: "
					    "entries %" PRIu32 " and %" PRIu32
					    " have the same key", k, i);
	check_rest(l->v->c, &bad, VHDX_SEV_ERROR, CHECK_NO_FIX,
		   VHDX_OBJ_LOCATOR, "2.6.2.6.2", "pairs with the same key");
}

static void entries(struct locator *l, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		entry(l, i);
	check_rest(l->v->c, &l->bad, VHDX_SEV_ERROR, CHECK_NO_FIX,
		   VHDX_OBJ_LOCATOR, "2.6.2.6.2", "bad keys and values");
	say_doubles(l, cnt);
	if (!l->linkage)
		check_error(l->v->c, VHDX_OBJ_LOCATOR, l->off, "2.6.2.6.3",
			    "parent locator: there is no parent_linkage");
	if (!l->path)
		check_error(l->v->c, VHDX_OBJ_LOCATOR, l->off, "2.6.2.6.3",
			    "parent locator: there is no path to the parent");
}

void vck_locator(struct vck *v, const uint8_t *b, uint32_t len, uint64_t off)
{
	struct locator l = { .v = v, .b = b, .len = len, .off = off };
	struct guid type;
	uint32_t cnt;
	char id[GUID_TEXT_LEN];

	if (len < LOCATOR_HEADER_LEN) {
		check_error(v->c, VHDX_OBJ_LOCATOR, off, "2.6.2.6.1",
			    "the parent locator is %" PRIu32 " bytes long, "
			    "must be at least %d", len, LOCATOR_HEADER_LEN);
		return;
	}
	memcpy(type.b, b, sizeof(type.b));
	cnt = get_le16(b + LOCATOR_CNT);
	if (get_le16(b + LOCATOR_RESERVED))
		check_warn(v->c, VHDX_OBJ_LOCATOR, off + LOCATOR_RESERVED,
			   "2.6.2.6.1", "parent locator: Reserved is 0x%x, "
			   "must be 0", get_le16(b + LOCATOR_RESERVED));
	if (!guid_eq(&type, &type_vhdx)) {
		guid_format(&type, id);
		check_error(v->c, VHDX_OBJ_LOCATOR, off, "2.6.2.6.1",
			    "parent locator: the type %s is unknown", id);
	} else if (LOCATOR_HEADER_LEN + (uint64_t)LOCATOR_ENTRY_LEN * cnt > len)
		check_error(v->c, VHDX_OBJ_LOCATOR, off + LOCATOR_CNT,
			    "2.6.2.6.1", "parent locator: %" PRIu32 " entries "
			    "do not fit in its %" PRIu32 " bytes", cnt, len);
	else
		entries(&l, cnt);
}
