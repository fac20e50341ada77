/* SPDX-License-Identifier: MIT */
/* A merge that was interrupted: what goes on with it, and what its journal is
 * not believed. */
#include <errno.h>
#include <string.h>

#include "mem.h"
#include "t.h"
#include "t_merge.h"

static int stop(void *arg, uint64_t done_len, uint64_t total_len)
{
	unsigned *left = arg;

	T_TRUE(done_len <= total_len);
	return (*left)-- == 0;
}

static void canceled_merge_goes_on(void)
{
	unsigned left = 0;

	tm_begin();
	tm_make_chain(2);
	tm.opts.depth = 2;
	tm.opts.progress.fn = stop;
	tm.opts.progress.arg = &left;
	T_FAILS(tm_merge(), VHDX_E_CANCELED, "the same command goes on");
	T_TRUE(t_chain_exists(&tm.c, "/m/leaf.merge"));
	tm_shows("/m/leaf");
	tm.opts.depth = 1;
	T_FAILS(tm_merge(), VHDX_E_INVAL, "2 levels deep");
	tm.opts.depth = 0;
	tm.opts.progress.fn = NULL;
	T_OK(tm_merge());
	T_TRUE(tm.res.resumed);
	tm_shows("/m/base");
	T_TRUE(!t_chain_exists(&tm.c, "/m/one"));
	tm_end();
}

static void cancel(const char *child)
{
	unsigned left = 0;

	tm.opts.progress.fn = stop;
	tm.opts.progress.arg = &left;
	T_FAILS(tm_merge_of(child), VHDX_E_CANCELED, "");
	tm.opts.progress.fn = NULL;
}

/* The merge stops when all is copied, at the first file that is to go. */
static void stop_before_links(void)
{
	tm.c.oc.fault = (struct fault_rule){ .ops = FAULT_REMOVE, .nth = 1,
					   .sys_errno = EIO };
	T_FAILS(tm_merge(), VHDX_E_IO, "the same command goes on");
	tm.c.oc.fault = (struct fault_rule){ 0 };
}

static void file_in_between_is_not_shown_without_a_word(void)
{
	char said[512] = "";
	struct chain_opts co = { .msg = tm_note, .msg_arg = said };
	struct chain *c;

	tm_begin();
	tm_make_chain(2);
	tm.opts.depth = 2;
	tm.c.oc.fault = (struct fault_rule){ .ops = FAULT_PUT, .nth = 2,
					   .sys_errno = EIO };
	T_FAILS(tm_merge(), VHDX_E_IO, "/m/leaf.merge");
	T_OK(chain_open(&tm.c.oc.opener, tm.c.loop, "/m/leaf", &co, &c,
			&t_err));
	T_OK(chain_close(c, &t_err));
	CU_ASSERT_STRING_EQUAL_FATAL(said, "");
	T_OK(chain_open(&tm.c.oc.opener, tm.c.loop, "/m/one", &co, &c,
			&t_err));
	T_OK(chain_close(c, &t_err));
	T_TRUE(strstr(said, "a mixture"));
	tm_end();
}

static void merge_that_waits_comes_before_others(void)
{
	tm_begin();
	tm_make_chain(3);
	tm.others[0] = "/m/leaf";
	tm.others[1] = "/m/two";
	tm.opts.depth = 3;
	cancel("/m/leaf");
	tm.opts.depth = 0;
	T_FAILS(tm_merge_of("/m/two"), VHDX_E_LINKAGE, "vhdtool merge /m/leaf");
	T_OK(tm_merge());
	tm_shows("/m/base");
	tm_end();
	tm_begin();
	tm_make_chain(3);
	tm.others[0] = "/m/leaf";
	cancel("/m/two");
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "vhdtool merge /m/two");
	tm.opts.depth = 3;
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "vhdtool merge /m/two");
	tm.opts.depth = 0;
	T_OK(tm_merge_of("/m/two"));
	T_OK(tm_merge());
	tm_shows("/m/one");
	tm_end();
}

static void what_was_written_in_between_is_merged_too(void)
{
	tm_begin();
	tm_make_chain(2);
	tm.opts.depth = 2;
	stop_before_links();
	tm_shows("/m/leaf");
	t_chain_write(&tm.c, "/m/leaf", 512, 1024, 77);
	t_fill(tm.want + 512, 1024, 77);
	T_OK(tm_merge());
	tm_shows("/m/base");
	T_TRUE(!t_chain_exists(&tm.c, "/m/one"));
	T_TRUE(!t_chain_exists(&tm.c, "/m/leaf"));
	tm_end();
}

static void changed_target_is_not_given_children(void)
{
	tm_begin();
	tm_make_chain(1);
	stop_before_links();
	t_chain_write(&tm.c, "/m/base", 512, 1024, 77);
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "/m/base");
	T_TRUE(t_chain_exists(&tm.c, "/m/leaf"));
	tm_end();
}

static void foreign_journal_is_refused(void)
{
	struct opener *op = &tm.c.oc.opener;

	tm_begin();
	tm_make_chain(1);
	T_OK(op->put(op, tm.c.loop, "/m/leaf.merge", "hello\n", 6, &t_err));
	T_FAILS(tm_merge(), VHDX_E_CORRUPT, "/m/leaf.merge");
	tm_shows("/m/leaf");
	tm_end();
}

/* /m/leaf on /x/one on /m/base, to be merged over both levels; what is copied
 * is copied. */
static void stop_with_a_layer_elsewhere(void)
{
	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_create(&tm.c, "/x/one", "/m/base", MIB, T_CHAIN_LEN);
	tm_fill_layer("/x/one", 1);
	t_chain_create(&tm.c, "/m/leaf", "/x/one", MIB, T_CHAIN_LEN);
	tm_fill_layer("/m/leaf", 2);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	tm.opts.depth = 2;
	stop_before_links();
}

static void foreign_journal_removes_nothing_outside_its_folder(void)
{
	stop_with_a_layer_elsewhere();
	tm.c.oc.foreign = true;
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "names /x/one");
	T_TRUE(t_chain_exists(&tm.c, "/x/one"));
	tm.opts.force = true;
	T_OK(tm_merge());
	T_TRUE(!t_chain_exists(&tm.c, "/x/one"));
	tm_shows("/m/base");
	tm_end();
}

static void own_journal_finishes_what_is_outside_its_folder(void)
{
	stop_with_a_layer_elsewhere();
	T_OK(tm_merge());
	T_TRUE(!t_chain_exists(&tm.c, "/x/one"));
	tm_shows("/m/base");
	tm_end();
}

static void journal_removes_no_file_but_the_one_it_knows(void)
{
	stop_with_a_layer_elsewhere();
	T_OK(tm.c.oc.opener.remove(&tm.c.oc.opener, "/x/one", &t_err));
	t_chain_create(&tm.c, "/x/one", NULL, MIB, T_CHAIN_LEN);
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "/x/one: has the id");
	T_TRUE(t_chain_exists(&tm.c, "/x/one"));
	tm_shows("/m/leaf");
	tm.opts.force = true;
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "/x/one: has the id");
	T_TRUE(t_chain_exists(&tm.c, "/x/one"));
	tm_end();
}

static void merge_removes_no_file_that_took_a_layers_name(void)
{
	tm_begin();
	tm_make_chain(3);
	tm.opts.depth = 3;
	stop_before_links();
	T_OK(tm.c.oc.opener.remove(&tm.c.oc.opener, "/m/two", &t_err));
	t_chain_create(&tm.c, "/m/two", NULL, MIB, T_CHAIN_LEN);
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "/m/two: has the id");
	T_TRUE(t_chain_exists(&tm.c, "/m/two"));
	tm_shows("/m/base");
	tm_shows("/m/leaf");
	tm_end();
}

static void journal_under_another_name_finishes_nothing(void)
{
	struct opener *op = &tm.c.oc.opener;
	size_t len;
	char *text;

	stop_with_a_layer_elsewhere();
	T_OK(op->get(op, tm.c.loop, "/m/leaf.merge", 4096, &text, &len, NULL,
		     &t_err));
	T_OK(op->put(op, tm.c.loop, "/m/other.merge", text, len, &t_err));
	mem_free(text);
	T_FAILS(tm_merge_of("/m/other"), VHDX_E_LINKAGE, "not of /m/other");
	T_TRUE(t_chain_exists(&tm.c, "/x/one"));
	tm_shows("/m/leaf");
	tm_end();
}

static const struct t_test tests[] = {
	T_TEST(canceled_merge_goes_on),
	T_TEST(file_in_between_is_not_shown_without_a_word),
	T_TEST(merge_that_waits_comes_before_others),
	T_TEST(what_was_written_in_between_is_merged_too),
	T_TEST(changed_target_is_not_given_children),
	T_TEST(foreign_journal_is_refused),
	T_TEST(foreign_journal_removes_nothing_outside_its_folder),
	T_TEST(own_journal_finishes_what_is_outside_its_folder),
	T_TEST(journal_removes_no_file_but_the_one_it_knows),
	T_TEST(merge_removes_no_file_that_took_a_layers_name),
	T_TEST(journal_under_another_name_finishes_nothing),
	T_END
};

const struct t_suite t_suite_merge_resume = { "merge_resume", tests };
