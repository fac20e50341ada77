/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "crc32c.h"
#include "mem.h"
#include "merge_journal.h"
#include "t.h"

static struct guid id_of(uint8_t n)
{
	struct guid g = { { n, 1, 2, 3 } };

	return g;
}

static void fill(struct merge_journal *j, const char *child)
{
	struct guid a = id_of(1), b = id_of(2), c = id_of(3);

	*j = (struct merge_journal){ .phase = MERGE_LINK, .keep = true };
	j->new_id = id_of(9);
	T_OK(merge_name_set(&j->child, child, &a, &t_err));
	T_OK(merge_name_set(&j->target, "/vm/base.vhdx", &b, &t_err));
	T_OK(merge_names_add(&j->layers, "/vm/one.vhdx", &c, &t_err));
	T_OK(merge_names_add(&j->layers, "/vm/two.vhdx", &a, &t_err));
	T_OK(merge_names_add(&j->grands, "/other/g.vhdx", &b, &t_err));
}

static void same_name(const struct merge_name *a, const struct merge_name *b)
{
	CU_ASSERT_STRING_EQUAL_FATAL(a->path, b->path);
	T_TRUE(guid_eq(&a->id, &b->id));
}

static void a_journal_survives_the_round_trip(void)
{
	struct merge_journal a, b;
	char *text;
	size_t len;

	fill(&a, "/vm/child.vhdx");
	T_OK(merge_journal_encode(&a, "/vm/", &text, &len, &t_err));
	T_OK(merge_journal_decode(text, len, "/vm/", &b, &t_err));
	T_TRUE(b.phase == MERGE_LINK && b.keep);
	T_TRUE(guid_eq(&a.new_id, &b.new_id));
	same_name(&a.child, &b.child);
	same_name(&a.target, &b.target);
	T_EQ_U64(b.layers.cnt, 2);
	same_name(&a.layers.v[1], &b.layers.v[1]);
	T_EQ_U64(b.grands.cnt, 1);
	same_name(&a.grands.v[0], &b.grands.v[0]);
	mem_free(text);
	merge_journal_free(&a);
	merge_journal_free(&b);
}

static void the_files_of_its_folder_may_be_moved_with_it(void)
{
	struct merge_journal a, b;
	char *text;
	size_t len;

	fill(&a, "/vm/child.vhdx");
	T_OK(merge_journal_encode(&a, "/vm/", &text, &len, &t_err));
	T_OK(merge_journal_decode(text, len, "new/", &b, &t_err));
	CU_ASSERT_STRING_EQUAL_FATAL(b.child.path, "new/child.vhdx");
	CU_ASSERT_STRING_EQUAL_FATAL(b.grands.v[0].path, "/other/g.vhdx");
	mem_free(text);
	merge_journal_free(&a);
	merge_journal_free(&b);
}

static void any_name_fits_into_a_line(void)
{
	static const char name[] = "/vm/a\nphase \\x0a \t\x7f\xc3\xa4 .vhdx";
	struct merge_journal a, b;
	char *text;
	size_t len;

	fill(&a, name);
	T_OK(merge_journal_encode(&a, "/vm/", &text, &len, &t_err));
	T_OK(merge_journal_decode(text, len, "/vm/", &b, &t_err));
	CU_ASSERT_STRING_EQUAL_FATAL(b.child.path, name);
	mem_free(text);
	merge_journal_free(&a);
	merge_journal_free(&b);
}

static void a_cut_or_changed_journal_is_refused(void)
{
	struct merge_journal a, b;
	char *text;
	size_t len;

	fill(&a, "/vm/child.vhdx");
	T_OK(merge_journal_encode(&a, "/vm/", &text, &len, &t_err));
	for (size_t i = 0; i < len; i++)
		T_TRUE(merge_journal_decode(text, i, "/vm/", &b, &t_err) != 0);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		T_TRUE(merge_journal_decode(text, len, "", &b, &t_err) != 0);
		text[i] ^= 1;
	}
	T_OK(merge_journal_decode(text, len, "/vm/", &b, &t_err));
	merge_journal_free(&b);
	mem_free(text);
	merge_journal_free(&a);
}

/* With a right checksum, so that the lines are looked at. */
static int decode(const char *lines)
{
	struct merge_journal j;
	char text[2048];
	int n = snprintf(text, sizeof(text), "%s", lines), rc;

	n += snprintf(text + n, sizeof(text) - (size_t)n, "crc32c %08x\n",
		      crc32c(0, text, (size_t)n));
	rc = merge_journal_decode(text, (size_t)n, "/f/", &j, &t_err);
	merge_journal_free(&j);
	return rc;
}

#define ID " 00000000-0000-0000-0000-000000000001"
#define HEAD "vhdkit merge journal 1\nphase copy\nkeep no\nnew" ID "\n"
#define NAMES "child" ID " c.vhdx\ntarget" ID " t.vhdx\n"

static void each_line_has_its_place(void)
{
	T_OK(decode(HEAD NAMES));
	T_OK(decode(HEAD NAMES "layer" ID " a\ngrandchild" ID " b\n"));
	T_FAILS(decode(HEAD NAMES "grandchild" ID " b\nlayer" ID " a\n"),
		VHDX_E_CORRUPT, "line 8");
	T_FAILS(decode(HEAD "child" ID " c.vhdx\n"), VHDX_E_CORRUPT, "line 6");
	T_FAILS(decode(HEAD "child" ID " \ntarget" ID " t\n"), VHDX_E_CORRUPT,
		"line 5");
	T_FAILS(decode(HEAD "child" ID " a\\x00b\ntarget" ID " t\n"),
		VHDX_E_CORRUPT, "line 5");
	T_FAILS(decode(HEAD "child" ID " a\\x62\ntarget" ID " t\n"),
		VHDX_E_CORRUPT, "line 5");
	T_FAILS(decode(HEAD "child 1234 a\ntarget" ID " t\n"), VHDX_E_CORRUPT,
		"line 5");
	T_FAILS(decode("vhdkit merge journal 1\nphase done\n"), VHDX_E_CORRUPT,
		"line 2");
	T_FAILS(decode("vhdkit merge journal 2\nphase copy\n"),
		VHDX_E_UNSUPPORTED, "another version");
}

static void a_path_has_an_end(void)
{
	struct merge_journal a, b;
	char path[MERGE_PATH_MAX + 8], *text;
	size_t len;

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	fill(&a, path);
	T_OK(merge_journal_encode(&a, "", &text, &len, &t_err));
	T_FAILS(merge_journal_decode(text, len, "", &b, &t_err),
		VHDX_E_CORRUPT, "too long");
	mem_free(text);
	merge_journal_free(&a);
}

static void running_out_of_memory_leaves_nothing(void)
{
	uint64_t live = mem_live_cnt(), n = 0;
	struct merge_journal a, b;
	char *text;
	size_t len;
	int rc;

	fill(&a, "/vm/child.vhdx");
	T_OK(merge_journal_encode(&a, "/vm/", &text, &len, &t_err));
	do {
		(void)mem_fail_nth(++n);
		rc = merge_journal_decode(text, len, "/vm/", &b, &t_err);
		(void)mem_fail_nth(0);
		T_TRUE(rc == 0 || rc == VHDX_E_NOMEM);
	} while (rc);
	T_TRUE(n > 5);
	merge_journal_free(&b);
	mem_free(text);
	merge_journal_free(&a);
	T_EQ_U64(mem_live_cnt(), live);
}

static const struct t_test tests[] = {
	T_TEST(a_journal_survives_the_round_trip),
	T_TEST(the_files_of_its_folder_may_be_moved_with_it),
	T_TEST(any_name_fits_into_a_line),
	T_TEST(a_cut_or_changed_journal_is_refused),
	T_TEST(each_line_has_its_place),
	T_TEST(a_path_has_an_end),
	T_TEST(running_out_of_memory_leaves_nothing),
	T_END
};

const struct t_suite t_suite_merge_journal = { "merge_journal", tests };
