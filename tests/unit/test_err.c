/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <errno.h>
#include <string.h>

#include "err.h"

static int raise_here(struct vhdx_err *e, int *line)
{
	*line = __LINE__ + 1;
	return err_set(e, VHDX_E_BUSY, "in use by %s", "qemu");
}

static void set_returns_the_code_and_says_where(void)
{
	int line;

	T_FAILS(raise_here(&t_err, &line), VHDX_E_BUSY, "in use by qemu");
	T_EQ_U64(t_err.code, VHDX_E_BUSY);
	T_EQ_U64(t_err.line, line);
	T_TRUE(strcmp(t_err.func, "raise_here") == 0);
	T_EQ_U64(t_err.off, ERR_NO_OFF);
	T_EQ_U64(t_err.obj, VHDX_OBJ_NONE);
	T_EQ_U64(t_err.sys_errno, 0);
	T_TRUE(strcmp(t_err.spec, "") == 0);
}

static void null_still_returns_the_code(void)
{
	int line;

	T_EQ_U64(raise_here(NULL, &line), VHDX_E_BUSY);
	T_EQ_U64(err_sys(NULL, ENOSPC, "x"), VHDX_E_NOSPC);
	T_EQ_U64(err_wrap(NULL, VHDX_E_IO, "x"), VHDX_E_IO);
	T_EQ_U64(err_copy(NULL, &t_err, VHDX_E_IO), VHDX_E_IO);
	err_clear(NULL);
}

static void corrupt_carries_object_offset_and_section(void)
{
	T_FAILS(err_corrupt(&t_err, VHDX_OBJ_BAT, 0x300008, "2.5.1",
			    "entry %u: state 4", 1u),
		VHDX_E_CORRUPT, "entry 1: state 4");
	T_EQ_U64(t_err.obj, VHDX_OBJ_BAT);
	T_EQ_U64(t_err.off, 0x300008);
	T_TRUE(strcmp(t_err.spec, "2.5.1") == 0);
}

static void obj_takes_any_code(void)
{
	T_FAILS(err_obj(&t_err, VHDX_E_UNSUPPORTED, VHDX_OBJ_META, 7, "2.6",
			"item"),
		VHDX_E_UNSUPPORTED, "item");
	T_EQ_U64(t_err.obj, VHDX_OBJ_META);
}

static void sys_appends_the_reason_and_keeps_errno(void)
{
	T_FAILS(err_sys(&t_err, EIO, "writing %s", "a.vhdx"), VHDX_E_IO,
		"writing a.vhdx: Input/output error");
	T_EQ_U64(t_err.sys_errno, EIO);
}

static void errno_chooses_what_the_caller_may_do(void)
{
	static const int want[][2] = {
		{ EACCES, VHDX_E_PERM },     { EPERM, VHDX_E_PERM },
		{ EROFS, VHDX_E_READONLY },  { ENOENT, VHDX_E_NOTFOUND },
		{ EEXIST, VHDX_E_EXISTS },   { ENOSPC, VHDX_E_NOSPC },
		{ EDQUOT, VHDX_E_NOSPC },    { EFBIG, VHDX_E_NOSPC },
		{ ENOMEM, VHDX_E_NOMEM },    { EIO, VHDX_E_IO },
		{ EINVAL, VHDX_E_IO },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		T_EQ_U64(err_code_of_errno(want[i][0]), want[i][1]);
}

static void wrap_adds_in_front_and_keeps_the_rest(void)
{
	int code = err_corrupt(&t_err, VHDX_OBJ_LOG, 5, "2.3", "bad");

	T_FAILS(err_wrap(&t_err, code, "opening %s", "p.vhdx"),
		VHDX_E_CORRUPT, "opening p.vhdx: bad");
	T_EQ_U64(t_err.obj, VHDX_OBJ_LOG);
	T_EQ_U64(t_err.off, 5);
}

static void overlong_text_is_cut_and_terminated(void)
{
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	T_EQ_U64(err_set(&t_err, VHDX_E_IO, "%s", big), VHDX_E_IO);
	T_EQ_U64(strlen(t_err.text), sizeof(t_err.text) - 1);
	T_EQ_U64(err_wrap(&t_err, VHDX_E_IO, "outer"), VHDX_E_IO);
	T_EQ_U64(strlen(t_err.text), sizeof(t_err.text) - 1);
	T_TRUE(strncmp(t_err.text, "outer: xxx", 10) == 0);
	T_TRUE(strcmp(t_err.text + sizeof(t_err.text) - 5, "x...") == 0);
}

static void control_bytes_never_reach_the_text(void)
{
	T_FAILS(err_set(&t_err, VHDX_E_IO, "a\nb\033[2Jc\x7f"), VHDX_E_IO,
		"a?b?[2Jc?");
}

static void arguments_may_point_into_the_same_error(void)
{
	T_EQ_U64(err_corrupt(&t_err, VHDX_OBJ_LOG, 0, "2.3.1", "inner"),
		 VHDX_E_CORRUPT);
	T_FAILS(err_obj(&t_err, VHDX_E_FAILED, VHDX_OBJ_LOG, 0, t_err.spec,
			"outer (%s)", t_err.text),
		VHDX_E_FAILED, "outer (inner)");
	T_TRUE(strcmp(t_err.spec, "2.3.1") == 0);
}

static void copy_without_source_is_a_bare_code(void)
{
	struct vhdx_err e;

	T_EQ_U64(err_set(&t_err, VHDX_E_IO, "why"), VHDX_E_IO);
	T_EQ_U64(err_copy(&e, &t_err, VHDX_E_IO), VHDX_E_IO);
	T_TRUE(strcmp(e.text, "why") == 0);
	T_EQ_U64(err_copy(&e, NULL, VHDX_E_CANCELED), VHDX_E_CANCELED);
	T_EQ_U64(e.code, VHDX_E_CANCELED);
	T_TRUE(strcmp(e.text, "") == 0);
}

static void every_code_and_object_has_a_name(void)
{
	for (int c = VHDX_OK; c <= VHDX_E_PERM; c++)
		T_TRUE(strcmp(vhdx_code_name(c), "?") != 0);
	for (unsigned o = VHDX_OBJ_NONE; o <= VHDX_OBJ_DEVICE; o++)
		T_TRUE(strcmp(vhdx_obj_name((enum vhdx_obj)o), "?") != 0);
	T_TRUE(strcmp(vhdx_code_name(VHDX_E_BUSY), "BUSY") == 0);
	T_TRUE(strcmp(vhdx_obj_name(VHDX_OBJ_BAT), "BAT") == 0);
	T_TRUE(strcmp(vhdx_format_name(VHDX_FORMAT_VHD), "vhd") == 0);
	T_TRUE(strcmp(vhdx_type_name(VHDX_TYPE_FIXED), "fixed") == 0);
}

static void unknown_numbers_are_named_too(void)
{
	T_TRUE(strcmp(vhdx_code_name(-1), "?") == 0);
	T_TRUE(strcmp(vhdx_code_name(1000), "?") == 0);
	T_TRUE(strcmp(vhdx_obj_name((enum vhdx_obj)99), "?") == 0);
	T_TRUE(strcmp(vhdx_format_name((enum vhdx_format)99), "?") == 0);
	T_TRUE(strcmp(vhdx_type_name((enum vhdx_type)99), "?") == 0);
}

static const struct t_test tests[] = {
	T_TEST(set_returns_the_code_and_says_where),
	T_TEST(null_still_returns_the_code),
	T_TEST(corrupt_carries_object_offset_and_section),
	T_TEST(obj_takes_any_code),
	T_TEST(sys_appends_the_reason_and_keeps_errno),
	T_TEST(errno_chooses_what_the_caller_may_do),
	T_TEST(wrap_adds_in_front_and_keeps_the_rest),
	T_TEST(overlong_text_is_cut_and_terminated),
	T_TEST(control_bytes_never_reach_the_text),
	T_TEST(arguments_may_point_into_the_same_error),
	T_TEST(copy_without_source_is_a_bare_code),
	T_TEST(every_code_and_object_has_a_name),
	T_TEST(unknown_numbers_are_named_too),
	T_END,
};

const struct t_suite t_suite_err = { "err", tests };
