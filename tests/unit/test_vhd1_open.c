/* SPDX-License-Identifier: MIT */
/*
 * Opening and creating VHDs: which size is the disk's, what is refused, and
 * what a damaged entry costs.
 */
#include <stdlib.h>
#include <string.h>

#include "le.h"
#include "mem.h"
#include "t.h"
#include "t_vhd1.h"

#define SIZE (64 * MIB)
#define BLOCK ((uint32_t)(2 * MIB))

/* ---- sizes --------------------------------------------------------------- */

static void smaller_geometry(struct vhd1_footer *f)
{
	f->chs = (struct vhd1_chs){ 100, 4, 17 };
}

static void greatest_geometry(struct vhd1_footer *f)
{
	f->chs = (struct vhd1_chs){ 65535, 16, 255 };
}

static uint64_t size_with(unsigned flags)
{
	struct vhdx_info info;

	tv_open(flags);
	vhdx_get_info(tv.blk, &info);
	T_EQ_U64(info.current_len, SIZE);
	tv_close();
	return info.size_len;
}

static void the_size_is_the_field_unless_geometry_is_asked_for(void)
{
	tv_with_data();
	tv_edit_footer(0, smaller_geometry);
	tv_edit_footer(tv.disk.size - 512, smaller_geometry);
	T_EQ_U64(size_with(0), SIZE);
	T_EQ_U64(size_with(VHDX_OPEN_CHS_SIZE), 100 * 4 * 17 * 512);
	tv_edit_footer(tv.disk.size - 512, greatest_geometry);
	T_EQ_U64(size_with(VHDX_OPEN_CHS_SIZE), SIZE);
	tv_end();
}

static void blocks_beyond_the_geometry_size_are_not_cut_off(void)
{
	tv_begin(SIZE, BLOCK);
	tv_put(0, 1);
	tv_put(62 * MIB, 1);
	tv_close();
	tv_edit_footer(0, smaller_geometry);
	tv_edit_footer(tv.disk.size - 512, smaller_geometry);
	tv_open(VHDX_OPEN_WRITE | VHDX_OPEN_CHS_SIZE);
	tv_put(4096, 1);
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(62 * MIB, 1) && tv_has(4096, 1));
	tv_close();
	tv_end();
}

static void odd_size(struct vhd1_footer *f)
{
	f->current_len += 100;
}

static void no_size(struct vhd1_footer *f)
{
	f->current_len = 0;
}

static void a_size_off_the_sectors_is_cut_and_told_of(void)
{
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, odd_size);
	tv_open(0);
	T_TRUE(strstr(tv.msg, "not a multiple of 512"));
	tv_expect_data();
	tv_close();
	tv_edit_footer(tv.disk.size - 512, no_size);
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "a size of 0");
	tv_end();
}

/* ---- refusals ------------------------------------------------------------ */

static void as_differencing(struct vhd1_footer *f)
{
	f->type = VHD1_DIFFERENCING;
}

static void a_child_that_names_no_parent_opens_alone_only(void)
{
	static const uint8_t name[] = { 0, 'b', 0, 'a', 0, 's', 0, 'e' };

	tv_with_data();
	tv_edit_footer(0, as_differencing);
	tv_edit_footer(tv.disk.size - 512, as_differencing);
	tv_poke(512 + 64, name, sizeof(name));
	tv_reseal_header();
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "the id of its parent");
	T_FAILS(tv_try_open(VHDX_OPEN_WRITE), VHDX_E_CORRUPT, "set-parent");
	tv_open(VHDX_OPEN_ALONE);
	tv_close();
	tv_end();
}

static void hostile_headers_end_in_an_error_at_once(void)
{
	static const struct {
		unsigned pos, len;
		uint64_t value;
		const char *text;
	} bad[] = {
		{ 16, 8, 0, "BAT is said to be" },
		{ 16, 8, 1537, "BAT is said to be" },
		{ 16, 8, UINT64_MAX - 511, "BAT is said to be" },
		{ 16, 8, UINT64_C(1) << 62, "BAT is said to be" },
		{ 28, 4, UINT32_MAX, "4294967295 entries" },
		{ 28, 4, 31, "takes 32 blocks" },
		{ 28, 4, 0, "takes 32 blocks" },
		{ 32, 4, 512, "takes 131072 blocks" },
		{ 32, 4, 3 << 20, "power of two" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t b[8];

		tv_with_data();
		put_be64(b, bad[i].value << (64 - 8 * bad[i].len));
		tv_poke(512 + bad[i].pos, b, bad[i].len);
		tv_reseal_header();
		T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, bad[i].text);
		tv_end();
	}
}

static void far_header(struct vhd1_footer *f)
{
	f->data_off = UINT64_MAX - 1023;
}

static void huge(struct vhd1_footer *f)
{
	f->current_len = UINT64_MAX;
}

static void hostile_footers_end_in_an_error_at_once(void)
{
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, far_header);
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "dynamic disk header at");
	tv_edit_footer(tv.disk.size - 512, huge);
	tv_edit_footer(0, huge);
	tv_end();
	tv_with_data();
	tv_edit_footer(tv.disk.size - 512, huge);
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "the BAT has 32 entries");
	tv_end();
}

static void a_table_too_large_for_memory_is_refused_by_arithmetic(void)
{
	uint8_t b[4];

	/* A sparse file that really has such a table. */
	tv_with_data();
	uint8_t foot[512];
	tv_peek(0, foot, sizeof(foot));
	memimg_resize(&tv.disk, 32 * GIB);
	tv_edit_footer(0, huge);
	tv_peek(0, foot, sizeof(foot));
	struct vhd1_footer f;
	T_OK(vhd1_footer_decode(foot, 0, &f, &t_err));
	f.current_len = UINT64_C(0x40000000) * BLOCK;
	vhd1_footer_encode(&f, foot);
	tv_poke(0, foot, sizeof(foot));
	put_be32(b, 0x40000000);
	tv_poke(512 + 28, b, 4);
	tv_reseal_header();
	mem_fail_nth(0);
	T_FAILS(tv_try_open(0), VHDX_E_UNSUPPORTED, "at most 8388608 blocks");
	tv_end();
}

/* ---- damaged entries ----------------------------------------------------- */

static void expect_block_lost(uint32_t sector)
{
	uint8_t buf[512];

	tv_with_data();
	tv_bat_set(0, sector);
	T_FAILS(tv_try_open(VHDX_OPEN_WRITE), VHDX_E_CORRUPT, "damaged");
	tv_open(0);
	T_TRUE(strstr(tv.msg, "BAT entry 0"));
	T_FAILS(vhdx_blk_read(tv.blk, 0, buf, 512, &t_err), VHDX_E_CORRUPT,
		"BAT entry 0");
	T_TRUE(tv_has(10 * MIB, 1) || strstr(tv.msg, "overlaps block"));
	T_TRUE(tv_zero(2 * MIB, 4096));
	tv_close();
	tv_end();
}

static void a_damaged_entry_costs_its_block_and_no_other(void)
{
	expect_block_lost(0);		/* the footer copy */
	expect_block_lost(1);		/* the header */
	expect_block_lost(3);		/* the BAT */
	expect_block_lost(0xfffffffe);	/* far away */
	expect_block_lost(8300);	/* ends behind the end */
}

static void two_blocks_in_one_place_are_both_lost(void)
{
	uint8_t buf[512];

	tv_with_data();
	tv_bat_set(0, tv_bat(5) - 8);
	tv_open(0);
	T_FAILS(vhdx_blk_read(tv.blk, 0, buf, 512, &t_err), VHDX_E_CORRUPT,
		"entry 0");
	T_FAILS(vhdx_blk_read(tv.blk, 10 * MIB, buf, 512, &t_err),
		VHDX_E_CORRUPT, "entry 5");
	tv_close();
	tv_end();
}

static void a_last_block_may_be_short(void)
{
	tv_begin(3 * MIB, BLOCK);
	tv_put(2 * MIB, 1);
	tv_close();
	uint8_t foot[512];
	tv_peek(0, foot, sizeof(foot));
	memimg_resize(&tv.disk, tv.disk.size - MIB);
	tv_poke(tv.disk.size - 512, foot, 512);
	tv_open(VHDX_OPEN_WRITE);
	CU_ASSERT_STRING_EQUAL(tv.msg, "");
	T_TRUE(tv_has(2 * MIB, 1));
	tv_put(3 * MIB - 8192, 1);
	tv_put(0, 1);
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(3 * MIB - 8192, 1) && tv_has(0, 1) && tv_has(2 * MIB, 1));
	tv_close();
	tv_end();
}

/* ---- creating ------------------------------------------------------------ */

static void a_fixed_disk_is_its_size_and_a_footer(void)
{
	tv_begin(10 * MIB + 512, 0);
	T_EQ_U64(tv.disk.size, 10 * MIB + 1024);
	tv_put(10 * MIB - 3584, 1);
	tv_close();
	T_TRUE(tv_footer_at(10 * MIB + 512));
	tv_open(0);
	T_TRUE(tv_has(10 * MIB - 3584, 1) && tv_zero(0, 65536));
	tv_close();
	tv_end();
}

static void a_fixed_disk_longer_than_its_file_is_refused(void)
{
	tv_create(10 * MIB, 0);
	tv_edit_footer(10 * MIB, odd_size);
	tv_open(0);
	tv_close();
	tv_edit_footer(10 * MIB, huge);
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "only 10485760 come before");
	tv_end();
}

static int create_with(struct vhdx_create_opts o)
{
	struct file *f;
	int rc;

	o.format = VHDX_FORMAT_VHD;
	T_OK(loop_new(&tv.loop, &t_err));
	T_OK(file_mem_new(tv.loop, "new.vhd", NULL, &f, &t_err));
	rc = vhd1_image_create(f, &o, &t_err);
	file_close(f);
	loop_free(tv.loop);
	return rc;
}

static void sizes_that_the_format_cannot_hold_are_refused(void)
{
	struct vhdx_create_opts o = { .type = VHDX_TYPE_DYNAMIC,
				      .block_len = BLOCK,
				      .sector_len = 512,
				      .physical_sector_len = 512 };

	o.size_len = 2040 * GIB;
	T_OK(create_with(o));
	o.size_len = 2040 * GIB + 512;
	T_FAILS(create_with(o), VHDX_E_INVAL, "2040 GiB");
	o.size_len = MIB + 1;
	T_FAILS(create_with(o), VHDX_E_INVAL, "multiple of 512");
	o.size_len = MIB;
	o.block_len = 3 * 1024 * 1024;
	T_FAILS(create_with(o), VHDX_E_INVAL, "power of two");
	o.block_len = BLOCK;
	o.sector_len = 4096;
	T_FAILS(create_with(o), VHDX_E_INVAL, "512 only");
}

static void the_largest_disk_can_be_written_at_its_end(void)
{
	tv_begin(2040 * GIB, 512 * KIB);
	tv_put(2040 * GIB - 4096, 1);
	tv_close();
	tv_open(0);
	T_TRUE(tv_has(2040 * GIB - 4096, 1));
	tv_close();
	tv_end();
}

static void running_out_of_memory_while_opening_leaks_nothing(void)
{
	tv_with_data();
	for (uint64_t n = 1;; n++) {
		struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
		struct image *img = NULL;
		struct file *f;

		T_OK(file_mem_new(tv.loop, "disk", &tv.disk, &f, &t_err));
		uint64_t live = mem_live_cnt();
		mem_fail_nth(n);
		int rc = vhd1_image_open(f, &o, &img, &t_err);
		bool hit = mem_fail_nth(0) >= n;
		if (rc == 0)
			T_OK(img->ops->close(img, &t_err));
		else
			T_EQ_U64(mem_live_cnt(), live);
		if (rc)
			file_close(f);
		T_TRUE(hit == (rc == VHDX_E_NOMEM));
		if (!hit)
			break;
	}
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(the_size_is_the_field_unless_geometry_is_asked_for),
	T_TEST(blocks_beyond_the_geometry_size_are_not_cut_off),
	T_TEST(a_size_off_the_sectors_is_cut_and_told_of),
	T_TEST(a_child_that_names_no_parent_opens_alone_only),
	T_TEST(hostile_headers_end_in_an_error_at_once),
	T_TEST(hostile_footers_end_in_an_error_at_once),
	T_TEST(a_table_too_large_for_memory_is_refused_by_arithmetic),
	T_TEST(a_damaged_entry_costs_its_block_and_no_other),
	T_TEST(two_blocks_in_one_place_are_both_lost),
	T_TEST(a_last_block_may_be_short),
	T_TEST(a_fixed_disk_is_its_size_and_a_footer),
	T_TEST(a_fixed_disk_longer_than_its_file_is_refused),
	T_TEST(sizes_that_the_format_cannot_hold_are_refused),
	T_TEST(the_largest_disk_can_be_written_at_its_end),
	T_TEST(running_out_of_memory_while_opening_leaks_nothing),
	T_END,
};

const struct t_suite t_suite_vhd1_open = { "vhd1_open", tests };
