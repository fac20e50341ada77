/* SPDX-License-Identifier: MIT */
/*
 * Replay (R1..R3) of logs built by hand, on files in memory: what is written
 * where, how often, at what cost.
 */
#include <string.h>

#include "file_mem.h"
#include "mem.h"
#include "t.h"
#include "t_replay.h"

#define LOG_OFF TR_LOG_OFF
#define LOG_LEN TR_LOG_LEN
#define HOME TR_HOME

/* ---- file sizes ---------------------------------------------------------- */

static void a_truncated_file_is_refused(void)
{
	tr_make();
	tr.lg.flushed_len = 16 * MIB;
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	T_OK(tr_scan());
	T_OK(file_truncate(tr.f, 16 * MIB - 512, &t_err));
	T_FAILS(tr_scan(), VHDX_E_CORRUPT,
		"has been truncated: it has 16776704");
	tr_drop();
}

/* Shrinking logs the smaller size: entries before it do not count. */
static void only_the_head_says_how_large_the_file_was(void)
{
	tr_make();
	tr.lg.flushed_len = 64 * MIB;
	tr.lg.last_len = 64 * MIB;
	t_log_entry(&tr.lg, NULL, 0);
	tr.lg.flushed_len = 16 * MIB;
	tr.lg.last_len = 16 * MIB;
	t_log_entry(&tr.lg, NULL, 0);
	tr_replay();
	T_EQ_U64(tr.f->size, 16 * MIB);
	tr_drop();
}

static void the_file_grows_to_what_the_head_says(void)
{
	tr_make();
	tr.lg.last_len = 40 * MIB;
	t_log_entry(&tr.lg, NULL, 0);
	tr_replay();
	T_EQ_U64(tr.f->size, 40 * MIB);
	tr_drop();
}

static void targets_beyond_the_end_extend_the_file(void)
{
	const struct t_change c[] = { { 20 * MIB, 0, 3 },
				      { 30 * MIB, 8192, 0 } };

	tr_make();
	t_log_entry(&tr.lg, c, 2);
	tr_replay();
	T_EQ_U64(tr.f->size, 30 * MIB + 8192);
	T_TRUE(tr_page_is(20 * MIB, 3));
	tr_drop();
}

static void zeroing_200_terabytes_costs_nothing(void)
{
	const struct t_change c[] = {
		{ HOME + 4096, 0, 5 }, { 40 * TIB, 0, 6 },
		{ HOME, 200 * TIB - HOME, 0 }, { HOME, 0, 7 },
	};

	tr_make();
	tr_put_page(HOME + 8192, 8);
	t_log_entry(&tr.lg, c, 4);
	tr_replay();
	T_EQ_U64(tr.f->size, 200 * TIB);
	T_TRUE(tr_page_is(HOME, 7));
	T_TRUE(tr_page_is(HOME + 4096, 0) && tr_page_is(HOME + 8192, 0) &&
	       tr_page_is(40 * TIB, 0));
	tr_drop();
}

/* ---- R3 ------------------------------------------------------------------ */

static void nothing_below_the_region_tables_is_written(void)
{
	static const uint64_t bad[] = { 0, 65536, 131072, 192 * KIB - 4096 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		tr_make();
		t_log_entry(&tr.lg, &(struct t_change){ bad[i], 0, 1 }, 1);
		T_FAILS(tr_scan(), VHDX_E_CORRUPT,
			"nothing below 196608 goes through the log");
		tr_drop();
	}
	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ 192 * KIB, 0, 1 }, 1);
	tr_replay();
	T_TRUE(tr_page_is(192 * KIB, 1));
	tr_drop();
}

static void the_log_does_not_write_to_itself(void)
{
	const struct t_change bad[] = { { LOG_OFF, 0, 1 },
		{ LOG_OFF + LOG_LEN - 4096, 0, 1 },
		{ LOG_OFF - 4096, 8192, 0 }, { MIB, TIB, 0 } };
	const struct t_change good[] = { { LOG_OFF - 4096, 0, 1 },
		{ LOG_OFF + LOG_LEN, 4096, 0 }, { LOG_OFF - 8192, 8192, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		tr_make();
		t_log_entry(&tr.lg, &bad[i], 1);
		T_FAILS(tr_scan(), VHDX_E_CORRUPT, "into the log itself");
		tr_drop();
	}
	tr_make();
	t_log_entry(&tr.lg, good, 3);
	T_OK(tr_scan());
	tr_drop();
}

/* ---- idempotence --------------------------------------------------------- */

static void random_log(uint64_t seed)
{
	tr.lg.pos = tr.lg.tail = (uint32_t)t_rand_below(&seed, 256) * 4096;
	for (unsigned i = 0; i < 64; i++)
		tr_put_page(HOME + t_rand_below(&seed, 64) * 4096, 1 + i);
	for (unsigned i = 0; i < 6; i++) {
		struct t_change c[12];
		uint32_t cnt = (uint32_t)t_rand_below(&seed, 12);

		for (uint32_t k = 0; k < cnt; k++)
			c[k] = (struct t_change){
				HOME + t_rand_below(&seed, 64) * 4096,
				t_rand_below(&seed, 3) ? 0 :
				4096 * t_rand_below(&seed, 20),
				100 * i + k + 1 };
		tr.lg.last_len = (8 + t_rand_below(&seed, 20)) * MIB;
		t_log_entry(&tr.lg, c, cnt);
	}
}

static void replay_twice_equals_once(void)
{
	for (uint64_t seed = 1; seed < 30; seed++) {
		struct memimg once;

		tr_make();
		random_log(seed);
		tr_replay();
		memimg_clone(&once, file_mem_img(tr.f));
		tr_replay();
		T_TRUE(memimg_eq(&once, file_mem_img(tr.f), NULL));
		memimg_free(&once);
		tr_drop();
	}
}

static void an_interrupted_replay_is_simply_repeated(void)
{
	struct memimg before, once;

	tr_make();
	random_log(5);
	memimg_clone(&before, file_mem_img(tr.f));
	tr_replay();
	memimg_clone(&once, file_mem_img(tr.f));
	for (size_t cnt = 0; cnt < tr.s.item_cnt; cnt++) {
		struct replay_seq part = tr.s;

		memimg_free(file_mem_img(tr.f));
		memimg_clone(file_mem_img(tr.f), &before);
		tr.f->size = before.size;
		part.item_cnt = cnt;
		T_OK(replay_apply(tr.f, &part, &t_err));
		T_OK(replay_apply(tr.f, &tr.s, &t_err));
		T_TRUE(memimg_eq(&once, file_mem_img(tr.f), NULL));
	}
	memimg_free(&before);
	memimg_free(&once);
	tr_drop();
}

/* ---- bounds -------------------------------------------------------------- */

/* A file that counts what is read from it. */
static struct file counted;
static uint64_t read_cnt;

static void counted_submit(struct file *file, struct file_io *io)
{
	(void)file;
	read_cnt += io->len;
	file_submit(tr.f, io);
}

static const struct file_ops counted_ops = { .submit = counted_submit };

static int scan_counted(void)
{
	counted = *tr.f;
	counted.ops = &counted_ops;
	read_cnt = 0;
	replay_free(&tr.s);
	return replay_scan(&counted, &tr.lg.hdr, &tr.s, &t_err);
}

/* Every sector says it begins an entry as long as the rest of the ring, and
 * every one of them looks right up to where the next begins. */
static void overlapping_claims_are_read_twice_at_most(void)
{
	struct fmt_log_entry n = { .seq = 5, .desc_cnt = 126 };
	struct fmt_log_desc d = { .zero = true, .file_off = HOME, .seq = 5 };
	uint8_t b[4096];
	uint32_t len = 16 * LOG_LEN;

	tr_make_len(len);
	n.log = tr.lg.hdr.log;
	for (unsigned i = 0; i < 126; i++)
		log_desc_encode(&d, b + 64 + 32 * i);
	for (uint32_t pos = 0; pos < len; pos += 4096) {
		n.len = len - pos;
		n.tail = pos;
		log_entry_encode(&n, b);
		T_OK(file_write(tr.f, LOG_OFF + pos, b, sizeof(b), &t_err));
	}
	T_FAILS(scan_counted(), VHDX_E_CORRUPT, "valid entries");
	T_TRUE(read_cnt <= 2 * (uint64_t)len);
	tr_drop();
}

/* A valid entry each, that chain up but never reach the tail they name. */
static void an_endless_incomplete_sequence_is_read_twice_at_most(void)
{
	uint32_t len = 16 * LOG_LEN;

	tr_make_len(len);
	tr.lg.tail = len - 4096;
	for (uint32_t i = 0; i < len / 4096 - 1; i++)
		t_log_entry(&tr.lg, NULL, 0);
	T_FAILS(scan_counted(), VHDX_E_CORRUPT, "valid entries: 4095");
	T_TRUE(read_cnt <= 2 * (uint64_t)len);
	tr_drop();
}

static void the_largest_log_of_holes_is_not_read(void)
{
	tr_make_len(UINT32_C(0xfff00000));
	T_OK(file_truncate(tr.f, 8 * GIB, &t_err));
	tr.lg.pos = tr.lg.tail = UINT32_C(0xfff00000) - 4096;
	t_log_entry(&tr.lg, &(struct t_change){ 7 * GIB, 0, 1 }, 1);
	t_log_entry(&tr.lg, &(struct t_change){ 7 * GIB + 4096, 0, 2 }, 1);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 2);
	T_EQ_U64(tr.s.head_off, 4096);
	T_TRUE(tr_page_is(7 * GIB, 1) && tr_page_is(7 * GIB + 4096, 2));
	tr_drop();
}

static void a_log_beyond_the_end_of_the_file_is_empty(void)
{
	tr_make_len(UINT32_C(0xfff00000));
	T_OK(file_truncate(tr.f, LOG_OFF + 512, &t_err));
	T_FAILS(scan_counted(), VHDX_E_CORRUPT, "valid entries: 0");
	T_TRUE(read_cnt <= 2 * MIB);
	tr_drop();
}

static void a_million_descriptors_are_the_limit(void)
{
	struct t_change *c = calloc(REPLAY_ITEM_MAX, sizeof(*c));

	tr_make_len(64 * LOG_LEN);
	for (uint32_t i = 0; i < REPLAY_ITEM_MAX; i++)
		c[i] = (struct t_change){ GIB, 4096, 0 };
	t_log_entry(&tr.lg, c, REPLAY_ITEM_MAX);
	T_OK(tr_scan());
	T_EQ_U64(tr.s.item_cnt, REPLAY_ITEM_MAX);
	t_log_entry(&tr.lg, c, 1);
	T_FAILS(tr_scan(), VHDX_E_UNSUPPORTED, "more than 1048576 descriptors");
	free(c);
	tr_drop();
}

static void running_out_of_memory_is_an_error_and_no_leak(void)
{
	uint64_t live = mem_live_cnt();

	tr_make();
	random_log(3);
	for (uint64_t n = 1;; n++) {
		mem_fail_nth(n);
		int rc = replay_scan(tr.f, &tr.lg.hdr, &tr.s, &t_err);
		if (mem_fail_nth(0) < n) {
			T_OK(rc);
			break;
		}
		T_EQ_U64(rc, VHDX_E_NOMEM);
	}
	tr_drop();
	T_EQ_U64(mem_live_cnt(), live);
}

/* ---- telling ------------------------------------------------------------- */

static char told[256];

static int tell(void *arg, uint64_t off, const struct fmt_log_entry *n,
		const struct fmt_log_desc *d)
{
	size_t at = strlen(told);

	if (arg && n->seq == 3)
		return 42;
	if (!d)
		snprintf(told + at, sizeof(told) - at, "[%llx %llu]",
			 (unsigned long long)off, (unsigned long long)n->seq);
	else
		snprintf(told + at, sizeof(told) - at, "%c%llx ",
			 d->zero ? 'z' : 'd',
			 (unsigned long long)(d->file_off - HOME));
	return 0;
}

static void a_walk_tells_entries_and_their_descriptors(void)
{
	const struct t_change c[] = { { HOME, 0, 1 },
				      { HOME + 4096, 4096, 0 } };

	tr_make();
	t_log_entry(&tr.lg, c, 1);
	tr.lg.tail = t_log_entry(&tr.lg, c, 2);
	t_log_entry(&tr.lg, NULL, 0);
	T_OK(tr_scan());
	told[0] = 0;
	T_OK(replay_walk(tr.f, &tr.lg.hdr, &tr.s, tell, NULL, &t_err));
	CU_ASSERT_STRING_EQUAL(told, "[2000 2]d0 z1000 [4000 3]");
	told[0] = 0;
	T_EQ_U64(replay_walk(tr.f, &tr.lg.hdr, &tr.s, tell, told, &t_err), 42);
	CU_ASSERT_STRING_EQUAL(told, "[2000 2]d0 z1000 ");
	tr_drop();
}

static const struct t_test tests[] = {
	T_TEST(a_truncated_file_is_refused),
	T_TEST(only_the_head_says_how_large_the_file_was),
	T_TEST(the_file_grows_to_what_the_head_says),
	T_TEST(targets_beyond_the_end_extend_the_file),
	T_TEST(zeroing_200_terabytes_costs_nothing),
	T_TEST(nothing_below_the_region_tables_is_written),
	T_TEST(the_log_does_not_write_to_itself),
	T_TEST(replay_twice_equals_once),
	T_TEST(an_interrupted_replay_is_simply_repeated),
	T_TEST(overlapping_claims_are_read_twice_at_most),
	T_TEST(an_endless_incomplete_sequence_is_read_twice_at_most),
	T_TEST(the_largest_log_of_holes_is_not_read),
	T_TEST(a_log_beyond_the_end_of_the_file_is_empty),
	T_TEST(a_million_descriptors_are_the_limit),
	T_TEST(running_out_of_memory_is_an_error_and_no_leak),
	T_TEST(a_walk_tells_entries_and_their_descriptors),
	T_END,
};

const struct t_suite t_suite_replay = { "replay", tests };
