/* SPDX-License-Identifier: MIT */
/*
 * A differencing VHD over its parent, both in memory: what shows through and
 * what never may, checked against a byte-for-byte model; and V9 to V11 of
 * vhd1_io.c as far as they show without power failures.
 */
#include <errno.h>
#include <string.h>

#include "file_fault.h"
#include "file_mem.h"
#include "file_trace.h"
#include "mem.h"
#include "t.h"
#include "t_child.h"

#define VHD VHDX_FORMAT_VHD
#define BLOCK ((uint32_t)(2 * MIB))
#define BIG_BLOCK ((uint32_t)(128 * MIB))

static struct file_trace *trace;
static struct file_fault *fault;

static struct file *traced(struct file *f)
{
	T_OK(file_trace_new(f, &trace, &t_err));
	return &trace->w.file;
}

static struct file *faulty(struct file *f)
{
	T_OK(file_fault_new(f, &fault, &t_err));
	return &fault->w.file;
}

/* Closes as a crash does that loses nothing which was written. */
static void crash(void)
{
	struct memimg kept;

	memimg_clone(&kept, &ch.child);
	(void)vhdx_blk_close(ch.blk, NULL);
	memimg_free(&ch.child);
	ch.child = kept;
}

/* ---- content ------------------------------------------------------------- */

static void an_empty_child_shows_its_parent(void)
{
	ch_empty_child_shows_its_parent(VHD);
}

static void a_sector_written_hides_that_sector_only(void)
{
	ch_sector_hides_itself_only(VHD);
}

static void a_larger_child_reads_zeros_beyond_its_parent(void)
{
	ch_begin_sized(VHD, CH_SIZE - 3 * MIB - 512, BLOCK, CH_SIZE, 512);
	ch_check_all();
	ch_put(CH_SIZE - 3 * MIB - 1024, 1024, 1);
	ch_put(CH_SIZE - 512, 512, 2);
	ch_check_twice();
	ch_end();
}

static void zeroes_never_show_the_parent(void)
{
	ch_begin(VHD, BLOCK, 512);
	ch_zero(0, 4 * MIB);	    /* whole blocks, nothing here yet */
	ch_zero(6 * MIB + 512, 3 * MIB); /* parts */
	ch_put(20 * MIB, 4096, 1);
	ch_zero(20 * MIB + 512, 1024);
	ch_check_twice();
	ch_end();
}

static void a_discard_never_shows_the_parent_nor_touches_it(void)
{
	ch_begin(VHD, BLOCK, 512);
	ch_put(BLOCK, 65536, 1);
	T_OK(vhdx_blk_discard(ch.blk, 0, 3 * BLOCK, &t_err));
	memset(ch.model + BLOCK, 0, 65536);
	ch_check_twice();
	ch_end();
}

static void random_work_matches_the_model(void)
{
	ch_torture(VHD, BLOCK, 512, 1);
	ch_torture(VHD, 512 * KIB, 512, 2);
	ch_torture(VHD, 32 * MIB, 512, 3); /* bitmaps of several sectors */
	ch_torture(VHD, 4096, 512, 4); /* more blocks than bitmaps in memory */
	ch_torture(VHD, 512, 512, 5); /* a bitmap for every sector */
}

/* ---- in flight together -------------------------------------------------- */

static void writes_in_flight_to_shared_blocks_all_count(void)
{
	ch_writes_in_flight_all_count(VHD);
}

static void more_blocks_than_bitmaps_in_memory_do_not_get_stuck(void)
{
	struct ch_burst *b;

	ch_begin(VHD, 4096, 512);
	b = ch_burst(8000, 4096 + 512, 512);
	vhdx_blk_drain(ch.blk);
	T_EQ_U64(ch.bursts_left + ch.bursts_bad, 0);
	free(b);
	ch_check_twice();
	ch_end();
}

/* Twice what may be dirty, with nobody else to start a round. Blocks of 128
 * MiB, whose bitmaps are large: few are kept. */
static void writers_that_wait_for_bitmaps_need_no_flush(void)
{
	struct ch_burst *b;

	ch_begin_sized(VHD, CH_SIZE, BIG_BLOCK, 100 * (uint64_t)BIG_BLOCK, 512);
	b = ch_burst(100, BIG_BLOCK, 512);
	for (int i = 0; ch.bursts_left && i < 10000; i++)
		loop_turn(ch.loop, 0);
	T_EQ_U64(ch.bursts_left, 0);
	vhdx_blk_drain(ch.blk);
	T_EQ_U64(ch.bursts_bad, 0);
	free(b);
	ch_close();
	ch_check_sound();
	ch_end();
}

static void after_a_failed_sync_reads_go_on_and_writers_are_refused(void)
{
	struct ch_burst *b;

	ch.wrap = faulty;
	ch_begin(VHD, 4096, 512);
	fault_set(fault, (struct fault_rule){ .ops = 1u << FILE_SYNC,
					      .nth = 1, .sys_errno = EIO });
	b = ch_burst(8000, 4096 + 512, 512);
	vhdx_blk_drain(ch.blk);
	T_EQ_U64(ch.bursts_left, 0);
	T_TRUE(ch.bursts_bad > 0);
	T_TRUE(strstr(b[7999].err.text, "earlier failure"));
	free(b);
	for (uint64_t voff = 0; voff < CH_SIZE; voff += 65536) {
		uint8_t buf[512];

		T_OK(vhdx_blk_read(ch.blk, voff, buf, sizeof(buf), &t_err));
	}
	T_FAILS(vhdx_blk_close(ch.blk, &t_err), VHDX_E_FAILED, "");
	ch_end();
}

/* ---- order --------------------------------------------------------------- */

/* Index of the first recorded change of this kind at off, or the end. */
static unsigned find_op(enum file_op op, uint64_t off, unsigned from)
{
	while (from < trace->cnt && (trace->ops[from].op != op ||
				     trace->ops[from].off != off))
		from++;
	return from;
}

static void a_bit_is_written_between_two_syncs_after_its_payload(void)
{
	struct vhdx_extent x;
	unsigned data, sync1, bit, sync2;

	ch.wrap = traced;
	ch_begin(VHD, BLOCK, 512);
	ch_put(0, 512, 1);
	T_OK(vhdx_blk_flush(ch.blk, &t_err));
	T_OK(vhdx_blk_map(ch.blk, 0, 512, &x, &t_err));
	unsigned from = trace->cnt;
	ch_put(512, 512, 2);
	T_OK(vhdx_blk_flush(ch.blk, &t_err));
	data = find_op(FILE_WRITE, x.host_off + 512, from);
	sync1 = find_op(FILE_SYNC, 0, data);
	bit = find_op(FILE_WRITE, x.host_off - 512, from);
	sync2 = find_op(FILE_SYNC, 0, bit);
	T_TRUE(data < sync1 && sync1 < bit && bit < sync2);
	T_EQ_U64(sync2, trace->cnt - 1);
	ch_close();
	ch_end();
}

/* Its bits are set, and no round has taken them: not even when the second sync
 * of this one has come and gone. */
static void what_ends_between_the_syncs_of_a_flush_is_flushed_next(void)
{
	struct vhdx_req flush = { .op = VHDX_OP_FLUSH };

	ch_begin(VHD, BLOCK, 512);
	ch_put(0, 512, 1);
	for (unsigned turns = 0; turns < 10; turns++) {
		ch_put((4 * turns + 2) * 512, 512, turns);
		vhdx_blk_submit(ch.blk, &flush);
		for (unsigned i = 0; i < turns; i++)
			vhdx_blk_turn(ch.blk, 0);
		ch_put((4 * turns + 4) * 512, 512, turns);
		vhdx_blk_drain(ch.blk);
		ch_close();
		ch_open(VHDX_OPEN_WRITE);
		ch_check_all();
	}
	ch_check_twice();
	ch_end();
}

static void overwriting_costs_one_sync_and_no_bitmap(void)
{
	ch.wrap = traced;
	ch_begin(VHD, BLOCK, 512);
	ch_put(0, 4096, 1);
	T_OK(vhdx_blk_flush(ch.blk, &t_err));
	unsigned from = trace->cnt;
	ch_put(512, 2048, 2);
	T_OK(vhdx_blk_flush(ch.blk, &t_err));
	T_EQ_U64(file_trace_count(trace, FILE_SYNC, from), 1);
	T_EQ_U64(file_trace_count(trace, FILE_WRITE, from), 1);
	ch_close();
	ch_end();
}

static void what_was_flushed_is_there_without_a_close(void)
{
	ch_begin(VHD, BLOCK, 512);
	for (uint64_t i = 0; i < 20; i++)
		ch_put(i * BLOCK + i * 4096, 4096, 100 + i);
	T_OK(vhdx_blk_flush(ch.blk, &t_err));
	crash();
	ch_open(VHDX_OPEN_WRITE);
	ch_check_twice();
	ch_end();
}

/* A write's payload is there, its bitmap is still being read: a flush that runs
 * meanwhile knows nothing of its bits, the one behind it has to. */
static void a_flush_has_the_bits_that_an_earlier_one_could_not_know(void)
{
	for (unsigned turns = 0; turns < 12; turns++) {
		struct vhdx_req flush = { .op = VHDX_OP_FLUSH };
		struct ch_burst b = { .req = { .op = VHDX_OP_WRITE } };

		ch_begin(VHD, BLOCK, 512);
		ch_put(0, 512, 1);
		ch_close();
		ch_open(VHDX_OPEN_WRITE);
		t_fill(ch.model + 1024, 512, turns);
		b.iov = (struct iovec){ ch.model + 1024, 512 };
		b.req.voff = 1024;
		b.req.len = 512;
		b.req.iov = &b.iov;
		b.req.iov_cnt = 1;
		vhdx_blk_submit(ch.blk, &b.req);
		for (unsigned i = 0; i < turns; i++)
			vhdx_blk_turn(ch.blk, 0);
		vhdx_blk_submit(ch.blk, &flush);
		vhdx_blk_drain(ch.blk);
		T_OK(vhdx_blk_flush(ch.blk, &t_err));
		crash();
		ch_open(VHDX_OPEN_WRITE);
		ch_check_twice();
		ch_end();
	}
}

static void the_map_names_the_layer(void)
{
	struct vhdx_extent x;

	ch_begin(VHD, BLOCK, 512);
	ch_put(BLOCK + 512, 512, 1);
	T_OK(vhdx_blk_map(ch.blk, BLOCK + 512, MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0 && x.len == 512);
	T_OK(vhdx_blk_map(ch.blk, BLOCK + 1024, MIB, &x, &t_err));
	T_TRUE(x.depth == 1);
	ch_close();
	ch_end();
}

static void without_its_parent_a_child_does_not_guess(void)
{
	ch_does_not_guess_without_parent(VHD);
}

static void running_out_of_memory_while_opening_leaks_nothing(void)
{
	int rc = VHDX_E_NOMEM;

	ch_begin(VHD, BLOCK, 512);
	ch_put(BLOCK, 512, 1);
	ch_close();
	for (uint64_t n = 1; rc; n++) {
		struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
		struct image *img;
		struct file *f;

		T_OK(file_mem_new(ch.loop, "/t/child.vhd", &ch.child, &f,
				  &t_err));
		uint64_t live = mem_live_cnt();
		mem_fail_nth(n);
		rc = vhd1_image_open(f, &o, &img, &t_err);
		bool hit = mem_fail_nth(0) >= n;
		T_TRUE(hit == (rc == VHDX_E_NOMEM));
		T_TRUE(hit || rc == 0);
		T_TRUE(!rc || mem_live_cnt() == live);
		if (rc)
			file_close(f);
		else
			T_OK(img->ops->close(img, &t_err));
	}
	ch_end();
}

static const struct t_test tests[] = {
	T_TEST(an_empty_child_shows_its_parent),
	T_TEST(a_sector_written_hides_that_sector_only),
	T_TEST(a_larger_child_reads_zeros_beyond_its_parent),
	T_TEST(zeroes_never_show_the_parent),
	T_TEST(a_discard_never_shows_the_parent_nor_touches_it),
	T_TEST(random_work_matches_the_model),
	T_TEST(writes_in_flight_to_shared_blocks_all_count),
	T_TEST(more_blocks_than_bitmaps_in_memory_do_not_get_stuck),
	T_TEST(writers_that_wait_for_bitmaps_need_no_flush),
	T_TEST(after_a_failed_sync_reads_go_on_and_writers_are_refused),
	T_TEST(a_bit_is_written_between_two_syncs_after_its_payload),
	T_TEST(what_ends_between_the_syncs_of_a_flush_is_flushed_next),
	T_TEST(overwriting_costs_one_sync_and_no_bitmap),
	T_TEST(what_was_flushed_is_there_without_a_close),
	T_TEST(a_flush_has_the_bits_that_an_earlier_one_could_not_know),
	T_TEST(the_map_names_the_layer),
	T_TEST(without_its_parent_a_child_does_not_guess),
	T_TEST(running_out_of_memory_while_opening_leaks_nothing),
	T_END,
};

const struct t_suite t_suite_vhd1_child = { "vhd1_child", tests };
