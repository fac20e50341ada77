/* SPDX-License-Identifier: MIT */
/*
 * A dynamic VHD on a host that fails or is full, and the end of its file: what
 * is final, what is put off, and what leaves no trace (V1..V8 of vhd1_io.c).
 */
#include <errno.h>
#include <string.h>

#include "t.h"
#include "t_vhd1.h"

static void expect_failed_for_good(void)
{
	uint8_t buf[512] = { 0 };

	T_FAILS(vhdx_blk_write(tv.blk, 0, buf, 512, &t_err), VHDX_E_FAILED,
		"earlier failure");
	T_FAILS(vhdx_blk_write_zeroes(tv.blk, 0, 512, &t_err), VHDX_E_FAILED,
		"earlier failure");
	T_FAILS(vhdx_blk_flush(tv.blk, &t_err), VHDX_E_FAILED,
		"Input/output error");
	T_TRUE(tv_has(0, 1));
	T_FAILS(vhdx_blk_close(tv.blk, &t_err), VHDX_E_FAILED, "");
}

static void any_failed_step_of_a_flush_is_final_and_reads_go_on(void)
{
	static const struct {
		unsigned op;
		uint64_t nth;
	} step[] = { { 1u << FILE_WRITE, 1 },   /* footer */
		     { 1u << FILE_SYNC, 1 },    /* before the BAT */
		     { 1u << FILE_WRITE, 2 },   /* BAT */
		     { 1u << FILE_SYNC, 2 } };  /* after the BAT */

	for (size_t i = 0; i < ARRAY_LEN(step); i++) {
		tv_begin(64 * MIB, 2 * MIB);
		tv_put_without_growth(0);
		tv_fail_next(step[i].op, step[i].nth, EIO);
		T_FAILS(vhdx_blk_flush(tv.blk, &t_err), VHDX_E_IO, "");
		expect_failed_for_good();
		tv_end();
	}
}

static void a_full_host_fails_the_request_and_nothing_else(void)
{
	uint8_t buf[4096] = { 1 };

	tv_begin(64 * MIB, 2 * MIB);
	tv_put_without_growth(10 * MIB);
	for (uint64_t nth = 1; nth <= 2; nth++) { /* bitmap, payload */
		tv_fail_next(1u << FILE_WRITE, nth, ENOSPC);
		T_FAILS(vhdx_blk_write(tv.blk, nth * 2 * MIB, buf, 4096,
				       &t_err), VHDX_E_NOSPC, "");
		T_TRUE(tv_zero(nth * 2 * MIB, 4096));
	}
	tv_put(2 * MIB, 1);
	tv_put(0, 1);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(2 * MIB, 1) && tv_has(0, 1) && tv_zero(4 * MIB, 4096));
	tv_close();
	tv_end();
}

static void a_full_host_puts_off_the_footer_but_not_the_flush(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	tv_put_without_growth(0);
	tv_fail_next(1u << FILE_WRITE, 1, ENOSPC);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_TRUE(tv_bat(0) != VHD1_ABSENT);
	T_TRUE(tv.disk.size >= tv_bat(0) * UINT64_C(512) + 512 + 2 * MIB);
	tv_crash();
	tv_open(0);
	T_TRUE(tv_has(0, 1));
	T_TRUE(strstr(tv.msg, "the one at the start of the file is used"));
	tv_close();
	tv_end();
}

static void a_block_whose_only_write_failed_goes_away_on_close(void)
{
	uint8_t buf[4096] = { 1 };

	tv_begin(64 * MIB, 2 * MIB);
	tv_put(0, 1);
	tv_fail_next(1u << FILE_WRITE, 2, EIO);
	T_FAILS(vhdx_blk_write(tv.blk, 2 * MIB, buf, 4096, &t_err), VHDX_E_IO,
		"");
	tv_close();
	T_EQ_U64(tv_bat(1), VHD1_ABSENT);
	T_EQ_U64(tv.disk.size, tv_bat(0) * UINT64_C(512) + 512 + 2 * MIB + 512);
	T_TRUE(tv_footer_at(tv.disk.size - 512));
	tv_end();
}

static void zeroes_cover_what_a_failed_write_left_in_a_new_block(void)
{
	uint8_t buf[4096];

	tv_begin(64 * MIB, 2 * MIB);
	t_fill(buf, sizeof(buf), 1);
	fault_set(tv.fault, (struct fault_rule){ 1u << FILE_WRITE, 2, EIO,
						 false, FAULT_DONE });
	T_FAILS(vhdx_blk_write(tv.blk, 0, buf, 4096, &t_err), VHDX_E_IO, "");
	T_OK(vhdx_blk_write_zeroes(tv.blk, 0, 4096, &t_err));
	tv_put(8192, 1); /* makes the block visible */
	T_TRUE(tv_zero(0, 4096));
	tv_close();
	tv_end();
}

/* ---- the end of the file ------------------------------------------------- */

/* Space for many blocks at once: one footer behind all of them, and none at a
 * flush. */
static void the_file_grows_in_few_steps(void)
{
	unsigned from;

	tv_begin(1024 * MIB, 2 * MIB);
	tv_put(0, 1);
	from = tv.trace->cnt;
	for (uint64_t i = 1; i < 512; i++)
		tv_put(i * 2 * MIB, i);
	/* Payload and bitmap each, and the footers. */
	T_TRUE(file_trace_count(tv.trace, FILE_WRITE, from) <= 2 * 511 + 20);
	T_TRUE(tv_footer_at(tv.disk.size - 512));
	from = tv.trace->cnt;
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_EQ_U64(file_trace_count(tv.trace, FILE_WRITE, from), 1); /* the BAT */
	tv_close();
	T_EQ_U64(tv.disk.size, tv_bat(511) * UINT64_C(512) + 512 + 2 * MIB +
				       512);
	tv_end();
}

static void a_grown_file_has_a_footer_at_its_end_and_is_cut_after_a_crash(void)
{
	uint64_t len;

	tv_begin(1024 * MIB, 2 * MIB);
	tv_put(0, 1);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_TRUE(tv.disk.size > 30 * MIB);
	T_TRUE(tv_footer_at(tv.disk.size - 512));
	tv_crash();
	tv_open(VHDX_OPEN_WRITE);
	len = tv_bat(0) * UINT64_C(512) + 512 + 2 * MIB + 512;
	T_EQ_U64(tv.disk.size, len);
	T_TRUE(tv_has(0, 1) && tv_footer_at(len - 512));
	tv_close();
	tv_end();
}

static void a_failed_growth_fails_who_waits_for_it_and_leaves_no_trace(void)
{
	uint8_t buf[512] = { 1 };
	uint64_t size;

	tv_begin(1024 * MIB, 2 * MIB);
	size = tv.disk.size;
	fault_set(tv.fault, (struct fault_rule){ 1u << FILE_WRITE, 1, EIO,
						 false, FAULT_DONE });
	T_FAILS(vhdx_blk_write(tv.blk, 0, buf, 512, &t_err), VHDX_E_IO, "");
	T_TRUE(tv.disk.size > size);
	tv_close();
	T_EQ_U64(tv.disk.size, size);
	T_TRUE(tv_footer_at(size - 512));
	tv_end();
}

static void a_page_with_a_new_bitmap_is_written_whole(void)
{
	unsigned from;

	tv_begin(1024 * MIB, 2 * MIB);
	tv_put(0, 1);
	from = tv.trace->cnt;
	tv_put(2 * MIB, 1);
	T_EQ_U64(file_trace_count(tv.trace, FILE_WRITE, from), 2);
	T_EQ_U64(tv.trace->ops[from].off % 4096, 0);
	T_EQ_U64(tv.trace->ops[from].len, 4096);
	tv_close();
	tv_end();
}

static void a_disk_that_outgrows_the_bat_gets_an_error(void)
{
	uint8_t buf[512] = { 1 };

	tv_create(64 * MIB, 2 * MIB);
	/* The file reaches nearly as far as 32 bits of sectors. */
	uint8_t foot[512];
	tv_peek(0, foot, sizeof(foot));
	memimg_resize(&tv.disk, (UINT64_C(1) << 41) - 2048);
	tv_poke(tv.disk.size - 512, foot, sizeof(foot));
	tv_bat_set(5, 0xffffffff - 4097 - 3);
	tv_open(VHDX_OPEN_WRITE);
	T_FAILS(vhdx_blk_write(tv.blk, 0, buf, 512, &t_err), VHDX_E_NOSPC,
		"32 bits");
	T_TRUE(tv_zero(10 * MIB, 4096));
	tv_close();
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(any_failed_step_of_a_flush_is_final_and_reads_go_on),
	T_TEST(a_full_host_fails_the_request_and_nothing_else),
	T_TEST(a_full_host_puts_off_the_footer_but_not_the_flush),
	T_TEST(a_block_whose_only_write_failed_goes_away_on_close),
	T_TEST(zeroes_cover_what_a_failed_write_left_in_a_new_block),
	T_TEST(the_file_grows_in_few_steps),
	T_TEST(a_grown_file_has_a_footer_at_its_end_and_is_cut_after_a_crash),
	T_TEST(a_failed_growth_fails_who_waits_for_it_and_leaves_no_trace),
	T_TEST(a_page_with_a_new_bitmap_is_written_whole),
	T_TEST(a_disk_that_outgrows_the_bat_gets_an_error),
	T_END,
};

const struct t_suite t_suite_vhd1_fail = { "vhd1_fail", tests };
