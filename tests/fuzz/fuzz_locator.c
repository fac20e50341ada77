/* SPDX-License-Identifier: MIT */
/*
 * Parent locators: any bytes give pairs or an error; what was accepted comes
 * back from encode and decode unchanged, and leads to paths or an error. With
 * the first byte odd the type is mended first.
 */
#include "fuzz.h"

#include <string.h>

#include "locator.h"

static struct vhdx_err err;

static bool look(void *arg, const char *path, const char *why)
{
	ASSERT(*path && *why);
	return *(bool *)arg;
}

static void candidates(const struct locator *l, bool stop)
{
	static const char *const search[] = { "/s" };
	struct parent_ref *ref;

	if (locator_parent(l, 0, &ref, &err))
		return;
	ASSERT(ref->linkage_cnt && ref->path_cnt);
	ASSERT(locator_candidates(ref, "/d/c", search, 1, look, &stop,
				  &err) == 0);
	parent_ref_free(ref);
}

static void round_trip(const struct locator *l)
{
	uint32_t len = locator_encode(l, NULL);
	uint8_t *b = malloc(len);
	struct locator again;

	ASSERT(b && locator_encode(l, b) == len);
	ASSERT(locator_decode(b, len, 0, &again, &err) == 0);
	ASSERT(again.cnt == l->cnt);
	for (uint32_t i = 0; i < l->cnt; i++)
		ASSERT(again.e[i].value_len == l->e[i].value_len &&
		       memcmp(again.e[i].value, l->e[i].value,
			      l->e[i].value_len) == 0);
	locator_free(&again);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t type[16] = { 0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1,
					  0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8,
					  0xe9, 0x44, 0x59, 0x13 };
	struct locator l;
	uint8_t *b;

	if (len < 2 || len > MIB)
		return 0;
	b = malloc(len - 1);
	ASSERT(b);
	memcpy(b, data + 1, len - 1);
	if (data[0] & 1)
		memcpy(b, type, u64_min(sizeof(type), len - 1));
	if (locator_decode(b, (uint32_t)(len - 1), 0, &l, &err) == 0) {
		round_trip(&l);
		candidates(&l, data[0] & 2);
		locator_free(&l);
	}
	free(b);
	return 0;
}
