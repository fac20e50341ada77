/* SPDX-License-Identifier: MIT */
/*
 * The journal of a merge: any bytes give a journal or an error; what was
 * accepted comes back unchanged from encode and decode. With the first byte odd
 * the checksum line is put behind the bytes first, so that the lines are read.
 */
#include "fuzz.h"

#include <string.h>

#include "crc32c.h"
#include "mem.h"
#include "merge_journal.h"

static struct vhdx_err err;

static void same_name(const struct merge_name *a, const struct merge_name *b)
{
	ASSERT(*a->path && strcmp(a->path, b->path) == 0);
	ASSERT(guid_eq(&a->id, &b->id));
}

static void same_names(const struct merge_names *a, const struct merge_names *b)
{
	ASSERT(a->cnt == b->cnt);
	for (unsigned i = 0; i < a->cnt; i++)
		same_name(&a->v[i], &b->v[i]);
}

static void round_trip(const struct merge_journal *j)
{
	struct merge_journal again;
	char *text;
	size_t len;

	/* Four bytes for one may make it too long. */
	if (merge_journal_encode(j, "/f/", &text, &len, &err))
		return;
	ASSERT(merge_journal_decode(text, len, "/f/", &again, &err) == 0);
	ASSERT(again.phase == j->phase && again.keep == j->keep);
	same_name(&again.child, &j->child);
	same_name(&again.target, &j->target);
	same_names(&again.layers, &j->layers);
	same_names(&again.grands, &j->grands);
	merge_journal_free(&again);
	mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct merge_journal j;
	char *text;

	if (len < 1 || len > MIB)
		return 0;
	text = malloc(len + 32);
	ASSERT(text);
	memcpy(text, data + 1, len - 1);
	if (data[0] & 1)
		snprintf(text + len - 1, 32, "crc32c %08x\n",
			 crc32c(0, text, len - 1));
	if (!merge_journal_decode(text, data[0] & 1 ? len + 15 : len - 1, "/f/",
				  &j, &err)) {
		round_trip(&j);
		merge_journal_free(&j);
	}
	free(text);
	return 0;
}
