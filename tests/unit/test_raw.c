/* SPDX-License-Identifier: MIT */
/* Raw images: the file is the disk. */
#include <errno.h>
#include <string.h>

#include "t.h"
#include "t_vhd1.h"

static char msg[256];

static void keep_msg(void *arg, const char *text)
{
	(void)arg;
	snprintf(msg, sizeof(msg), "%s", text);
}

static void open_raw(unsigned flags)
{
	struct image_open_opts o = { .flags = flags, .msg = keep_msg };
	struct image *img;
	struct file *f;

	msg[0] = '\0';
	if (!tv.loop)
		T_OK(loop_new(&tv.loop, &t_err));
	T_OK(file_mem_new(tv.loop, "raw", &tv.disk, &f, &t_err));
	T_OK(file_fault_new(f, &tv.fault, &t_err));
	T_OK(file_trace_new(&tv.fault->w.file, &tv.trace, &t_err));
	T_OK(raw_image_open(&tv.trace->w.file, &o, &img, &t_err));
	T_OK(blk_new(img, tv.loop, false, &tv.blk, &t_err));
}

static struct vhdx_extent map_at(uint64_t voff)
{
	struct vhdx_extent x;

	T_OK(vhdx_blk_map(tv.blk, voff, MIB - voff, &x, &t_err));
	return x;
}

static void what_is_written_lies_where_it_was_written(void)
{
	uint8_t want[4096], got[4096];

	memimg_resize(&tv.disk, MIB);
	open_raw(VHDX_OPEN_WRITE);
	tv_put(512 * 3, 9);
	T_TRUE(tv_has(512 * 3, 9));
	tv_close();
	t_fill(want, sizeof(want), 9 + 512 * 3);
	tv_peek(512 * 3, got, sizeof(got));
	T_TRUE(memcmp(got, want, sizeof(got)) == 0);
	T_EQ_U64(tv.disk.size, MIB);
	tv_end();
}

static void a_file_that_ends_within_a_sector_is_padded_with_zeros(void)
{
	uint8_t buf[512];
	struct vhdx_geometry g;

	memimg_resize(&tv.disk, 1000);
	tv_poke(990, "1234567890", 10);
	open_raw(0);
	T_TRUE(strstr(msg, "1000 bytes") && strstr(msg, "1024"));
	vhdx_blk_geometry(tv.blk, &g);
	T_EQ_U64(g.size_len, 1024);
	T_OK(vhdx_blk_read(tv.blk, 512, buf, 512, &t_err));
	T_TRUE(buf[487] == '0' && buf[488] == 0 && buf[511] == 0);
	tv_close();
	tv_end();
}

static void holes_of_a_read_only_file_are_told_as_zeros(void)
{
	struct vhdx_extent x;

	memimg_resize(&tv.disk, MIB);
	tv_poke(65536, "data", 4);
	open_raw(0);
	x = map_at(0);
	T_EQ_U64(x.kind, VHDX_EXTENT_ZERO);
	T_EQ_U64(x.len, 65536);
	x = map_at(65536);
	T_EQ_U64(x.kind, VHDX_EXTENT_DATA);
	T_EQ_U64(x.host_off, 65536);
	T_EQ_U64(x.len, 4096);
	x = map_at(65536 + 4096);
	T_EQ_U64(x.kind, VHDX_EXTENT_ZERO);
	T_EQ_U64(x.len, MIB - 65536 - 4096);
	T_TRUE(tv_zero(0, 65536));
	tv_close();
	tv_end();
}

static void a_hole_that_is_written_is_read(void)
{
	memimg_resize(&tv.disk, MIB);
	open_raw(VHDX_OPEN_WRITE);
	T_TRUE(tv_zero(0, 65536));
	tv_put(4096, 1);
	T_TRUE(tv_has(4096, 1));
	tv_close();
	tv_end();
}

static void a_flush_is_one_sync_and_a_failed_one_is_final(void)
{
	uint8_t b[512] = { 0 };

	memimg_resize(&tv.disk, MIB);
	open_raw(VHDX_OPEN_WRITE);
	tv_put(0, 1);
	T_OK(vhdx_blk_flush(tv.blk, &t_err));
	T_EQ_U64(file_trace_count(tv.trace, FILE_SYNC, 0), 1);
	tv_put(0, 1);
	fault_set(tv.fault, (struct fault_rule){ 1u << FILE_SYNC, 1, EIO,
						 false, FAULT_NOTHING });
	T_FAILS(vhdx_blk_flush(tv.blk, &t_err), VHDX_E_IO, "");
	T_FAILS(vhdx_blk_flush(tv.blk, &t_err), VHDX_E_FAILED,
		"Input/output error");
	T_FAILS(vhdx_blk_write(tv.blk, 0, b, 512, &t_err), VHDX_E_FAILED, "");
	T_TRUE(tv_has(0, 1));
	T_FAILS(vhdx_blk_close(tv.blk, &t_err), VHDX_E_FAILED, "durable");
	tv_end();
}

static void zeroes_and_discards_happen_in_place(void)
{
	memimg_resize(&tv.disk, MIB);
	open_raw(VHDX_OPEN_WRITE);
	for (uint64_t off = 0; off < 16384; off += 4096)
		tv_put(off, 1);
	T_OK(vhdx_blk_write_zeroes(tv.blk, 4096, 4096, &t_err));
	T_OK(vhdx_blk_discard(tv.blk, 8192, 4096, &t_err));
	T_TRUE(tv_has(0, 1) && tv_zero(4096, 8192) && tv_has(12288, 1));
	tv_close();
	T_EQ_U64(tv.disk.size, MIB);
	tv_end();
}

static void an_empty_file_is_a_disk_of_no_sectors(void)
{
	struct vhdx_geometry g;

	open_raw(0);
	vhdx_blk_geometry(tv.blk, &g);
	T_EQ_U64(g.size_len, 0);
	tv_close();
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(what_is_written_lies_where_it_was_written),
	T_TEST(a_file_that_ends_within_a_sector_is_padded_with_zeros),
	T_TEST(holes_of_a_read_only_file_are_told_as_zeros),
	T_TEST(a_hole_that_is_written_is_read),
	T_TEST(a_flush_is_one_sync_and_a_failed_one_is_final),
	T_TEST(zeroes_and_discards_happen_in_place),
	T_TEST(an_empty_file_is_a_disk_of_no_sectors),
	T_END,
};

const struct t_suite t_suite_raw = { "raw", tests };
