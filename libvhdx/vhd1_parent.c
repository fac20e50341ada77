/* SPDX-License-Identifier: MIT */
#include "vhd1_parent.h"

#include <string.h>
#include <sys/stat.h>

#include "le.h"
#include "locator.h"
#include "mem.h"
#include "utf16.h"

#define NAME_KEY "parent name"

/* In the order they are tried: what survives moving both files comes first,
 * what is deprecated last. */
static const char *const kinds[] = { "W2ru", "W2ku", "MacX", "Wi2r", "Wi2k" };

static int no_memory(struct vhdx_err *e)
{
	return err_set(e, VHDX_E_NOMEM, "parent locator: out of memory");
}

/* ---- reading ------------------------------------------------------------- */

const char *vhd1_locator_kind(const struct vhd1_locator *l)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (memcmp(l->code, kinds[i], 4) == 0)
			return kinds[i];
	return NULL;
}

/* The deprecated kinds come in both: ASCII in UTF-16LE has a zero in every
 * other byte, and no path starts with one. */
static bool is_utf16(const char *kind, const uint8_t *b, size_t len)
{
	return kind[0] == 'W' && (kind[1] == '2' || (len > 1 && b[1] == 0));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "file://localhost/a%20b" becomes "/a b", in place. */
static void url_to_path(char *text)
{
	static const char scheme[] = "file://", host[] = "localhost";
	const char *in = text;
	char *out = text;

	if (strncmp(in, scheme, sizeof(scheme) - 1) == 0)
		in += sizeof(scheme) - 1;
	if (strncmp(in, host, sizeof(host) - 1) == 0)
		in += sizeof(host) - 1;
	while (*in) {
		int hi = *in == '%' ? hex_digit(in[1]) : -1;
		int lo = hi >= 0 ? hex_digit(in[2]) : -1;

		if (lo >= 0 && (hi || lo)) {
			*out++ = (char)(hi << 4 | lo);
			in += 3;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
}

static char *to_text(const char *kind, const uint8_t *b, uint32_t len)
{
	size_t units = len / 2, cap;
	char *text;

	if (!is_utf16(kind, b, len)) {
		text = mem_alloc((size_t)len + 1);
		if (!text)
			return NULL;
		memcpy(text, b, len);
		text[len] = '\0';
		if (strcmp(kind, "MacX") == 0)
			url_to_path(text);
		return text;
	}
	units = utf16le_len(b, units);
	cap = UTF16_UTF8_MAX(units);
	text = mem_alloc(cap);
	if (text)
		(void)utf16le_to_utf8(b, units, text, cap);
	return text;
}

int vhd1_locator_text(struct file *f, const struct vhd1_locator *l, char **out,
		      struct vhdx_err *e)
{
	const char *kind = vhd1_locator_kind(l);
	uint64_t end;
	uint8_t *b;
	int rc;

	*out = NULL;
	if (!kind || l->len == 0 || l->len > VHD1_PATH_MAX ||
	    ckd_add(l->off, l->len, &end) || end > f->size)
		return 0;
	b = mem_alloc(l->len);
	if (!b)
		return no_memory(e);
	rc = file_read(f, l->off, b, l->len, e);
	if (rc) {
		err_wrap(e, rc, "reading a parent locator");
	} else {
		*out = to_text(kind, b, l->len);
		rc = *out ? 0 : no_memory(e);
	}
	mem_free(b);
	if (*out && !**out) {
		mem_free(*out);
		*out = NULL;
	}
	return rc;
}

/* Takes over text; NULL and what there is no room for are left out. */
static void add_path(struct parent_ref *ref, const char *key, char *text)
{
	if (!text || ref->path_cnt == ARRAY_LEN(ref->paths)) {
		mem_free(text);
		return;
	}
	ref->paths[ref->path_cnt].key = key;
	ref->paths[ref->path_cnt++].text = text;
}

static int add_locators(struct file *f, const struct vhd1_header *h,
			struct parent_ref *ref, struct vhdx_err *e)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = 0; i < VHD1_LOCATOR_CNT; i++) {
			char *text;
			int rc;

			if (memcmp(h->locators[i].code, kinds[k], 4) != 0)
				continue;
			rc = vhd1_locator_text(f, &h->locators[i], &text, e);
			if (rc)
				return rc;
			add_path(ref, kinds[k], text);
		}
	return 0;
}

static int fill(struct file *f, const struct vhd1_header *h,
		struct parent_ref *ref, struct vhdx_err *e)
{
	int rc = add_locators(f, h, ref, e);
	char *name;

	if (rc || !h->parent_name[0])
		return rc;
	name = mem_strdup(h->parent_name);
	if (!name)
		return no_memory(e);
	if (ref->path_cnt == ARRAY_LEN(ref->paths))
		mem_free(ref->paths[--ref->path_cnt].text);
	add_path(ref, NAME_KEY, name);
	return 0;
}

int vhd1_parent_load(struct file *f, const struct vhd1_header *h,
		     uint64_t header_off, bool alone, struct parent_ref **out,
		     struct vhdx_err *e)
{
	struct parent_ref *ref;
	struct guid id;
	int rc;

	*out = NULL;
	memcpy(id.b, h->parent_uuid, sizeof(id.b));
	if (guid_is_zero(&id) && !alone)
		return err_corrupt(e, VHDX_OBJ_PARENT, header_off + 40, "VHD",
				   "%s: is a differencing disk, but the id of "
				   "its parent is not set: set-parent gives it "
				   "one", f->path);
	ref = mem_zalloc(sizeof(*ref));
	if (!ref)
		return no_memory(e);
	ref->linkage[0] = id;
	ref->linkage_cnt = !guid_is_zero(&id);
	if (h->parent_timestamp)
		ref->mtime = vhd1_time_decode(h->parent_timestamp);
	rc = fill(f, h, ref, e);
	if (rc) {
		parent_ref_free(ref);
		return rc;
	}
	*out = ref;
	return 0;
}

/* ---- writing ------------------------------------------------------------- */

/* One path into its part of the room; false: it does not fit. */
static bool put_path(struct vhd1_locator *l, const char *kind, const char *text,
		     uint8_t *room, uint32_t space)
{
	size_t units = utf16le_from_utf8(text, strlen(text), room, space / 2);

	memset(l, 0, sizeof(*l));
	if (units > space / 2) {
		memset(room, 0, space);
		return false;
	}
	memcpy(l->code, kind, 4);
	l->space = space;
	l->len = (uint32_t)(2 * units);
	return true;
}

static int put_paths(const struct locator *loc, struct vhd1_header *h,
		     uint64_t room_off, uint8_t *room, struct vhdx_err *e)
{
	struct vhd1_locator *l = h->locators;
	char *rel = locator_get(loc, "relative_path");
	char *abs = locator_get(loc, "absolute_win32_path");
	/* Besides the id and the way from the child there is one more if the
	 * absolute path can be written down. */
	int rc = rel && (abs || loc->cnt < 3) ? 0 : no_memory(e);

	memset(l, 0, sizeof(h->locators));
	if (!rc && !put_path(&l[0], "W2ru", rel, room, VHD1_ROOM_RELATIVE))
		rc = err_set(e, VHDX_E_INVAL, "the path from the child to the "
			     "parent, \"%.64s...\", is too long to be recorded",
			     rel);
	l[0].off = room_off;
	/* Only a second chance: it may be missing. */
	if (!rc && abs && put_path(&l[1], "W2ku", abs,
				   room + VHD1_ROOM_RELATIVE,
				   VHD1_ROOM_ABSOLUTE))
		l[1].off = room_off + VHD1_ROOM_RELATIVE;
	mem_free(rel);
	mem_free(abs);
	return rc;
}

int vhd1_parent_record(const char *child_path, const char *parent_path,
		       struct vhd1_header *h, uint64_t room_off, uint8_t *room,
		       struct vhdx_err *e)
{
	static const struct guid any; /* VHD has its id elsewhere */
	const char *slash = strrchr(parent_path, '/');
	struct locator loc;
	struct stat st;
	int rc = locator_make(child_path, parent_path, &any, &loc, e);

	if (rc)
		return rc;
	memset(room, 0, VHD1_ROOM_LEN);
	rc = put_paths(&loc, h, room_off, room, e);
	locator_free(&loc);
	vhd1_name_encode(slash ? slash + 1 : parent_path, h->name);
	/* Not there (a test's file): no time is better than a wrong one. */
	h->parent_timestamp = stat(parent_path, &st) == 0
				      ? vhd1_time_encode(st.st_mtime) : 0;
	return rc;
}
