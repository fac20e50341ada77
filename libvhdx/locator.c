/* SPDX-License-Identifier: MIT */
/*
 * The parent locator's bytes (MS-VHDX 2.6.2.6). Keys and values stay the bytes
 * they were in the file, in their order, so that what is not understood -
 * foreign keys, surrogates without a partner - comes back out as it went in.
 * Text is converted only on its way to or from the caller. Accepted is exactly
 * what the checker (check_locator.c) finds no error in.
 */
#include "locator.h"

#include <inttypes.h>
#include <string.h>

#include "le.h"
#include "mem.h"
#include "utf16.h"

enum {
	HEADER_LEN = 20,
	HEADER_CNT = 18,
	ENTRY_LEN = 12,
	ENTRY_KEY_OFF = 0,
	ENTRY_VALUE_OFF = 4,
	ENTRY_KEY_LEN = 8,
	ENTRY_VALUE_LEN = 10,

	STRING_MAX = 65534, /* bytes: an even number of 16 bits */
	ID_TEXT_MAX = 64,   /* a GUID in braces takes 38 */
};

static const struct guid type_vhdx = GUID_INIT(0xb04aefb7, 0xd19e, 0x4a81,
	0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);

static int no_memory(struct vhdx_err *e)
{
	return err_set(e, VHDX_E_NOMEM, "parent locator: out of memory");
}

/* ---- decoding ---------------------------------------------------------- */

struct item {
	const uint8_t *b;
	uint32_t len;
	uint64_t off; /* in the file */
};

/* A copy of the key or value that entry i puts at `pos`. */
static int decode_string(const struct item *it, uint32_t i, const char *what,
			 uint32_t pos, uint16_t len, uint8_t **out,
			 struct vhdx_err *e)
{
	const char *why = NULL;

	if (pos == 0 || len == 0)
		why = "offset and length must not be 0";
	else if ((uint64_t)pos + len > it->len)
		why = "it ends outside the item";
	else if (len % 2)
		why = "UTF-16 has an even number of bytes";
	else if (utf16le_len(it->b + pos, len / 2) != len / 2)
		why = "it contains a NUL";
	if (why)
		return err_corrupt(e, VHDX_OBJ_LOCATOR, it->off + HEADER_LEN +
				   ENTRY_LEN * (uint64_t)i, "2.6.2.6.2",
				   "parent locator: the %s of entry %" PRIu32
				   " (%" PRIu32 "+%u of %" PRIu32 "): %s", what,
				   i, pos, len, it->len, why);
	*out = mem_alloc(len);
	if (!*out)
		return no_memory(e);
	memcpy(*out, it->b + pos, len);
	return 0;
}

static bool same_key(const struct locator_entry *a,
		     const struct locator_entry *b)
{
	return a->key_len == b->key_len &&
	       memcmp(a->key, b->key, a->key_len) == 0;
}

static int decode_entry(const struct item *it, struct locator *l,
			struct vhdx_err *e)
{
	uint32_t i = l->cnt;
	const uint8_t *b = it->b + HEADER_LEN + ENTRY_LEN * i;
	struct locator_entry *en = &l->e[l->cnt++];
	int rc;

	en->key_len = get_le16(b + ENTRY_KEY_LEN);
	en->value_len = get_le16(b + ENTRY_VALUE_LEN);
	rc = decode_string(it, i, "key", get_le32(b + ENTRY_KEY_OFF),
			   en->key_len, &en->key, e);
	if (!rc)
		rc = decode_string(it, i, "value",
				   get_le32(b + ENTRY_VALUE_OFF),
				   en->value_len, &en->value, e);
	for (uint32_t k = 0; !rc && k < i; k++)
		if (same_key(&l->e[k], en))
			rc = err_corrupt(e, VHDX_OBJ_LOCATOR, it->off,
					 "2.6.2.6.2", "parent locator: entries "
					 "%" PRIu32 " and %" PRIu32 " have the "
					 "same key", k, i);
	return rc;
}

static int decode_header(const struct item *it, uint32_t *cnt,
			 struct vhdx_err *e)
{
	struct guid type;
	char id[GUID_TEXT_LEN];

	if (it->len < HEADER_LEN)
		return err_corrupt(e, VHDX_OBJ_LOCATOR, it->off, "2.6.2.6.1",
				   "the parent locator is %" PRIu32 " bytes "
				   "long, must be at least %d", it->len,
				   HEADER_LEN);
	memcpy(type.b, it->b, sizeof(type.b));
	if (!guid_eq(&type, &type_vhdx)) {
		guid_format(&type, id);
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_LOCATOR, it->off,
			       "2.6.2.6.1", "parent locator: the type %s is "
			       "unknown; only VHDX parents are handled", id);
	}
	*cnt = get_le16(it->b + HEADER_CNT);
	if (HEADER_LEN + ENTRY_LEN * *cnt > it->len)
		return err_corrupt(e, VHDX_OBJ_LOCATOR, it->off + HEADER_CNT,
				   "2.6.2.6.1", "parent locator: %" PRIu32
				   " entries do not fit in its %" PRIu32
				   " bytes", *cnt, it->len);
	if (*cnt > LOCATOR_ENTRY_MAX)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_LOCATOR,
			       it->off + HEADER_CNT, "2.6.2.6.1", "parent "
			       "locator: there are %" PRIu32 " entries, at "
			       "most %u are handled", *cnt, LOCATOR_ENTRY_MAX);
	return 0;
}

int locator_decode(const uint8_t *b, uint32_t len, uint64_t off,
		   struct locator *out, struct vhdx_err *e)
{
	struct item it = { b, len, off };
	uint32_t cnt = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = decode_header(&it, &cnt, e);
	while (!rc && out->cnt < cnt)
		rc = decode_entry(&it, out, e);
	if (rc)
		locator_free(out);
	return rc;
}

void locator_free(struct locator *l)
{
	for (uint32_t i = 0; i < l->cnt; i++) {
		mem_free(l->e[i].key);
		mem_free(l->e[i].value);
	}
	memset(l, 0, sizeof(*l));
}

/* ---- encoding ---------------------------------------------------------- */

static uint32_t put_string(uint8_t *b, uint32_t pos, const uint8_t *text,
			   uint16_t len)
{
	if (b)
		memcpy(b + pos, text, len);
	return pos + len;
}

uint32_t locator_encode(const struct locator *l, uint8_t *b)
{
	uint32_t pos = HEADER_LEN + ENTRY_LEN * l->cnt;

	if (b) {
		memset(b, 0, HEADER_LEN);
		memcpy(b, type_vhdx.b, sizeof(type_vhdx.b));
		put_le16(b + HEADER_CNT, (uint16_t)l->cnt);
	}
	for (uint32_t i = 0; i < l->cnt; i++) {
		const struct locator_entry *en = &l->e[i];
		uint8_t *p = b ? b + HEADER_LEN + ENTRY_LEN * i : NULL;

		if (p) {
			put_le32(p + ENTRY_KEY_OFF, pos);
			put_le32(p + ENTRY_VALUE_OFF, pos + en->key_len);
			put_le16(p + ENTRY_KEY_LEN, en->key_len);
			put_le16(p + ENTRY_VALUE_LEN, en->value_len);
		}
		pos = put_string(b, pos, en->key, en->key_len);
		pos = put_string(b, pos, en->value, en->value_len);
	}
	return pos;
}

/* ---- keys -------------------------------------------------------------- */

static bool key_is(const struct locator_entry *en, const char *key)
{
	size_t n = strlen(key);

	if (en->key_len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (get_le16(en->key + 2 * i) != (uint8_t)key[i])
			return false;
	return true;
}

static const struct locator_entry *find(const struct locator *l,
					const char *key)
{
	for (uint32_t i = 0; i < l->cnt; i++)
		if (key_is(&l->e[i], key))
			return &l->e[i];
	return NULL;
}

static char *value_text(const struct locator_entry *en)
{
	size_t cap = UTF16_UTF8_MAX(en->value_len / 2);
	char *text = mem_alloc(cap);

	if (text)
		utf16le_to_utf8(en->value, en->value_len / 2, text, cap);
	return text;
}

char *locator_get(const struct locator *l, const char *key)
{
	const struct locator_entry *en = find(l, key);

	return en ? value_text(en) : NULL;
}

/* INVAL for what UTF-16 could not give back unchanged. */
static int to_utf16(const char *text, uint8_t **out, uint16_t *len,
		    struct vhdx_err *e)
{
	struct locator_entry en = { 0 };
	size_t n = utf16le_from_utf8(text, strlen(text), NULL, 0);
	char *back;
	bool same;

	if (n == 0 || n > STRING_MAX / 2)
		return err_set(e, VHDX_E_INVAL, "parent locator: a text of %zu "
			       "UTF-16 units, must be 1 to %d: \"%.64s\"", n,
			       STRING_MAX / 2, text);
	en.value_len = (uint16_t)(2 * n);
	en.value = mem_alloc(2 * n);
	if (!en.value)
		return no_memory(e);
	utf16le_from_utf8(text, strlen(text), en.value, n);
	back = value_text(&en);
	same = back && strcmp(back, text) == 0;
	mem_free(back);
	if (same) {
		*out = en.value;
		*len = en.value_len;
		return 0;
	}
	mem_free(en.value);
	if (!back)
		return no_memory(e);
	return err_set(e, VHDX_E_INVAL, "parent locator: the path \"%s\" is "
		       "not UTF-8 and cannot be written down", text);
}

static void remove_entry(struct locator *l, struct locator_entry *en)
{
	struct locator_entry *last = &l->e[l->cnt];

	mem_free(en->key);
	mem_free(en->value);
	memmove(en, en + 1, (size_t)((char *)last - (char *)(en + 1)));
	l->cnt--;
}

static int add_entry(struct locator *l, const char *key, uint8_t *value,
		     uint16_t value_len, struct vhdx_err *e)
{
	struct locator_entry en = { .value = value, .value_len = value_len };
	int rc;

	if (l->cnt == LOCATOR_ENTRY_MAX)
		return err_set(e, VHDX_E_UNSUPPORTED, "parent locator: it has "
			       "%u entries already, there is no room for %s",
			       LOCATOR_ENTRY_MAX, key);
	rc = to_utf16(key, &en.key, &en.key_len, e);
	if (!rc)
		l->e[l->cnt++] = en;
	return rc;
}

int locator_set(struct locator *l, const char *key, const char *value,
		struct vhdx_err *e)
{
	const struct locator_entry *old = find(l, key);
	struct locator_entry *en = old ? &l->e[old - l->e] : NULL;
	uint8_t *text;
	uint16_t len;
	int rc;

	if (!value) {
		if (en)
			remove_entry(l, en);
		return 0;
	}
	rc = to_utf16(value, &text, &len, e);
	if (rc)
		return rc;
	if (en) {
		mem_free(en->value);
		en->value = text;
		en->value_len = len;
		return 0;
	}
	rc = add_entry(l, key, text, len, e);
	if (rc)
		mem_free(text);
	return rc;
}

bool locator_eq(const struct locator *a, const struct locator *b)
{
	if (a->cnt != b->cnt)
		return false;
	for (uint32_t i = 0; i < a->cnt; i++)
		if (!same_key(&a->e[i], &b->e[i]) ||
		    a->e[i].value_len != b->e[i].value_len ||
		    memcmp(a->e[i].value, b->e[i].value, a->e[i].value_len))
			return false;
	return true;
}

/* ---- meaning ----------------------------------------------------------- */

static int add_linkage(const struct locator *l, const char *key, uint64_t off,
		       struct parent_ref *ref, struct vhdx_err *e)
{
	const struct locator_entry *en = find(l, key);
	char text[ID_TEXT_MAX];

	if (!en)
		return 0;
	utf16le_to_utf8(en->value, en->value_len / 2, text, sizeof(text));
	if (!guid_parse(text, &ref->linkage[ref->linkage_cnt]))
		return err_corrupt(e, VHDX_OBJ_LOCATOR, off, "2.6.2.6.3",
				   "parent locator: %s is \"%s\", must be a "
				   "GUID", key, text);
	ref->linkage_cnt++;
	return 0;
}

static int add_path(const struct locator *l, const char *key,
		    struct parent_ref *ref, struct vhdx_err *e)
{
	const struct locator_entry *en = find(l, key);
	char *text;

	if (!en)
		return 0;
	text = value_text(en);
	if (!text)
		return no_memory(e);
	ref->paths[ref->path_cnt].key = key;
	ref->paths[ref->path_cnt++].text = text;
	return 0;
}

static int fill_parent(const struct locator *l, uint64_t off,
		       struct parent_ref *ref, struct vhdx_err *e)
{
	static const char *const keys[] = { "relative_path", "volume_path",
					    "absolute_win32_path" };
	int rc = add_linkage(l, "parent_linkage", off, ref, e);

	if (!rc && ref->linkage_cnt == 0)
		rc = err_corrupt(e, VHDX_OBJ_LOCATOR, off, "2.6.2.6.3",
				 "parent locator: there is no parent_linkage");
	if (!rc)
		rc = add_linkage(l, "parent_linkage2", off, ref, e);
	for (size_t i = 0; !rc && i < ARRAY_LEN(keys); i++)
		rc = add_path(l, keys[i], ref, e);
	if (!rc && ref->path_cnt == 0)
		rc = err_corrupt(e, VHDX_OBJ_LOCATOR, off, "2.6.2.6.3",
				 "parent locator: there is no path to the "
				 "parent");
	return rc;
}

int locator_parent(const struct locator *l, uint64_t off,
		   struct parent_ref **out, struct vhdx_err *e)
{
	struct parent_ref *ref = mem_zalloc(sizeof(*ref));
	int rc = ref ? fill_parent(l, off, ref, e) : no_memory(e);

	if (rc) {
		parent_ref_free(ref);
		ref = NULL;
	}
	*out = ref;
	return rc;
}

void parent_ref_free(struct parent_ref *r)
{
	for (unsigned i = 0; r && i < r->path_cnt; i++)
		mem_free(r->paths[i].text);
	mem_free(r);
}
