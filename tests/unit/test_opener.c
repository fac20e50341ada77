/* SPDX-License-Identifier: MIT */
/* What the default opener does with names and small files. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"
#include "t.h"

static struct loop *loop;
static char path[128];
static const struct opener *o = &opener_default;

static void setup(void)
{
	T_OK(loop_new(&loop, &t_err));
	snprintf(path, sizeof(path), "%s/journal", t_tmpdir());
	(void)unlink(path);
}

static int put(const char *text)
{
	return o->put(o, loop, path, text, strlen(text), &t_err);
}

static bool holds(const char *text)
{
	char *data;
	size_t len;
	bool same;

	T_OK(o->get(o, loop, path, 100, &data, &len, NULL, &t_err));
	same = len == strlen(text) && strcmp(data, text) == 0;
	mem_free(data);
	return same;
}

static void what_is_put_is_got(void)
{
	setup();
	T_OK(put("one"));
	T_TRUE(holds("one"));
	loop_free(loop);
}

static void put_replaces_the_whole(void)
{
	setup();
	T_OK(put("a long first text"));
	T_OK(put("short"));
	T_TRUE(holds("short"));
	loop_free(loop);
}

static void an_empty_file_is_got_as_an_empty_text(void)
{
	setup();
	T_OK(put(""));
	T_TRUE(holds(""));
	loop_free(loop);
}

static void a_missing_file_is_not_found(void)
{
	char *data;
	size_t len;

	setup();
	T_FAILS(o->get(o, loop, path, 100, &data, &len, NULL, &t_err),
		VHDX_E_NOTFOUND, path);
	T_TRUE(data == NULL);
	T_FAILS(o->remove(o, path, &t_err), VHDX_E_NOTFOUND, path);
	loop_free(loop);
}

static void a_file_that_all_may_write_is_foreign(void)
{
	bool foreign = true;
	char *data;
	size_t len;

	setup();
	T_OK(o->put(o, loop, path, "x", 1, &t_err));
	T_OK(o->get(o, loop, path, 9, &data, &len, &foreign, &t_err));
	mem_free(data);
	T_TRUE(!foreign);
	T_EQ_U64(chmod(path, 0666), 0);
	T_OK(o->get(o, loop, path, 9, &data, &len, &foreign, &t_err));
	mem_free(data);
	T_TRUE(foreign);
	T_OK(o->remove(o, path, &t_err));
	loop_free(loop);
}

static void a_longer_file_than_allowed_is_refused(void)
{
	char *data;
	size_t len;

	setup();
	T_OK(put("12345"));
	T_OK(o->get(o, loop, path, 5, &data, &len, NULL, &t_err));
	mem_free(data);
	T_FAILS(o->get(o, loop, path, 4, &data, &len, NULL, &t_err),
		VHDX_E_RANGE,
		"has 5 bytes, at most 4");
	T_TRUE(data == NULL);
	loop_free(loop);
}

static void removed_is_gone(void)
{
	struct stat st;

	setup();
	T_OK(put("one"));
	T_OK(o->remove(o, path, &t_err));
	T_TRUE(stat(path, &st) != 0);
	loop_free(loop);
}

static void put_into_no_folder_leaves_nothing(void)
{
	setup();
	snprintf(path, sizeof(path), "%s/none/journal", t_tmpdir());
	T_FAILS(put("x"), VHDX_E_NOTFOUND, "none/journal");
	T_FAILS(o->remove(o, path, &t_err), VHDX_E_NOTFOUND, "its folder");
	loop_free(loop);
}

static void free_space_is_the_file_systems(void)
{
	uint64_t len;

	setup();
	len = o->free_len(o, path); /* which is not there: its folder counts */
	T_TRUE(len > 0 && len < UINT64_MAX);
	T_EQ_U64(o->free_len(o, "/proc/self/x"), UINT64_MAX);
	loop_free(loop);
}

const struct t_suite t_suite_opener = {
	"opener",
	(const struct t_test[]){
		T_TEST(what_is_put_is_got),
		T_TEST(put_replaces_the_whole),
		T_TEST(an_empty_file_is_got_as_an_empty_text),
		T_TEST(a_missing_file_is_not_found),
		T_TEST(a_file_that_all_may_write_is_foreign),
	T_TEST(a_longer_file_than_allowed_is_refused),
		T_TEST(removed_is_gone),
		T_TEST(put_into_no_folder_leaves_nothing),
		T_TEST(free_space_is_the_file_systems),
		T_END,
	},
};
