/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <string.h>

#include "file_fault.h"
#include "t.h"
#include "t_resize.h"
#include "vhdx_img.h"

static struct t_resize t;

static void begin(enum vhdx_type type, uint64_t size_len, uint64_t parent_len)
{
	t_resize_begin(&t, VHDX_FORMAT_VHDX, type, size_len, MIB, parent_len);
}

/* 5.5 MiB in blocks of 1 MiB; data in block 0, 3, 4, and in the last half. */
static void begin_small(enum vhdx_type type, uint64_t parent_len)
{
	begin(type, 5 * MIB + 512 * KIB, parent_len);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 4096, 4096);
	t_resize_put(&t, 3 * MIB, MIB);
	t_resize_put(&t, 4 * MIB + 512, 1024);
	t_resize_put(&t, 5 * MIB + 508 * KIB, 4096);
	t_resize_close(&t);
}

/* ---- one way and the other ----------------------------------------------- */

static void grow_and_shrink(enum vhdx_type type, uint64_t parent_len)
{
	begin_small(type, parent_len);
	t_resize_and_verify(&t, 9 * MIB + 512);
	t_resize_and_verify(&t, 9 * MIB + 1024);
	t_resize_and_verify(&t, 4 * MIB + 1024);
	t_resize_and_verify(&t, 20 * MIB);
	t_resize_and_verify(&t, 512);
	t_resize_and_verify(&t, 6 * MIB);
	t_resize_end(&t);
}

static void dynamic_disk_grows_and_shrinks(void)
{
	grow_and_shrink(VHDX_TYPE_DYNAMIC, 0);
}

static void fixed_disk_grows_and_shrinks(void)
{
	grow_and_shrink(VHDX_TYPE_FIXED, 0);
}

static void child_grows_and_shrinks_over_a_smaller_parent(void)
{
	grow_and_shrink(VHDX_TYPE_DIFFERENCING, 3 * MIB + 512);
}

static void child_grows_and_shrinks_under_a_larger_parent(void)
{
	grow_and_shrink(VHDX_TYPE_DIFFERENCING, 12 * MIB + 512);
}

/* ---- what comes into sight ----------------------------------------------- */

static void garbage_behind_the_end_never_appears(void)
{
	begin_small(VHDX_TYPE_DYNAMIC, 0);
	t_resize_spoil(&t);
	t_resize_and_verify(&t, 5 * MIB + 513 * KIB);
	t_resize_and_verify(&t, 8 * MIB);
	t_resize_end(&t);
}

static void stale_entries_behind_the_end_never_appear(void)
{
	uint8_t entry[8], page[4096];
	uint64_t bat;

	begin_small(VHDX_TYPE_DYNAMIC, 0);
	t_resize_open(&t, 0);
	bat = t.img->info.bat_off;
	t_resize_close(&t);
	memimg_read(&t.file, bat + 3 * 8, entry, 8); /* of block 3, again */
	memimg_write(&t.file, bat + 7 * 8, entry, 8);
	t_fill(page, sizeof(page), 1);
	memimg_write(&t.file, bat + 5 * 4096, page, sizeof(page));
	memimg_write(&t.file, bat + MIB - 4096, page, sizeof(page));
	t_resize_and_verify(&t, 8000 * MIB);
	t_resize_end(&t);
}

static void parent_is_not_seen_where_it_was_not(void)
{
	begin(VHDX_TYPE_DIFFERENCING, 4 * MIB + 512, 7 * MIB + 512);
	t_resize_and_verify(&t, 4 * MIB + 1024);
	t_resize_and_verify(&t, 12 * MIB);
	t_resize_and_verify(&t, 512);
	t_resize_and_verify(&t, 12 * MIB);
	t_resize_end(&t);
}

static void unknown_parent_counts_as_large_enough(void)
{
	begin(VHDX_TYPE_DIFFERENCING, 4 * MIB + 512, 7 * MIB + 512);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t.img->parent_len = 0;
	t_resize_to(&t, 8000 * MIB);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_check(&t, &t.file, false);
	t_resize_end(&t);
}

static void writes_and_resizes_of_one_session_go_together(void)
{
	begin_small(VHDX_TYPE_DIFFERENCING, 7 * MIB);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	for (uint64_t i = 1; i < 6; i++) {
		t_resize_put(&t, 512 * i, 512);
		t_resize_to(&t, 5 * MIB + i * 1024);
		t_resize_put(&t, 5 * MIB + i * 1024 - 512, 512);
		t_resize_to(&t, (6 + i) * MIB + 512);
		t_resize_put(&t, (6 + i) * MIB, 512);
		t_resize_zero(&t, MIB, MIB);
		t_resize_verify(&t);
	}
	t_resize_close(&t);
	t_resize_check(&t, &t.file, false);
	t_resize_open(&t, 0);
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_end(&t);
}

/* ---- the BAT moves ------------------------------------------------------- */

static void bat_moves_and_its_old_place_is_used_again(void)
{
	uint64_t old;

	begin(VHDX_TYPE_DYNAMIC, 120 * GIB + 512, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 120 * GIB, 512);
	t_resize_put(&t, 5 * GIB, 4096);
	old = t.img->info.bat_off;
	t_resize_to(&t, 140 * GIB);
	T_TRUE(t.img->info.bat_off != old);
	t_resize_verify(&t);
	t_resize_put(&t, 139 * GIB, MIB);
	t_resize_close(&t);
	t_resize_check(&t, &t.file, false);
	t_resize_and_verify(&t, 64 * TIB);
	t_resize_and_verify(&t, 6 * GIB);
	T_TRUE(t.file.size < 1000 * MIB);
	t_resize_end(&t);
}

static void largest_bat_is_a_hole(void)
{
	begin(VHDX_TYPE_DYNAMIC, MIB, 0);
	t_resize_and_verify(&t, 64 * TIB);
	T_TRUE(t.file.size >= 513 * MIB);
	T_TRUE(memimg_page_cnt(&t.file) < 600);
	t_resize_end(&t);
}

static void child_has_room_for_its_bitmaps(void)
{
	begin(VHDX_TYPE_DIFFERENCING, 4 * GIB, 3 * MIB);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 4 * GIB - 512, 512); /* makes the last bitmap */
	t_resize_close(&t);
	t_resize_and_verify(&t, 129 * GIB);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 129 * GIB - 512, 512);
	t_resize_put(&t, 512, 512);
	t_resize_close(&t);
	t_resize_and_verify(&t, 4 * GIB + 512);
	t_resize_end(&t);
}

/* More new entries than one log entry carries. */
static void large_fixed_disk_grows_with_another_bat(void)
{
	uint64_t old;

	t_resize_begin(&t, VHDX_FORMAT_VHDX, VHDX_TYPE_FIXED, 4 * MIB, MIB, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	old = t.img->info.bat_off;
	t_resize_to(&t, 60 * GIB);
	T_TRUE(t.img->info.bat_off != old);
	t_resize_put(&t, 60 * GIB - 4096, 4096);
	t_resize_close(&t);
	T_TRUE(t.file.size > 60 * GIB);
	t_resize_check(&t, &t.file, false);
	t_resize_and_verify(&t, 2 * MIB);
	T_TRUE(t.file.size < 10 * MIB);
	t_resize_end(&t);
}

/* One entry in each page of the BAT: more than one log entry carries. */
static void scatter(unsigned state, uint64_t cnt)
{
	uint8_t entry[8] = { (uint8_t)state };
	uint64_t bat;

	t_resize_open(&t, 0);
	bat = t.img->info.bat_off;
	t_resize_close(&t);
	for (uint64_t i = 0; i < cnt; i++)
		memimg_write(&t.file, bat + i * 4096 + 800, entry, 8);
}

static void shrink_of_many_entries_takes_several_log_entries(void)
{
	begin(VHDX_TYPE_DYNAMIC, 120 * GIB, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 10 * MIB, 4096);
	t_resize_put(&t, 110 * GIB, 4096);
	t_resize_close(&t);
	scatter(BAT_ZERO, 220);
	t_resize_and_verify(&t, 11 * MIB);
	t_resize_and_verify(&t, 120 * GIB);
	t_resize_end(&t);
}

/* ---- space --------------------------------------------------------------- */

static void shrinking_gives_space_back(void)
{
	begin(VHDX_TYPE_FIXED, 40 * MIB, 0);
	t_resize_and_verify(&t, 10 * MIB);
	T_TRUE(t.file.size < 16 * MIB);
	t_resize_end(&t);
	begin(VHDX_TYPE_DYNAMIC, 40 * MIB, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 0, 40 * MIB);
	t_resize_close(&t);
	t_resize_and_verify(&t, 10 * MIB);
	T_TRUE(t.file.size < 16 * MIB);
	t_resize_end(&t);
}

static void full_host_leaves_a_fixed_disk_as_it_was(void)
{
	begin_small(VHDX_TYPE_FIXED, 0);
	t_resize_full_host(&t, 9 * MIB);
	t_resize_end(&t);
}

static void sizes_that_cannot_be_are_refused(void)
{
	begin_small(VHDX_TYPE_DYNAMIC, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	T_FAILS(t.img->ops->resize(t.img, 64 * TIB + 512, &t_err), VHDX_E_INVAL,
		"64 TiB");
	T_FAILS(t.img->ops->resize(t.img, 1000, &t_err), VHDX_E_INVAL,
		"sectors of 512 bytes");
	T_FAILS(t.img->ops->resize(t.img, 0, &t_err), VHDX_E_INVAL, "");
	t_resize_verify(&t);
	t_resize_close(&t);
	t_resize_end(&t);
}

/* ---- power failures and errors ------------------------------------------- */

static void power_failures(enum vhdx_type type, uint64_t parent_len,
			   bool spoil)
{
	static const uint64_t sizes[] = { 9 * MIB + 512, 5 * MIB + 600 * KIB,
					  3 * MIB + 512, 4 * MIB, 512 };

	for (unsigned i = 0; i < ARRAY_LEN(sizes) - (parent_len > 0); i++) {
		begin_small(type, parent_len);
		if (spoil)
			t_resize_spoil(&t);
		t_resize_power_failures(&t, sizes[i], 3 * MIB,
					parent_len ? 3 : 6);
		T_TRUE(t.instants > 10);
		t_resize_end(&t);
	}
}

static void power_failures_of_a_dynamic_disk(void)
{
	power_failures(VHDX_TYPE_DYNAMIC, 0, true);
}

static void power_failures_of_a_fixed_disk(void)
{
	power_failures(VHDX_TYPE_FIXED, 0, true);
}

static void power_failures_of_a_child(void)
{
	power_failures(VHDX_TYPE_DIFFERENCING, 5 * MIB, false);
	power_failures(VHDX_TYPE_DIFFERENCING, 8 * MIB + 512, false);
}

static void power_failures_while_the_bat_moves(void)
{
	begin(VHDX_TYPE_DYNAMIC, 123 * GIB + 512, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 123 * GIB, 512);
	t_resize_put(&t, 5 * GIB, 4096);
	t_resize_close(&t);
	t_resize_spoil(&t);
	t_resize_power_failures(&t, 129 * GIB, 20 * GIB, 8);
	t_resize_end(&t);
}

static void power_failures_while_a_childs_bat_moves(void)
{
	begin(VHDX_TYPE_DIFFERENCING, 123 * GIB + 512, 3 * MIB);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 123 * GIB, 512);
	t_resize_put(&t, 512, 4096);
	t_resize_close(&t);
	t_resize_power_failures(&t, 129 * GIB, 20 * GIB, 5);
	t_resize_end(&t);
}

static void power_failures_of_a_shrink_in_steps(void)
{
	begin(VHDX_TYPE_DIFFERENCING, 120 * GIB, 3 * MIB);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, MIB - 512, 1024);
	t_resize_put(&t, 110 * GIB, 1024);
	t_resize_close(&t);
	scatter(BAT_ZERO, 102);
	t.in_steps = true;
	t.stride = 7;
	t_resize_power_failures(&t, MIB, GIB, 2);
	t_resize_end(&t);
}

static void failures(enum vhdx_type type, uint64_t parent_len)
{
	static const uint64_t sizes[] = { 9 * MIB + 512, 3 * MIB + 512 };

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		begin_small(type, parent_len);
		t.stride = parent_len ? 5 : 0;
		t_resize_faults(&t, sizes[i], FAULT_ANY, EIO);
		if (!parent_len)
			t_resize_faults(&t, sizes[i], FAULT_ANY_CHANGE, ENOSPC);
		t_resize_end(&t);
	}
}

static void failure_of_any_operation_leaves_one_size_or_the_other(void)
{
	failures(VHDX_TYPE_DYNAMIC, 0);
	failures(VHDX_TYPE_FIXED, 0);
	failures(VHDX_TYPE_DIFFERENCING, 8 * MIB + 512);
}

static void failure_of_any_operation_while_the_bat_moves(void)
{
	begin(VHDX_TYPE_DYNAMIC, 123 * GIB + 512, 0);
	t_resize_open(&t, VHDX_OPEN_WRITE);
	t_resize_put(&t, 123 * GIB, 512);
	t_resize_close(&t);
	t_resize_faults(&t, 129 * GIB, FAULT_ANY, EIO);
	t_resize_faults(&t, 129 * GIB, FAULT_ANY_CHANGE, ENOSPC);
	t_resize_end(&t);
}

static void running_out_of_memory_changes_nothing(void)
{
	begin_small(VHDX_TYPE_FIXED, 0);
	t_resize_no_memory(&t, 9 * MIB + 512);
	t_resize_no_memory(&t, 3 * MIB + 512);
	t_resize_end(&t);
}

static const struct t_test tests[] = {
	T_TEST(running_out_of_memory_changes_nothing),
	T_TEST(dynamic_disk_grows_and_shrinks),
	T_TEST(fixed_disk_grows_and_shrinks),
	T_TEST(child_grows_and_shrinks_over_a_smaller_parent),
	T_TEST(child_grows_and_shrinks_under_a_larger_parent),
	T_TEST(garbage_behind_the_end_never_appears),
	T_TEST(stale_entries_behind_the_end_never_appear),
	T_TEST(parent_is_not_seen_where_it_was_not),
	T_TEST(unknown_parent_counts_as_large_enough),
	T_TEST(writes_and_resizes_of_one_session_go_together),
	T_TEST(bat_moves_and_its_old_place_is_used_again),
	T_TEST(largest_bat_is_a_hole),
	T_TEST(child_has_room_for_its_bitmaps),
	T_TEST(large_fixed_disk_grows_with_another_bat),
	T_TEST(shrink_of_many_entries_takes_several_log_entries),
	T_TEST(shrinking_gives_space_back),
	T_TEST(full_host_leaves_a_fixed_disk_as_it_was),
	T_TEST(sizes_that_cannot_be_are_refused),
	T_TEST(power_failures_of_a_dynamic_disk),
	T_TEST(power_failures_of_a_fixed_disk),
	T_TEST(power_failures_of_a_child),
	T_TEST(power_failures_while_the_bat_moves),
	T_TEST(power_failures_while_a_childs_bat_moves),
	T_TEST(power_failures_of_a_shrink_in_steps),
	T_TEST(failure_of_any_operation_leaves_one_size_or_the_other),
	T_TEST(failure_of_any_operation_while_the_bat_moves),
	T_END
};

const struct t_suite t_suite_vhdx_resize = { "vhdx_resize", tests };
