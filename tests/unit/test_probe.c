/* SPDX-License-Identifier: MIT */
/* Which format a file has, by its bytes alone. */
#include <string.h>

#include "le.h"
#include "t.h"
#include "t_vhd1.h"

static enum vhdx_format probed(void)
{
	enum vhdx_format format;
	struct file *f;

	if (!tv.loop)
		T_OK(loop_new(&tv.loop, &t_err));
	T_OK(file_mem_new(tv.loop, "x", &tv.disk, &f, &t_err));
	T_OK(image_probe(f, &format, &t_err));
	file_close(f);
	return format;
}

static void anything_else_is_raw_whatever_its_length(void)
{
	for (uint64_t len = 0; len < 2000; len += 37) {
		memimg_resize(&tv.disk, len);
		T_EQ_U64(probed(), VHDX_FORMAT_RAW);
	}
	tv_end();
}

static void a_vhdx_is_known_by_its_identifier(void)
{
	memimg_resize(&tv.disk, MIB);
	tv_poke(0, "vhdxfile", 8);
	T_EQ_U64(probed(), VHDX_FORMAT_VHDX);
	tv_end();
}

static void a_dynamic_vhd_is_known_by_either_end(void)
{
	tv_create(64 * MIB, 2 * MIB);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	tv_poke(tv.disk.size - 512, "XXXXXXXX", 8);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	tv_end();
	tv_create(64 * MIB, 2 * MIB);
	tv_poke(0, "XXXXXXXX", 8);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	tv_end();
}

static void a_fixed_vhd_is_known_by_its_end_even_of_511_bytes(void)
{
	tv_create(MIB, 0);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	memimg_resize(&tv.disk, tv.disk.size - 1);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	memimg_resize(&tv.disk, tv.disk.size - 1);
	T_EQ_U64(probed(), VHDX_FORMAT_RAW);
	tv_end();
}

/* Shown as raw, its footer would pass for data and the damage for none. */
static void a_vhd_with_a_bad_checksum_is_a_damaged_vhd_not_a_raw_disk(void)
{
	tv_create(MIB, 0);
	tv_poke(MIB + 30, "X", 1);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	T_FAILS(tv_try_open(0), VHDX_E_CORRUPT, "checksum");
	tv_end();
}

static void a_fixed_vhd_that_holds_a_vhdx_is_a_vhd(void)
{
	tv_create(MIB, 0);
	tv_poke(0, "vhdxfile", 8);
	T_EQ_U64(probed(), VHDX_FORMAT_VHD);
	tv_end();
}

static void a_vhdx_that_ends_in_a_vhd_footer_is_a_vhdx(void)
{
	uint8_t foot[512];

	tv_create(MIB, 0);
	tv_peek(MIB, foot, sizeof(foot));
	memimg_resize(&tv.disk, 2 * MIB);
	tv_poke(0, "vhdxfile", 8);
	tv_poke(2 * MIB - 512, foot, sizeof(foot));
	T_EQ_U64(probed(), VHDX_FORMAT_VHDX);
	tv_end();
}

static void opening_by_content_opens_what_was_probed(void)
{
	struct image_open_opts o = { 0 };
	struct image *img;
	struct file *f;

	tv_create(MIB, 0);
	for (int pass = 0; pass < 2; pass++) {
		T_OK(file_mem_new(tv.loop, "x", &tv.disk, &f, &t_err));
		T_OK(image_open(f, pass ? VHDX_FORMAT_RAW : VHDX_FORMAT_PROBE,
				&o, &img, &t_err));
		T_EQ_U64(img->info.format,
			 pass ? VHDX_FORMAT_RAW : VHDX_FORMAT_VHD);
		T_EQ_U64(img->size_len, pass ? MIB + 512 : MIB);
		T_OK(img->ops->close(img, &t_err));
	}
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(anything_else_is_raw_whatever_its_length),
	T_TEST(a_vhdx_is_known_by_its_identifier),
	T_TEST(a_dynamic_vhd_is_known_by_either_end),
	T_TEST(a_fixed_vhd_is_known_by_its_end_even_of_511_bytes),
	T_TEST(a_vhd_with_a_bad_checksum_is_a_damaged_vhd_not_a_raw_disk),
	T_TEST(a_fixed_vhd_that_holds_a_vhdx_is_a_vhd),
	T_TEST(a_vhdx_that_ends_in_a_vhd_footer_is_a_vhdx),
	T_TEST(opening_by_content_opens_what_was_probed),
	T_END,
};

const struct t_suite t_suite_probe = { "probe", tests };
