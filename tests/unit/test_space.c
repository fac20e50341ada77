/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "space.h"
#include "t.h"

static struct space s;

static void open_file(uint64_t mib)
{
	T_OK(space_init(&s, mib * MIB, &t_err));
}

static void space_is_handed_out_once(void)
{
	uint64_t off;
	uint8_t seen[64] = { 0 };
	bool zero;

	open_file(64);
	T_TRUE(space_take(&s, 0, 4 * MIB));
	for (int i = 0; i < 30; i++) {
		T_TRUE(space_alloc(&s, 2 * MIB, &off, &zero));
		T_TRUE(off >= 4 * MIB && off + 2 * MIB <= 64 * MIB);
		T_TRUE(!seen[off / MIB] && !seen[off / MIB + 1]);
		seen[off / MIB] = seen[off / MIB + 1] = 1;
	}
	T_TRUE(!space_alloc(&s, 2 * MIB, &off, &zero));
	space_fini(&s);
}

static void taking_used_space_fails_and_changes_nothing(void)
{
	uint64_t off;
	bool zero;

	open_file(8);
	T_TRUE(space_take(&s, 2 * MIB, 2 * MIB));
	T_TRUE(!space_take(&s, 0, 3 * MIB));
	T_TRUE(!space_take(&s, 3 * MIB, MIB));
	T_TRUE(!space_take(&s, 7 * MIB, 2 * MIB));
	T_TRUE(space_take(&s, 0, 2 * MIB));
	T_TRUE(space_alloc(&s, 4 * MIB, &off, &zero));
	T_EQ_U64(off, 4 * MIB);
	space_fini(&s);
}

static void space_found_in_a_file_is_not_known_to_be_zero(void)
{
	uint64_t off;
	bool zero = true;

	open_file(2);
	T_TRUE(space_alloc(&s, MIB, &off, &zero));
	T_TRUE(!zero);
	space_fini(&s);
}

static void space_from_growth_is_zero_until_it_was_used(void)
{
	uint64_t off;
	bool zero = false;

	open_file(0);
	T_OK(space_reserve(&s, 2 * MIB, &t_err));
	space_grow(&s, 2 * MIB);
	T_TRUE(space_alloc(&s, 2 * MIB, &off, &zero));
	T_TRUE(zero);
	space_release(&s, off, MIB, false);
	space_release(&s, off + MIB, MIB, true);
	T_TRUE(space_alloc(&s, 2 * MIB, &off, &zero));
	T_TRUE(!zero); /* half of it is stale */
	space_fini(&s);
}

static void a_run_is_contiguous_and_may_be_anywhere(void)
{
	uint64_t off;
	bool zero;

	open_file(200);
	for (uint64_t i = 0; i < 200; i += 2)
		if (i != 130)
			T_TRUE(space_take(&s, i * MIB, MIB));
	T_TRUE(space_alloc(&s, 3 * MIB, &off, &zero));
	T_EQ_U64(off, 129 * MIB);
	T_TRUE(!space_alloc(&s, 2 * MIB, &off, &zero));
	space_fini(&s);
}

static void sequential_allocations_are_sequential(void)
{
	uint64_t off, last = 0;
	bool zero;

	open_file(300);
	for (int i = 0; i < 100; i++) {
		T_TRUE(space_alloc(&s, 3 * MIB, &off, &zero));
		T_TRUE(i == 0 || off == last + 3 * MIB);
		last = off;
	}
	space_fini(&s);
}

static void the_end_is_the_last_used_mib(void)
{
	open_file(100);
	T_EQ_U64(space_end(&s), 0);
	T_TRUE(space_take(&s, 70 * MIB, 2 * MIB));
	T_EQ_U64(space_end(&s), 72 * MIB);
	space_release(&s, 71 * MIB, MIB, false);
	T_EQ_U64(space_end(&s), 71 * MIB);
	space_fini(&s);
}

static const struct t_test tests[] = {
	T_TEST(space_is_handed_out_once),
	T_TEST(taking_used_space_fails_and_changes_nothing),
	T_TEST(space_found_in_a_file_is_not_known_to_be_zero),
	T_TEST(space_from_growth_is_zero_until_it_was_used),
	T_TEST(a_run_is_contiguous_and_may_be_anywhere),
	T_TEST(sequential_allocations_are_sequential),
	T_TEST(the_end_is_the_last_used_mib),
	T_END,
};

const struct t_suite t_suite_space = { "space", tests };
