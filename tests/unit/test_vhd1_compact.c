/* SPDX-License-Identifier: MIT */
/* Compacting a VHD: Q1 to Q5 of vhd1_compact.c. */
#include <string.h>

#include "le.h"
#include "t.h"
#include "t_compact.h"
#include "vhd1_format.h"

#define VHD VHDX_FORMAT_VHD
#define BLOCK ((uint32_t)MIB)

static void the_file_becomes_as_long_as_what_it_holds(void)
{
	struct vhdx_blk *blk;
	uint64_t empty_len;

	tc_begin(VHD, BLOCK, false, 0, 1);
	empty_len = tc.disk->size;
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	for (uint64_t i = 0; i < 20; i++)
		tc_put(blk, i * MIB, MIB, i % 3 == 2 ? i : 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_compact_and_check();
	T_EQ_U64(tc.result.zero_cnt, 14);
	T_EQ_U64(tc.result.moved_len, 4 * (MIB + 512));
	T_TRUE(tc.disk->size <= empty_len + 6 * (MIB + 4096) + 4096);
	tc_end();
}

static void a_second_run_changes_not_a_byte(void)
{
	tc_second_run_changes_nothing(&(struct tc_disk){
		VHD, 2 * BLOCK, false, 60, 3 });
}

static void a_dry_run_changes_nothing_and_is_right(void)
{
	tc_dry_run_is_right(&(struct tc_disk){
		VHD, BLOCK, false, 80, 4 });
}

static void zeros_of_a_child_stay_and_hide_the_parent(void)
{
	struct vhdx_blk *blk;

	tc_begin(VHD, BLOCK, false, 0, 5);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 0, 10 * MIB, 77);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_create_child(BLOCK);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 0, 2 * MIB, 0);
	tc_put(blk, 4 * MIB, 512, 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_compact_and_check();
	T_EQ_U64(tc.result.zero_cnt, 0);
	tc_end();
}

/* Block 0 is cut out by hand, so that its data is free space. */
static void zeros_of_a_child_stay_zeros_where_something_was(void)
{
	static const uint8_t absent[4] = { 255, 255, 255, 255 };
	uint8_t off[8], bat[8];
	struct vhdx_blk *blk;

	tc_begin(VHD, BLOCK, false, 0, 5);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, BLOCK, 4 * BLOCK, 77);
	T_OK(vhdx_blk_close(blk, &t_err));
	tc_create_child(BLOCK);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	tc_put(blk, 0, 3 * BLOCK, 78);
	tc_put(blk, 3 * BLOCK, BLOCK, 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	memimg_read(tc.disk, 16, off, 8);
	memimg_read(tc.disk, get_be64(off) + 16, bat, 8);
	memimg_write(tc.disk, get_be64(bat), absent, 4);
	memimg_zero(&tc.model, 0, BLOCK);
	tc_compact_and_check();
	T_EQ_U64(tc.result.moved_len, BLOCK + 512);
	tc_end();
}

static void random_disks_keep_their_content(void)
{
	for (uint64_t seed = 0; seed < 16; seed++) {
		tc_begin(VHD, BLOCK / 2 << seed % 4, seed % 2, 70, 10 + seed);
		tc_compact_and_check();
		tc_end();
	}
}

/* Xen puts a map where no structure points to. */
static void a_gap_that_may_hold_something_is_not_used(void)
{
	static const uint8_t absent[4] = { 255, 255, 255, 255 };
	uint8_t footer[512], entry[4], was[512], is[512];
	struct vhdx_blk *blk;
	uint64_t off;

	tc_begin(VHD, BLOCK, false, 0, 3);
	blk = tc_open(tc.disk, VHDX_OPEN_WRITE);
	for (uint64_t i = 0; i < 10; i++)
		tc_put(blk, i * MIB, MIB, 1 + i);
	T_OK(vhdx_blk_close(blk, &t_err));
	memimg_read(tc.disk, 1536 + 2 * 4, entry, 4);
	memimg_write(tc.disk, 1536 + 2 * 4, absent, 4);
	memimg_zero(&tc.model, 2 * MIB, MIB);
	off = (uint64_t)get_be32(entry) * 512 + 512 + 4096;
	memimg_read(tc.disk, off, was, 512);
	memimg_read(tc.disk, 0, footer, 512);
	memcpy(footer + 28, "tap", 4);
	vhd1_footer_resize(footer, TC_SIZE);
	memimg_write(tc.disk, 0, footer, 512);
	memimg_write(tc.disk, tc.disk->size - 512, footer, 512);
	T_OK(tc_compact(tc.disk));
	tc_check_pages(tc.disk, true);
	memimg_read(tc.disk, off, is, 512);
	T_TRUE(memcmp(was, is, 512) == 0);
	tc_end();
}

static void a_stopped_run_can_go_on_and_uses_the_holes_it_left(void)
{
	tc_stopped_run_goes_on(&(struct tc_disk){
		VHD, BLOCK, false, 90, 8 });
	T_EQ_U64(tc.result.hole_len, 0);
	tc_end();
}

static void unused_blocks_go(void)
{
	tc_begin(VHD, BLOCK, false, 0, 9);
	tc_put_unused();
	tc_compact_and_check();
	T_EQ_U64(tc.result.unused_cnt, 3);
	tc_end();
}

static void any_allocation_may_fail(void)
{
	tc_any_allocation_may_fail(&(struct tc_disk){
		VHD, BLOCK, false, 50, 9 });
}

static void any_operation_may_fail(void)
{
	tc_any_operation_may_fail(&(struct tc_disk){
		VHD, BLOCK, false, 50, 9 });
}

static void power_may_fail_at_any_instant(void)
{
	tc_power_fails(VHD, BLOCK, false, 20, 0);
	tc_power_fails(VHD, BLOCK, false, 21, 4);
	tc_power_fails(VHD, 2 * BLOCK, false, 22, 2);
	tc_power_fails(VHD, BLOCK / 2, true, 30, 0);
	tc_power_fails(VHD, BLOCK, true, 31, 4);
}

static const struct t_test tests[] = {
	T_TEST(the_file_becomes_as_long_as_what_it_holds),
	T_TEST(a_second_run_changes_not_a_byte),
	T_TEST(a_dry_run_changes_nothing_and_is_right),
	T_TEST(zeros_of_a_child_stay_and_hide_the_parent),
	T_TEST(zeros_of_a_child_stay_zeros_where_something_was),
	T_TEST(random_disks_keep_their_content),
	T_TEST(a_stopped_run_can_go_on_and_uses_the_holes_it_left),
	T_TEST(a_gap_that_may_hold_something_is_not_used),
	T_TEST(unused_blocks_go),
	T_TEST(any_allocation_may_fail),
	T_TEST(any_operation_may_fail),
	T_TEST(power_may_fail_at_any_instant),
	T_END,
};

const struct t_suite t_suite_vhd1_compact = { "vhd1_compact", tests };
