/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "newfile.h"
#include "t.h"

struct fixture {
	struct loop *loop;
	char dir[96];
	char path[128];
	struct newfile *n;
	struct file *file;
};

static struct fixture fx;

static void setup(void)
{
	memset(&fx, 0, sizeof(fx));
	T_OK(loop_new(&fx.loop, &t_err));
	snprintf(fx.dir, sizeof(fx.dir), "%s", t_tmpdir());
	snprintf(fx.path, sizeof(fx.path), "%s/disk.vhdx", fx.dir);
}

static int begin(bool force)
{
	return newfile_begin(fx.loop, fx.path, force, &fx.n, &fx.file, &t_err);
}

static void fill_and_close(const char *text)
{
	T_OK(file_write(fx.file, 0, text, strlen(text), &t_err));
	file_close(fx.file);
}

static void make_existing(const char *text)
{
	FILE *f = fopen(fx.path, "w");

	T_TRUE(f != NULL);
	fputs(text, f);
	fclose(f);
}

static bool content_is(const char *text)
{
	char buf[64] = "";
	FILE *f = fopen(fx.path, "r");
	size_t n;

	if (!f)
		return false;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	return n == strlen(text) && memcmp(buf, text, n) == 0;
}

static int entry_cnt(void)
{
	DIR *d = opendir(fx.dir);
	struct dirent *de;
	int cnt = 0;

	T_TRUE(d != NULL);
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0)
			cnt++;
	closedir(d);
	return cnt;
}

static void new_name_appears_at_commit_only(void)
{
	setup();
	T_OK(begin(false));
	fill_and_close("new");
	T_TRUE(access(fx.path, F_OK) != 0);
	T_OK(newfile_commit(fx.n, &t_err));
	T_TRUE(content_is("new"));
	T_EQ_U64(entry_cnt(), 1);
	loop_free(fx.loop);
}

static void abort_leaves_nothing(void)
{
	setup();
	T_OK(begin(false));
	fill_and_close("new");
	newfile_abort(fx.n);
	T_EQ_U64(entry_cnt(), 0);
	loop_free(fx.loop);
}

static void abort_before_close_leaves_nothing(void)
{
	setup();
	T_OK(begin(false));
	newfile_abort(fx.n);
	fill_and_close("new");
	T_EQ_U64(entry_cnt(), 0);
	loop_free(fx.loop);
}

static void existing_name_is_refused_at_begin(void)
{
	setup();
	make_existing("old");
	T_FAILS(begin(false), VHDX_E_EXISTS, "disk.vhdx: exists already");
	T_TRUE(content_is("old"));
	loop_free(fx.loop);
}

static void name_taken_meanwhile_is_not_overwritten(void)
{
	setup();
	T_OK(begin(false));
	fill_and_close("new");
	make_existing("other");
	T_FAILS(newfile_commit(fx.n, &t_err), VHDX_E_EXISTS, "exists already");
	T_TRUE(content_is("other"));
	T_EQ_U64(entry_cnt(), 1);
	loop_free(fx.loop);
}

static void force_replaces_at_commit_only(void)
{
	setup();
	make_existing("old");
	T_OK(begin(true));
	fill_and_close("new");
	T_TRUE(content_is("old"));
	T_OK(newfile_commit(fx.n, &t_err));
	T_TRUE(content_is("new"));
	T_EQ_U64(entry_cnt(), 1);
	loop_free(fx.loop);
}

static void force_aborted_keeps_the_old_file(void)
{
	setup();
	make_existing("old");
	T_OK(begin(true));
	fill_and_close("new");
	newfile_abort(fx.n);
	T_TRUE(content_is("old"));
	T_EQ_U64(entry_cnt(), 1);
	loop_free(fx.loop);
}

static void force_without_an_old_file_is_plain_creation(void)
{
	setup();
	T_OK(begin(true));
	fill_and_close("new");
	T_OK(newfile_commit(fx.n, &t_err));
	T_TRUE(content_is("new"));
	loop_free(fx.loop);
}

static void force_refuses_an_image_in_use(void)
{
	struct file *reader;

	setup();
	make_existing("old");
	T_OK(opener_default.open(&opener_default, fx.loop, fx.path, 0, &reader,
				 &t_err));
	T_FAILS(begin(true), VHDX_E_BUSY, "is in use by");
	T_EQ_U64(entry_cnt(), 1);
	file_close(reader);
	loop_free(fx.loop);
}

static void old_file_cannot_be_opened_while_it_is_being_replaced(void)
{
	struct file *other;

	setup();
	make_existing("old");
	T_OK(begin(true));
	T_FAILS(opener_default.open(&opener_default, fx.loop, fx.path, 0,
				    &other, &t_err), VHDX_E_BUSY, "");
	file_close(fx.file);
	newfile_abort(fx.n);
	T_OK(opener_default.open(&opener_default, fx.loop, fx.path,
				 OPENER_WRITE, &other, &t_err));
	file_close(other);
	loop_free(fx.loop);
}

static void force_through_a_link_replaces_what_it_points_to(void)
{
	char real[160];
	struct stat st;

	setup();
	make_existing("old");
	snprintf(real, sizeof(real), "%s/real.vhdx", fx.dir);
	T_TRUE(rename(fx.path, real) == 0 && symlink(real, fx.path) == 0);
	T_OK(begin(true));
	fill_and_close("new");
	T_OK(newfile_commit(fx.n, &t_err));
	T_TRUE(lstat(fx.path, &st) == 0 && S_ISLNK(st.st_mode));
	T_TRUE(content_is("new"));
	T_EQ_U64(entry_cnt(), 2);
	loop_free(fx.loop);
}

static void what_is_not_a_file_is_not_replaced(void)
{
	setup();
	T_TRUE(mkdir(fx.path, 0700) == 0);
	T_FAILS(begin(true), VHDX_E_INVAL, "is a directory, not");
	snprintf(fx.path, sizeof(fx.path), "%s/", fx.dir);
	T_FAILS(begin(true), VHDX_E_INVAL, "is not the name of a file");
	snprintf(fx.path, sizeof(fx.path), "%s/no/disk.vhdx", fx.dir);
	T_FAILS(begin(true), VHDX_E_NOTFOUND, "open its folder");
	loop_free(fx.loop);
}

static void new_file_is_locked_from_commit_back_to_begin(void)
{
	struct file *other;

	setup();
	newfile_no_tmpfile_for_tests(true);
	T_OK(begin(false));
	newfile_no_tmpfile_for_tests(false);

	DIR *d = opendir(fx.dir);
	struct dirent *de;
	char tmp[512] = "";

	while ((de = readdir(d)))
		if (strncmp(de->d_name, ".disk.vhdx.", 11) == 0)
			snprintf(tmp, sizeof(tmp), "%s/%s", fx.dir, de->d_name);
	closedir(d);
	T_FAILS(opener_default.open(&opener_default, fx.loop, tmp, 0, &other,
				    &t_err), VHDX_E_BUSY, "");
	file_close(fx.file);
	T_FAILS(opener_default.open(&opener_default, fx.loop, tmp, 0, &other,
				    &t_err), VHDX_E_BUSY, "");
	newfile_abort(fx.n);
	T_EQ_U64(entry_cnt(), 0);
	loop_free(fx.loop);
}

static int open_fd_cnt(void)
{
	int cnt = 0;

	for (int fd = 0; fd < 64; fd++)
		cnt += fcntl(fd, F_GETFD) >= 0;
	return cnt;
}

static void running_out_of_memory_leaves_nothing(void)
{
	uint64_t n = 1, live;
	int fds, rc;

	setup();
	make_existing("old");
	live = mem_live_cnt();
	fds = open_fd_cnt();
	for (;; n++) {
		(void)mem_fail_nth(n);
		rc = begin(true);
		(void)mem_fail_nth(0);
		if (rc == 0)
			break;
		T_EQ_U64(rc, VHDX_E_NOMEM);
		T_EQ_U64(mem_live_cnt(), live);
		T_EQ_U64(open_fd_cnt(), fds);
	}
	T_TRUE(n > 3);
	fill_and_close("new");
	T_OK(newfile_commit(fx.n, &t_err));
	T_TRUE(content_is("new"));
	T_EQ_U64(open_fd_cnt(), fds);
	loop_free(fx.loop);
}

/* The claims that matter, where the host has no unnamed files. */
static void all_of_it_works_without_o_tmpfile(void)
{
	newfile_no_tmpfile_for_tests(true);
	new_name_appears_at_commit_only();
	abort_leaves_nothing();
	name_taken_meanwhile_is_not_overwritten();
	force_replaces_at_commit_only();
	force_aborted_keeps_the_old_file();
	newfile_no_tmpfile_for_tests(false);
}

static const struct t_test tests[] = {
	T_TEST(new_name_appears_at_commit_only),
	T_TEST(abort_leaves_nothing),
	T_TEST(abort_before_close_leaves_nothing),
	T_TEST(existing_name_is_refused_at_begin),
	T_TEST(name_taken_meanwhile_is_not_overwritten),
	T_TEST(force_replaces_at_commit_only),
	T_TEST(force_aborted_keeps_the_old_file),
	T_TEST(force_without_an_old_file_is_plain_creation),
	T_TEST(force_refuses_an_image_in_use),
	T_TEST(old_file_cannot_be_opened_while_it_is_being_replaced),
	T_TEST(force_through_a_link_replaces_what_it_points_to),
	T_TEST(what_is_not_a_file_is_not_replaced),
	T_TEST(new_file_is_locked_from_commit_back_to_begin),
	T_TEST(running_out_of_memory_leaves_nothing),
	T_TEST(all_of_it_works_without_o_tmpfile),
	T_END,
};

const struct t_suite t_suite_newfile = { "newfile", tests };
