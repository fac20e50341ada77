/* SPDX-License-Identifier: MIT */
/*
 * Where new blocks go and what that asks of the host: sequential writers stay
 * sequential, the file grows in few steps, space is zeroed without writing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file_fault.h"
#include "file_mem.h"
#include "file_trace.h"
#include "image.h"
#include "t.h"

static struct loop *loop;
static struct memimg disk;
static struct file_trace *trace;
static struct file_fault *fault;
static struct vhdx_blk *blk;

static void open_disk(void)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	struct file *f;

	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(file_fault_new(f, &fault, &t_err));
	T_OK(file_trace_new(&fault->w.file, &trace, &t_err));
	T_OK(vhdx_image_open(&trace->w.file, &o, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
}

static void begin(uint64_t size, uint32_t block_len)
{
	struct vhdx_create_opts o = {
		.format = VHDX_FORMAT_VHDX,
		.type = VHDX_TYPE_DYNAMIC,
		.type_given = true,
		.size_len = size,
		.block_len = block_len,
		.sector_len = 512,
		.physical_sector_len = 4096,
	};
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	open_disk();
}

static void end(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
	loop_free(loop);
	memimg_free(&disk);
}

/* A writer that keeps `depth` requests of one sector in flight. */
#define DEPTH 16

struct slot {
	struct vhdx_req req;
	struct iovec iov;
	uint8_t data[512];
};

static struct writer {
	uint64_t next_voff, end_voff, step_len;
	struct slot slots[DEPTH];
} writers[2]; /* all their sectors are the same */

static void go_on(struct writer *w, struct slot *s);

static void written(struct vhdx_req *req)
{
	T_EQ_U64(req->result, 0);
	go_on(req->opaque, container_of(req, struct slot, req));
}

static void go_on(struct writer *w, struct slot *s)
{
	if (w->next_voff >= w->end_voff)
		return;
	s->data[0] = 1;
	s->iov = (struct iovec){ s->data, sizeof(s->data) };
	s->req = (struct vhdx_req){
		.op = VHDX_OP_WRITE,
		.voff = w->next_voff,
		.len = sizeof(s->data),
		.iov = &s->iov,
		.iov_cnt = 1,
		.err = &t_err,
		.done = written,
		.opaque = w,
	};
	w->next_voff += w->step_len;
	vhdx_blk_submit(blk, &s->req);
}

static void start_writer(struct writer *w, uint64_t from, uint64_t to,
			 uint64_t step_len)
{
	w->next_voff = from;
	w->end_voff = to;
	w->step_len = step_len;
	for (unsigned i = 0; i < DEPTH; i++)
		go_on(w, &w->slots[i]);
}

static void write_all(uint64_t from, uint64_t to, uint64_t step_len)
{
	start_writer(&writers[0], from, to, step_len);
	vhdx_blk_drain(blk);
}

static uint64_t place_of(uint64_t voff)
{
	struct vhdx_extent x;

	T_OK(vhdx_blk_map(blk, voff, MIB, &x, &t_err));
	T_EQ_U64(x.kind, VHDX_EXTENT_DATA);
	return x.host_off;
}

/* How often the place of a block is not behind that of the one before. */
static unsigned steps_back(uint64_t from, uint64_t to)
{
	unsigned cnt = 0;

	for (uint64_t v = from + MIB; v < to; v += MIB)
		cnt += place_of(v) <= place_of(v - MIB);
	return cnt;
}

static unsigned asked(enum file_op op, unsigned from)
{
	return file_trace_count(trace, op, from);
}

/* ---- order --------------------------------------------------------------- */

static void a_sequential_writer_gets_one_piece_of_the_file(void)
{
	begin(2 * GIB, MIB);
	write_all(0, 2 * GIB, 256 * KIB);
	T_EQ_U64(steps_back(0, 2 * GIB), 0);
	T_EQ_U64(place_of(2 * GIB - MIB) - place_of(0), 2 * GIB - MIB);
	end();
}

static void two_sequential_writers_both_go_forward(void)
{
	begin(2 * GIB, MIB);
	start_writer(&writers[0], 0, 500 * MIB, 256 * KIB);
	start_writer(&writers[1], GIB, GIB + 500 * MIB, 256 * KIB);
	vhdx_blk_drain(blk);
	T_EQ_U64(steps_back(0, 500 * MIB), 0);
	T_EQ_U64(steps_back(GIB, GIB + 500 * MIB), 0);
	end();
}

/* Holes that others left are filled in one pass forward, from where the last
 * block went: not first here, then there. */
static void freed_space_is_used_again_in_order(void)
{
	uint64_t size;

	begin(2 * GIB, MIB);
	write_all(0, 800 * MIB, MIB);
	for (uint64_t v = 0; v < 800 * MIB; v += 8 * MIB)
		T_OK(vhdx_blk_discard(blk, v, 4 * MIB, &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
	size = disk.size;
	open_disk();
	write_all(GIB, GIB + 400 * MIB, MIB);
	T_EQ_U64(steps_back(GIB, GIB + 400 * MIB), 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	T_EQ_U64(disk.size, size);
	open_disk();
	end();
}

/* ---- growth -------------------------------------------------------------- */

static void the_file_grows_in_few_steps(void)
{
	begin(8 * GIB, MIB);
	write_all(0, 256 * MIB, MIB);
	T_TRUE(asked(FILE_TRUNCATE, 0) <= 5);
	write_all(256 * MIB, 8 * GIB, MIB);
	T_TRUE(asked(FILE_TRUNCATE, 0) <= 25);
	end();
}

static void what_no_block_needed_goes_back_on_close(void)
{
	begin(8 * GIB, MIB);
	write_all(0, 300 * MIB, MIB);
	T_TRUE(trace->w.file.size > 304 * MIB);
	T_OK(vhdx_blk_close(blk, &t_err));
	T_EQ_U64(disk.size, 304 * MIB);
	open_disk();
	end();
}

static void a_host_that_refuses_a_large_step_gets_small_ones(void)
{
	begin(2 * GIB, MIB);
	write_all(0, 20 * MIB, MIB);
	fault_set(fault, (struct fault_rule){ 1u << FILE_TRUNCATE, 1, EFBIG,
					      false, FAULT_NOTHING });
	write_all(20 * MIB, 70 * MIB, MIB);
	T_EQ_U64(fault->failed_cnt, 1);
	T_EQ_U64(steps_back(0, 70 * MIB), 0);
	end();
}

/* ---- zeros --------------------------------------------------------------- */

static unsigned ended_cnt;

static void count_end(struct vhdx_req *req)
{
	(void)req;
	ended_cnt++;
}

/* The host fails to make a block for two writers. The first to hear of it
 * gives up its range, a discard goes on, and behind it a third that wants the
 * same block. */
static void who_joins_an_allocation_that_fails_is_told_too(void)
{
	static uint8_t data[1024];
	struct iovec iov = { data, sizeof(data) };
	struct vhdx_req reqs[] = {
		{ .op = VHDX_OP_WRITE, .voff = MIB - 512, .len = 1024 },
		{ .op = VHDX_OP_WRITE, .voff = 0, .len = 512 },
		{ .op = VHDX_OP_DISCARD, .voff = MIB, .len = MIB },
		{ .op = VHDX_OP_WRITE, .voff = MIB - 512, .len = 1024 } };

	begin(8 * MIB, MIB);
	ended_cnt = 0;
	fault_set(fault, (struct fault_rule){ .ops = 1u << FILE_TRUNCATE,
					      .nth = 1, .sys_errno = EIO });
	for (size_t i = 0; i < ARRAY_LEN(reqs); i++) {
		reqs[i].iov = &iov;
		reqs[i].iov_cnt = 1;
		reqs[i].done = count_end;
		vhdx_blk_submit(blk, &reqs[i]);
	}
	for (unsigned i = 0; i < 1000; i++)
		vhdx_blk_turn(blk, 0);
	T_EQ_U64(ended_cnt, ARRAY_LEN(reqs));
	T_EQ_U64(reqs[3].result, VHDX_E_IO);
	end();
}

static void space_from_growth_is_not_zeroed(void)
{
	begin(GIB, MIB);
	write_all(0, GIB, MIB);
	T_EQ_U64(asked(FILE_PUNCH, 0) + asked(FILE_ZERO, 0), 0);
	end();
}

static void space_used_again_is_punched_once_and_not_written(void)
{
	unsigned from;

	begin(GIB, MIB);
	write_all(0, 60 * MIB, MIB);
	T_OK(vhdx_blk_flush(blk, &t_err));
	from = trace->cnt;
	T_OK(vhdx_blk_discard(blk, 0, 60 * MIB, &t_err));
	T_OK(vhdx_blk_flush(blk, &t_err));
	write_all(GIB / 2, GIB / 2 + 60 * MIB, MIB);
	T_TRUE(asked(FILE_PUNCH, from) <= 4); /* neighbours together */
	T_EQ_U64(asked(FILE_ZERO, from), 0);
	T_EQ_U64(asked(FILE_TRUNCATE, from), 0);
	end();
}

/* ---- order of payload and metadata (C9) ---------------------------------- */

static unsigned syncs_of_flush(void)
{
	unsigned from = trace->cnt;

	T_OK(vhdx_blk_flush(blk, &t_err));
	while (loop_turn(loop, 0) > 0) /* let the pages go home */
		;
	return asked(FILE_SYNC, from);
}

static void new_blocks_in_new_space_cost_a_flush_one_sync(void)
{
	begin(GIB, MIB);
	write_all(0, MIB, MIB);
	syncs_of_flush(); /* writes the headers, too */
	write_all(MIB, 30 * MIB, MIB);
	T_EQ_U64(syncs_of_flush(), 1);
	end();
}

static void growth_costs_a_flush_a_second_sync(void)
{
	begin(GIB, MIB);
	write_all(0, MIB, MIB);
	syncs_of_flush();
	write_all(MIB, 100 * MIB, MIB);
	T_EQ_U64(syncs_of_flush(), 2);
	end();
}

static void space_that_was_punched_costs_a_flush_a_second_sync(void)
{
	unsigned from;

	begin(GIB, MIB);
	write_all(0, 60 * MIB, MIB);
	T_OK(vhdx_blk_discard(blk, 0, 60 * MIB, &t_err));
	syncs_of_flush();
	from = trace->cnt;
	write_all(100 * MIB, 120 * MIB, MIB);
	T_EQ_U64(syncs_of_flush(), 2);
	T_EQ_U64(asked(FILE_TRUNCATE, from), 0);
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_sequential_writer_gets_one_piece_of_the_file),
	T_TEST(two_sequential_writers_both_go_forward),
	T_TEST(freed_space_is_used_again_in_order),
	T_TEST(the_file_grows_in_few_steps),
	T_TEST(what_no_block_needed_goes_back_on_close),
	T_TEST(a_host_that_refuses_a_large_step_gets_small_ones),
	T_TEST(who_joins_an_allocation_that_fails_is_told_too),
	T_TEST(space_from_growth_is_not_zeroed),
	T_TEST(space_used_again_is_punched_once_and_not_written),
	T_TEST(new_blocks_in_new_space_cost_a_flush_one_sync),
	T_TEST(growth_costs_a_flush_a_second_sync),
	T_TEST(space_that_was_punched_costs_a_flush_a_second_sync),
	T_END,
};

const struct t_suite t_suite_vhdx_alloc = { "vhdx_alloc", tests };
