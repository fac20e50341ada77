/* SPDX-License-Identifier: MIT */
/* Compacting a VHDX: K1 to K6 of vhdx_compact.c. */
#include <string.h>

#include "t.h"
#include "t_compact.h"

#define VHDX VHDX_FORMAT_VHDX

static void guids(uint8_t file_write[16], uint8_t data_write[16])
{
	struct image *img = tc_image(tc.disk, 0);

	memcpy(file_write, img->info.file_write_guid, 16);
	memcpy(data_write, img->info.data_write_guid, 16);
	T_OK(img->ops->close(img, &t_err));
}

static void the_file_becomes_as_long_as_what_it_holds(void)
{
	struct vhdx_blk *blk;

	tc_begin(VHDX, MIB, false, 0, 1);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	for (uint64_t i = 0; i < 20; i++)
		tc_put(blk, i * MIB, MIB, i % 3 == 2 ? i : 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_compact_and_check();
	T_EQ_U64(tc.result.zero_cnt, 14);
	T_EQ_U64(tc.result.moved_len, 4 * MIB); /* 2 of 6 lie low enough */
	T_EQ_U64(tc.disk->size, (4 + 6) * MIB);
	tc_end();
}

static void children_stay_valid_and_copies_are_told_apart(void)
{
	uint8_t f0[16], d0[16], f1[16], d1[16];

	tc_begin(VHDX, MIB, false, 60, 2);
	guids(f0, d0);
	tc_compact_and_check();
	guids(f1, d1);
	T_TRUE(memcmp(f0, f1, 16) != 0);
	T_TRUE(memcmp(d0, d1, 16) == 0);
	tc_end();
}

static void a_second_run_changes_not_a_byte(void)
{
	tc_second_run_changes_nothing(&(struct tc_disk){
		VHDX, 2 * MIB, true, 60, 3 });
}

static void a_dry_run_changes_nothing_and_is_right(void)
{
	tc_dry_run_is_right(&(struct tc_disk){
		VHDX, MIB, true, 80, 4 });
}

static void bitmaps_go_when_no_block_needs_them(void)
{
	struct vhdx_blk *blk;

	tc_begin(VHDX, MIB, true, 0, 5);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 0, 4096, 1);
	tc_put(blk, 4096, MIB - 4096, 2); /* all bits set: as good as full */
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_compact_and_check();
	T_EQ_U64(tc.result.bitmap_cnt, 1);
	T_EQ_U64(tc.disk->size, 5 * MIB);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 2 * MIB, 512, 3);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_compact_and_check();
	T_EQ_U64(tc.result.bitmap_cnt, 0);
	T_EQ_U64(tc.disk->size, 7 * MIB);
	tc_end();
}

static void random_disks_keep_their_content(void)
{
	for (uint64_t seed = 0; seed < 24; seed++) {
		tc_begin(VHDX, (uint32_t)MIB << seed % 6, seed % 2,
			 70, 10 + seed);
		tc_compact_and_check();
		if (seed % 6 == 0) /* no bitmap can make a hole too small */
			T_EQ_U64(tc.result.hole_len, 0);
		tc_end();
	}
}

/* ---- what nothing uses -------------------------------------------------- */

static void unused_blocks_go_and_cut_children_off(void)
{
	uint8_t f0[16], d0[16], f1[16], d1[16];

	tc_begin(VHDX, MIB, false, 0, 6);
	tc_put_unused();
	guids(f0, d0);
	tc_compact_and_check();
	T_EQ_U64(tc.result.unused_cnt, 3);
	guids(f1, d1);
	T_TRUE(memcmp(d0, d1, 16) != 0);
	tc_end();
}

static void unused_and_zero_blocks_of_a_child_never_show_the_parent(void)
{
	struct vhdx_blk *blk;

	tc_begin(VHDX, MIB, false, 0, 7);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 0, 10 * MIB, 77);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_create_child(MIB);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 0, 2 * MIB, 0);
	tc_put(blk, 4 * MIB, 512, 5);
	tc_put(blk, 5 * MIB, 512, 0); /* the other sectors are the parent's */
	T_OK(vhdx_blk_close(blk, &t_err));
	unused_init(&tc.unused, TC_SIZE);
	tc.use_unused = true;
	T_OK(vhdx_unused_add(&tc.unused, 4 * MIB, MIB, &t_err));
	unused_sort(&tc.unused);
	memimg_zero(&tc.model, 4 * MIB, MIB);
	tc_compact_and_check();
	T_EQ_U64(tc.result.zero_cnt, 2);
	T_EQ_U64(tc.result.unused_cnt, 1);
	tc_end();
}

/* ---- failures ----------------------------------------------------------- */

static void a_stopped_run_can_go_on(void)
{
	tc_stopped_run_goes_on(&(struct tc_disk){
		VHDX, MIB, true, 90, 8 });
	tc_end();
}

static void any_allocation_may_fail(void)
{
	tc_any_allocation_may_fail(&(struct tc_disk){
		VHDX, MIB, true, 50, 9 });
}

static void any_operation_may_fail(void)
{
	tc_any_operation_may_fail(&(struct tc_disk){
		VHDX, MIB, true, 50, 9 });
}

static void power_may_fail_at_any_instant(void)
{
	tc_power_fails(VHDX, MIB, false, 20, 0);
	tc_power_fails(VHDX, MIB, false, 21, 4);
	tc_power_fails(VHDX, 2 * MIB, false, 22, 2);
}

static void power_may_fail_at_any_instant_in_a_child(void)
{
	tc_power_fails(VHDX, MIB, true, 30, 0);
	tc_power_fails(VHDX, MIB, true, 31, 4);
	tc_power_fails(VHDX, 2 * MIB, true, 33, 2);
}

static const struct t_test tests[] = {
	T_TEST(the_file_becomes_as_long_as_what_it_holds),
	T_TEST(children_stay_valid_and_copies_are_told_apart),
	T_TEST(a_second_run_changes_not_a_byte),
	T_TEST(a_dry_run_changes_nothing_and_is_right),
	T_TEST(bitmaps_go_when_no_block_needs_them),
	T_TEST(random_disks_keep_their_content),
	T_TEST(unused_blocks_go_and_cut_children_off),
	T_TEST(unused_and_zero_blocks_of_a_child_never_show_the_parent),
	T_TEST(a_stopped_run_can_go_on),
	T_TEST(any_allocation_may_fail),
	T_TEST(any_operation_may_fail),
	T_TEST(power_may_fail_at_any_instant),
	T_TEST(power_may_fail_at_any_instant_in_a_child),
	T_END,
};

const struct t_suite t_suite_vhdx_compact = { "vhdx_compact", tests };
