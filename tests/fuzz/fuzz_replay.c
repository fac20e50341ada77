/* SPDX-License-Identifier: MIT */
/*
 * The log alone: two checks of one truth. Whatever replay_scan() accepts gives
 * the same file by replay in place and by the overlay, twice as once; what it
 * refuses changes nothing.
 */
#include "fuzz.h"

#include <string.h>

#include "header.h"
#include "replay.h"

#define COMPARE_MAX (24 * MIB)

static void compare(struct memimg *applied, const struct memimg *img,
		    struct replay_seq *seq)
{
	static uint8_t a[64 * KIB], b[64 * KIB];
	struct memimg copy;
	struct file *over, *f;

	memimg_clone(&copy, img);
	f = fuzz_file(&copy, false);
	ASSERT(file_overlay_new(f, seq, &over, NULL) == 0);
	ASSERT(over->size == applied->size);
	for (uint64_t at = 0; at < u64_min(over->size, COMPARE_MAX);
	     at += sizeof(a)) {
		ASSERT(file_read(over, at, a, sizeof(a), NULL) == 0);
		memimg_read(applied, at, b, sizeof(b));
		ASSERT(memcmp(a, b, sizeof(a)) == 0);
	}
	file_close(over);
	ASSERT(memimg_eq(&copy, img, NULL));
	memimg_free(&copy);
}

static int count_entry(void *arg, uint64_t log_off,
		       const struct fmt_log_entry *entry,
		       const struct fmt_log_desc *desc)
{
	(void)log_off;
	(void)desc;
	*(uint32_t *)arg += entry->desc_cnt;
	return 0;
}

static void replay(const struct memimg *img, struct memimg *applied)
{
	struct file *f = fuzz_file(applied, true);
	struct replay_seq seq = { 0 };
	struct header_pair p;
	uint32_t descs = 0;
	int rc;
	struct memimg once;

	if (header_load(f, &p, NULL) || guid_is_zero(&p.cur.log) ||
	    replay_scan(f, &p.cur, &seq, NULL)) {
		replay_free(&seq);
		file_close(f);
		ASSERT(memimg_eq(applied, img, NULL));
		return;
	}
	ASSERT(replay_walk(f, &p.cur, &seq, count_entry, &descs, NULL) == 0);
	rc = replay_apply(f, &seq, NULL);
	ASSERT(rc == 0 || rc == VHDX_E_NOSPC); /* targets of 2^60, say */
	if (rc) {
		replay_free(&seq);
		file_close(f);
		return;
	}
	memimg_clone(&once, applied);
	ASSERT(replay_apply(f, &seq, NULL) == 0);
	ASSERT(memimg_eq(applied, &once, NULL));
	memimg_free(&once);
	file_close(f);
	compare(applied, img, &seq);
	replay_free(&seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct memimg img, applied;

	fuzz_image(&in, VHDX_FORMAT_VHDX, &img);
	memimg_clone(&applied, &img);
	replay(&img, &applied);
	memimg_free(&applied);
	memimg_free(&img);
	return 0;
}
