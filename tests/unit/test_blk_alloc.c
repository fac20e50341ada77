/* SPDX-License-Identifier: MIT */
/*
 * Requests allocate nothing: on real files, of every format, through the page
 * cache and past it. Where the temporary folder has no O_DIRECT both are the
 * same.
 */
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "t.h"
#include "vhdx_blk.h"

#define SIZE (16 * MIB)
#define CNT 64u

static struct vhdx_blk *blk;
static uint8_t *mem; /* page-aligned */
static unsigned done_cnt, failed_cnt;
static struct vhdx_req reqs[CNT];
static struct iovec iovs[CNT];

static void begin(enum vhdx_format format, unsigned flags)
{
	struct vhdx_create_opts c = { .format = format, .size_len = SIZE,
				      .block_len = format == VHDX_FORMAT_RAW ?
							   0 : MIB };
	struct vhdx_open_opts o = { .flags = VHDX_OPEN_WRITE | flags };
	char path[128];

	snprintf(path, sizeof(path), "%s/alloc", t_tmpdir());
	(void)unlink(path);
	T_OK(vhdx_create(path, &c, &t_err));
	T_OK(vhdx_open(path, &o, &blk, &t_err));
	mem = mem_aligned(4096, 64 * KIB);
	memset(mem, 7, 64 * KIB);
	failed_cnt = 0;
}

static void end(void)
{
	T_EQ_U64(failed_cnt, 0);
	mem_free(mem);
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void done(struct vhdx_req *req)
{
	done_cnt++;
	failed_cnt += req->result != 0;
}

/* CNT at once, all over the disk, from memory that begins `shift` bytes into a
 * page; every fourth flushes. */
static void burst(enum vhdx_op op, size_t shift)
{
	done_cnt = 0;
	for (unsigned i = 0; i < CNT; i++) {
		iovs[i] = (struct iovec){ mem + shift, 12 * KIB };
		reqs[i] = (struct vhdx_req){
			.op = i % 4 == 3 ? VHDX_OP_FLUSH : op,
			.voff = SIZE / CNT * i, .len = 12 * KIB,
			.iov = &iovs[i], .iov_cnt = 1, .done = done,
		};
		vhdx_blk_submit(blk, &reqs[i]);
	}
	while (done_cnt < CNT)
		vhdx_blk_turn(blk, -1);
}

static void all_of_it(void)
{
	static const size_t shifts[] = { 0, 512, 1 };

	for (size_t i = 0; i < ARRAY_LEN(shifts); i++) {
		burst(VHDX_OP_WRITE, shifts[i]);
		burst(VHDX_OP_READ, shifts[i]);
	}
	burst(VHDX_OP_DISCARD, 0);
	burst(VHDX_OP_WRITE_ZEROES, 0);
}

static uint64_t allocations(enum vhdx_format format, unsigned flags)
{
	uint64_t cnt;

	begin(format, flags);
	mem_fail_nth(UINT64_MAX);
	all_of_it(); /* new blocks, and */
	all_of_it(); /* those that were there */
	cnt = mem_fail_nth(0);
	end();
	return cnt;
}

static void requests_to_vhdx_allocate_nothing(void)
{
	T_EQ_U64(allocations(VHDX_FORMAT_VHDX, 0), 0);
}

static void requests_to_vhdx_past_the_cache_allocate_nothing(void)
{
	T_EQ_U64(allocations(VHDX_FORMAT_VHDX, VHDX_OPEN_DIRECT), 0);
}

static void requests_to_vhd_allocate_nothing(void)
{
	T_EQ_U64(allocations(VHDX_FORMAT_VHD, 0), 0);
}

static void requests_to_vhd_past_the_cache_allocate_nothing(void)
{
	T_EQ_U64(allocations(VHDX_FORMAT_VHD, VHDX_OPEN_DIRECT), 0);
}

static void requests_to_raw_allocate_nothing(void)
{
	T_EQ_U64(allocations(VHDX_FORMAT_RAW, 0), 0);
}

static void requests_to_raw_past_the_cache_allocate_nothing(void)
{
	T_EQ_U64(allocations(VHDX_FORMAT_RAW, VHDX_OPEN_DIRECT), 0);
}

const struct t_suite t_suite_blk_alloc = {
	"blk_alloc",
	(const struct t_test[]){
	T_TEST(requests_to_vhdx_allocate_nothing),
	T_TEST(requests_to_vhdx_past_the_cache_allocate_nothing),
	T_TEST(requests_to_vhd_allocate_nothing),
	T_TEST(requests_to_vhd_past_the_cache_allocate_nothing),
	T_TEST(requests_to_raw_allocate_nothing),
	T_TEST(requests_to_raw_past_the_cache_allocate_nothing),
	T_END,
	},
};
