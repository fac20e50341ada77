/* SPDX-License-Identifier: MIT */
/*
 * Which of a VHD's footers is believed, and how the other one, and the end of
 * the file, are mended.
 */
#include <stdlib.h>
#include <string.h>

#include "t.h"
#include "t_vhd1.h"

static void zap(uint64_t off)
{
	tv_poke(off, "XXXXXXXX", 8);
}

static void expect_sound_and_closed(void)
{
	T_TRUE(tv_footer_at(0) && tv_footer_at(tv.disk.size - 512));
	tv_open(0);
	CU_ASSERT_STRING_EQUAL(tv.msg, "");
	tv_expect_data();
	tv_close();
}

static void without_the_end_footer_the_copy_is_used_and_nothing_changes(void)
{
	tv_with_data();
	zap(tv.disk.size - 512);
	uint64_t sum = tv_sum();
	tv_open(0);
	T_TRUE(strstr(tv.msg, "start of the file is used instead"));
	tv_expect_data();
	tv_close();
	T_EQ_U64(tv_sum(), sum);
	tv_end();
}

static void opening_for_writing_restores_the_end_footer_first(void)
{
	tv_with_data();
	zap(tv.disk.size - 512);
	tv_open(VHDX_OPEN_WRITE);
	T_TRUE(tv_footer_at(tv.disk.size - 512));
	T_TRUE(file_trace_count(tv.trace, FILE_SYNC, 0) >= 1);
	tv_close();
	expect_sound_and_closed();
	tv_end();
}

static void opening_for_writing_restores_the_copy_first(void)
{
	tv_with_data();
	zap(0);
	tv_open(VHDX_OPEN_WRITE);
	T_EQ_U64(tv.trace->ops[0].op, FILE_WRITE);
	T_EQ_U64(tv.trace->ops[0].off, 0);
	T_EQ_U64(tv.trace->ops[1].op, FILE_SYNC);
	tv_close();
	expect_sound_and_closed();
	tv_end();
}

static void a_file_cut_in_its_footer_gets_it_back(void)
{
	for (uint64_t cut = 2; cut <= 512; cut += 51) {
		tv_with_data();
		memimg_resize(&tv.disk, tv.disk.size - cut);
		tv_open(VHDX_OPEN_WRITE);
		tv_close();
		expect_sound_and_closed();
		tv_end();
	}
}

static void a_tail_of_any_length_is_given_back_with_the_footer_behind(void)
{
	static const uint64_t tail[] = { 1, 511, 512, 4096, 8192, 3 * MIB };
	uint8_t junk[512];

	t_fill(junk, sizeof(junk), 1);
	for (size_t i = 0; i < ARRAY_LEN(tail); i++) {
		tv_with_data();
		uint64_t want = tv.disk.size;
		memimg_resize(&tv.disk, want + tail[i]);
		tv_poke(want - 512, junk, 512);
		tv_open(VHDX_OPEN_WRITE);
		tv_put(30 * MIB, 1);
		T_TRUE(tv_zero(30 * MIB + 4096, 65536));
		tv_close();
		expect_sound_and_closed();
		T_TRUE(tv.disk.size <= want + 2 * MIB + 8192 + tail[0]);
		tv_end();
	}
}

static void with_neither_footer_it_is_damage(void)
{
	tv_with_data();
	zap(0);
	zap(tv.disk.size - 512);
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "no VHD footer");
	tv_end();
}

static void the_old_footer_of_511_bytes_is_accepted(void)
{
	tv_with_data();
	uint64_t full = tv.disk.size;
	memimg_resize(&tv.disk, full - 1);
	tv_open(0);
	CU_ASSERT_STRING_EQUAL(tv.msg, "");
	tv_expect_data();
	tv_close();
	tv_open(VHDX_OPEN_WRITE);
	tv_put(20 * MIB, 1);
	tv_close();
	T_EQ_U64(tv.disk.size % 512, 0);
	expect_sound_and_closed();
	tv_end();
}

static void other_id(struct vhd1_footer *f)
{
	f->uuid[3] ^= 1;
	f->current_len = 4 * MIB;
}

static void a_footer_of_another_disk_at_the_end_is_payload(void)
{
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, other_id);
	tv_open(0);
	T_TRUE(strstr(tv.msg, "another unique id"));
	tv_expect_data();
	tv_close();
	tv_end();
}

static void as_fixed(struct vhd1_footer *f)
{
	f->type = VHD1_FIXED;
	f->current_len = 2 * MIB;
	f->data_off = VHD1_NO_OFF;
}

static void a_fixed_disk_s_footer_at_the_end_of_a_dynamic_one_is_payload(void)
{
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, as_fixed);
	tv_open(0);
	T_TRUE(strstr(tv.msg, "dynamic disk's"));
	tv_expect_data();
	tv_close();
	tv_end();
}

static void a_copy_of_the_own_footer_inside_a_block_is_payload(void)
{
	uint8_t foot[512], back[512];

	tv_with_data();
	tv_peek(0, foot, sizeof(foot));
	tv_open(VHDX_OPEN_WRITE);
	T_OK(vhdx_blk_write(tv.blk, 12 * MIB - 512, foot, 512, &t_err));
	tv_close();
	memimg_resize(&tv.disk, tv.disk.size - 512);
	tv_open(VHDX_OPEN_WRITE);
	T_TRUE(strstr(tv.msg, "lies inside a block"));
	tv_put(20 * MIB, 1);
	T_OK(vhdx_blk_read(tv.blk, 12 * MIB - 512, back, 512, &t_err));
	T_TRUE(memcmp(foot, back, 512) == 0);
	tv_close();
	expect_sound_and_closed();
	tv_end();
}

static void a_fixed_disk_may_hold_a_whole_dynamic_vhd(void)
{
	size_t len;
	uint8_t *inner;

	tv_with_data();
	len = (size_t)tv.disk.size;
	inner = malloc(len);
	tv_peek(0, inner, len);
	tv_end();
	tv_begin(len, 0);
	T_OK(vhdx_blk_write(tv.blk, 0, inner, len, &t_err));
	tv_close();
	tv_open(0);
	struct vhdx_info info;
	vhdx_get_info(tv.blk, &info);
	T_EQ_U64(info.type, VHDX_TYPE_FIXED);
	T_EQ_U64(info.size_len, len);
	tv_close();
	tv_end();
	free(inner);
}

static void later(struct vhd1_footer *f)
{
	f->timestamp++;
}

static void larger(struct vhd1_footer *f)
{
	f->current_len -= MIB;
}

static void footers_that_differ_in_passing_are_told_of(void)
{
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, later);
	tv_open(VHDX_OPEN_WRITE);
	T_TRUE(strstr(tv.msg, "differ"));
	tv_expect_data();
	tv_close();
	tv_end();
}

static void footers_of_two_sizes_refuse_writing_only(void)
{
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, larger);
	T_FAILS(tv_try_open(VHDX_OPEN_WRITE), VHDX_E_CORRUPT, "disagree");
	tv_open(0);
	tv_expect_data();
	tv_close();
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(without_the_end_footer_the_copy_is_used_and_nothing_changes),
	T_TEST(opening_for_writing_restores_the_end_footer_first),
	T_TEST(opening_for_writing_restores_the_copy_first),
	T_TEST(a_file_cut_in_its_footer_gets_it_back),
	T_TEST(a_tail_of_any_length_is_given_back_with_the_footer_behind),
	T_TEST(with_neither_footer_it_is_damage),
	T_TEST(the_old_footer_of_511_bytes_is_accepted),
	T_TEST(a_footer_of_another_disk_at_the_end_is_payload),
	T_TEST(a_fixed_disk_s_footer_at_the_end_of_a_dynamic_one_is_payload),
	T_TEST(a_copy_of_the_own_footer_inside_a_block_is_payload),
	T_TEST(a_fixed_disk_may_hold_a_whole_dynamic_vhd),
	T_TEST(footers_that_differ_in_passing_are_told_of),
	T_TEST(footers_of_two_sizes_refuse_writing_only),
	T_END,
};

const struct t_suite t_suite_vhd1_footers = { "vhd1_footers", tests };
