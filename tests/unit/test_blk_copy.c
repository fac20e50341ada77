/* SPDX-License-Identifier: MIT */
/* The device copies from another one: a VHDX disk of 1 MiB blocks in memory. */
#include <errno.h>
#include <string.h>

#include "blk.h"
#include "file_fault.h"
#include "file_mem.h"
#include "memory_blk.h"
#include "t.h"

#define DISK (8 * MIB)

static struct loop *loop;
static struct memimg disk;
static struct file_fault *fault;
static struct vhdx_blk *blk;
static uint8_t data[DISK], back[DISK];
static struct vhdx_copy copy;

static void begin(void)
{
	struct vhdx_create_opts c = {
		.format = VHDX_FORMAT_VHDX, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true, .size_len = DISK, .block_len = MIB,
		.sector_len = 512, .physical_sector_len = 4096,
	};
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	struct file *f;

	memset(data, 0, sizeof(data));
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(file_fault_new(f, &fault, &t_err));
	T_OK(vhdx_image_create(&fault->w.file, &c, &t_err));
	T_OK(vhdx_image_open(&fault->w.file, &o, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
}

static void end(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
	loop_free(loop);
	memimg_free(&disk);
}

static int run(uint64_t voff, uint64_t len, unsigned flags)
{
	struct vhdx_req req = { .op = VHDX_OP_COPY, .flags = flags,
				.voff = voff, .len = len, .copy = &copy,
				.err = &t_err };

	copy = memory_blk_copy(data + voff);
	return vhdx_blk_run(blk, &req);
}

static bool shows_data(void)
{
	T_OK(vhdx_blk_read(blk, 0, back, DISK, &t_err));
	return memcmp(back, data, DISK) == 0;
}

static unsigned block_cnt(void)
{
	unsigned cnt = 0;

	for (uint64_t voff = 0; voff < DISK; voff += MIB) {
		struct vhdx_extent x;

		T_OK(vhdx_blk_map(blk, voff, MIB, &x, &t_err));
		cnt += x.kind == VHDX_EXTENT_DATA;
	}
	return cnt;
}

static void what_is_copied_is_read(void)
{
	begin();
	t_fill(data + 512, 3 * MIB, 1);
	T_OK(run(512, 3 * MIB, 0));
	T_TRUE(shows_data());
	T_EQ_U64(copy.data_len, 3 * MIB);
	end();
}

static void zeros_make_no_block(void)
{
	begin();
	t_fill(data + MIB + 8192, 4096, 1);
	t_fill(data + 5 * MIB - 512, 1024, 2);
	T_OK(run(0, DISK, VHDX_REQ_ONTO_ZEROS));
	T_TRUE(shows_data());
	T_EQ_U64(block_cnt(), 3);
	end();
}

static void only_zeros_change_nothing(void)
{
	uint64_t written;

	begin();
	written = fault->cnt[FILE_WRITE];
	T_OK(run(0, DISK, VHDX_REQ_ONTO_ZEROS));
	T_EQ_U64(copy.data_len, 0);
	T_EQ_U64(block_cnt(), 0);
	T_EQ_U64(fault->cnt[FILE_COPY], 0);
	T_EQ_U64(fault->cnt[FILE_WRITE], written);
	end();
}

static void zeros_overwrite_where_the_range_may_hold_data(void)
{
	begin();
	t_fill(data, DISK, 1);
	T_OK(run(0, DISK, 0));
	memset(data + MIB, 0, 2 * MIB);
	T_OK(run(0, DISK, 0));
	T_TRUE(shows_data());
	end();
}

static void unless_all_is_zeros_all_is_copied(void)
{
	begin();
	t_fill(data, DISK, 1);
	T_OK(run(0, DISK, 0));
	memset(data, 0, DISK);
	T_OK(run(0, DISK, VHDX_REQ_UNLESS_ZEROS));
	T_EQ_U64(copy.data_len, 0);
	T_TRUE(!shows_data());
	data[3 * MIB] = 1;
	T_OK(run(0, DISK, VHDX_REQ_UNLESS_ZEROS));
	T_EQ_U64(copy.data_len, DISK);
	T_TRUE(shows_data());
	end();
}

static void a_copy_that_fails_makes_no_block(void)
{
	begin();
	t_fill(data, MIB, 1);
	fault_set(fault, (struct fault_rule){ .ops = 1u << FILE_COPY, .nth = 1,
					      .sys_errno = ENOSPC });
	T_FAILS(run(0, MIB, VHDX_REQ_ONTO_ZEROS), VHDX_E_NOSPC, "injected");
	T_EQ_U64(block_cnt(), 0);
	T_OK(run(0, MIB, VHDX_REQ_ONTO_ZEROS));
	T_TRUE(shows_data());
	end();
}

static void a_scan_that_fails_ends_the_copy(void)
{
	begin();
	t_fill(data, MIB, 1);
	fault_set(fault, (struct fault_rule){ .ops = 1u << FILE_SCAN, .nth = 1,
					      .sys_errno = EIO });
	T_FAILS(run(0, MIB, VHDX_REQ_ONTO_ZEROS), VHDX_E_IO, "injected");
	T_EQ_U64(fault->cnt[FILE_COPY], 0);
	T_EQ_U64(block_cnt(), 0);
	end();
}

static void what_is_flushed_survives_the_close(void)
{
	struct image_open_opts o = { .flags = 0 };
	struct image *img;
	struct file *f;

	begin();
	t_fill(data, DISK, 1);
	T_OK(run(0, DISK, VHDX_REQ_ONTO_ZEROS | VHDX_REQ_FUA));
	T_OK(vhdx_blk_close(blk, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(vhdx_image_open(f, &o, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
	T_TRUE(shows_data());
	end();
}

static void a_copy_from_nowhere_is_refused(void)
{
	struct vhdx_copy nowhere = { .depth = 0 };
	struct vhdx_req req = { .op = VHDX_OP_COPY, .len = 4096,
				.err = &t_err };

	begin();
	T_FAILS(vhdx_blk_run(blk, &req), VHDX_E_INVAL, "from no device");
	req.copy = &nowhere;
	T_FAILS(vhdx_blk_run(blk, &req), VHDX_E_INVAL, "from no device");
	end();
}

/* Nothing may be changed under a copy. */
static void a_source_that_can_be_written_is_refused(void)
{
	struct vhdx_copy own = { 0 };
	struct vhdx_req req = { .op = VHDX_OP_COPY, .len = 512, .copy = &own,
				.err = &t_err };

	begin();
	own.from = blk;
	T_FAILS(vhdx_blk_run(blk, &req), VHDX_E_INVAL, "read-only");
	own = memory_blk_copy(data);
	own.depth = 1;
	T_FAILS(vhdx_blk_run(blk, &req), VHDX_E_INVAL, "layer 1 of 1");
	own = memory_blk_copy(data);
	own.host_off = UINT64_MAX - 100;
	T_FAILS(vhdx_blk_run(blk, &req), VHDX_E_RANGE, "too large");
	end();
}

static void without_a_way_nothing_is_changed(void)
{
	struct file_ops ops;
	const struct file_ops *was;

	begin();
	was = fault->w.file.ops;
	ops = *was;
	ops.copies = false;
	fault->w.file.ops = &ops;
	T_FAILS(run(0, MIB, 0), VHDX_E_UNSUPPORTED, "from memory");
	T_EQ_U64(fault->cnt[FILE_COPY], 0);
	fault->w.file.ops = was;
	T_EQ_U64(block_cnt(), 0);
	end();
}

static const struct t_test tests[] = {
	T_TEST(what_is_copied_is_read),
	T_TEST(zeros_make_no_block),
	T_TEST(only_zeros_change_nothing),
	T_TEST(zeros_overwrite_where_the_range_may_hold_data),
	T_TEST(unless_all_is_zeros_all_is_copied),
	T_TEST(a_copy_that_fails_makes_no_block),
	T_TEST(a_scan_that_fails_ends_the_copy),
	T_TEST(what_is_flushed_survives_the_close),
	T_TEST(a_copy_from_nowhere_is_refused),
	T_TEST(a_source_that_can_be_written_is_refused),
	T_TEST(without_a_way_nothing_is_changed),
	T_END,
};

const struct t_suite t_suite_blk_copy = { "blk_copy", tests };
