/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "fake_guest.h"

#define PAGES 16u
#define HIGH (4 * GIB)
#define LEN (PAGES / 2 * GMEM_PAGE) /* of each region */

static struct fake_guest g;

static void both_regions_hold_what_was_written(void)
{
	static const uint64_t at[] = { 0, 1, LEN - 100, HIGH,
				       HIGH + LEN - 100 };
	uint8_t in[100], out[100];

	fake_guest_init(&g, PAGES);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		t_fill(in, sizeof(in), i);
		T_TRUE(gmem_write(&g.mem, at[i], in, sizeof(in)));
		T_TRUE(gmem_read(&g.mem, at[i], out, sizeof(out)));
		T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	}
	fake_guest_fini(&g);
}

static void beyond_memory_nothing_is_touched(void)
{
	static const uint64_t at[] = { LEN - 4,	       LEN,  HIGH - 8,
				       HIGH + LEN - 7, HIGH + LEN,
				       UINT64_MAX - 3, UINT64_MAX };
	uint8_t buf[8] = "before!";

	fake_guest_init(&g, PAGES);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		T_TRUE(!gmem_read(&g.mem, at[i], buf, 8));
		T_TRUE(!gmem_write(&g.mem, at[i], buf, 8));
	}
	T_TRUE(strcmp((char *)buf, "before!") == 0);
	for (uint64_t i = 0; i < 2 * LEN; i++)
		T_TRUE(g.ram[i] == 0);
	fake_guest_fini(&g);
}

static void lengths_that_wrap_around_are_refused(void)
{
	uint8_t buf[8];

	fake_guest_init(&g, PAGES);
	T_TRUE(!gmem_read(&g.mem, 8, buf, SIZE_MAX));
	T_TRUE(!gmem_read(&g.mem, 8, buf, SIZE_MAX - 7));
	T_TRUE(!gmem_read(&g.mem, HIGH, buf, SIZE_MAX - HIGH + 1));
	fake_guest_fini(&g);
}

static void nothing_is_always_memory(void)
{
	fake_guest_init(&g, PAGES);
	T_TRUE(gmem_read(&g.mem, LEN, NULL, 0));
	T_TRUE(gmem_write(&g.mem, UINT64_MAX, NULL, 0));
	fake_guest_fini(&g);
}

static void a_page_is_given_only_where_memory_is(void)
{
	fake_guest_init(&g, PAGES);
	T_TRUE(gmem_page(&g.mem, 0) == g.ram);
	T_TRUE(gmem_page(&g.mem, LEN - GMEM_PAGE) == g.ram + LEN - GMEM_PAGE);
	T_TRUE(gmem_page(&g.mem, HIGH) == g.ram + LEN);
	T_TRUE(!gmem_page(&g.mem, 8));
	T_TRUE(!gmem_page(&g.mem, LEN));
	T_TRUE(!gmem_page(&g.mem, HIGH - GMEM_PAGE));
	T_TRUE(!gmem_page(&g.mem, HIGH + LEN));
	T_TRUE(!gmem_page(&g.mem, UINT64_MAX - GMEM_PAGE + 1));
	fake_guest_fini(&g);
}

static void a_range_is_given_only_in_one_region(void)
{
	fake_guest_init(&g, PAGES);
	T_TRUE(gmem_range(&g.mem, 8, LEN - 8) == g.ram + 8);
	T_TRUE(gmem_range(&g.mem, HIGH, LEN) == g.ram + LEN);
	T_TRUE(!gmem_range(&g.mem, 8, LEN - 7));
	T_TRUE(!gmem_range(&g.mem, LEN, 1));
	T_TRUE(!gmem_range(&g.mem, 8, UINT64_MAX));
	fake_guest_fini(&g);
}

/* Regions that follow each other, here and there. */
static void one_copy_crosses_neighbour_regions(void)
{
	uint8_t in[2 * GMEM_PAGE], out[2 * GMEM_PAGE];

	fake_guest_init(&g, PAGES);
	g.mem.region[1].gpa = LEN;
	t_fill(in, sizeof(in), 7);
	T_TRUE(gmem_write(&g.mem, LEN - 4000, in, sizeof(in)));
	T_TRUE(memcmp(g.ram + LEN - 4000, in, sizeof(in)) == 0);
	T_TRUE(gmem_read(&g.mem, LEN - 4000, out, sizeof(out)));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	T_TRUE(!gmem_read(&g.mem, 2 * LEN - 8191, out, sizeof(out)));
	fake_guest_fini(&g);
}

static void iov_joins_neighbours_only(void)
{
	static const uint64_t pfn[] = { 3, 4, 2, HIGH / GMEM_PAGE };
	struct iovec v[4];

	fake_guest_init(&g, PAGES);
	T_EQ_U64(gmem_iov(&g.mem, pfn, 4, 100, 4 * 4096 - 200, v, 4), 3);
	T_TRUE(v[0].iov_base == g.ram + 3 * 4096 + 100);
	T_EQ_U64(v[0].iov_len, 8192 - 100);
	T_TRUE(v[1].iov_base == g.ram + 2 * 4096);
	T_EQ_U64(v[1].iov_len, 4096);
	T_TRUE(v[2].iov_base == g.ram + LEN);
	T_EQ_U64(v[2].iov_len, 4096 - 100);
	fake_guest_fini(&g);
}

static void iov_begins_in_any_page(void)
{
	static const uint64_t pfn[] = { 5, 1, 6 };
	struct iovec v[2];

	fake_guest_init(&g, PAGES);
	T_EQ_U64(gmem_iov(&g.mem, pfn, 3, 4097, 10, v, 2), 1);
	T_TRUE(v[0].iov_base == g.ram + 4096 + 1);
	T_EQ_U64(v[0].iov_len, 10);
	T_EQ_U64(gmem_iov(&g.mem, pfn, 3, 3 * 4096, 0, v, 2), 0);
	fake_guest_fini(&g);
}

static void iov_refuses_what_does_not_fit(void)
{
	static const uint64_t pfn[] = { 5, 1, 6 };
	struct iovec v[3];

	fake_guest_init(&g, PAGES);
	T_TRUE(gmem_iov(&g.mem, pfn, 3, 1, 3 * 4096, v, 3) == -1);
	T_TRUE(gmem_iov(&g.mem, pfn, 3, UINT32_MAX, UINT32_MAX, v, 3) == -1);
	T_TRUE(gmem_iov(&g.mem, pfn, 3, 1, UINT32_MAX, v, 3) == -1);
	T_TRUE(gmem_iov(&g.mem, pfn, 3, 3 * 4096 + 1, 0, v, 3) == -1);
	T_TRUE(gmem_iov(&g.mem, pfn, 3, 0, 3 * 4096, v, 2) == -1);
	T_TRUE(gmem_iov(&g.mem, pfn, 3, 0, 2 * 4096, v, 2) == 2);
	T_TRUE(gmem_iov(&g.mem, pfn, 0, 0, 1, v, 3) == -1);
	T_TRUE(gmem_iov(&g.mem, NULL, 0, 0, 0, v, 3) == 0);
	fake_guest_fini(&g);
}

static void iov_refuses_pages_that_are_not_memory(void)
{
	uint64_t pfn[] = { 1, 0 };
	static const uint64_t bad[] = { LEN / 4096, HIGH / 4096 - 1,
					(HIGH + LEN) / 4096, UINT64_MAX,
					UINT64_C(1) << 52 };
	struct iovec v[2];

	fake_guest_init(&g, PAGES);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		pfn[1] = bad[i];
		T_TRUE(gmem_iov(&g.mem, pfn, 2, 0, 4097, v, 2) == -1);
		T_TRUE(gmem_iov(&g.mem, pfn, 2, 0, 4096, v, 2) == 1);
	}
	fake_guest_fini(&g);
}

static unsigned dirty_cnt(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < PAGES / 2; i++)
		cnt += fake_is_dirty(&g, i) +
		       fake_is_dirty(&g, HIGH / GMEM_PAGE + i);
	return cnt;
}

static void writes_mark_exactly_their_pages(void)
{
	uint8_t buf[4098] = { 0 };

	fake_guest_init(&g, PAGES);
	T_TRUE(gmem_write(&g.mem, 4095, buf, sizeof(buf)));
	T_EQ_U64(dirty_cnt(), 3);
	for (unsigned i = 0; i < 3; i++)
		T_TRUE(fake_is_dirty(&g, i));
	fake_clean(&g);
	T_TRUE(gmem_write(&g.mem, HIGH + 4096, buf, 4096));
	T_EQ_U64(dirty_cnt(), 1);
	T_TRUE(fake_is_dirty(&g, HIGH / GMEM_PAGE + 1));
	fake_clean(&g);
	T_TRUE(gmem_read(&g.mem, 0, buf, sizeof(buf)));
	T_TRUE(gmem_write(&g.mem, 0, buf, 0));
	T_EQ_U64(dirty_cnt(), 0);
	fake_guest_fini(&g);
}

/* 130 pages a region: three words of marks. */
static void marks_of_a_long_range_fill_whole_words(void)
{
	fake_guest_init(&g, 260);
	gmem_dirty(&g.mem, g.ram + 3 * 4096 + 5, 126 * 4096);
	for (unsigned i = 0; i < 130; i++)
		T_EQ_U64(fake_is_dirty(&g, i), i >= 3 && i <= 129);
	T_TRUE(!fake_is_dirty(&g, HIGH / GMEM_PAGE));
	fake_guest_fini(&g);
}

/* The fake guest's regions are neighbours in the host. */
static void a_joined_buffer_marks_both_regions(void)
{
	static const uint64_t pfn[] = { PAGES / 2 - 1, HIGH / GMEM_PAGE };
	struct iovec v;

	fake_guest_init(&g, PAGES);
	T_TRUE(gmem_iov(&g.mem, pfn, 2, 0, 8192, &v, 1) == 1);
	gmem_dirty(&g.mem, v.iov_base, v.iov_len);
	T_EQ_U64(dirty_cnt(), 2);
	T_TRUE(fake_is_dirty(&g, pfn[0]) && fake_is_dirty(&g, pfn[1]));
	fake_guest_fini(&g);
}

static void memory_without_marks_is_written_too(void)
{
	fake_guest_init(&g, PAGES);
	free((void *)g.mem.region[0].dirty);
	g.mem.region[0].dirty = NULL;
	T_TRUE(gmem_write(&g.mem, 0, "x", 1));
	T_TRUE(g.ram[0] == 'x');
	fake_guest_fini(&g);
}

static const struct t_test tests[] = {
	T_TEST(both_regions_hold_what_was_written),
	T_TEST(beyond_memory_nothing_is_touched),
	T_TEST(lengths_that_wrap_around_are_refused),
	T_TEST(nothing_is_always_memory),
	T_TEST(a_page_is_given_only_where_memory_is),
	T_TEST(a_range_is_given_only_in_one_region),
	T_TEST(one_copy_crosses_neighbour_regions),
	T_TEST(iov_joins_neighbours_only),
	T_TEST(iov_begins_in_any_page),
	T_TEST(iov_refuses_what_does_not_fit),
	T_TEST(iov_refuses_pages_that_are_not_memory),
	T_TEST(writes_mark_exactly_their_pages),
	T_TEST(marks_of_a_long_range_fill_whole_words),
	T_TEST(a_joined_buffer_marks_both_regions),
	T_TEST(memory_without_marks_is_written_too),
	T_END,
};

const struct t_suite t_suite_vmbus_gmem = { "vmbus_gmem", tests };
