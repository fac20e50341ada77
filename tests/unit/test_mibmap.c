/* SPDX-License-Identifier: MIT */
#include "mibmap.h"
#include "t.h"

static struct mibmap m;
static uint64_t mib;

static void second_owner_is_told_the_first_mib_they_share(void)
{
	T_OK(mibmap_init(&m, 100, &t_err));
	T_TRUE(mibmap_take(&m, 5 * MIB, 3 * MIB, &mib));
	T_TRUE(!mibmap_take(&m, 3 * MIB, 4 * MIB, &mib));
	T_EQ_U64(mib, 5);
	T_TRUE(mibmap_taken(&m, 3 * MIB, MIB, &mib));
	mibmap_free(&m);
}

static void neighbours_do_not_overlap(void)
{
	T_OK(mibmap_init(&m, 200, &t_err));
	T_TRUE(mibmap_take(&m, 63 * MIB, MIB, &mib));
	T_TRUE(mibmap_take(&m, 64 * MIB, 2 * MIB, &mib));
	T_TRUE(mibmap_take(&m, 62 * MIB, MIB, &mib));
	mibmap_free(&m);
}

static void ranges_beyond_the_end_are_not_tracked(void)
{
	T_OK(mibmap_init(&m, 10, &t_err));
	T_TRUE(mibmap_take(&m, 9 * MIB, 5 * MIB, &mib));
	T_TRUE(mibmap_take(&m, 10 * MIB, 5 * MIB, &mib));
	T_TRUE(mibmap_take(&m, UINT64_MAX - MIB + 1, MIB, &mib));
	T_TRUE(mibmap_taken(&m, 9 * MIB, MIB, &mib));
	mibmap_free(&m);
}

static void free_runs_are_found_in_order(void)
{
	uint64_t cnt;

	T_OK(mibmap_init(&m, 300, &t_err));
	mibmap_take(&m, 0, 10 * MIB, &mib);
	mibmap_take(&m, 70 * MIB, 100 * MIB, &mib);
	T_EQ_U64(mibmap_free_run(&m, 0, &cnt), 10);
	T_EQ_U64(cnt, 60);
	T_EQ_U64(mibmap_free_run(&m, 70, &cnt), 170);
	T_EQ_U64(cnt, 130);
	mibmap_free_run(&m, 300, &cnt);
	T_EQ_U64(cnt, 0);
	mibmap_free(&m);
}

static void full_map_has_no_free_run(void)
{
	uint64_t cnt;

	T_OK(mibmap_init(&m, 128, &t_err));
	mibmap_take(&m, 0, 128 * MIB, &mib);
	mibmap_free_run(&m, 0, &cnt);
	T_EQ_U64(cnt, 0);
	mibmap_free(&m);
}

static void memory_is_bounded_however_large_the_file(void)
{
	T_OK(mibmap_init(&m, UINT64_MAX / MIB, &t_err));
	T_EQ_U64(m.cnt, MIBMAP_MAX);
	mibmap_free(&m);
}

static const struct t_test tests[] = {
	T_TEST(second_owner_is_told_the_first_mib_they_share),
	T_TEST(neighbours_do_not_overlap),
	T_TEST(ranges_beyond_the_end_are_not_tracked),
	T_TEST(free_runs_are_found_in_order),
	T_TEST(full_map_has_no_free_run),
	T_TEST(memory_is_bounded_however_large_the_file),
	T_END
};

const struct t_suite t_suite_mibmap = { "mibmap", tests };
