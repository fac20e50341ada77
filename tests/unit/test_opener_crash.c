/* SPDX-License-Identifier: MIT */
/* The laws N1..N4 of opener_crash.h: which names, and which contents together,
 * a power failure may leave. */
#include <errno.h>
#include <string.h>

#include "mem.h"
#include "opener_crash.h"
#include "t.h"

static struct loop *loop;
static struct opener_crash o;

/* Files /d/a and /d/b with the one byte of their name in them. */
static void begin(void)
{
	struct crash_tree t = { 0 };

	T_OK(loop_new(&loop, &t_err));
	memimg_write(crash_tree_add(&t, "/d/a"), 0, "a", 1);
	memimg_write(crash_tree_add(&t, "/d/b"), 0, "b", 1);
	opener_crash_init(&o, NULL, &t);
	crash_tree_free(&t);
}

static void end(void)
{
	opener_crash_fini(&o);
	loop_free(loop);
}

static int open_file(const char *path, unsigned flags, struct file **out)
{
	return o.opener.open(&o.opener, loop, path, flags, out, &t_err);
}

static int drop(const char *path)
{
	return o.opener.remove(&o.opener, path, &t_err);
}

static int put(const char *path, const char *text)
{
	return o.opener.put(&o.opener, loop, path, text, strlen(text), &t_err);
}

/* "a=x b=y": names without the folder, in order, with their content. */
static const char *show(struct crash_tree *t)
{
	static char text[256];

	text[0] = '\0';
	for (char c = 'a'; c <= 'z'; c++) {
		const char path[] = { '/', 'd', '/', c, '\0' };
		struct memimg *m = crash_tree_find(t, path);
		char word[32] = { *text ? ' ' : c, *text ? c : '=',
				  *text ? '=' : '\0' };

		if (!m)
			continue;
		memimg_read(m, 0, word + strlen(word), (size_t)m->size);
		strcat(text, word);
	}
	crash_tree_free(t);
	return text;
}

static const char *now(void)
{
	struct crash_tree t;

	opener_crash_now(&o, &t);
	return show(&t);
}

static const char *state(uint64_t k, uint64_t number)
{
	struct crash_tree t;

	opener_crash_build(&o, k, number, &t);
	return show(&t);
}

/* All that may be at k, as a set: exactly these `cnt`. */
static bool exactly(uint64_t k, const char *const *want, unsigned cnt)
{
	uint64_t rng = 1, n = opener_crash_state_cnt(&o, k, 64);
	bool seen[16] = { false }, all = true;

	for (uint64_t i = 0; i < n; i++) {
		const char *s = state(k, opener_crash_state(&o, k, i, &rng));
		unsigned j = 0;

		while (j < cnt && strcmp(s, want[j]) != 0)
			j++;
		if (j == cnt)
			printf("\n  unexpected: %s\n", s);
		all = all && j < cnt;
		seen[j] = true;
	}
	for (unsigned j = 0; j < cnt; j++)
		all = all && seen[j];
	return all;
}
#define EXACTLY(k, ...) \
	T_TRUE(exactly(k, (const char *const[]){ __VA_ARGS__ }, \
		sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))

static void a_name_removed_is_gone_for_good(void)
{
	char names[OPENER_CRASH_MAX][OPENER_CRASH_PATH];

	begin();
	T_OK(drop("/d/a"));
	T_EQ_U64(opener_crash_list(&o, names), 1);
	CU_ASSERT_STRING_EQUAL(names[0], "/d/b");
	CU_ASSERT_STRING_EQUAL(now(), "b=b");
	EXACTLY(0, "a=a b=b");
	EXACTLY(1, "a=a b=b", "b=b");
	EXACTLY(2, "b=b");
	T_FAILS(drop("/d/a"), VHDX_E_NOTFOUND, "/d/a");
	end();
}

static void a_put_file_is_the_old_or_the_new_whole(void)
{
	begin();
	T_OK(put("/d/b", "xyz"));
	EXACTLY(1, "a=a b=b", "a=a b=xyz");
	EXACTLY(2, "a=a b=xyz");
	T_OK(put("/d/c", "c"));
	EXACTLY(3, "a=a b=xyz", "a=a b=xyz c=c");
	EXACTLY(4, "a=a b=xyz c=c");
	end();
}

static void put_comes_back_by_get(void)
{
	char *data;
	size_t len;

	begin();
	T_OK(put("/d/c", "xyz"));
	T_OK(o.opener.get(&o.opener, loop, "/d/./c", 3, &data, &len, NULL,
			  &t_err));
	T_EQ_U64(len, 3);
	CU_ASSERT_STRING_EQUAL(data, "xyz");
	mem_free(data);
	T_FAILS(o.opener.get(&o.opener, loop, "/d/c", 2, &data, &len, NULL,
			     &t_err),
		VHDX_E_RANGE, "has 3 bytes");
	T_FAILS(o.opener.get(&o.opener, loop, "/d/x", 2, &data, &len, NULL,
			     &t_err),
		VHDX_E_NOTFOUND, "/d/x");
	end();
}

static void unsynced_removal_is_open_until_the_folder_is_synced(void)
{
	begin();
	o.fault = (struct fault_rule){ FAULT_REMOVE, 1, EIO, false,
				       FAULT_DONE };
	T_FAILS(drop("/d/a"), VHDX_E_IO, "/d/a: was removed, but");
	CU_ASSERT_STRING_EQUAL(now(), "b=b");
	EXACTLY(1, "a=a b=b", "b=b");
	T_OK(put("/d/c", "c"));
	EXACTLY(2, "a=a b=b", "b=b", "a=a b=b c=c", "b=b c=c");
	EXACTLY(3, "b=b c=c");
	end();
}

static void created_name_may_be_lost(void)
{
	struct file *f;

	begin();
	T_OK(open_file("/d/c", OPENER_CREATE | OPENER_WRITE, &f));
	T_OK(file_write(f, 0, "c", 1, &t_err));
	T_OK(file_sync(f, &t_err));
	file_close(f);
	EXACTLY(crash_now(o.world), "a=a b=b", "a=a b=b c=c");
	T_FAILS(open_file("/d/c", OPENER_CREATE | OPENER_WRITE, &f),
		VHDX_E_EXISTS, "/d/c");
	end();
}

static void open_file_outlives_its_name(void)
{
	struct file *f;
	char c;

	begin();
	T_OK(open_file("/d/a", OPENER_WRITE, &f));
	T_OK(drop("/d/a"));
	T_OK(put("/d/a", "new"));
	T_OK(file_write(f, 0, "A", 1, &t_err));
	T_OK(file_read(f, 0, &c, 1, &t_err));
	T_EQ_U64(c, 'A');
	CU_ASSERT_STRING_EQUAL(now(), "a=new b=b");
	file_close(f);
	end();
}

static void one_writer_or_many_readers(void)
{
	struct file *r1, *r2, *w;

	begin();
	T_OK(open_file("/d/a", 0, &r1));
	T_OK(open_file("/d/a", 0, &r2));
	T_FAILS(open_file("/d/a", OPENER_WRITE, &w), VHDX_E_BUSY, "in use");
	T_FAILS(put("/d/a", "x"), VHDX_E_BUSY, "in use");
	file_close(r1);
	file_close(r2);
	T_OK(open_file("/d/a", OPENER_WRITE, &w));
	T_FAILS(open_file("/d/a", 0, &r1), VHDX_E_BUSY, "being written");
	T_OK(open_file("/d/a", OPENER_NOLOCK, &r1));
	T_EQ_U64(opener_crash_open_cnt(&o), 2);
	file_close(r1);
	file_close(w);
	end();
}

static void files_lose_power_together(void)
{
	struct file *a, *b;

	begin();
	T_OK(open_file("/d/a", OPENER_WRITE, &a));
	T_OK(open_file("/d/b", OPENER_WRITE, &b));
	T_OK(file_write(a, 0, "A", 1, &t_err));
	T_OK(file_write(b, 0, "B", 1, &t_err));
	EXACTLY(crash_now(o.world), "a=a b=b", "a=A b=b", "a=a b=B",
		"a=A b=B");
	T_OK(file_sync(a, &t_err));
	EXACTLY(crash_now(o.world), "a=A b=b", "a=A b=B");
	T_OK(drop("/d/b"));
	EXACTLY(crash_now(o.world), "a=A");
	file_close(a);
	file_close(b);
	end();
}

static void a_number_is_one_state(void)
{
	static const char text[] = "0123456789abcdefghij";
	struct file *f;

	begin();
	T_OK(open_file("/d/a", OPENER_WRITE, &f));
	for (uint64_t i = 0; i < 20; i++)
		T_OK(file_write(f, i, &text[i], 1, &t_err));
	file_close(f);
	for (uint64_t n = 0; n < 40; n++) {
		char first[64];

		strcpy(first, state(crash_now(o.world), n));
		CU_ASSERT_STRING_EQUAL(state(crash_now(o.world), n), first);
	}
	end();
}

static void failures_are_counted_over_all_files_and_opens(void)
{
	struct file *f;

	begin();
	o.fault = (struct fault_rule){ 1u << FILE_WRITE, 3, ENOSPC, false,
				       FAULT_NOTHING };
	for (int i = 0; i < 2; i++) {
		T_OK(open_file(i ? "/d/b" : "/d/a", OPENER_WRITE, &f));
		T_OK(file_write(f, 0, "x", 1, &t_err));
		file_close(f);
	}
	T_OK(open_file("/d/a", OPENER_WRITE, &f));
	T_FAILS(file_write(f, 0, "y", 1, &t_err), VHDX_E_NOSPC, "/d/a");
	file_close(f);
	T_EQ_U64(o.failed_cnt, 1);
	CU_ASSERT_STRING_EQUAL(o.failed_path, "/d/a");
	CU_ASSERT_STRING_EQUAL(now(), "a=x b=x");
	end();
}

static void failures_can_be_those_of_one_file(void)
{
	struct file *f;

	begin();
	o.fault_path = "/d/b";
	o.fault = (struct fault_rule){ FAULT_OPEN | FAULT_PUT, 2, EIO, true,
				       FAULT_NOTHING };
	T_OK(open_file("/d/b", 0, &f));
	file_close(f);
	T_OK(put("/d/a", "x"));
	T_FAILS(put("/d/b", "x"), VHDX_E_IO, "/d/b: write: injected");
	T_FAILS(open_file("/d/b", 0, &f), VHDX_E_IO, "/d/b: open");
	CU_ASSERT_STRING_EQUAL(now(), "a=x b=b");
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_name_removed_is_gone_for_good),
	T_TEST(a_put_file_is_the_old_or_the_new_whole),
	T_TEST(put_comes_back_by_get),
	T_TEST(unsynced_removal_is_open_until_the_folder_is_synced),
	T_TEST(created_name_may_be_lost),
	T_TEST(open_file_outlives_its_name),
	T_TEST(one_writer_or_many_readers),
	T_TEST(files_lose_power_together),
	T_TEST(a_number_is_one_state),
	T_TEST(failures_are_counted_over_all_files_and_opens),
	T_TEST(failures_can_be_those_of_one_file),
	T_END,
};
const struct t_suite t_suite_opener_crash = { "opener_crash", tests };
