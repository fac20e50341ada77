/* SPDX-License-Identifier: MIT */
/*
 * A differencing VHD over its parent, both in memory: what shows through and
 * what never may, checked against a byte-for-byte model; and V9 to V11 of
 * vhd1_io.c as far as they show without power failures.
 */
#include <errno.h>
#include <string.h>

#include "chain.h"
#include "file_fault.h"
#include "file_mem.h"
#include "file_trace.h"
#include "mem.h"
#include "t.h"
#include "vhd1_format.h"

#define SIZE (40 * MIB)
#define BLOCK ((uint32_t)(2 * MIB))
#define BIG_BLOCK ((uint32_t)(128 * MIB))

static struct loop *loop;
static struct memimg base_disk, child_disk;
static bool traced;		 /* the child is to be opened traced */
static struct file_trace *trace;
static struct file_fault *fault;
static struct vhdx_blk *blk;
static uint8_t *model; /* SIZE bytes */

static struct vhdx_create_opts opts_of(enum vhdx_type type, uint32_t block_len,
				       uint64_t size_len)
{
	return (struct vhdx_create_opts){ .format = VHDX_FORMAT_VHD,
					  .type = type,
					  .type_given = true,
					  .size_len = size_len,
					  .block_len = block_len,
					  .sector_len = 512,
					  .physical_sector_len = 512,
					  .parent = "/t/base.vhd" };
}

static struct image *open_file(struct file *f, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;

	f->writable = flags & VHDX_OPEN_WRITE;
	T_OK(vhd1_image_open(f, &o, &img, &t_err));
	return img;
}

static struct image *open_base(unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(loop, "/t/base.vhd", &base_disk, &f, &t_err));
	return open_file(f, flags);
}

static struct image *open_leaf(unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(loop, "/t/child.vhd", &child_disk, &f, &t_err));
	f->writable = flags & VHDX_OPEN_WRITE;
	T_OK(file_fault_new(f, &fault, &t_err));
	if (!traced)
		return open_file(&fault->file, flags);
	T_OK(file_trace_new(&fault->file, &trace, &t_err));
	return open_file(&trace->file, flags);
}

static void create_base(uint64_t size_len)
{
	struct vhdx_create_opts o = opts_of(VHDX_TYPE_DYNAMIC, BLOCK, size_len);
	uint64_t seed = 5;
	struct file *f;

	T_OK(file_mem_new(loop, "/t/base.vhd", &base_disk, &f, &t_err));
	T_OK(vhd1_image_create(f, &o, &t_err));
	file_close(f);
	T_OK(blk_new(open_base(VHDX_OPEN_WRITE), loop, false, &blk, &t_err));
	for (int i = 0; i < 30; i++) {
		uint64_t voff = t_rand_below(&seed, size_len / 65536) * 65536;

		t_fill(model + voff, 65536, (uint64_t)i);
		T_OK(vhdx_blk_write(blk, voff, model + voff, 65536, &t_err));
	}
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void create_sized_child(uint32_t block_len, uint64_t size_len)
{
	struct vhdx_create_opts o = opts_of(VHDX_TYPE_DIFFERENCING, block_len,
					    size_len);
	struct image *parent = open_base(0);
	struct file *f;

	T_OK(file_mem_new(loop, "/t/child.vhd", &child_disk, &f, &t_err));
	T_OK(vhd1_image_create_child(f, "/t/child.vhd", &o, parent, &t_err));
	file_close(f);
	T_OK(parent->ops->close(parent, &t_err));
}

static void create_child(uint32_t block_len)
{
	create_sized_child(block_len, SIZE);
}

static void open_child(unsigned flags)
{
	struct chain *c;

	T_OK(chain_of(open_leaf(flags), &c, &t_err));
	c->layers[c->cnt++] = open_base(0);
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
}

static void begin(uint32_t block_len)
{
	T_OK(loop_new(&loop, &t_err));
	model = calloc(1, SIZE);
	create_base(SIZE);
	create_child(block_len);
	open_child(VHDX_OPEN_WRITE);
}

static void close_child(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
}

/* Closes as a crash does that loses nothing which was written. */
static void crash(void)
{
	struct memimg kept;

	memimg_clone(&kept, &child_disk);
	(void)vhdx_blk_close(blk, NULL);
	memimg_free(&child_disk);
	child_disk = kept;
}

static void end(void)
{
	loop_free(loop);
	memimg_free(&base_disk);
	memimg_free(&child_disk);
	free(model);
	traced = false;
}

static void check_all(void)
{
	uint8_t *buf = malloc(MIB);

	for (uint64_t voff = 0; voff < SIZE; voff += MIB) {
		T_OK(vhdx_blk_read(blk, voff, buf, MIB, &t_err));
		T_TRUE(memcmp(buf, model + voff, MIB) == 0);
	}
	free(buf);
}

static void put(uint64_t voff, uint64_t len, uint64_t seed)
{
	t_fill(model + voff, len, seed);
	T_OK(vhdx_blk_write(blk, voff, model + voff, len, &t_err));
}

static void zero(uint64_t voff, uint64_t len)
{
	memset(model + voff, 0, len);
	T_OK(vhdx_blk_write_zeroes(blk, voff, len, &t_err));
}

static void check_sound(void)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res };

	T_OK(file_mem_new(loop, "child", &child_disk, &c.file, &t_err));
	T_OK(vhd1_image_check(&c, &t_err));
	T_EQ_U64(res.errors + res.warnings, 0);
	file_close(c.file);
}

static void check_reopened(void)
{
	close_child();
	check_sound();
	open_child(0);
	check_all();
}

/* ---- content ------------------------------------------------------------- */

static void an_empty_child_shows_its_parent(void)
{
	begin(BLOCK);
	check_all();
	check_reopened();
	close_child();
	end();
}

static void a_sector_written_hides_that_sector_only(void)
{
	begin(BLOCK);
	for (uint64_t i = 0; i < 20; i++)
		put(i * BLOCK + i * 512, 512, 100 + i);
	check_all();
	check_reopened();
	close_child();
	end();
}

static void a_larger_child_reads_zeros_beyond_its_parent(void)
{
	T_OK(loop_new(&loop, &t_err));
	model = calloc(1, SIZE);
	create_base(SIZE - 3 * MIB - 512);
	create_child(BLOCK);
	open_child(VHDX_OPEN_WRITE);
	check_all();
	put(SIZE - 3 * MIB - 1024, 1024, 1);
	put(SIZE - 512, 512, 2);
	check_all();
	check_reopened();
	close_child();
	end();
}

static void zeroes_never_show_the_parent(void)
{
	begin(BLOCK);
	zero(0, 4 * MIB);	    /* whole blocks, nothing here yet */
	zero(6 * MIB + 512, 3 * MIB); /* parts */
	put(20 * MIB, 4096, 1);
	zero(20 * MIB + 512, 1024);
	check_all();
	check_reopened();
	close_child();
	end();
}

static void a_discard_never_shows_the_parent_nor_touches_it(void)
{
	begin(BLOCK);
	put(BLOCK, 65536, 1);
	T_OK(vhdx_blk_discard(blk, 0, 3 * BLOCK, &t_err));
	memset(model + BLOCK, 0, 65536);
	check_all();
	check_reopened();
	close_child();
	end();
}

/* Random work on one geometry, reopened now and then. */
static void torture(uint32_t block_len, uint64_t seed)
{
	begin(block_len);
	for (int i = 0; i < 400; i++) {
		uint64_t from = t_rand_below(&seed, SIZE / 512);
		uint64_t max = t_rand_below(&seed, 8) ? 64 : 5 * MIB / 512;
		uint64_t cnt = u64_min(SIZE / 512 - from,
				       1 + t_rand_below(&seed, max));
		uint64_t what = t_rand_below(&seed, 20);

		if (what < 12)
			put(from * 512, cnt * 512, seed);
		else if (what < 17)
			zero(from * 512, cnt * 512);
		else if (what < 19)
			T_OK(vhdx_blk_flush(blk, &t_err));
		if (i % 80 == 79) {
			check_all();
			check_reopened();
			close_child();
			open_child(VHDX_OPEN_WRITE);
		}
	}
	check_all();
	close_child();
	end();
}

static void random_work_matches_the_model(void)
{
	torture(BLOCK, 1);
	torture(512 * KIB, 2);
	torture(32 * MIB, 3); /* bitmaps of several sectors */
	torture(4096, 4);     /* more blocks than bitmaps in memory */
	torture(512, 5);      /* a bitmap for every sector */
}

/* ---- in flight together -------------------------------------------------- */

struct burst {
	struct vhdx_req req;
	struct iovec iov;
	struct vhdx_err err;
};

static unsigned burst_left, burst_bad;

static void burst_done(struct vhdx_req *req)
{
	burst_left--;
	burst_bad += req->result != 0;
}

/* n writes of len bytes, `step` apart; what they write lies 512 bytes apart in
 * the model if the disk is larger than that. */
static struct burst *submit_burst(unsigned n, uint64_t step, uint32_t len)
{
	struct burst *b = calloc(n, sizeof(*b));

	burst_left = n;
	burst_bad = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t voff = i * step;
		uint8_t *data = model + (n * step > SIZE ? i * 512 : voff);

		t_fill(data, len, i);
		b[i].iov = (struct iovec){ data, len };
		b[i].req = (struct vhdx_req){ .op = VHDX_OP_WRITE,
					      .voff = voff,
					      .len = len,
					      .iov = &b[i].iov,
					      .iov_cnt = 1,
					      .err = &b[i].err,
					      .done = burst_done };
		vhdx_blk_submit(blk, &b[i].req);
	}
	return b;
}

static struct burst *burst(unsigned n, uint64_t step, uint32_t len)
{
	struct burst *b = submit_burst(n, step, len);

	vhdx_blk_drain(blk);
	T_EQ_U64(burst_left, 0);
	return b;
}

static void writes_in_flight_to_shared_blocks_all_count(void)
{
	begin(BLOCK);
	free(burst(2000, 20 * KIB, 1024));
	T_EQ_U64(burst_bad, 0);
	check_all();
	check_reopened();
	close_child();
	end();
}

static void more_blocks_than_bitmaps_in_memory_do_not_get_stuck(void)
{
	begin(4096);
	free(burst(8000, 4096 + 512, 512));
	T_EQ_U64(burst_bad, 0);
	check_all();
	check_reopened();
	close_child();
	end();
}

/* Twice what may be dirty, with nobody else to start a round. Blocks of 128
 * MiB, whose bitmaps are large: few are kept. */
static void writers_that_wait_for_bitmaps_need_no_flush(void)
{
	struct burst *b;

	T_OK(loop_new(&loop, &t_err));
	model = calloc(1, SIZE);
	create_base(SIZE);
	create_sized_child(BIG_BLOCK, 100 * (uint64_t)BIG_BLOCK);
	open_child(VHDX_OPEN_WRITE);
	b = submit_burst(100, BIG_BLOCK, 512);
	for (int i = 0; burst_left && i < 10000; i++)
		loop_turn(loop, 0);
	T_EQ_U64(burst_left, 0);
	vhdx_blk_drain(blk);
	T_EQ_U64(burst_bad, 0);
	free(b);
	close_child();
	check_sound();
	end();
}

static void after_a_failed_sync_reads_go_on_and_writers_are_refused(void)
{
	struct burst *b;

	begin(4096);
	fault_set(fault, (struct fault_rule){ .ops = 1u << FILE_SYNC,
					      .nth = 1, .sys_errno = EIO });
	b = burst(8000, 4096 + 512, 512);
	T_TRUE(burst_bad > 0);
	T_TRUE(strstr(b[7999].err.text, "earlier failure"));
	free(b);
	for (uint64_t voff = 0; voff < SIZE; voff += 65536) {
		uint8_t buf[512];

		T_OK(vhdx_blk_read(blk, voff, buf, sizeof(buf), &t_err));
	}
	T_FAILS(vhdx_blk_close(blk, &t_err), VHDX_E_FAILED, "");
	end();
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

	traced = true;
	begin(BLOCK);
	put(0, 512, 1);
	T_OK(vhdx_blk_flush(blk, &t_err));
	T_OK(vhdx_blk_map(blk, 0, 512, &x, &t_err));
	unsigned from = trace->cnt;
	put(512, 512, 2);
	T_OK(vhdx_blk_flush(blk, &t_err));
	data = find_op(FILE_WRITE, x.host_off + 512, from);
	sync1 = find_op(FILE_SYNC, 0, data);
	bit = find_op(FILE_WRITE, x.host_off - 512, from);
	sync2 = find_op(FILE_SYNC, 0, bit);
	T_TRUE(data < sync1 && sync1 < bit && bit < sync2);
	T_EQ_U64(sync2, trace->cnt - 1);
	close_child();
	end();
}

static void overwriting_costs_one_sync_and_no_bitmap(void)
{
	traced = true;
	begin(BLOCK);
	put(0, 4096, 1);
	T_OK(vhdx_blk_flush(blk, &t_err));
	unsigned from = trace->cnt;
	put(512, 2048, 2);
	T_OK(vhdx_blk_flush(blk, &t_err));
	T_EQ_U64(file_trace_count(trace, FILE_SYNC, from), 1);
	T_EQ_U64(file_trace_count(trace, FILE_WRITE, from), 1);
	close_child();
	end();
}

static void what_was_flushed_is_there_without_a_close(void)
{
	begin(BLOCK);
	for (uint64_t i = 0; i < 20; i++)
		put(i * BLOCK + i * 4096, 4096, 100 + i);
	T_OK(vhdx_blk_flush(blk, &t_err));
	crash();
	open_child(VHDX_OPEN_WRITE);
	check_all();
	check_reopened();
	close_child();
	end();
}

static void the_map_names_the_layer(void)
{
	struct vhdx_extent x;

	begin(BLOCK);
	put(BLOCK + 512, 512, 1);
	T_OK(vhdx_blk_map(blk, BLOCK + 512, MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0 && x.len == 512);
	T_OK(vhdx_blk_map(blk, BLOCK + 1024, MIB, &x, &t_err));
	T_TRUE(x.depth == 1);
	close_child();
	end();
}

static void without_its_parent_a_child_does_not_guess(void)
{
	uint8_t sector[512];

	begin(BLOCK);
	put(BLOCK, 512, 1);
	close_child();
	T_OK(blk_new(open_leaf(0), loop, false, &blk, &t_err));
	T_OK(vhdx_blk_read(blk, BLOCK, sector, 512, &t_err));
	T_TRUE(memcmp(sector, model + BLOCK, 512) == 0);
	T_FAILS(vhdx_blk_read(blk, BLOCK + 512, sector, 512, &t_err),
		VHDX_E_NOPARENT, "not open");
	close_child();
	end();
}

static void running_out_of_memory_while_opening_leaks_nothing(void)
{
	int rc = VHDX_E_NOMEM;

	begin(BLOCK);
	put(BLOCK, 512, 1);
	close_child();
	for (uint64_t n = 1; rc; n++) {
		struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
		struct image *img;
		struct file *f;

		T_OK(file_mem_new(loop, "/t/child.vhd", &child_disk, &f,
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
	end();
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
	T_TEST(overwriting_costs_one_sync_and_no_bitmap),
	T_TEST(what_was_flushed_is_there_without_a_close),
	T_TEST(the_map_names_the_layer),
	T_TEST(without_its_parent_a_child_does_not_guess),
	T_TEST(running_out_of_memory_while_opening_leaks_nothing),
	T_END,
};

const struct t_suite t_suite_vhd1_child = { "vhd1_child", tests };
