/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "log.h"
#include "t.h"

static struct log lg;
static uint8_t data[130][4096];
static struct mpage page_structs[130], *pages[130];

static void begin(uint32_t log_len)
{
	struct fmt_header h = { .log_off = 3 * MIB, .log_len = log_len };

	T_OK(log_init(&lg, &h, &t_err));
	for (unsigned i = 0; i < 130; i++) {
		t_fill(data[i], 4096, i + 1);
		page_structs[i].data = data[i];
		page_structs[i].off = (i + 8) * MIB;
		pages[i] = &page_structs[i];
	}
}

/* The built entry passes every check a reader makes; returns its header. */
static struct fmt_log_entry verify(void)
{
	struct fmt_log_entry h;

	T_OK(log_entry_decode(lg.buf, 0, lg.len, &h, &t_err));
	T_EQ_U64(h.len, lg.entry_len);
	T_EQ_U64(log_entry_crc(lg.buf, lg.entry_len),
		 log_entry_stored_crc(lg.buf));
	T_TRUE(guid_eq(&h.log, &lg.guid));
	return h;
}

static void an_entry_gives_back_the_pages_it_carries(void)
{
	uint8_t page[4096];
	struct fmt_log_desc d;

	begin(MIB);
	log_build(&lg, pages, 126, 5 * MIB, false);
	T_EQ_U64(verify().desc_cnt, 126);
	for (unsigned i = 0; i < 126; i++) {
		T_OK(log_desc_decode(lg.buf + 64 + i * 32, 0, 1, &d, &t_err));
		T_EQ_U64(d.file_off, pages[i]->off);
		T_OK(log_data_decode(lg.buf + (1 + i) * 4096, 0, &d, page,
				     &t_err));
		T_TRUE(memcmp(page, data[i], 4096) == 0);
	}
	log_fini(&lg);
}

static void an_empty_page_takes_a_descriptor_and_no_sector(void)
{
	struct fmt_log_desc d;

	begin(MIB);
	memset(data[1], 0, 4096);
	log_build(&lg, pages, 3, 0, false);
	T_EQ_U64(verify().len, 3 * 4096);
	T_OK(log_desc_decode(lg.buf + 64 + 32, 0, 1, &d, &t_err));
	T_TRUE(d.zero && d.zero_len == 4096 && d.file_off == pages[1]->off);
	log_fini(&lg);
}

static void a_new_entry_never_touches_its_predecessor(void)
{
	uint64_t seed = 1, start = 0, len = 0;

	begin(MIB);
	for (int i = 0; i < 200; i++) {
		uint64_t head = lg.head;

		log_build(&lg, pages,
			  1 + (unsigned)t_rand_below(&seed, lg.page_max), 0,
			  false);
		/* Distance from the end of the last to its start, around. */
		T_EQ_U64(head, (start + len) % lg.len);
		T_TRUE(len + lg.entry_len < lg.len);
		T_EQ_U64(verify().tail, head);
		start = head;
		len = lg.entry_len;
	}
	log_fini(&lg);
}

/* While one is written the last durable one may still be needed, and its tail:
 * whatever comes, the longest entry too. */
static void no_entry_touches_what_the_last_one_needs(void)
{
	uint64_t seed = 1, need = 0, tail = 0;
	unsigned joined = 0;

	begin(MIB);
	for (int i = 0; i < 2000; i++) {
		unsigned cnt = 1 + (unsigned)t_rand_below(&seed,
			i % 9 ? 12 : lg.page_max);
		bool join = log_may_join(&lg, cnt) && i % 5;
		uint32_t head = lg.head, last = lg.last;

		log_build(&lg, pages, cnt, 0, join);
		/* From the tail it named to its end, and the new one. */
		T_EQ_U64(head, (tail + need) % lg.len);
		T_TRUE(need + lg.entry_len <= lg.len);
		tail = verify().tail;
		T_EQ_U64(tail, join ? last : head);
		need = (lg.head + lg.len - tail) % lg.len;
		joined += join;
	}
	T_TRUE(joined > 1000);
	log_fini(&lg);
}

static void an_entry_wraps_at_the_end_of_the_ring(void)
{
	begin(MIB);
	for (int i = 0; i < 2; i++)
		log_build(&lg, pages, 126, 0, false);
	log_build(&lg, pages, 9, 0, false);
	T_EQ_U64(lg.part_cnt, 2);
	T_EQ_U64(lg.part_off[0], 3 * MIB + 254 * 4096);
	T_EQ_U64(lg.iov[0].iov_len, 2 * 4096);
	T_EQ_U64(lg.part_off[1], 3 * MIB);
	T_EQ_U64(lg.iov[1].iov_len, 8 * 4096);
	T_EQ_U64(lg.head, 8 * 4096);
	log_fini(&lg);
}

static void an_entry_that_ends_with_the_ring_does_not_wrap(void)
{
	begin(MIB);
	for (int i = 0; i < 2; i++)
		log_build(&lg, pages, 126, 0, false);
	log_build(&lg, pages, 1, 0, false);
	T_EQ_U64(lg.part_cnt, 1);
	T_EQ_U64(lg.head, 0);
	log_fini(&lg);
}

static void a_log_too_short_to_write_is_refused(void)
{
	struct fmt_header h = { .log_off = 3 * MIB, .log_len = 0 };

	T_FAILS(log_init(&lg, &h, &t_err), VHDX_E_UNSUPPORTED, "at least");
}

static const struct t_test tests[] = {
	T_TEST(an_entry_gives_back_the_pages_it_carries),
	T_TEST(an_empty_page_takes_a_descriptor_and_no_sector),
	T_TEST(a_new_entry_never_touches_its_predecessor),
	T_TEST(no_entry_touches_what_the_last_one_needs),
	T_TEST(an_entry_wraps_at_the_end_of_the_ring),
	T_TEST(an_entry_that_ends_with_the_ring_does_not_wrap),
	T_TEST(a_log_too_short_to_write_is_refused),
	T_END,
};

const struct t_suite t_suite_log = { "log", tests };
