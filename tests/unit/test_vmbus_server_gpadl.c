/* SPDX-License-Identifier: MIT */
/* GPADLs: pieces, ranges, hostile counts, bounds. */
#include "t_vmbus.h"

#include <string.h>

#include "mem.h"
#include "server_priv.h"

static struct t_bus b;

#define RANGE(len, off) ((uint64_t)(off) << 32 | (len))

/* A GPADL in one message, of so many words, as announced. */
static void one(uint16_t range_cnt, const uint64_t *word, unsigned word_cnt,
		const char *want)
{
	T_MSG(&b, guest_gpadl_raw(1, 100, (uint16_t)(word_cnt * 8), range_cnt,
				  word, word_cnt), want);
	if (b.s->gpadls.cnt)
		T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 100), "torn 100");
	T_EQ_U64(b.s->gpadls.page_cnt, 0);
}

/* All pieces of one; what the last says. */
static const char *whole(uint32_t id, uint32_t page_cnt, uint64_t first)
{
	t_bus_msg(&b, guest_gpadl(1, id, page_cnt, first));
	for (uint32_t at = GUEST_HEADER_PFNS; at < page_cnt;
	     at += GUEST_BODY_PFNS) {
		T_SAYS(&b, "");
		t_bus_msg(&b, guest_gpadl_body(id, page_cnt, first, at));
	}
	return t_bus_said(&b);
}

/* ---- good ones ---------------------------------------------------------- */

static void pieces_are_answered_when_all_are_there(void)
{
	static const uint32_t cnt[] = { 1, 2, 25, 26, 27, 53, 54, 55, 82, 83,
					510 };

	t_bus_offered(&b);
	for (size_t i = 0; i < ARRAY_LEN(cnt); i++) {
		T_TRUE(!strcmp(whole(100, cnt[i], 5), "created 1 100 ok"));
		T_EQ_U64(b.s->gpadls.page_cnt, cnt[i]);
		T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 100), "torn 100");
	}
	t_bus_end(&b);
}

static void ring_pages_arrive_in_order(void)
{
	t_bus_offered(&b);
	T_TRUE(!strcmp(whole(9, 130, 0x777), "created 1 9 ok"));
	T_MSG(&b, guest_open(1, 1, 9, 65, 2), "OPEN 1/0 @2 65+65");
	for (unsigned i = 0; i < 130; i++)
		T_EQ_U64(b.pfn[i], 0x777 + i);
	T_EQ_U64(b.conn_id, 0x1001);
	T_TRUE(b.dev == T_DEV(1));
	t_bus_end(&b);
}

static void pieces_of_several_may_be_mixed(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_gpadl(1, 1, 60, 100), "");
	T_MSG(&b, guest_gpadl(1, 257, 60, 200), "");
	T_MSG(&b, guest_gpadl_body(257, 60, 200, 26), "");
	T_MSG(&b, guest_gpadl_body(1, 60, 100, 26), "");
	T_MSG(&b, guest_gpadl_body(1, 60, 100, 54), "created 1 1 ok");
	T_MSG(&b, guest_gpadl_body(257, 60, 200, 54), "created 1 257 ok");
	T_EQ_U64(gpadl_find(&b.s->gpadls, 257)->word[60], 259);
	t_bus_end(&b);
}

static void several_ranges_are_taken(void)
{
	static const uint64_t word[] = {
		RANGE(4096, 0), 7,		/* a page */
		RANGE(2, 4095), 8, 9,		/* two bytes on two */
		RANGE(8192, 4095), 1, 2, 3,	/* three */
	};

	t_bus_offered(&b);
	one(3, word, ARRAY_LEN(word), "created 1 100 ok");
	t_bus_end(&b);
}

static void largest_gpadl_that_can_be_said_is_taken(void)
{
	t_bus_offered(&b);
	T_TRUE(!strcmp(whole(100, 8190, 1), "created 1 100 ok"));
	t_bus_end(&b);
}

static void padding_behind_the_pages_is_ignored(void)
{
	static const uint64_t word[] = { RANGE(4096, 0), 7, 8, 9 };

	t_bus_offered(&b);
	T_MSG(&b, guest_gpadl_raw(1, 100, 16, 1, word, 4), "created 1 100 ok");
	T_MSG(&b, guest_gpadl_raw(1, 101, 16, 1, word, 1), "");
	T_MSG(&b, guest_gpadl_body(101, 5, 7, 0), "created 1 101 ok");
	t_bus_end(&b);
}

/* ---- hostile ones ------------------------------------------------------- */

static void counts_that_make_no_sense_are_refused(void)
{
	static const struct {
		uint16_t len, cnt;
	} bad[] = { { 0, 0 }, { 16, 0 }, { 0, 1 }, { 8, 1 }, { 15, 1 },
		    { 17, 1 }, { 16, 2 }, { 24, 2 }, { 16, 0xffff },
		    { 0xffff, 1 }, { 0xfff8, 0xffff }, { 0xfff8, 4096 } };
	static const uint64_t word[] = { RANGE(4096, 0), 7, 8, 9 };

	t_bus_offered(&b);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		T_MSG(&b, guest_gpadl_raw(1, 100, bad[i].len, bad[i].cnt,
					  word, 4),
		      "TELL; created 1 100 no");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

static void ranges_that_do_not_fit_are_refused(void)
{
	static const struct {
		uint16_t cnt;
		unsigned words;
		uint64_t word[6];
	} bad[] = {
		{ 1, 2, { RANGE(0, 0), 1 } },
		{ 1, 2, { RANGE(0, 5), 1 } },
		{ 1, 2, { RANGE(4096, 1), 1 } },
		{ 1, 2, { RANGE(4097, 0), 1 } },
		{ 1, 3, { RANGE(1, 4096), 1, 2 } },
		{ 1, 2, { UINT64_MAX, 1 } },
		{ 1, 2, { RANGE(UINT32_MAX, 0), 1 } },
		{ 1, 3, { RANGE(4096, 0), 1, 2 } },
		{ 2, 4, { RANGE(12288, 0), 1, 2, 3 } },
		{ 2, 4, { RANGE(8192, 0), 1, 2, RANGE(4096, 0) } },
		{ 2, 5, { RANGE(4096, 0), 1, RANGE(4096, 0), 2, 3 } },
		{ 1, 2, { RANGE(4096, 0), UINT64_C(1) << 52 } },
	};

	t_bus_offered(&b);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		one(bad[i].cnt, bad[i].word, bad[i].words,
		    "TELL; created 1 100 no");
	t_bus_end(&b);
}

static void late_pieces_of_a_refused_one_are_told(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_gpadl(1, 100, 8191, 1), "TELL; created 1 100 no");
	T_MSG(&b, guest_gpadl_body(100, 8191, 1, 26), "TELL");
	T_TRUE(strstr(b.told, "waits for pages") != NULL);
	t_bus_end(&b);
}

static void page_number_beyond_memory_in_the_last_piece_is_refused(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_gpadl(1, 100, 30, UINT64_MAX >> 12), "");
	T_MSG(&b, guest_gpadl_body(100, 30, UINT64_MAX >> 12, 26),
	      "TELL; created 1 100 no");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

static void body_of_a_finished_one_is_told(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, guest_gpadl_body(100, 4, 0x666, 0), "TELL");
	T_EQ_U64(gpadl_find(&b.s->gpadls, 100)->word[1], 0x1000);
	t_bus_end(&b);
}

static void body_without_pages_changes_nothing(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_gpadl(1, 100, 27, 0), "");
	T_MSG(&b, guest_gpadl_body(100, 0, 0, 0), "");
	T_MSG(&b, guest_gpadl_body(100, 27, 0, 26), "created 1 100 ok");
	t_bus_end(&b);
}

static void handle_in_use_is_refused_and_keeps_its_pages(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, guest_gpadl(1, 100, 4, 0x6000), "TELL; created 1 100 no");
	T_MSG(&b, guest_open(1, 7, 100, 2, 0), "OPEN 1/0 @0 2+2");
	T_EQ_U64(b.pfn[0], 0x1000);
	t_bus_end(&b);
}

static void channels_that_are_not_there_get_none(void)
{
	static const uint32_t relid[] = { 0, 2, 2047, 2048, UINT32_MAX };

	t_bus_offered(&b);
	for (size_t i = 0; i < ARRAY_LEN(relid); i++) {
		t_bus_msg(&b, guest_gpadl(relid[i], 100, 4, 0));
		T_TRUE(strstr(t_bus_said(&b), "100 no") != NULL);
	}
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

/* ---- bounds ------------------------------------------------------------- */

static void number_of_gpadls_is_bounded(void)
{
	t_bus_offered(&b);
	for (uint32_t i = 0; i < VMBUS_GPADL_MAX; i++) {
		t_bus_msg(&b, guest_gpadl(1, i, 1, 0));
		T_TRUE(strstr(t_bus_said(&b), " ok") != NULL);
	}
	T_MSG(&b, guest_gpadl(1, 9999, 1, 0), "TELL; created 1 9999 no");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 5), "torn 5");
	T_MSG(&b, guest_gpadl(1, 9999, 1, 0), "created 1 9999 ok");
	t_bus_end(&b);
}

static void pages_are_bounded_by_what_is_announced(void)
{
	uint32_t id = 0, left = VMBUS_GPADL_PAGES_MAX;

	t_bus_offered(&b);
	for (; left >= 8190; left -= 8190)
		T_MSG(&b, guest_gpadl(1, id++, 8190, 0), "");
	T_MSG(&b, guest_gpadl(1, 77, left + 1, 0), "TELL; created 1 77 no");
	T_TRUE(left <= GUEST_HEADER_PFNS);
	T_MSG(&b, guest_gpadl(1, 77, left, 0), "created 1 77 ok");
	T_MSG(&b, guest_gpadl(1, 78, 1, 0), "TELL; created 1 78 no");
	/* And it comes back, also of those that never were complete. */
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 0), "torn 0");
	T_MSG(&b, guest_gpadl(1, 78, 8190, 0), "");
	t_bus_end(&b);
}

static void no_memory_refuses_a_gpadl(void)
{
	t_bus_offered(&b);
	mem_fail_nth(1);
	T_MSG(&b, guest_gpadl(1, 100, 4, 0), "TELL; created 1 100 no");
	mem_fail_nth(0);
	T_MSG(&b, guest_gpadl(1, 100, 4, 0), "created 1 100 ok");
	t_bus_end(&b);
}

/* ---- teardown ----------------------------------------------------------- */

static void teardown_of_an_unused_one_is_answered_at_once(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 100), "torn 100");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

static void teardown_of_one_that_is_coming_ends_it(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_gpadl(1, 100, 60, 0), "");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 100), "torn 100");
	T_MSG(&b, guest_gpadl_body(100, 60, 0, 26), "TELL");
	t_bus_end(&b);
}

static void teardown_of_an_unknown_one_is_answered_and_told(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 101), "TELL; torn 101");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 7, 101), "TELL; torn 101");
	t_bus_end(&b);
}

static void teardown_through_another_channel_is_told_only(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 2, 100), "TELL");
	T_MSG(&b, guest_open(1, 7, 100, 2, 0), "OPEN 1/0 @0 2+2");
	t_bus_end(&b);
}

static const struct t_test tests[] = {
	T_TEST(pieces_are_answered_when_all_are_there),
	T_TEST(ring_pages_arrive_in_order),
	T_TEST(pieces_of_several_may_be_mixed),
	T_TEST(several_ranges_are_taken),
	T_TEST(largest_gpadl_that_can_be_said_is_taken),
	T_TEST(padding_behind_the_pages_is_ignored),
	T_TEST(counts_that_make_no_sense_are_refused),
	T_TEST(ranges_that_do_not_fit_are_refused),
	T_TEST(late_pieces_of_a_refused_one_are_told),
	T_TEST(page_number_beyond_memory_in_the_last_piece_is_refused),
	T_TEST(body_of_a_finished_one_is_told),
	T_TEST(body_without_pages_changes_nothing),
	T_TEST(handle_in_use_is_refused_and_keeps_its_pages),
	T_TEST(channels_that_are_not_there_get_none),
	T_TEST(number_of_gpadls_is_bounded),
	T_TEST(pages_are_bounded_by_what_is_announced),
	T_TEST(no_memory_refuses_a_gpadl),
	T_TEST(teardown_of_an_unused_one_is_answered_at_once),
	T_TEST(teardown_of_one_that_is_coming_ends_it),
	T_TEST(teardown_of_an_unknown_one_is_answered_and_told),
	T_TEST(teardown_through_another_channel_is_told_only),
	T_END,
};

const struct t_suite t_suite_vmbus_server_gpadl = { "vmbus_server_gpadl",
						    tests };
