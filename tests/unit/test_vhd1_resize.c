/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <string.h>

#include "file_fault.h"
#include "file_mem.h"
#include "t.h"
#include "t_resize.h"
#include "vhd1_image.h"

static struct t_resize t;

/* 5.5 MiB, in blocks of 1 MiB if it has any. */
static void begin(enum vhdx_type type, uint64_t parent_len)
{
	t_resize_begin(&t, VHDX_FORMAT_VHD, type, 5 * MIB + 512 * KIB,
		       type == VHDX_TYPE_FIXED ? 0 : MIB, parent_len);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 4096, 4096);
	t_resize_put(&t, 3 * MIB, MIB);
	t_resize_put(&t, 5 * MIB + 508 * KIB, 4096);
	t_resize_close(&t);
}

static void grow(enum vhdx_type type, uint64_t parent_len)
{
	begin(type, parent_len);
	t_resize_and_verify(&t, 5 * MIB + 513 * KIB);
	t_resize_and_verify(&t, 6 * MIB);
	t_resize_and_verify(&t, 9 * MIB + 512);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 8 * MIB - 512, 1024);
	t_resize_to(&t, 700 * MIB);
	t_resize_put(&t, 9 * MIB, 1024);
	t_resize_put(&t, 699 * MIB, 4096);
	t_resize_to(&t, 701 * MIB);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_check(&t, &t.file, false);
	t_resize_open(&t, 0);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_end(&t);
}

static void dynamic_disk_grows(void)
{
	grow(VHDX_TYPE_DYNAMIC, 0);
}

static void fixed_disk_grows(void)
{
	grow(VHDX_TYPE_FIXED, 0);
}

static void child_grows_over_a_smaller_parent(void)
{
	grow(VHDX_TYPE_DIFFERENCING, 3 * MIB + 512);
}

static void child_grows_under_a_larger_parent(void)
{
	grow(VHDX_TYPE_DIFFERENCING, 12 * MIB + 512);
}

static void raw_disk_grows_and_shrinks(void)
{
	t_resize_begin(&t, VHDX_FORMAT_RAW, VHDX_TYPE_FIXED, 3 * MIB, 0, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 3 * MIB - 4096, 4096);
	t_resize_close(&t);
	t_resize_power_failures(&t, 5 * MIB, MIB, 8);
	t_resize_power_failures(&t, MIB, 3 * MIB, 8);
	t_resize_faults(&t, 5 * MIB, FAULT_ANY, EIO);
	t_resize_and_verify(&t, 3 * MIB - 512);
	t_resize_and_verify(&t, 3 * MIB + 512);
	t_resize_end(&t);
}

static void garbage_behind_the_end_never_appears(void)
{
	begin(VHDX_TYPE_DYNAMIC, 0);
	t_resize_spoil(&t);
	t_resize_and_verify(&t, 8 * MIB);
	t_resize_end(&t);
}

static void stale_entry_behind_the_end_never_appears(void)
{
	uint8_t entry[4];

	begin(VHDX_TYPE_DYNAMIC, 0);
	memimg_read(&t.file, 1536 + 3 * 4, entry, 4);
	memimg_write(&t.file, 1536 + 7 * 4, entry, 4);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_to(&t, 9 * MIB);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_end(&t);
}

/* What a larger disk has left in a table that has room for it. */
static void block_behind_the_end_never_appears(void)
{
	uint64_t was = 5 * MIB + 512 * KIB, off;
	uint8_t footer[512];

	begin(VHDX_TYPE_DYNAMIC, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_to(&t, 9 * MIB);
	t_resize_put(&t, 7 * MIB, 4096);
	t_resize_close(&t);
	off = t.file.size - 512;
	memimg_read(&t.file, off, footer, 512);
	vhd1_footer_resize(footer, was);
	memimg_write(&t.file, off, footer, 512);
	memimg_write(&t.file, 0, footer, 512);
	memimg_resize(&t.model, was);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_to(&t, 9 * MIB);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_open(&t, 0);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_end(&t);
}

static void vhd_does_not_shrink(void)
{
	begin(VHDX_TYPE_DYNAMIC, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	T_FAILS(t.img->ops->resize(t.img, MIB, &t_err), VHDX_E_UNSUPPORTED,
		"can only grow");
	T_FAILS(t.img->ops->resize(t.img, 2040 * GIB + 512, &t_err),
		VHDX_E_INVAL, "2040 GiB");
	t_resize_to(&t, 2040 * GIB);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_end(&t);
}

static void size_and_geometry_are_in_both_footers(void)
{
	struct vhd1_footer f;
	uint8_t b[512], copy[512];

	begin(VHDX_TYPE_DYNAMIC, 0);
	t_resize_and_verify(&t, 40 * MIB);
	memimg_read(&t.file, t.file.size - 512, b, 512);
	memimg_read(&t.file, 0, copy, 512);
	T_TRUE(memcmp(b, copy, 512) == 0);
	T_OK(vhd1_footer_decode(b, 0, &f, &t_err));
	T_EQ_U64(f.current_len, 40 * MIB);
	T_EQ_U64(f.original_len, 5 * MIB + 512 * KIB);
	T_EQ_U64(vhd1_chs_len(f.chs), vhd1_chs_len(vhd1_chs_of(40 * MIB)));
	t_resize_end(&t);
}

static void full_host_leaves_a_fixed_disk_as_it_was(void)
{
	begin(VHDX_TYPE_FIXED, 0);
	t_resize_full_host(&t, 9 * MIB);
	t_resize_end(&t);
}

static void fixed_disk_that_begins_like_an_image_is_refused(void)
{
	begin(VHDX_TYPE_FIXED, 0);
	memimg_write(&t.file, 0, "conectix", 8);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	T_FAILS(t.img->ops->resize(t.img, 9 * MIB, &t_err),
		VHDX_E_UNSUPPORTED, "begins like an image file");
	t_resize_close(&t);
	t_resize_end(&t);
}

static void lost_footer_is_found_and_the_rest_cut_off(void)
{
	enum vhdx_format format;
	struct file *f;

	begin(VHDX_TYPE_FIXED, 0);
	memimg_resize(&t.file, 100 * MIB);
	T_OK(file_mem_new(t.loop, "disk", &t.file, &f, &t_err));
	T_OK(image_probe(f, &format, &t_err));
	T_TRUE(format == VHDX_FORMAT_VHD);
	file_close(f);
	t_resize_open(&t, 0);
	t_resize_verify(&t);
	t_resize_close(&t);
	T_EQ_U64(t.file.size, 100 * MIB);
	t_resize_and_verify(&t, 6 * MIB);
	T_EQ_U64(t.file.size, 6 * MIB + 512);
	t_resize_end(&t);
}

/* ---- power failures and errors ------------------------------------------- */

static void power_failures(enum vhdx_type type, uint64_t parent_len,
			   uint64_t size_len)
{
	begin(type, parent_len);
	if (type == VHDX_TYPE_DYNAMIC)
		t_resize_spoil(&t);
	t_resize_power_failures(&t, size_len, MIB, parent_len ? 4 : 12);
	T_TRUE(t.instants > 4);
	t_resize_end(&t);
}

static void power_failures_of_a_fixed_disk(void)
{
	power_failures(VHDX_TYPE_FIXED, 0, 5 * MIB + 513 * KIB);
	power_failures(VHDX_TYPE_FIXED, 0, 8 * MIB);
}

static void power_failures_of_a_dynamic_disk(void)
{
	power_failures(VHDX_TYPE_DYNAMIC, 0, 6 * MIB);
	power_failures(VHDX_TYPE_DYNAMIC, 0, 900 * MIB);
}

static void power_failures_of_a_child(void)
{
	power_failures(VHDX_TYPE_DIFFERENCING, 3 * MIB, 900 * MIB);
	power_failures(VHDX_TYPE_DIFFERENCING, 8 * MIB + 512, 6 * MIB);
	power_failures(VHDX_TYPE_DIFFERENCING, 8 * MIB + 512, 900 * MIB);
}

static void failures(enum vhdx_type type, uint64_t parent_len)
{
	uint64_t size_len = type == VHDX_TYPE_FIXED ? 9 * MIB : 900 * MIB;

	begin(type, parent_len);
	t.stride = parent_len ? 3 : 0;
	t_resize_faults(&t, size_len, FAULT_ANY, EIO);
	t_resize_faults(&t, size_len, FAULT_ANY_CHANGE, ENOSPC);
	t_resize_end(&t);
}

static void failure_of_any_operation_leaves_one_size_or_the_other(void)
{
	failures(VHDX_TYPE_DYNAMIC, 0);
	failures(VHDX_TYPE_FIXED, 0);
	failures(VHDX_TYPE_DIFFERENCING, 8 * MIB + 512);
}

static void running_out_of_memory_changes_nothing(void)
{
	begin(VHDX_TYPE_FIXED, 0);
	t_resize_no_memory(&t, 9 * MIB);
	t_resize_end(&t);
	begin(VHDX_TYPE_DIFFERENCING, 8 * MIB);
	t_resize_no_memory(&t, 900 * MIB);
	t_resize_end(&t);
}

static const struct t_test tests[] = {
	T_TEST(running_out_of_memory_changes_nothing),
	T_TEST(dynamic_disk_grows),
	T_TEST(fixed_disk_grows),
	T_TEST(child_grows_over_a_smaller_parent),
	T_TEST(child_grows_under_a_larger_parent),
	T_TEST(raw_disk_grows_and_shrinks),
	T_TEST(garbage_behind_the_end_never_appears),
	T_TEST(stale_entry_behind_the_end_never_appears),
	T_TEST(block_behind_the_end_never_appears),
	T_TEST(vhd_does_not_shrink),
	T_TEST(size_and_geometry_are_in_both_footers),
	T_TEST(full_host_leaves_a_fixed_disk_as_it_was),
	T_TEST(fixed_disk_that_begins_like_an_image_is_refused),
	T_TEST(lost_footer_is_found_and_the_rest_cut_off),
	T_TEST(power_failures_of_a_fixed_disk),
	T_TEST(power_failures_of_a_dynamic_disk),
	T_TEST(power_failures_of_a_child),
	T_TEST(failure_of_any_operation_leaves_one_size_or_the_other),
	T_END
};

const struct t_suite t_suite_vhd1_resize = { "vhd1_resize", tests };
