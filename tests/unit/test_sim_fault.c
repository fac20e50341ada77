/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "file_fault.h"
#include "file_mem.h"
#include "t.h"

static struct loop *loop;
static struct memimg img;
static struct file_fault *fault;
static struct file *file;

static void begin(void)
{
	struct file *inner = NULL;

	img = (struct memimg){ 0 };
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "disk", &img, &inner, &t_err));
	T_OK(file_fault_new(inner, &fault, &t_err));
	file = &fault->w.file;
}

static void end(void)
{
	file_close(file);
	memimg_free(&img);
	loop_free(loop);
}

static void rule(unsigned ops, uint64_t nth, int en, bool sticky,
		 enum fault_extent extent)
{
	fault_set(fault, (struct fault_rule){ ops, nth, en, sticky, extent });
}

static void nth_operation_of_a_kind_fails_once(void)
{
	begin();
	rule(1u << FILE_WRITE, 2, EIO, false, FAULT_NOTHING);
	T_OK(file_write(file, 0, "a", 1, &t_err));
	T_OK(file_sync(file, &t_err));
	T_FAILS(file_write(file, 1, "b", 1, &t_err), VHDX_E_IO,
		"disk: injected failure: Input/output error");
	T_OK(file_write(file, 2, "c", 1, &t_err));
	T_EQ_U64(fault->failed_cnt, 1);
	end();
}

static void sticky_failure_goes_on(void)
{
	begin();
	rule(FAULT_ANY_CHANGE, 1, ENOSPC, true, FAULT_NOTHING);
	T_FAILS(file_write(file, 0, "a", 1, &t_err), VHDX_E_NOSPC, "");
	T_FAILS(file_truncate(file, 9, &t_err), VHDX_E_NOSPC, "");
	T_FAILS(file_zero(file, 0, 9, &t_err), VHDX_E_NOSPC, "");
	T_OK(file_sync(file, &t_err));
	rule(0, 0, 0, false, FAULT_NOTHING);
	T_OK(file_write(file, 0, "a", 1, &t_err));
	T_EQ_U64(fault->failed_cnt, 3);
	end();
}

static void failure_may_leave_nothing_half_or_all_done(void)
{
	static const enum fault_extent extents[] = { FAULT_NOTHING, FAULT_HALF,
						     FAULT_DONE };
	static const char *const left[] = { "", "ab", "abcd" };

	for (int i = 0; i < 3; i++) {
		char out[5] = "";

		begin();
		rule(FAULT_ANY, 1, EIO, false, extents[i]);
		T_FAILS(file_write(file, 0, "abcd", 4, &t_err), VHDX_E_IO, "");
		T_EQ_U64(file->size, strlen(left[i]));
		T_OK(file_read(file, 0, out, 4, &t_err));
		T_TRUE(strcmp(out, left[i]) == 0);
		end();
	}
}

static void operations_and_bytes_are_counted(void)
{
	char buf[10];

	begin();
	T_OK(file_write(file, 0, "abcd", 4, &t_err));
	T_OK(file_write(file, 4, "abcd", 4, &t_err));
	T_OK(file_sync(file, &t_err));
	T_OK(file_read(file, 0, buf, 10, &t_err));
	T_OK(file_truncate(file, 3, &t_err));
	T_EQ_U64(fault->cnt[FILE_WRITE], 2);
	T_EQ_U64(fault->bytes[FILE_WRITE], 8);
	T_EQ_U64(fault->cnt[FILE_SYNC], 1);
	T_EQ_U64(fault->bytes[FILE_READ], 10);
	T_EQ_U64(fault->cnt[FILE_TRUNCATE], 1);
	T_EQ_U64(fault->bytes[FILE_TRUNCATE], 0);
	T_EQ_U64(file->size, 3);
	end();
}

static const struct t_test tests[] = {
	T_TEST(nth_operation_of_a_kind_fails_once),
	T_TEST(sticky_failure_goes_on),
	T_TEST(failure_may_leave_nothing_half_or_all_done),
	T_TEST(operations_and_bytes_are_counted),
	T_END,
};

const struct t_suite t_suite_sim_fault = { "sim_fault", tests };
