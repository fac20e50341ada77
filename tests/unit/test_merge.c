/* SPDX-License-Identifier: MIT */
/* What a merge makes of a chain: content, links, names, and what it refuses.
 * /m/base <- /m/one <- /m/two <- /m/leaf <- /m/grand */
#include <errno.h>
#include <string.h>

#include "disk_set.h"
#include "mem.h"
#include "merge.h"
#include "t.h"
#include "t_chain.h"

static struct t_chain tc;
static struct vhdx_merge_result res;
static struct vhdx_merge_opts opts;
static uint8_t *want, *got; /* T_CHAIN_LEN bytes */
static const char *others[8];
static unsigned told[VHDX_MERGE_UNKNOWN + 1];
static uint64_t told_len;

static void on_file(void *arg, const struct vhdx_merge_file *f)
{
	(void)arg;
	told[f->role]++;
	told_len += f->data_len + f->zero_len;
}

static void begin(void)
{
	t_chain_begin(&tc, NULL);
	want = malloc(T_CHAIN_LEN);
	got = malloc(T_CHAIN_LEN);
	memset(&opts, 0, sizeof(opts));
	memset(told, 0, sizeof(told));
	memset(others, 0, sizeof(others));
	told_len = 0;
	opts.file = on_file;
	opts.children = others;
}

static void end(void)
{
	t_chain_end(&tc);
	free(want);
	free(got);
}

static void fill_layer(const char *path, uint64_t n)
{
	t_chain_write(&tc, path, 4096 * n, 6000 / 512 * 512, n);
	t_chain_write(&tc, path, MIB - 1024 * n, 2048 * n, n + 10);
	t_chain_write(&tc, path, 2 * MIB + 65536 * n, 65536, n + 20);
	t_chain_zero(&tc, path, 2 * MIB + 30000 / 512 * 512 * n, 512 * n);
}

/* base and `cnt` layers over it, the last one /m/leaf. */
static void make_chain(unsigned cnt)
{
	static const char *const names[] = { "/m/base", "/m/one", "/m/two" };

	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	fill_layer("/m/base", 1);
	for (unsigned i = 1; i <= cnt; i++) {
		const char *path = i == cnt ? "/m/leaf" : names[i];

		t_chain_create(&tc, path, names[i - 1], i == 2 ? 2 * MIB : MIB,
			       T_CHAIN_LEN);
		fill_layer(path, i + 1);
	}
	t_chain_zero(&tc, "/m/leaf", 3 * MIB, MIB);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
}

static int merge_of(const char *child)
{
	for (opts.children_cnt = 0; others[opts.children_cnt];)
		opts.children_cnt++;
	return merge_chain(&tc.oc.opener, tc.loop, child, &opts, &res, &t_err);
}

static int merge(void)
{
	return merge_of("/m/leaf");
}

static void shows(const char *path)
{
	T_OK(t_chain_read(&tc, path, got));
	T_TRUE(memcmp(got, want, T_CHAIN_LEN) == 0);
}

static void child_goes_into_its_parent(void)
{
	begin();
	make_chain(1);
	T_OK(merge());
	shows("/m/base");
	T_TRUE(!t_chain_exists(&tc, "/m/leaf"));
	T_TRUE(!t_chain_exists(&tc, "/m/leaf.merge"));
	t_chain_sound(&tc, "/m/base");
	T_EQ_U64(res.removed_cnt, 1);
	T_EQ_U64(told_len, res.data_len + res.zero_len);
	end();
}

static void many_levels_go_at_once(void)
{
	begin();
	make_chain(3);
	opts.depth = 3;
	T_OK(merge());
	shows("/m/base");
	T_TRUE(!t_chain_exists(&tc, "/m/leaf"));
	T_TRUE(!t_chain_exists(&tc, "/m/two"));
	T_TRUE(!t_chain_exists(&tc, "/m/one"));
	t_chain_sound(&tc, "/m/base");
	T_EQ_U64(res.removed_cnt, 3);
	T_EQ_U64(told[VHDX_MERGE_LAYER], 3);
	end();
}

static void target_may_be_a_child_itself(void)
{
	begin();
	make_chain(3);
	opts.into = "/m/one";
	T_OK(merge());
	shows("/m/one");
	T_TRUE(!t_chain_exists(&tc, "/m/two"));
	t_chain_sound(&tc, "/m/one");
	end();
}

static void grandchildren_follow(void)
{
	begin();
	make_chain(2);
	t_chain_create(&tc, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	t_chain_create(&tc, "/x/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/x/grand", 8192, 512, 99);
	others[0] = "/m/grand";
	others[1] = "/m/one";
	others[2] = "/x/grand";
	opts.depth = 2;
	T_OK(merge());
	T_EQ_U64(res.relinked_cnt, 2);
	T_EQ_U64(told[VHDX_MERGE_GRANDCHILD], 2);
	shows("/m/grand");
	t_fill(want + 8192, 512, 99);
	shows("/x/grand");
	end();
}

static void kept_child_still_opens_and_those_between_do_not(void)
{
	begin();
	make_chain(3);
	t_chain_create(&tc, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	others[0] = "/m/grand";
	opts.depth = 3;
	opts.keep = true;
	T_OK(merge());
	shows("/m/leaf");
	shows("/m/grand");
	shows("/m/base");
	T_FAILS(t_chain_read(&tc, "/m/one", got), VHDX_E_LINKAGE, "");
	T_FAILS(t_chain_read(&tc, "/m/two", got), VHDX_E_LINKAGE, "");
	T_TRUE(!t_chain_exists(&tc, "/m/leaf.merge"));
	T_EQ_U64(res.removed_cnt, 0);
	end();
}

static void kept_child_on_its_own_parent_still_opens(void)
{
	begin();
	make_chain(1);
	opts.keep = true;
	T_OK(merge());
	shows("/m/leaf");
	shows("/m/base");
	end();
}

static void siblings_are_refused_and_only_force_breaks_them(void)
{
	begin();
	make_chain(2);
	t_chain_create(&tc, "/m/twin", "/m/one", MIB, T_CHAIN_LEN);
	t_chain_create(&tc, "/m/other", "/m/base", MIB, T_CHAIN_LEN);
	others[0] = "/m/other";
	others[1] = "/m/twin";
	opts.depth = 2;
	T_FAILS(merge(), VHDX_E_LINKAGE, "/m/other and 1 more");
	T_EQ_U64(told[VHDX_MERGE_SIBLING], 2);
	shows("/m/leaf");
	T_OK(t_chain_read(&tc, "/m/twin", got));
	opts.force = true;
	T_OK(merge());
	shows("/m/base");
	T_FAILS(t_chain_read(&tc, "/m/other", got), VHDX_E_LINKAGE, "");
	T_FAILS(t_chain_read(&tc, "/m/twin", got), VHDX_E_NOPARENT, "");
	end();
}

static void what_cannot_be_opened_may_be_a_child(void)
{
	begin();
	make_chain(1);
	t_chain_create(&tc, "/m/torn", NULL, MIB, T_CHAIN_LEN);
	tc.oc.fault = (struct fault_rule){ .ops = FAULT_OPEN, .nth = 1,
					   .sys_errno = EIO, .sticky = true };
	tc.oc.fault_path = "/m/torn";
	others[0] = "/m/torn";
	T_FAILS(merge(), VHDX_E_IO, "cannot tell whether");
	T_EQ_U64(told[VHDX_MERGE_UNKNOWN], 1);
	opts.force = true;
	T_OK(merge());
	shows("/m/base");
	end();
}

static void dry_run_changes_nothing(void)
{
	uint64_t before;

	begin();
	make_chain(2);
	opts.dry_run = true;
	opts.depth = 2;
	before = crash_now(tc.oc.world);
	T_OK(merge());
	T_EQ_U64(crash_now(tc.oc.world), before);
	T_EQ_U64(told[VHDX_MERGE_LAYER], 2);
	T_EQ_U64(told[VHDX_MERGE_TARGET], 1);
	T_TRUE(told_len > 0);
	end();
}

static void missing_space_is_named_before_anything_changes(void)
{
	uint64_t before;
	char text[64];

	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_create(&tc, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/leaf", MIB + 512, 100 * 512, 4);
	tc.oc.free_len = 1000;
	before = crash_now(tc.oc.world);
	T_FAILS(merge(), VHDX_E_NOSPC, "");
	snprintf(text, sizeof(text), "%llu bytes are missing",
		 (unsigned long long)(res.need_len - 1000));
	T_TRUE(strstr(t_err.text, text));
	T_TRUE(res.need_len >= 100 * 512);
	T_EQ_U64(res.alloc_len, MIB);
	T_EQ_U64(crash_now(tc.oc.world), before);
	tc.oc.free_len = res.need_len;
	T_OK(merge());
	end();
}

static void what_the_target_has_already_takes_no_space(void)
{
	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/base", 0, 2 * MIB, 3);
	t_chain_create(&tc, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/leaf", MIB - 512, 1024, 4);
	opts.dry_run = true;
	T_OK(merge());
	T_EQ_U64(res.need_len, 0);
	T_EQ_U64(res.alloc_len, 0);
	T_EQ_U64(res.data_len, 1024);
	end();
}

static void depth_is_at_most_the_chains(void)
{
	begin();
	make_chain(2);
	opts.depth = 3;
	T_FAILS(merge(), VHDX_E_INVAL, "has 2 ancestors");
	opts.depth = 0;
	opts.into = "/m/leaf";
	T_FAILS(merge(), VHDX_E_INVAL, "is no ancestor");
	opts.into = NULL;
	T_FAILS(merge_chain(&tc.oc.opener, tc.loop, "/m/base", &opts, &res,
			    &t_err), VHDX_E_INVAL, "is no child");
	T_FAILS(merge_chain(&tc.oc.opener, tc.loop, "/m/none", &opts, &res,
			    &t_err), VHDX_E_NOTFOUND, "");
	end();
}

static void files_in_use_are_left_alone(void)
{
	static const char *const names[] = { "/m/base", "/m/one", "/m/leaf" };
	struct opener *op = &tc.oc.opener;
	struct file *f;

	begin();
	make_chain(2);
	opts.depth = 2;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		T_OK(op->open(op, tc.loop, names[i], 0, &f, &t_err));
		T_FAILS(merge(), VHDX_E_BUSY, names[i]);
		file_close(f);
		T_TRUE(!t_chain_exists(&tc, "/m/leaf.merge"));
	}
	shows("/m/leaf");
	T_OK(merge());
	end();
}

static int stop(void *arg, uint64_t done_len, uint64_t total_len)
{
	unsigned *left = arg;

	T_TRUE(done_len <= total_len);
	return (*left)-- == 0;
}

static void canceled_merge_goes_on(void)
{
	unsigned left = 0;

	begin();
	make_chain(2);
	opts.depth = 2;
	opts.progress.fn = stop;
	opts.progress.arg = &left;
	T_FAILS(merge(), VHDX_E_CANCELED, "the same command goes on");
	T_TRUE(t_chain_exists(&tc, "/m/leaf.merge"));
	shows("/m/leaf");
	opts.depth = 1;
	T_FAILS(merge(), VHDX_E_INVAL, "2 levels deep");
	opts.depth = 0;
	opts.progress.fn = NULL;
	T_OK(merge());
	T_TRUE(res.resumed);
	shows("/m/base");
	T_TRUE(!t_chain_exists(&tc, "/m/one"));
	end();
}

static void cancel(const char *child)
{
	unsigned left = 0;

	opts.progress.fn = stop;
	opts.progress.arg = &left;
	T_FAILS(merge_of(child), VHDX_E_CANCELED, "");
	opts.progress.fn = NULL;
}

/* The merge stops when all is copied, at the first file that is to go. */
static void stop_before_links(void)
{
	tc.oc.fault = (struct fault_rule){ .ops = FAULT_REMOVE, .nth = 1,
					   .sys_errno = EIO };
	T_FAILS(merge(), VHDX_E_IO, "the same command goes on");
	tc.oc.fault = (struct fault_rule){ 0 };
}

static void note(void *arg, const char *text)
{
	snprintf(arg, 512, "%s", text);
}

static void file_in_between_is_not_shown_without_a_word(void)
{
	char said[512] = "";
	struct chain_opts co = { .msg = note, .msg_arg = said };
	struct chain *c;

	begin();
	make_chain(2);
	opts.depth = 2;
	tc.oc.fault = (struct fault_rule){ .ops = FAULT_PUT, .nth = 2,
					   .sys_errno = EIO };
	T_FAILS(merge(), VHDX_E_IO, "/m/leaf.merge");
	T_OK(chain_open(&tc.oc.opener, tc.loop, "/m/leaf", &co, &c, &t_err));
	T_OK(chain_close(c, &t_err));
	CU_ASSERT_STRING_EQUAL_FATAL(said, "");
	T_OK(chain_open(&tc.oc.opener, tc.loop, "/m/one", &co, &c, &t_err));
	T_OK(chain_close(c, &t_err));
	T_TRUE(strstr(said, "a mixture"));
	end();
}

static void merge_that_waits_comes_before_others(void)
{
	begin();
	make_chain(3);
	others[0] = "/m/leaf";
	others[1] = "/m/two";
	opts.depth = 3;
	cancel("/m/leaf");
	opts.depth = 0;
	T_FAILS(merge_of("/m/two"), VHDX_E_LINKAGE, "vhdtool merge /m/leaf");
	T_OK(merge());
	shows("/m/base");
	end();
	begin();
	make_chain(3);
	others[0] = "/m/leaf";
	cancel("/m/two");
	T_FAILS(merge(), VHDX_E_LINKAGE, "vhdtool merge /m/two");
	opts.depth = 3;
	T_FAILS(merge(), VHDX_E_LINKAGE, "vhdtool merge /m/two");
	opts.depth = 0;
	T_OK(merge_of("/m/two"));
	T_OK(merge());
	shows("/m/one");
	end();
}

static void what_was_written_in_between_is_merged_too(void)
{
	begin();
	make_chain(2);
	opts.depth = 2;
	stop_before_links();
	shows("/m/leaf");
	t_chain_write(&tc, "/m/leaf", 512, 1024, 77);
	t_fill(want + 512, 1024, 77);
	T_OK(merge());
	shows("/m/base");
	T_TRUE(!t_chain_exists(&tc, "/m/one"));
	T_TRUE(!t_chain_exists(&tc, "/m/leaf"));
	end();
}

static void changed_target_is_not_given_children(void)
{
	begin();
	make_chain(1);
	stop_before_links();
	t_chain_write(&tc, "/m/base", 512, 1024, 77);
	T_FAILS(merge(), VHDX_E_LINKAGE, "/m/base");
	T_TRUE(t_chain_exists(&tc, "/m/leaf"));
	end();
}

static void foreign_journal_is_refused(void)
{
	struct opener *op = &tc.oc.opener;

	begin();
	make_chain(1);
	T_OK(op->put(op, tc.loop, "/m/leaf.merge", "hello\n", 6, &t_err));
	T_FAILS(merge(), VHDX_E_CORRUPT, "/m/leaf.merge");
	shows("/m/leaf");
	end();
}

/* /m/leaf on /x/one on /m/base, to be merged over both levels; what is copied
 * is copied. */
static void stop_with_a_layer_elsewhere(void)
{
	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_create(&tc, "/x/one", "/m/base", MIB, T_CHAIN_LEN);
	fill_layer("/x/one", 1);
	t_chain_create(&tc, "/m/leaf", "/x/one", MIB, T_CHAIN_LEN);
	fill_layer("/m/leaf", 2);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	opts.depth = 2;
	stop_before_links();
}

static void foreign_journal_removes_nothing_outside_its_folder(void)
{
	stop_with_a_layer_elsewhere();
	tc.oc.foreign = true;
	T_FAILS(merge(), VHDX_E_LINKAGE, "names /x/one");
	T_TRUE(t_chain_exists(&tc, "/x/one"));
	opts.force = true;
	T_OK(merge());
	T_TRUE(!t_chain_exists(&tc, "/x/one"));
	shows("/m/base");
	end();
}

static void own_journal_finishes_what_is_outside_its_folder(void)
{
	stop_with_a_layer_elsewhere();
	T_OK(merge());
	T_TRUE(!t_chain_exists(&tc, "/x/one"));
	shows("/m/base");
	end();
}

static void journal_removes_no_file_but_the_one_it_knows(void)
{
	stop_with_a_layer_elsewhere();
	T_OK(tc.oc.opener.remove(&tc.oc.opener, "/x/one", &t_err));
	t_chain_create(&tc, "/x/one", NULL, MIB, T_CHAIN_LEN);
	T_FAILS(merge(), VHDX_E_LINKAGE, "/x/one: has the id");
	T_TRUE(t_chain_exists(&tc, "/x/one"));
	shows("/m/leaf");
	opts.force = true;
	T_FAILS(merge(), VHDX_E_LINKAGE, "/x/one: has the id");
	T_TRUE(t_chain_exists(&tc, "/x/one"));
	end();
}

static void merge_removes_no_file_that_took_a_layers_name(void)
{
	begin();
	make_chain(3);
	opts.depth = 3;
	stop_before_links();
	T_OK(tc.oc.opener.remove(&tc.oc.opener, "/m/two", &t_err));
	t_chain_create(&tc, "/m/two", NULL, MIB, T_CHAIN_LEN);
	T_FAILS(merge(), VHDX_E_LINKAGE, "/m/two: has the id");
	T_TRUE(t_chain_exists(&tc, "/m/two"));
	shows("/m/base");
	shows("/m/leaf");
	end();
}

static void journal_under_another_name_finishes_nothing(void)
{
	struct opener *op = &tc.oc.opener;
	size_t len;
	char *text;

	stop_with_a_layer_elsewhere();
	T_OK(op->get(op, tc.loop, "/m/leaf.merge", 4096, &text, &len, NULL,
		     &t_err));
	T_OK(op->put(op, tc.loop, "/m/other.merge", text, len, &t_err));
	mem_free(text);
	T_FAILS(merge_of("/m/other"), VHDX_E_LINKAGE, "not of /m/other");
	T_TRUE(t_chain_exists(&tc, "/x/one"));
	shows("/m/leaf");
	end();
}

static void refused_dry_run_tells_what_is_free(void)
{
	begin();
	make_chain(2);
	t_chain_create(&tc, "/m/other", "/m/one", MIB, T_CHAIN_LEN);
	others[0] = "/m/other";
	opts.dry_run = true;
	tc.oc.free_len = 12345678;
	T_FAILS(merge(), VHDX_E_LINKAGE, "/m/other");
	T_EQ_U64(res.free_len, 12345678);
	end();
}

static void empty_child_just_goes(void)
{
	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/base", 0, 512, 3);
	t_chain_create(&tc, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_create(&tc, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	others[0] = "/m/grand";
	T_OK(merge());
	shows("/m/base");
	shows("/m/grand");
	end();
}

static void discarded_blocks_hide_the_parents_data(void)
{
	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/base", 0, T_CHAIN_LEN, 3);
	t_chain_create(&tc, "/m/one", "/m/base", 2 * MIB, T_CHAIN_LEN);
	t_chain_create(&tc, "/m/leaf", "/m/one", MIB, T_CHAIN_LEN);
	t_chain_discard(&tc, "/m/leaf", MIB, MIB);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	T_TRUE(want[MIB] == 0 && want[MIB - 1] != 0);
	T_OK(merge());
	shows("/m/one");
	t_chain_sound(&tc, "/m/one");
	end();
}

static void size_is(const char *path, uint64_t len)
{
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct chain *c;

	T_OK(chain_open(&tc.oc.opener, tc.loop, path, &co, &c, &t_err));
	T_EQ_U64(c->layers[0]->size_len, len);
	T_OK(chain_close(c, &t_err));
}

/* /m/top holds all of its 4 MiB; one and leaf are of other sizes. */
static void try_sizes(uint64_t one_len, uint64_t leaf_len, const char *into)
{
	begin();
	t_chain_create(&tc, "/m/top", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/top", 0, T_CHAIN_LEN, 3);
	t_chain_create(&tc, "/m/one", "/m/top", MIB, one_len);
	t_chain_write(&tc, "/m/one", one_len - 1536, 1024, 4);
	t_chain_create(&tc, "/m/leaf", "/m/one", 2 * MIB, leaf_len);
	t_chain_write(&tc, "/m/leaf", leaf_len - 512, 512, 5);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	opts.into = into;
	T_OK(merge());
	size_is(into, leaf_len);
	shows(into);
	t_chain_sound(&tc, into);
	end();
}

static void target_gets_the_childs_size(void)
{
	static const uint64_t sizes[] = { MIB + 4096, 2 * MIB, 3 * MIB + 512,
					  T_CHAIN_LEN };

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
		for (unsigned j = 0; j < ARRAY_LEN(sizes); j++) {
			try_sizes(sizes[i], sizes[j], "/m/one");
			try_sizes(sizes[i], sizes[j], "/m/top");
		}
}

static void merge_that_cannot_begin_leaves_no_journal(void)
{
	char said[512] = "";
	struct chain_opts co = { .msg = note, .msg_arg = said };
	struct chain *c;

	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, MIB);
	t_chain_create(&tc, "/m/leaf", "/m/base", MIB, 2 * MIB);
	t_chain_write(&tc, "/m/leaf", MIB, 512, 3);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	tc.oc.fault = (struct fault_rule){ .ops = FAULT_ANY_CHANGE, .nth = 1,
					   .sys_errno = EIO };
	tc.oc.fault_path = "/m/base";
	T_FAILS(merge(), VHDX_E_FAILED, "/m/base");
	T_TRUE(!t_chain_exists(&tc, "/m/leaf.merge"));
	T_OK(chain_open(&tc.oc.opener, tc.loop, "/m/leaf", &co, &c, &t_err));
	T_EQ_U64(c->layers[0]->parent->linkage_cnt, 1);
	T_OK(chain_close(c, &t_err));
	T_OK(merge());
	shows("/m/base");
	end();
}

static void vhd_grows_with_its_child_but_does_not_shrink(void)
{
	begin();
	tc.format = VHDX_FORMAT_VHD;
	t_chain_create(&tc, "/m/base", NULL, MIB, 2 * MIB);
	t_chain_write(&tc, "/m/base", MIB, 4096, 2);
	t_chain_create(&tc, "/m/one", "/m/base", MIB, 3 * MIB);
	t_chain_create(&tc, "/m/leaf", "/m/one", MIB, 2 * MIB);
	t_chain_write(&tc, "/m/leaf", MIB, 512, 3);
	T_FAILS(merge(), VHDX_E_UNSUPPORTED, "/m/leaf: is smaller than");
	opts.depth = 2;
	T_OK(merge());
	t_chain_create(&tc, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/leaf", 3 * MIB, 512, 3);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	opts.depth = 1;
	T_OK(merge());
	shows("/m/base");
	t_chain_sound(&tc, "/m/base");
	tc.format = VHDX_FORMAT_PROBE;
	end();
}

static void vhd_grows_by_no_blocks_that_its_parent_cannot_reach(void)
{
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct chain *c;

	begin();
	tc.format = VHDX_FORMAT_VHD;
	t_chain_create(&tc, "/m/base", NULL, MIB, MIB);
	t_chain_write(&tc, "/m/base", 0, MIB, 2);
	t_chain_create(&tc, "/m/one", "/m/base", MIB, MIB);
	t_chain_create(&tc, "/m/leaf", "/m/one", MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/leaf", 3 * MIB, 512, 3);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	T_OK(merge());
	shows("/m/one");
	t_chain_sound(&tc, "/m/one");
	T_OK(chain_open(&tc.oc.opener, tc.loop, "/m/one", &co, &c, &t_err));
	T_TRUE(c->layers[0]->file->size < 2 * MIB); /* one block */
	T_OK(chain_close(c, &t_err));
	tc.format = VHDX_FORMAT_PROBE;
	end();
}

static void what_a_smaller_layer_hides_stays_hidden(void)
{
	begin();
	t_chain_create(&tc, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tc, "/m/base", 0, T_CHAIN_LEN, 3);
	t_chain_create(&tc, "/m/one", "/m/base", MIB, MIB);
	t_chain_create(&tc, "/m/leaf", "/m/one", MIB, T_CHAIN_LEN);
	T_OK(t_chain_read(&tc, "/m/leaf", want));
	T_TRUE(want[0] != 0 && want[MIB] == 0);
	opts.depth = 2;
	T_OK(merge());
	shows("/m/base");
	end();
}

static void disk_id_follows_the_child(void)
{
	struct vhdx_set_opts so = { .disk_id = "new" };
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct vhdx_set_result set;
	struct chain *c;

	begin();
	make_chain(1);
	T_OK(set_image(&tc.oc.opener, tc.loop, "/m/leaf", &so, &set, &t_err));
	T_OK(merge());
	T_OK(chain_open(&tc.oc.opener, tc.loop, "/m/base", &co, &c, &t_err));
	T_TRUE(memcmp(c->layers[0]->info.disk_id, set.disk_id, 16) == 0);
	T_OK(chain_close(c, &t_err));
	end();
}

static void any_allocation_may_fail(void)
{
	uint64_t live, n = 0;
	int rc;

	begin();
	make_chain(2);
	t_chain_restart(&tc);
	live = mem_live_cnt();
	opts.depth = 2;
	do {
		(void)mem_fail_nth(++n);
		rc = merge();
		(void)mem_fail_nth(0);
		T_EQ_U64(mem_live_cnt(), live);
		if (t_chain_exists(&tc, "/m/leaf"))
			shows("/m/leaf");
	} while (rc);
	T_TRUE(n > 50);
	shows("/m/base");
	end();
}

static const struct t_test tests[] = {
	T_TEST(child_goes_into_its_parent),
	T_TEST(many_levels_go_at_once),
	T_TEST(target_may_be_a_child_itself),
	T_TEST(grandchildren_follow),
	T_TEST(kept_child_still_opens_and_those_between_do_not),
	T_TEST(kept_child_on_its_own_parent_still_opens),
	T_TEST(siblings_are_refused_and_only_force_breaks_them),
	T_TEST(what_cannot_be_opened_may_be_a_child),
	T_TEST(dry_run_changes_nothing),
	T_TEST(missing_space_is_named_before_anything_changes),
	T_TEST(what_the_target_has_already_takes_no_space),
	T_TEST(depth_is_at_most_the_chains),
	T_TEST(files_in_use_are_left_alone),
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
	T_TEST(refused_dry_run_tells_what_is_free),
	T_TEST(empty_child_just_goes),
	T_TEST(discarded_blocks_hide_the_parents_data),
	T_TEST(target_gets_the_childs_size),
	T_TEST(merge_that_cannot_begin_leaves_no_journal),
	T_TEST(vhd_grows_with_its_child_but_does_not_shrink),
	T_TEST(vhd_grows_by_no_blocks_that_its_parent_cannot_reach),
	T_TEST(what_a_smaller_layer_hides_stays_hidden),
	T_TEST(disk_id_follows_the_child),
	T_TEST(any_allocation_may_fail),
	T_END
};

const struct t_suite t_suite_merge = { "merge", tests };
