/* SPDX-License-Identifier: MIT */
/*
 * A dynamic VHD as its user sees it, and what it does to the file: V1..V8 of
 * vhd1_io.c as far as they show without power failures, which are the crash
 * suite's business.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "t.h"
#include "t_vhd1.h"

/* Requests in flight together. */
#define MANY 200

struct many {
	struct vhdx_req req;
	struct iovec iov;
	uint8_t buf[4096];
	struct vhdx_err err;
	bool done;
};

static struct many many[MANY];

static void many_done(struct vhdx_req *req)
{
	container_of(req, struct many, req)->done = true;
}

static void submit(unsigned i, enum vhdx_op op, uint64_t voff)
{
	struct many *m = &many[i];

	m->done = false;
	m->iov = (struct iovec){ m->buf, sizeof(m->buf) };
	m->req = (struct vhdx_req){
		.op = op,
		.voff = voff,
		.len = op == VHDX_OP_FLUSH ? 0 : sizeof(m->buf),
		.iov = &m->iov,
		.iov_cnt = 1,
		.err = &m->err,
		.done = many_done,
	};
	if (op == VHDX_OP_WRITE)
		t_fill(m->buf, sizeof(m->buf), i + voff);
	vhdx_blk_submit(tv.blk, &m->req);
}

static unsigned wr_cnt(unsigned from)
{
	return file_trace_count(tv.trace, FILE_WRITE, from);
}

static unsigned sync_cnt(unsigned from)
{
	return file_trace_count(tv.trace, FILE_SYNC, from);
}

/* ---- content ------------------------------------------------------------- */

static void a_new_disk_reads_as_zeros(void)
{
	tv_begin(100 * MIB, 2 * MIB);
	T_TRUE(tv_zero(0, 65536));
	T_TRUE(tv_zero(100 * MIB - 65536, 65536));
	tv_close();
	tv_end();
}

static void what_is_written_is_read_now_and_after_reopening(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	for (uint64_t i = 0; i < 60; i++)
		tv_put(i * MIB + (i % 200) * 4096, i);
	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t i = 0; i < 60; i++)
			T_TRUE(tv_has(i * MIB + (i % 200) * 4096, i));
		T_TRUE(tv_zero(63 * MIB, 65536));
		tv_close();
		tv_open(pass ? 0 : VHDX_OPEN_WRITE);
	}
	tv_close();
	tv_end();
}

static void a_request_may_span_many_blocks_of_any_size(void)
{
	static const uint32_t sizes[] = { 512, 4096, 512 * KIB, 2 * MIB,
					  16 * MIB };
	size_t len = 5 * MIB / 4 + 1536;
	uint8_t *out = malloc(len), *in = malloc(len);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		tv_begin(40 * MIB, sizes[i]);
		t_fill(out, len, i);
		T_OK(vhdx_blk_write(tv.blk, 15 * MIB + 512, out, len, &t_err));
		tv_close();
		tv_open(0);
		T_OK(vhdx_blk_read(tv.blk, 15 * MIB + 512, in, len, &t_err));
		T_TRUE(memcmp(in, out, len) == 0);
		T_TRUE(tv_zero(15 * MIB, 512));
		T_TRUE(tv_zero(15 * MIB + 512 + len, 4096));
		tv_close();
		tv_end();
	}
	free(in);
	free(out);
}

static void the_last_partial_block_can_be_written_to_its_end(void)
{
	tv_begin(5 * MIB + 8192, 2 * MIB);
	tv_put(5 * MIB + 4096, 1);
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(5 * MIB + 4096, 1));
	tv_close();
	tv_end();
}

static void discard_of_what_was_never_written_allocates_nothing(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	T_OK(vhdx_blk_discard(tv.blk, 0, 64 * MIB, &t_err));
	T_OK(vhdx_blk_write_zeroes(tv.blk, 0, 64 * MIB, &t_err));
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_EQ_U64(wr_cnt(0), 0);
	tv_close();
	tv_end();
}

static void zeroes_over_data_read_as_zeros_and_keep_the_rest(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	for (uint64_t off = 0; off < 16384; off += 4096)
		tv_put(off, 1);
	T_OK(vhdx_blk_write_zeroes(tv.blk, 4096, 4096, &t_err));
	T_OK(vhdx_blk_discard(tv.blk, 8192, 4096, &t_err));
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(0, 1) && tv_has(12288, 1));
	T_TRUE(tv_zero(4096, 8192));
	tv_close();
	tv_end();
}

/* ---- order, and what it costs -------------------------------------------- */

static void a_block_is_not_in_the_bat_before_a_flush(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	tv_put(6 * MIB, 1);
	T_TRUE(tv_has(6 * MIB, 1));
	T_EQ_U64(tv_bat(3), VHD1_ABSENT);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_TRUE(tv_bat(3) != VHD1_ABSENT);
	tv_close();
	tv_end();
}

static bool in_bat(const struct trace_op *op)
{
	return op->op == FILE_WRITE && op->off >= TV_BAT_OFF &&
	       op->off < TV_BAT_OFF + 512;
}

static void the_bat_is_written_between_two_syncs_after_all_else(void)
{
	static const enum file_op want[] = { FILE_WRITE, FILE_WRITE, FILE_WRITE,
					     FILE_SYNC, FILE_WRITE, FILE_SYNC };

	tv_begin(64 * MIB, 2 * MIB);
	unsigned from = tv.trace->cnt;
	tv_put(6 * MIB, 1);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_EQ_U64(tv.trace->cnt - from, ARRAY_LEN(want));
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		T_EQ_U64(tv.trace->ops[from + i].op, want[i]);
		T_TRUE(in_bat(&tv.trace->ops[from + i]) == (i == 4));
	}
	tv_close();
	tv_end();
}

static void a_thousand_new_blocks_take_two_syncs(void)
{
	tv_begin(2 * GIB, 2 * MIB);
	for (uint64_t i = 0; i < 1000; i++)
		tv_put(i * 2 * MIB, i);
	T_EQ_U64(sync_cnt(0), 0);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_EQ_U64(sync_cnt(0), 2);
	tv_close();
	T_EQ_U64(tv_bat(999) == VHD1_ABSENT, 0);
	tv_end();
}

static void overwriting_writes_the_payload_and_nothing_else(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	tv_put(0, 1);
	tv_close();
	tv_open(VHDX_OPEN_WRITE);
	tv_put(0, 2); /* reads the bitmap, once */
	unsigned from = tv.trace->cnt;
	uint64_t reads = tv.fault->cnt[FILE_READ];
	for (uint64_t i = 0; i < 100; i++)
		tv_put(i * 4096, 3);
	T_EQ_U64(wr_cnt(from), 100);
	T_EQ_U64(tv.fault->cnt[FILE_READ], reads);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_EQ_U64(sync_cnt(from), 1);
	tv_close();
	tv_end();
}

static void requests_allocate_no_memory(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	mem_fail_nth(0);
	for (uint64_t i = 0; i < 32; i++)
		tv_put(i * 2 * MIB, i);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_TRUE(tv_has(0, 0));
	T_EQ_U64(mem_fail_nth(0), 0);
	tv_close();
	tv_end();
}

static void many_writers_of_one_new_block_share_its_place(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	for (unsigned i = 0; i < MANY; i++)
		submit(i, VHDX_OP_WRITE, 8 * MIB + i * 4096);
	vhdx_blk_drain(tv.blk);
	T_EQ_U64(wr_cnt(0), MANY + 2); /* a footer behind, and the bitmap */
	for (unsigned i = 0; i < MANY; i++)
		T_TRUE(many[i].done && many[i].req.result == 0 &&
		       tv_has(8 * MIB + i * 4096, i));
	tv_close();
	tv_end();
}

static void more_new_blocks_at_once_than_the_pool_has_all_get_done(void)
{
	tv_begin(GIB, 2 * MIB);
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 50 == 49)
			submit(i, VHDX_OP_FLUSH, 0);
		else
			submit(i, VHDX_OP_WRITE, i * 2 * MIB);
	}
	vhdx_blk_drain(tv.blk);
	tv_close();
	tv_open(0);
	for (unsigned i = 0; i < MANY; i++) {
		T_TRUE(many[i].done && many[i].req.result == 0);
		T_TRUE(i % 50 == 49 || tv_has(i * 2 * MIB, i));
	}
	tv_close();
	tv_end();
}

static void flushes_in_flight_together_share_their_syncs(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	tv_put(0, 1);
	unsigned from = tv.trace->cnt;
	for (unsigned i = 0; i < MANY; i++)
		submit(i, VHDX_OP_FLUSH, 0);
	vhdx_blk_drain(tv.blk);
	T_TRUE(sync_cnt(from) <= 3);
	for (unsigned i = 0; i < MANY; i++)
		T_TRUE(many[i].done && many[i].req.result == 0);
	tv_close();
	tv_end();
}

static enum file_op op_at(unsigned i)
{
	return tv.trace->ops[i].op;
}

/* V6 */
static void no_block_is_placed_while_the_footer_is_written(void)
{
	unsigned from;

	tv_begin(64 * MIB, 2 * MIB);
	tv_put_without_growth(0);
	from = tv.trace->cnt;
	submit(0, VHDX_OP_FLUSH, 0);
	submit(1, VHDX_OP_WRITE, 8 * MIB);
	vhdx_blk_drain(tv.blk);
	T_EQ_U64(tv.trace->ops[from].len, 512); /* the footer */
	T_EQ_U64(op_at(from + 1), FILE_SYNC);
	T_EQ_U64(op_at(from + 2), FILE_WRITE); /* the bitmap */
	tv_close();
	tv_end();
}

/* ---- where things are ---------------------------------------------------- */

static void payload_lies_on_4_kib_and_the_footer_right_behind(void)
{
	static const uint32_t sizes[] = { 512 * KIB, 2 * MIB, 64 * MIB };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		tv_begin(256 * MIB, sizes[i]);
		tv_put(sizes[i], 1);
		tv_put(0, 1);
		tv_close();
		uint64_t a = tv_bat(1) * UINT64_C(512) +
			     vhd1_bitmap_len(sizes[i]);
		uint64_t b = tv_bat(0) * UINT64_C(512) +
			     vhd1_bitmap_len(sizes[i]);
		T_TRUE(a % 4096 == 0 && b % 4096 == 0 && a + sizes[i] < b);
		T_EQ_U64(tv.disk.size, b + sizes[i] + 512);
		T_TRUE(tv_footer_at(b + sizes[i]));
		tv_end();
	}
}

static void a_new_block_never_shows_an_old_footer(void)
{
	uint8_t b[8];

	tv_begin(64 * MIB, 2 * MIB);
	for (uint64_t i = 0; i < 10; i++) {
		tv_put(i * 2 * MIB + MIB, i);
		T_OK(vhdx_blk_flush(tv.blk, &t_err));
		T_TRUE(tv_zero(i * 2 * MIB, 65536));
	}
	/* Nor in the file: each was covered, or lies between blocks. */
	tv_close();
	tv_peek(tv_bat(3) * UINT64_C(512) + 512, b, sizeof(b));
	T_TRUE(memcmp(b, "\0\0\0\0\0\0\0", 8) == 0);
	tv_end();
}

static void closing_without_a_change_changes_no_byte(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	tv_put(0, 1);
	tv_close();
	uint64_t before = tv_sum();
	tv_open(VHDX_OPEN_WRITE);
	T_TRUE(tv_has(0, 1));
	tv_close();
	T_EQ_U64(tv_sum(), before);
	tv_end();
}

static void the_footer_copy_is_never_written(void)
{
	tv_begin(64 * MIB, 2 * MIB);
	for (uint64_t i = 0; i < 10; i++) {
		tv_put(i * 2 * MIB, i);
		T_OK(vhdx_blk_flush(tv.blk, &t_err));
	}
	for (unsigned i = 0; i < tv.trace->cnt; i++)
		T_TRUE(tv.trace->ops[i].op != FILE_WRITE ||
		       tv.trace->ops[i].off >= TV_BAT_OFF);
	tv_close();
	tv_end();
}

static void entries_beyond_the_disk_survive_a_rewrite_of_their_sector(void)
{
	tv_create(64 * MIB, 2 * MIB);
	tv_bat_set(100, 0x12345678); /* padding of the table's sector */
	tv_open(VHDX_OPEN_WRITE);
	tv_put(0, 1);
	tv_close();
	T_EQ_U64(tv_bat(100), 0x12345678);
	T_TRUE(tv_bat(0) != VHD1_ABSENT);
	tv_end();
}

/* ---- bitmaps that others wrote ------------------------------------------- */

static uint64_t with_clear_bitmap(uint8_t fill)
{
	uint8_t map[512];

	tv_begin(64 * MIB, 2 * MIB);
	tv_put(0, 1);
	tv_close();
	memset(map, fill, sizeof(map));
	tv_poke(tv_bat(0) * UINT64_C(512), map, sizeof(map));
	tv_open(VHDX_OPEN_WRITE);
	return tv_bat(0) * UINT64_C(512);
}

static void writing_sets_the_bits_of_what_is_written_and_no_others(void)
{
	uint8_t map[512];
	uint64_t at = with_clear_bitmap(0);

	tv_put(8 * 512, 1);
	tv_put(20 * 512, 1);
	tv_close();
	tv_peek(at, map, sizeof(map));
	for (unsigned i = 0; i < 4096; i++)
		T_TRUE(vhd1_bit(map, i) ==
		       ((i >= 8 && i < 16) || (i >= 20 && i < 28)));
	tv_end();
}

static void bits_are_written_after_their_payload_and_once(void)
{
	uint64_t at = with_clear_bitmap(0);
	unsigned from = tv.trace->cnt;

	tv_put(8 * 512, 1);
	T_EQ_U64(tv.trace->cnt - from, 2);
	T_EQ_U64(tv.trace->ops[from].off, at + 512 + 4096);
	T_EQ_U64(tv.trace->ops[from + 1].off, at);
	tv_put(8 * 512, 2);
	T_EQ_U64(tv.trace->cnt - from, 3);
	tv_close();
	tv_end();
}

static void writers_in_flight_share_bitmap_writes(void)
{
	uint8_t map[512];
	uint64_t at = with_clear_bitmap(0);

	for (unsigned i = 0; i < MANY; i++)
		submit(i, VHDX_OP_WRITE, i * 4096);
	vhdx_blk_drain(tv.blk);
	T_TRUE(wr_cnt(0) < MANY + 5);
	tv_peek(at, map, sizeof(map));
	T_TRUE(vhd1_bits_full(map, MANY * 8));
	for (unsigned i = 0; i < MANY; i++)
		T_TRUE(many[i].req.result == 0);
	tv_close();
	tv_end();
}

static void more_foreign_bitmaps_than_are_kept_are_all_completed(void)
{
	uint8_t map[512] = { 0 };

	tv_begin(GIB, 512 * KIB);
	for (unsigned i = 0; i < MANY; i++)
		tv_put(i * 512 * KIB, i);
	tv_close();
	for (unsigned i = 0; i < MANY; i++)
		tv_poke(tv_bat(i) * UINT64_C(512), map, sizeof(map));
	tv_open(VHDX_OPEN_WRITE);
	for (unsigned i = 0; i < MANY; i++)
		submit(i, VHDX_OP_WRITE, i * 512 * KIB + 4096);
	vhdx_blk_drain(tv.blk);
	for (unsigned i = 0; i < MANY; i++) {
		T_TRUE(many[i].done && many[i].req.result == 0);
		tv_peek(tv_bat(i) * UINT64_C(512), map, sizeof(map));
		T_TRUE(map[0] == 0 && map[1] == 0xff && map[2] == 0);
	}
	tv_close();
	tv_end();
}

static void a_bitmap_that_cannot_be_read_fails_its_writers_only(void)
{
	(void)with_clear_bitmap(0);
	tv_fail_next(1u << FILE_READ, 1, EIO);
	submit(0, VHDX_OP_WRITE, 0);
	vhdx_blk_drain(tv.blk);
	T_EQ_U64(many[0].req.result, VHDX_E_IO);
	T_TRUE(strstr(many[0].err.text, "bitmap of block 0"));
	tv_put(4096, 1);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	tv_close();
	tv_end();
}

static void bits_that_could_not_be_written_are_written_next_time(void)
{
	uint8_t map[512];
	uint64_t at = with_clear_bitmap(0);

	tv_fail_next(1u << FILE_WRITE, 2, EIO);
	submit(0, VHDX_OP_WRITE, 0);
	vhdx_blk_drain(tv.blk);
	T_EQ_U64(many[0].req.result, VHDX_E_IO);
	tv_put(0, 1);
	tv_peek(at, map, sizeof(map));
	T_EQ_U64(map[0], 0xff);
	tv_close();
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(a_new_disk_reads_as_zeros),
	T_TEST(what_is_written_is_read_now_and_after_reopening),
	T_TEST(a_request_may_span_many_blocks_of_any_size),
	T_TEST(the_last_partial_block_can_be_written_to_its_end),
	T_TEST(discard_of_what_was_never_written_allocates_nothing),
	T_TEST(zeroes_over_data_read_as_zeros_and_keep_the_rest),
	T_TEST(a_block_is_not_in_the_bat_before_a_flush),
	T_TEST(the_bat_is_written_between_two_syncs_after_all_else),
	T_TEST(a_thousand_new_blocks_take_two_syncs),
	T_TEST(overwriting_writes_the_payload_and_nothing_else),
	T_TEST(requests_allocate_no_memory),
	T_TEST(many_writers_of_one_new_block_share_its_place),
	T_TEST(more_new_blocks_at_once_than_the_pool_has_all_get_done),
	T_TEST(flushes_in_flight_together_share_their_syncs),
	T_TEST(no_block_is_placed_while_the_footer_is_written),
	T_TEST(payload_lies_on_4_kib_and_the_footer_right_behind),
	T_TEST(a_new_block_never_shows_an_old_footer),
	T_TEST(closing_without_a_change_changes_no_byte),
	T_TEST(the_footer_copy_is_never_written),
	T_TEST(entries_beyond_the_disk_survive_a_rewrite_of_their_sector),
	T_TEST(writing_sets_the_bits_of_what_is_written_and_no_others),
	T_TEST(bits_are_written_after_their_payload_and_once),
	T_TEST(writers_in_flight_share_bitmap_writes),
	T_TEST(more_foreign_bitmaps_than_are_kept_are_all_completed),
	T_TEST(a_bitmap_that_cannot_be_read_fails_its_writers_only),
	T_TEST(bits_that_could_not_be_written_are_written_next_time),
	T_END,
};

const struct t_suite t_suite_vhd1_io = { "vhd1_io", tests };
