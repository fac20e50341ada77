/* SPDX-License-Identifier: MIT */
/* vhdx_check() on real files: opening, locking, counting. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "damage.h"
#include "t.h"

static char path[256];

/* Leaves the file open for writing if `keep`. */
static void make(const char *name, const char *script, struct file **keep,
		 struct loop **loop)
{
	struct damage d;

	snprintf(path, sizeof(path), "%s/%s", t_tmpdir(), name);
	T_OK(loop_new(loop, &t_err));
	T_OK(opener_default.open(&opener_default, *loop, path,
				 OPENER_WRITE | OPENER_CREATE, keep, &t_err));
	T_OK(damage_begin(&d, *keep, &t_err));
	T_OK(damage_run(&d, script, &t_err));
}

static void make_closed(const char *name, const char *script)
{
	struct loop *l;
	struct file *f;

	make(name, script, &f, &l);
	file_close(f);
	loop_free(l);
}

static void count(void *arg, const struct vhdx_finding *f)
{
	unsigned *cnt = arg;

	CU_ASSERT(f->text[0] && f->spec);
	cnt[f->severity]++;
}

static void findings_and_counts_agree(void)
{
	struct vhdx_check_result r;
	unsigned cnt[3] = { 0 };

	make_closed("a.vhdx", "create\nput32 lss 7\nflip header1\n"
		    "item 00000000-0000-0000-0000-000000000009 128K 4 0");
	T_OK(vhdx_check(path, 0, count, cnt, &r, &t_err));
	T_EQ_U64(r.format, VHDX_FORMAT_VHDX);
	T_EQ_U64(r.errors, 2);
	T_EQ_U64(cnt[VHDX_SEV_ERROR], 2);
	T_EQ_U64(cnt[VHDX_SEV_NOTE], 1);
}

static void what_was_repaired_is_not_counted_as_wrong(void)
{
	struct vhdx_check_result r;

	make_closed("b.vhdx", "create\nflip header1");
	T_OK(vhdx_check(path, VHDX_CHECK_REPAIR, NULL, NULL, &r, &t_err));
	T_TRUE(r.errors == 0 && r.repaired == 1);
}

static void plain_check_needs_no_right_to_write(void)
{
	make_closed("c.vhdx", "create\ndirty 7\nentry 0 seq=2 bat=0:2");
	T_TRUE(chmod(path, 0444) == 0);
	T_OK(vhdx_check(path, 0, NULL, NULL, NULL, &t_err));
	T_OK(vhdx_check(path, VHDX_CHECK_REPAIR | VHDX_CHECK_DRY_RUN, NULL,
			NULL, NULL, &t_err));
}

static void file_in_use_is_busy(void)
{
	struct loop *l;
	struct file *f;

	make("d.vhdx", "create", &f, &l);
	T_FAILS(vhdx_check(path, 0, NULL, NULL, NULL, &t_err), VHDX_E_BUSY,
		"");
	file_close(f);
	T_OK(vhdx_check(path, 0, NULL, NULL, NULL, &t_err));
	loop_free(l);
}

static void name_without_content_is_an_error(void)
{
	struct vhdx_check_result r;

	make_closed("e.AVHDX", "truncate 5M");
	T_OK(vhdx_check(path, 0, NULL, NULL, &r, &t_err));
	T_TRUE(r.format == VHDX_FORMAT_RAW && r.errors == 1);
	make_closed("e.vhd", "truncate 5M");
	T_OK(vhdx_check(path, 0, NULL, NULL, &r, &t_err));
	T_EQ_U64(r.errors, 1);
}

static void raw_image_has_nothing_wrong(void)
{
	struct vhdx_check_result r;

	make_closed("f.img", "truncate 5M\nfill 64K 4096 0x55");
	T_OK(vhdx_check(path, 0, NULL, NULL, &r, &t_err));
	T_TRUE(r.errors == 0 && r.warnings == 0);
}

static void missing_file_is_not_found(void)
{
	T_FAILS(vhdx_check("/nowhere/a.vhdx", 0, NULL, NULL, NULL, &t_err),
		VHDX_E_NOTFOUND, "/nowhere/a.vhdx");
}

static const struct t_test tests[] = {
	T_TEST(findings_and_counts_agree),
	T_TEST(what_was_repaired_is_not_counted_as_wrong),
	T_TEST(plain_check_needs_no_right_to_write),
	T_TEST(file_in_use_is_busy),
	T_TEST(name_without_content_is_an_error),
	T_TEST(raw_image_has_nothing_wrong),
	T_TEST(missing_file_is_not_found),
	T_END
};

const struct t_suite t_suite_check_file = { "check_file", tests };
