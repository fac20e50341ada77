/* SPDX-License-Identifier: MIT */
/*
 * A base VHDX disk as its user sees it, over a file in memory: what is read,
 * what it costs, what is written before what. Power failures are the crash
 * suite's business.
 */
#include <errno.h>
#include <string.h>

#include "file_fault.h"
#include "file_mem.h"
#include "file_trace.h"
#include "header.h"
#include "image.h"
#include "t.h"

static struct loop *loop;
static struct memimg disk; /* the file between sessions */
static struct file_trace *trace;
static struct vhdx_blk *blk;

static struct vhdx_create_opts opts_of(uint64_t size, uint32_t block_len)
{
	return (struct vhdx_create_opts){
		.format = VHDX_FORMAT_VHDX,
		.type = VHDX_TYPE_DYNAMIC,
		.type_given = true,
		.size_len = size,
		.block_len = block_len,
		.sector_len = 512,
		.physical_sector_len = 4096,
	};
}

static void create(const struct vhdx_create_opts *o)
{
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(vhdx_image_create(f, o, &t_err));
	file_close(f);
}

static void open_disk(unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;
	struct file *f;

	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(file_trace_new(f, &trace, &t_err));
	T_OK(vhdx_image_open(&trace->w.file, &o, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
}

static void close_disk(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void end(void)
{
	loop_free(loop);
	memimg_free(&disk);
}

static void begin(uint64_t size, uint32_t block_len)
{
	struct vhdx_create_opts o = opts_of(size, block_len);

	create(&o);
	open_disk(VHDX_OPEN_WRITE);
}

static void reopen(unsigned flags)
{
	close_disk();
	open_disk(flags);
}

/* 4 KiB that say where they are from. */
static void put(uint64_t voff, uint64_t seed)
{
	uint8_t buf[4096];

	t_fill(buf, sizeof(buf), seed + voff);
	T_OK(vhdx_blk_write(blk, voff, buf, sizeof(buf), &t_err));
}

static bool has(uint64_t voff, uint64_t seed)
{
	uint8_t buf[4096], want[4096];

	t_fill(want, sizeof(want), seed + voff);
	T_OK(vhdx_blk_read(blk, voff, buf, sizeof(buf), &t_err));
	return memcmp(buf, want, sizeof(buf)) == 0;
}

static bool is_zero(uint64_t voff, size_t len)
{
	uint8_t buf[65536];

	memset(buf, 1, sizeof(buf));
	T_OK(vhdx_blk_read(blk, voff, buf, len, &t_err));
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

/* ---- content ------------------------------------------------------------- */

static void a_new_disk_reads_as_zeros(void)
{
	begin(100 * MIB, MIB);
	T_TRUE(is_zero(0, 65536));
	T_TRUE(is_zero(100 * MIB - 65536, 65536));
	close_disk();
	end();
}

static void what_is_written_is_read_now_and_after_reopening(void)
{
	begin(64 * MIB, 2 * MIB);
	for (uint64_t i = 0; i < 60; i++)
		put(i * MIB + (i % 200) * 4096, i);
	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t i = 0; i < 60; i++)
			T_TRUE(has(i * MIB + (i % 200) * 4096, i));
		T_TRUE(is_zero(63 * MIB, 65536));
		reopen(pass ? 0 : VHDX_OPEN_WRITE);
	}
	close_disk();
	end();
}

static void a_request_may_span_many_blocks(void)
{
	size_t len = 5 * MIB + 1536;
	uint8_t *out = malloc(len), *in = malloc(len);

	begin(64 * MIB, MIB);
	t_fill(out, len, 7);
	T_OK(vhdx_blk_write(blk, 3 * MIB - 512, out, len, &t_err));
	T_OK(vhdx_blk_read(blk, 3 * MIB - 512, in, len, &t_err));
	T_TRUE(memcmp(in, out, len) == 0);
	T_TRUE(is_zero(3 * MIB - 1024, 512));
	T_TRUE(is_zero(3 * MIB - 512 + len, 512));
	close_disk();
	free(in);
	free(out);
	end();
}

static void the_last_partial_block_ends_with_the_disk(void)
{
	uint8_t sector[512];

	begin(3 * MIB + 512, 2 * MIB);
	t_fill(sector, 512, 1);
	T_OK(vhdx_blk_write(blk, 3 * MIB, sector, 512, &t_err));
	T_FAILS(vhdx_blk_write(blk, 3 * MIB + 512, sector, 512, &t_err),
		VHDX_E_RANGE, "end of the disk at 3146240");
	T_OK(vhdx_blk_discard(blk, 2 * MIB, MIB + 512, &t_err));
	T_TRUE(is_zero(3 * MIB, 512));
	close_disk();
	end();
}

static void sectors_of_4096_bytes_are_enforced(void)
{
	struct vhdx_create_opts o = opts_of(64 * MIB, MIB);
	uint8_t sector[4096];

	o.sector_len = 4096;
	create(&o);
	open_disk(VHDX_OPEN_WRITE);
	T_FAILS(vhdx_blk_read(blk, 512, sector, 4096, &t_err), VHDX_E_RANGE,
		"sector size 4096");
	put(4096, 1);
	reopen(0);
	T_TRUE(has(4096, 1));
	close_disk();
	end();
}

static void a_read_only_disk_refuses_changes(void)
{
	uint8_t sector[512] = { 0 };

	begin(8 * MIB, MIB);
	reopen(0);
	T_FAILS(vhdx_blk_write(blk, 0, sector, 512, &t_err), VHDX_E_READONLY,
		"read-only");
	T_FAILS(vhdx_blk_discard(blk, 0, 512, &t_err), VHDX_E_READONLY, "");
	T_OK(vhdx_blk_flush(blk, &t_err));
	close_disk();
	end();
}

/* ---- discard ------------------------------------------------------------- */

static void a_discarded_block_reads_zeros_and_gives_its_space_back(void)
{
	uint64_t full;

	begin(64 * MIB, MIB);
	for (uint64_t i = 0; i < 20; i++)
		put(i * MIB, i);
	reopen(VHDX_OPEN_WRITE);
	full = disk.size;
	T_OK(vhdx_blk_discard(blk, 10 * MIB, 10 * MIB, &t_err));
	T_OK(vhdx_blk_write_zeroes(blk, 9 * MIB, MIB, &t_err));
	T_TRUE(is_zero(9 * MIB, 4096) && is_zero(10 * MIB, 4096));
	T_TRUE(has(8 * MIB, 8));
	reopen(0);
	T_EQ_U64(disk.size, full - 11 * MIB);
	T_TRUE(is_zero(9 * MIB, 4096) && is_zero(19 * MIB, 4096));
	T_TRUE(has(8 * MIB, 8));
	close_disk();
	end();
}

static void part_of_a_block_is_zeroed_in_place(void)
{
	begin(8 * MIB, 2 * MIB);
	put(0, 1);
	put(4096, 1);
	put(8192, 1);
	T_OK(vhdx_blk_write_zeroes(blk, 4096, 4096, &t_err));
	T_TRUE(has(0, 1) && is_zero(4096, 4096) && has(8192, 1));
	reopen(0);
	T_TRUE(has(0, 1) && is_zero(4096, 4096) && has(8192, 1));
	close_disk();
	end();
}

static void freed_space_is_used_again_and_never_shows_through(void)
{
	begin(64 * MIB, MIB);
	for (uint64_t i = 0; i < 30; i++)
		for (uint64_t k = 0; k < 4; k++)
			put(i * MIB + k * 65536, 1);
	T_OK(vhdx_blk_discard(blk, 0, 30 * MIB, &t_err));
	T_OK(vhdx_blk_flush(blk, &t_err));
	vhdx_blk_drain(blk);
	for (uint64_t i = 30; i < 60; i++)
		put(i * MIB, 2);
	for (uint64_t i = 30; i < 60; i++)
		T_TRUE(has(i * MIB, 2) && is_zero(i * MIB + 65536, 65536));
	close_disk();
	T_TRUE(disk.size <= 45 * MIB);
	end();
}

static void a_fixed_disk_keeps_every_block(void)
{
	struct vhdx_create_opts o = opts_of(8 * MIB, MIB);
	struct vhdx_extent x;
	uint64_t size;

	o.type = VHDX_TYPE_FIXED;
	create(&o);
	size = disk.size;
	open_disk(VHDX_OPEN_WRITE);
	put(MIB, 1);
	T_OK(vhdx_blk_discard(blk, 0, 8 * MIB, &t_err));
	T_OK(vhdx_blk_write_zeroes(blk, 2 * MIB, MIB, &t_err));
	T_OK(vhdx_blk_map(blk, 0, 8 * MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.len == 8 * MIB);
	T_TRUE(has(MIB, 1) && is_zero(2 * MIB, 4096));
	close_disk();
	T_EQ_U64(disk.size, size);
	end();
}

static void the_map_tells_data_zero_and_unmapped_apart(void)
{
	static const struct {
		uint64_t voff, len;
		enum vhdx_extent_kind kind;
	} want[] = {
		{ 0, 2, VHDX_EXTENT_UNMAPPED }, { 2, 3, VHDX_EXTENT_DATA },
		{ 5, 1, VHDX_EXTENT_ZERO },	{ 6, 2, VHDX_EXTENT_DATA },
		{ 8, 8, VHDX_EXTENT_UNMAPPED },
	};
	struct vhdx_extent x;

	begin(16 * MIB, MIB);
	for (uint64_t i = 2; i < 10; i++)
		put(i * MIB, 1);
	T_OK(vhdx_blk_write_zeroes(blk, 5 * MIB, MIB, &t_err));
	T_OK(vhdx_blk_discard(blk, 8 * MIB, 2 * MIB, &t_err));
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		T_OK(vhdx_blk_map(blk, want[i].voff * MIB,
				  (16 - want[i].voff) * MIB, &x, &t_err));
		T_EQ_U64(x.len, want[i].len * MIB);
		T_EQ_U64(x.kind, want[i].kind);
	}
	close_disk();
	end();
}

static void empty_parts_of_a_huge_disk_are_one_extent(void)
{
	struct vhdx_extent x;

	begin(TIB, MIB);
	put(0, 1);
	put(600 * GIB, 1);
	reopen(0);
	T_OK(vhdx_blk_map(blk, MIB, TIB - MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_UNMAPPED && x.len == 600 * GIB - MIB);
	T_OK(vhdx_blk_map(blk, 600 * GIB, 424 * GIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.len == MIB);
	close_disk();
	end();
}

/* ---- concurrency --------------------------------------------------------- */

struct burst {
	struct vhdx_req req;
	struct iovec iov;
	uint8_t data[512];
};

static unsigned burst_left;
static int burst_result; /* what each of them is to give */

static void burst_done(struct vhdx_req *req)
{
	T_EQ_U64(req->result, burst_result);
	burst_left--;
}

/* n writes of a sector each, all in flight at once, stride apart. */
static void burst(unsigned n, uint64_t stride)
{
	struct burst *b = calloc(n, sizeof(*b));

	burst_left = n;
	for (unsigned i = 0; i < n; i++) {
		t_fill(b[i].data, 512, i);
		b[i].iov = (struct iovec){ b[i].data, 512 };
		b[i].req.op = VHDX_OP_WRITE;
		b[i].req.voff = i * stride;
		b[i].req.len = 512;
		b[i].req.iov = &b[i].iov;
		b[i].req.iov_cnt = 1;
		b[i].req.err = &t_err;
		b[i].req.done = burst_done;
		vhdx_blk_submit(blk, &b[i].req);
	}
	T_EQ_U64(burst_left, n); /* none completed inside submit */
	vhdx_blk_drain(blk);
	T_EQ_U64(burst_left, 0);
	free(b);
}

static void check_burst(unsigned n, uint64_t stride)
{
	uint8_t buf[512], want[512];

	for (unsigned i = 0; i < n; i++) {
		t_fill(want, 512, i);
		T_OK(vhdx_blk_read(blk, i * stride, buf, 512, &t_err));
		T_TRUE(memcmp(buf, want, 512) == 0);
	}
}

static void writes_in_flight_to_one_new_block_share_it(void)
{
	begin(64 * MIB, 32 * MIB);
	burst(500, 512);
	reopen(0);
	check_burst(500, 512);
	close_disk();
	T_TRUE(disk.size < 40 * MIB);
	end();
}

static void more_new_blocks_in_flight_than_the_pool_holds_all_succeed(void)
{
	begin(2 * GIB, MIB);
	burst(1500, MIB);
	reopen(0);
	check_burst(1500, MIB);
	close_disk();
	end();
}

static void more_dirty_bat_pages_than_the_cache_holds_all_succeed(void)
{
	begin(2 * TIB, MIB);
	burst(3000, 600 * MIB);
	reopen(0);
	check_burst(3000, 600 * MIB);
	close_disk();
	end();
}

static void writes_that_fail_for_want_of_space_complete_and_harm_nothing(void)
{
	struct vhdx_create_opts o = opts_of(2 * TIB, MIB);
	struct image_open_opts io = { .flags = VHDX_OPEN_WRITE };
	struct file_fault *fault;
	struct image *img;
	struct file *f;

	create(&o);
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(file_fault_new(f, &fault, &t_err));
	T_OK(vhdx_image_open(&fault->w.file, &io, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
	put(2 * TIB - MIB, 1);
	T_OK(vhdx_blk_flush(blk, &t_err));
	fault_set(fault, (struct fault_rule){ 1u << FILE_WRITE, 1, ENOSPC, true,
					      FAULT_NOTHING });
	burst_result = VHDX_E_NOSPC;
	burst(1000, 600 * MIB); /* more BAT pages than an entry carries */
	fault_set(fault, (struct fault_rule){ 0 });
	burst_result = 0;
	burst(1000, 600 * MIB);
	check_burst(1000, 600 * MIB);
	T_TRUE(has(2 * TIB - MIB, 1));
	close_disk();
	end();
}

/* ---- cost ---------------------------------------------------------------- */

static unsigned syncs_of_flush(void)
{
	unsigned from = trace->cnt;

	T_OK(vhdx_blk_flush(blk, &t_err));
	while (loop_turn(loop, 0) > 0) /* let the pages go home */
		;
	return file_trace_count(trace, FILE_SYNC, from);
}

/* C9: the log entry and the payload go together, but not before the file is as
 * long as the entry says. */
static void a_flush_costs_one_sync_or_none(void)
{
	begin(64 * MIB, MIB);
	put(0, 1);
	syncs_of_flush(); /* the first one also writes the headers */
	put(MIB, 1);
	T_EQ_U64(syncs_of_flush(), 1); /* new block */
	put(MIB, 2);
	T_EQ_U64(syncs_of_flush(), 1); /* overwrite */
	T_EQ_U64(syncs_of_flush(), 0);
	close_disk();
	end();
}

static void a_thousand_new_blocks_cost_a_handful_of_syncs(void)
{
	begin(2 * GIB, MIB);
	burst(1000, MIB);
	T_OK(vhdx_blk_flush(blk, &t_err));
	T_TRUE(file_trace_count(trace, FILE_SYNC, 0) <= 8);
	close_disk();
	end();
}

/* ---- order --------------------------------------------------------------- */

static struct fmt_header header_now(void)
{
	struct header_pair p;
	struct file *f;

	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(header_load(f, &p, &t_err));
	T_TRUE(p.valid[0] && p.valid[1]);
	T_TRUE(guid_eq(&p.copy[0].log, &p.copy[1].log));
	file_close(f);
	return p.cur;
}

static void opening_for_writing_alone_changes_nothing(void)
{
	struct memimg before;

	begin(64 * MIB, MIB);
	put(0, 1);
	close_disk();
	memimg_clone(&before, &disk);
	open_disk(VHDX_OPEN_WRITE);
	T_TRUE(has(0, 1));
	T_EQ_U64(trace->cnt, 0);
	close_disk();
	T_TRUE(memimg_eq(&before, &disk, NULL));
	memimg_free(&before);
	end();
}

static void new_guids_are_durable_before_any_other_change(void)
{
	struct fmt_header before, after;

	begin(64 * MIB, MIB);
	put(0, 1);
	close_disk();
	before = header_now();
	open_disk(VHDX_OPEN_WRITE);
	put(0, 2);
	for (unsigned i = 0; i < 4; i++)
		T_TRUE(i % 2 ? trace->ops[i].op == FILE_SYNC
			     : trace->ops[i].op == FILE_WRITE &&
				       trace->ops[i].off < 192 * KIB);
	close_disk();
	after = header_now();
	T_TRUE(!guid_eq(&before.file_write, &after.file_write));
	T_TRUE(!guid_eq(&before.data_write, &after.data_write));
	end();
}

static void the_log_guid_is_zero_after_a_clean_close(void)
{
	struct fmt_header mid;

	begin(64 * MIB, MIB);
	put(0, 1);
	T_OK(vhdx_blk_flush(blk, &t_err));
	mid = header_now();
	T_TRUE(!guid_is_zero(&mid.log));
	close_disk();
	mid = header_now();
	T_TRUE(guid_is_zero(&mid.log));
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_new_disk_reads_as_zeros),
	T_TEST(what_is_written_is_read_now_and_after_reopening),
	T_TEST(a_request_may_span_many_blocks),
	T_TEST(the_last_partial_block_ends_with_the_disk),
	T_TEST(sectors_of_4096_bytes_are_enforced),
	T_TEST(a_read_only_disk_refuses_changes),
	T_TEST(a_discarded_block_reads_zeros_and_gives_its_space_back),
	T_TEST(part_of_a_block_is_zeroed_in_place),
	T_TEST(freed_space_is_used_again_and_never_shows_through),
	T_TEST(a_fixed_disk_keeps_every_block),
	T_TEST(the_map_tells_data_zero_and_unmapped_apart),
	T_TEST(empty_parts_of_a_huge_disk_are_one_extent),
	T_TEST(writes_in_flight_to_one_new_block_share_it),
	T_TEST(more_new_blocks_in_flight_than_the_pool_holds_all_succeed),
	T_TEST(more_dirty_bat_pages_than_the_cache_holds_all_succeed),
	T_TEST(writes_that_fail_for_want_of_space_complete_and_harm_nothing),
	T_TEST(a_flush_costs_one_sync_or_none),
	T_TEST(a_thousand_new_blocks_cost_a_handful_of_syncs),
	T_TEST(opening_for_writing_alone_changes_nothing),
	T_TEST(new_guids_are_durable_before_any_other_change),
	T_TEST(the_log_guid_is_zero_after_a_clean_close),
	T_END,
};

const struct t_suite t_suite_vhdx_engine = { "vhdx_engine", tests };
