/* SPDX-License-Identifier: MIT */
/* What is refused before a disk is resized; the resize itself is tested by
 * format (test_vhdx_resize.c, test_vhd1_resize.c). */
#include "resize.h"

#include <string.h>

#include "opener_mem.h"
#include "t.h"

static struct opener_mem mem;
static struct loop *loop;
static struct vhdx_resize_opts opts;
static struct vhdx_resize_result res;

static void begin(enum vhdx_type type)
{
	struct vhdx_create_opts o = { .format = VHDX_FORMAT_VHDX, .type = type,
				      .type_given = true, .size_len = 8 * MIB,
				      .block_len = MIB };
	uint64_t file_len, host_len;
	struct file *f;

	memset(&opts, 0, sizeof(opts));
	opener_mem_init(&mem);
	T_OK(loop_new(&loop, &t_err));
	T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
	T_OK(file_mem_new(loop, "/d", &opener_mem_add(&mem, "/d")->img, &f,
			  &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
}

static void end(void)
{
	loop_free(loop);
	opener_mem_free(&mem);
}

static int resize(uint64_t len)
{
	return resize_image(&mem.opener, loop, "/d", len, &opts, &res, &t_err);
}

static void put(uint64_t voff)
{
	struct chain_opts co = { .flags = VHDX_OPEN_WRITE };
	uint8_t b[512] = { 1, 2, 3 };
	struct vhdx_blk *blk;
	struct chain *c;

	T_OK(chain_open(&mem.opener, loop, "/d", &co, &c, &t_err));
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
	T_OK(vhdx_blk_write(blk, voff, b, sizeof(b), &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void smaller_has_to_be_said(void)
{
	begin(VHDX_TYPE_DYNAMIC);
	T_FAILS(resize(4 * MIB), VHDX_E_INVAL, "say --shrink");
	opts.shrink = true;
	T_OK(resize(4 * MIB));
	T_EQ_U64(res.old_len, 8 * MIB);
	T_OK(resize(16 * MIB));
	T_EQ_U64(res.old_len, 4 * MIB);
	end();
}

static void last_data_is_named_and_may_be_forced(void)
{
	begin(VHDX_TYPE_DYNAMIC);
	put(5 * MIB);
	put(6 * MIB + 512);
	opts.shrink = true;
	T_FAILS(resize(4 * MIB), VHDX_E_RANGE, "the last of it at 6291970");
	T_EQ_U64(res.min_len, 6 * MIB + 1024);
	T_OK(resize(6 * MIB + 1024));
	opts.force = true;
	T_OK(resize(4 * MIB));
	end();
}

static int stop(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	return done <= total;
}

static void looking_for_data_can_be_stopped(void)
{
	struct memimg before = { 0 };

	begin(VHDX_TYPE_DYNAMIC);
	opts.shrink = true;
	opts.progress.fn = stop;
	memimg_clone(&before, &opener_mem_find(&mem, "/d")->img);
	T_FAILS(resize(4 * MIB), VHDX_E_CANCELED, "nothing was changed");
	T_TRUE(memimg_eq(&before, &opener_mem_find(&mem, "/d")->img, NULL));
	memimg_free(&before);
	end();
}

static uint64_t three_mib(const struct opener *o, const char *path)
{
	(void)o;
	(void)path;
	return 3 * MIB;
}

static void shortfall_is_named_before_anything_changes(void)
{
	struct memimg before = { 0 };

	begin(VHDX_TYPE_FIXED);
	mem.opener.free_len = three_mib;
	memimg_clone(&before, &opener_mem_find(&mem, "/d")->img);
	T_FAILS(resize(20 * MIB), VHDX_E_NOSPC, "9437184 are missing");
	T_TRUE(memimg_eq(&before, &opener_mem_find(&mem, "/d")->img, NULL));
	memimg_free(&before);
	T_OK(resize(11 * MIB));
	end();
}

static void dry_run_and_no_change_leave_every_byte(void)
{
	struct memimg before = { 0 };

	begin(VHDX_TYPE_FIXED);
	memimg_clone(&before, &opener_mem_find(&mem, "/d")->img);
	T_OK(resize(8 * MIB));
	opts.dry_run = true;
	T_OK(resize(20 * MIB));
	T_EQ_U64(res.need_len, 12 * MIB);
	T_TRUE(memimg_eq(&before, &opener_mem_find(&mem, "/d")->img, NULL));
	memimg_free(&before);
	end();
}

static const struct t_test tests[] = {
	T_TEST(smaller_has_to_be_said),
	T_TEST(last_data_is_named_and_may_be_forced),
	T_TEST(looking_for_data_can_be_stopped),
	T_TEST(shortfall_is_named_before_anything_changes),
	T_TEST(dry_run_and_no_change_leave_every_byte),
	T_END
};

const struct t_suite t_suite_resize = { "resize", tests };
