/* SPDX-License-Identifier: MIT */
/* What a merge makes of a chain: content, links, names, and what it refuses. */
#include <errno.h>
#include <string.h>

#include "disk_set.h"
#include "mem.h"
#include "t.h"
#include "t_merge.h"

static void child_goes_into_its_parent(void)
{
	tm_begin();
	tm_make_chain(1);
	T_OK(tm_merge());
	tm_shows("/m/base");
	T_TRUE(!t_chain_exists(&tm.c, "/m/leaf"));
	T_TRUE(!t_chain_exists(&tm.c, "/m/leaf.merge"));
	t_chain_sound(&tm.c, "/m/base");
	T_EQ_U64(tm.res.removed_cnt, 1);
	T_EQ_U64(tm.told_len, tm.res.data_len + tm.res.zero_len);
	tm_end();
}

static void many_levels_go_at_once(void)
{
	tm_begin();
	tm_make_chain(3);
	tm.opts.depth = 3;
	T_OK(tm_merge());
	tm_shows("/m/base");
	T_TRUE(!t_chain_exists(&tm.c, "/m/leaf"));
	T_TRUE(!t_chain_exists(&tm.c, "/m/two"));
	T_TRUE(!t_chain_exists(&tm.c, "/m/one"));
	t_chain_sound(&tm.c, "/m/base");
	T_EQ_U64(tm.res.removed_cnt, 3);
	T_EQ_U64(tm.told[VHDX_MERGE_LAYER], 3);
	tm_end();
}

static void target_may_be_a_child_itself(void)
{
	tm_begin();
	tm_make_chain(3);
	tm.opts.into = "/m/one";
	T_OK(tm_merge());
	tm_shows("/m/one");
	T_TRUE(!t_chain_exists(&tm.c, "/m/two"));
	t_chain_sound(&tm.c, "/m/one");
	tm_end();
}

static void grandchildren_follow(void)
{
	tm_begin();
	tm_make_chain(2);
	t_chain_create(&tm.c, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	t_chain_create(&tm.c, "/x/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/x/grand", 8192, 512, 99);
	tm.others[0] = "/m/grand";
	tm.others[1] = "/m/one";
	tm.others[2] = "/x/grand";
	tm.opts.depth = 2;
	T_OK(tm_merge());
	T_EQ_U64(tm.res.relinked_cnt, 2);
	T_EQ_U64(tm.told[VHDX_MERGE_GRANDCHILD], 2);
	tm_shows("/m/grand");
	t_fill(tm.want + 8192, 512, 99);
	tm_shows("/x/grand");
	tm_end();
}

static void kept_child_still_opens_and_those_between_do_not(void)
{
	tm_begin();
	tm_make_chain(3);
	t_chain_create(&tm.c, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	tm.others[0] = "/m/grand";
	tm.opts.depth = 3;
	tm.opts.keep = true;
	T_OK(tm_merge());
	tm_shows("/m/leaf");
	tm_shows("/m/grand");
	tm_shows("/m/base");
	T_FAILS(t_chain_read(&tm.c, "/m/one", tm.got), VHDX_E_LINKAGE, "");
	T_FAILS(t_chain_read(&tm.c, "/m/two", tm.got), VHDX_E_LINKAGE, "");
	T_TRUE(!t_chain_exists(&tm.c, "/m/leaf.merge"));
	T_EQ_U64(tm.res.removed_cnt, 0);
	tm_end();
}

static void kept_child_on_its_own_parent_still_opens(void)
{
	tm_begin();
	tm_make_chain(1);
	tm.opts.keep = true;
	T_OK(tm_merge());
	tm_shows("/m/leaf");
	tm_shows("/m/base");
	tm_end();
}

static void siblings_are_refused_and_only_force_breaks_them(void)
{
	tm_begin();
	tm_make_chain(2);
	t_chain_create(&tm.c, "/m/twin", "/m/one", MIB, T_CHAIN_LEN);
	t_chain_create(&tm.c, "/m/other", "/m/base", MIB, T_CHAIN_LEN);
	tm.others[0] = "/m/other";
	tm.others[1] = "/m/twin";
	tm.opts.depth = 2;
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "/m/other and 1 more");
	T_EQ_U64(tm.told[VHDX_MERGE_SIBLING], 2);
	tm_shows("/m/leaf");
	T_OK(t_chain_read(&tm.c, "/m/twin", tm.got));
	tm.opts.force = true;
	T_OK(tm_merge());
	tm_shows("/m/base");
	T_FAILS(t_chain_read(&tm.c, "/m/other", tm.got), VHDX_E_LINKAGE, "");
	T_FAILS(t_chain_read(&tm.c, "/m/twin", tm.got), VHDX_E_NOPARENT, "");
	tm_end();
}

static void what_cannot_be_opened_may_be_a_child(void)
{
	tm_begin();
	tm_make_chain(1);
	t_chain_create(&tm.c, "/m/torn", NULL, MIB, T_CHAIN_LEN);
	tm.c.oc.fault = (struct fault_rule){ .ops = FAULT_OPEN, .nth = 1,
					   .sys_errno = EIO, .sticky = true };
	tm.c.oc.fault_path = "/m/torn";
	tm.others[0] = "/m/torn";
	T_FAILS(tm_merge(), VHDX_E_IO, "cannot tell whether");
	T_EQ_U64(tm.told[VHDX_MERGE_UNKNOWN], 1);
	tm.opts.force = true;
	T_OK(tm_merge());
	tm_shows("/m/base");
	tm_end();
}

static void dry_run_changes_nothing(void)
{
	uint64_t before;

	tm_begin();
	tm_make_chain(2);
	tm.opts.dry_run = true;
	tm.opts.depth = 2;
	before = crash_now(tm.c.oc.world);
	T_OK(tm_merge());
	T_EQ_U64(crash_now(tm.c.oc.world), before);
	T_EQ_U64(tm.told[VHDX_MERGE_LAYER], 2);
	T_EQ_U64(tm.told[VHDX_MERGE_TARGET], 1);
	T_TRUE(tm.told_len > 0);
	tm_end();
}

static void missing_space_is_named_before_anything_changes(void)
{
	uint64_t before;
	char text[64];

	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_create(&tm.c, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/leaf", MIB + 512, 100 * 512, 4);
	tm.c.oc.free_len = 1000;
	before = crash_now(tm.c.oc.world);
	T_FAILS(tm_merge(), VHDX_E_NOSPC, "");
	snprintf(text, sizeof(text), "%llu bytes are missing",
		 (unsigned long long)(tm.res.need_len - 1000));
	T_TRUE(strstr(t_err.text, text));
	T_TRUE(tm.res.need_len >= 100 * 512);
	T_EQ_U64(tm.res.alloc_len, MIB);
	T_EQ_U64(crash_now(tm.c.oc.world), before);
	tm.c.oc.free_len = tm.res.need_len;
	T_OK(tm_merge());
	tm_end();
}

static void what_the_target_has_already_takes_no_space(void)
{
	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/base", 0, 2 * MIB, 3);
	t_chain_create(&tm.c, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/leaf", MIB - 512, 1024, 4);
	tm.opts.dry_run = true;
	T_OK(tm_merge());
	T_EQ_U64(tm.res.need_len, 0);
	T_EQ_U64(tm.res.alloc_len, 0);
	T_EQ_U64(tm.res.data_len, 1024);
	tm_end();
}

static void depth_is_at_most_the_chains(void)
{
	tm_begin();
	tm_make_chain(2);
	tm.opts.depth = 3;
	T_FAILS(tm_merge(), VHDX_E_INVAL, "has 2 ancestors");
	tm.opts.depth = 0;
	tm.opts.into = "/m/leaf";
	T_FAILS(tm_merge(), VHDX_E_INVAL, "is no ancestor");
	tm.opts.into = NULL;
	T_FAILS(merge_chain(&tm.c.oc.opener, tm.c.loop, "/m/base", &tm.opts,
			    &tm.res, &t_err), VHDX_E_INVAL, "is no child");
	T_FAILS(merge_chain(&tm.c.oc.opener, tm.c.loop, "/m/none", &tm.opts,
			    &tm.res,
			    &t_err), VHDX_E_NOTFOUND, "");
	tm_end();
}

static void files_in_use_are_left_alone(void)
{
	static const char *const names[] = { "/m/base", "/m/one", "/m/leaf" };
	struct opener *op = &tm.c.oc.opener;
	struct file *f;

	tm_begin();
	tm_make_chain(2);
	tm.opts.depth = 2;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		T_OK(op->open(op, tm.c.loop, names[i], 0, &f, &t_err));
		T_FAILS(tm_merge(), VHDX_E_BUSY, names[i]);
		file_close(f);
		T_TRUE(!t_chain_exists(&tm.c, "/m/leaf.merge"));
	}
	tm_shows("/m/leaf");
	T_OK(tm_merge());
	tm_end();
}

static void refused_dry_run_tells_what_is_free(void)
{
	tm_begin();
	tm_make_chain(2);
	t_chain_create(&tm.c, "/m/other", "/m/one", MIB, T_CHAIN_LEN);
	tm.others[0] = "/m/other";
	tm.opts.dry_run = true;
	tm.c.oc.free_len = 12345678;
	T_FAILS(tm_merge(), VHDX_E_LINKAGE, "/m/other");
	T_EQ_U64(tm.res.free_len, 12345678);
	tm_end();
}

static void empty_child_just_goes(void)
{
	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/base", 0, 512, 3);
	t_chain_create(&tm.c, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_create(&tm.c, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	tm.others[0] = "/m/grand";
	T_OK(tm_merge());
	tm_shows("/m/base");
	tm_shows("/m/grand");
	tm_end();
}

static void discarded_blocks_hide_the_parents_data(void)
{
	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/base", 0, T_CHAIN_LEN, 3);
	t_chain_create(&tm.c, "/m/one", "/m/base", 2 * MIB, T_CHAIN_LEN);
	t_chain_create(&tm.c, "/m/leaf", "/m/one", MIB, T_CHAIN_LEN);
	t_chain_discard(&tm.c, "/m/leaf", MIB, MIB);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	T_TRUE(tm.want[MIB] == 0 && tm.want[MIB - 1] != 0);
	T_OK(tm_merge());
	tm_shows("/m/one");
	t_chain_sound(&tm.c, "/m/one");
	tm_end();
}

static void size_is(const char *path, uint64_t len)
{
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct chain *c;

	T_OK(chain_open(&tm.c.oc.opener, tm.c.loop, path, &co, &c, &t_err));
	T_EQ_U64(c->layers[0]->size_len, len);
	T_OK(chain_close(c, &t_err));
}

/* /m/top holds all of its 4 MiB; one and leaf are of other sizes. */
static void try_sizes(uint64_t one_len, uint64_t leaf_len, const char *into)
{
	tm_begin();
	t_chain_create(&tm.c, "/m/top", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/top", 0, T_CHAIN_LEN, 3);
	t_chain_create(&tm.c, "/m/one", "/m/top", MIB, one_len);
	t_chain_write(&tm.c, "/m/one", one_len - 1536, 1024, 4);
	t_chain_create(&tm.c, "/m/leaf", "/m/one", 2 * MIB, leaf_len);
	t_chain_write(&tm.c, "/m/leaf", leaf_len - 512, 512, 5);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	tm.opts.into = into;
	T_OK(tm_merge());
	size_is(into, leaf_len);
	tm_shows(into);
	t_chain_sound(&tm.c, into);
	tm_end();
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
	struct chain_opts co = { .msg = tm_note, .msg_arg = said };
	struct chain *c;

	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, MIB);
	t_chain_create(&tm.c, "/m/leaf", "/m/base", MIB, 2 * MIB);
	t_chain_write(&tm.c, "/m/leaf", MIB, 512, 3);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	tm.c.oc.fault = (struct fault_rule){ .ops = FAULT_ANY_CHANGE, .nth = 1,
					   .sys_errno = EIO };
	tm.c.oc.fault_path = "/m/base";
	T_FAILS(tm_merge(), VHDX_E_FAILED, "/m/base");
	T_TRUE(!t_chain_exists(&tm.c, "/m/leaf.merge"));
	T_OK(chain_open(&tm.c.oc.opener, tm.c.loop, "/m/leaf", &co, &c,
			&t_err));
	T_EQ_U64(c->layers[0]->parent->linkage_cnt, 1);
	T_OK(chain_close(c, &t_err));
	T_OK(tm_merge());
	tm_shows("/m/base");
	tm_end();
}

static void vhd_grows_with_its_child_but_does_not_shrink(void)
{
	tm_begin();
	tm.c.format = VHDX_FORMAT_VHD;
	t_chain_create(&tm.c, "/m/base", NULL, MIB, 2 * MIB);
	t_chain_write(&tm.c, "/m/base", MIB, 4096, 2);
	t_chain_create(&tm.c, "/m/one", "/m/base", MIB, 3 * MIB);
	t_chain_create(&tm.c, "/m/leaf", "/m/one", MIB, 2 * MIB);
	t_chain_write(&tm.c, "/m/leaf", MIB, 512, 3);
	T_FAILS(tm_merge(), VHDX_E_UNSUPPORTED, "/m/leaf: is smaller than");
	tm.opts.depth = 2;
	T_OK(tm_merge());
	t_chain_create(&tm.c, "/m/leaf", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/leaf", 3 * MIB, 512, 3);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	tm.opts.depth = 1;
	T_OK(tm_merge());
	tm_shows("/m/base");
	t_chain_sound(&tm.c, "/m/base");
	tm.c.format = VHDX_FORMAT_PROBE;
	tm_end();
}

static void vhd_grows_by_no_blocks_that_its_parent_cannot_reach(void)
{
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct chain *c;

	tm_begin();
	tm.c.format = VHDX_FORMAT_VHD;
	t_chain_create(&tm.c, "/m/base", NULL, MIB, MIB);
	t_chain_write(&tm.c, "/m/base", 0, MIB, 2);
	t_chain_create(&tm.c, "/m/one", "/m/base", MIB, MIB);
	t_chain_create(&tm.c, "/m/leaf", "/m/one", MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/leaf", 3 * MIB, 512, 3);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	T_OK(tm_merge());
	tm_shows("/m/one");
	t_chain_sound(&tm.c, "/m/one");
	T_OK(chain_open(&tm.c.oc.opener, tm.c.loop, "/m/one", &co, &c,
			&t_err));
	T_TRUE(c->layers[0]->file->size < 2 * MIB); /* one block */
	T_OK(chain_close(c, &t_err));
	tm.c.format = VHDX_FORMAT_PROBE;
	tm_end();
}

static void what_a_smaller_layer_hides_stays_hidden(void)
{
	tm_begin();
	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(&tm.c, "/m/base", 0, T_CHAIN_LEN, 3);
	t_chain_create(&tm.c, "/m/one", "/m/base", MIB, MIB);
	t_chain_create(&tm.c, "/m/leaf", "/m/one", MIB, T_CHAIN_LEN);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
	T_TRUE(tm.want[0] != 0 && tm.want[MIB] == 0);
	tm.opts.depth = 2;
	T_OK(tm_merge());
	tm_shows("/m/base");
	tm_end();
}

static void disk_id_follows_the_child(void)
{
	struct vhdx_set_opts so = { .disk_id = "new" };
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct vhdx_set_result set;
	struct chain *c;

	tm_begin();
	tm_make_chain(1);
	T_OK(set_image(&tm.c.oc.opener, tm.c.loop, "/m/leaf", &so, &set,
		       &t_err));
	T_OK(tm_merge());
	T_OK(chain_open(&tm.c.oc.opener, tm.c.loop, "/m/base", &co, &c,
			&t_err));
	T_TRUE(memcmp(c->layers[0]->info.disk_id, set.disk_id, 16) == 0);
	T_OK(chain_close(c, &t_err));
	tm_end();
}

static void any_allocation_may_fail(void)
{
	uint64_t live, n = 0;
	int rc;

	tm_begin();
	tm_make_chain(2);
	t_chain_restart(&tm.c);
	live = mem_live_cnt();
	tm.opts.depth = 2;
	do {
		(void)mem_fail_nth(++n);
		rc = tm_merge();
		(void)mem_fail_nth(0);
		T_EQ_U64(mem_live_cnt(), live);
		if (t_chain_exists(&tm.c, "/m/leaf"))
			tm_shows("/m/leaf");
	} while (rc);
	T_TRUE(n > 50);
	tm_shows("/m/base");
	tm_end();
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
