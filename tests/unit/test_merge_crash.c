/* SPDX-License-Identifier: MIT */
/*
 * A merge that is cut off at every instant, by the end of its process (all that
 * was written is there), by a power failure (what was not synced may be lost)
 * or by an operation that fails: the chain shows what it showed, and the same
 * merge finishes.
 * /m/base <- /m/one <- /m/leaf <- /m/grand
 */
#include <errno.h>
#include <string.h>

#include "chain.h"
#include "merge.h"
#include "t.h"
#include "t_chain.h"

static struct t_chain run, look; /* the merge; the world after it was cut */
static struct crash_tree start;
static struct guid base_id;
static struct vhdx_merge_opts opts;
static const char *const others[] = { "/m/grand", "/m/one", "/m/leaf" };
static uint8_t *leaf, *grand, *got; /* T_CHAIN_LEN bytes */
static uint64_t looked_cnt;

static struct guid identity(struct t_chain *c, const char *path)
{
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct chain *chain;
	struct guid id;

	T_OK(chain_open(&c->oc.opener, c->loop, path, &co, &chain, &t_err));
	id = chain->layers[0]->identity;
	T_OK(chain_close(chain, &t_err));
	return id;
}

static void make_disks(void)
{
	struct t_chain *c = &run;

	t_chain_create(c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	t_chain_write(c, "/m/base", MIB - 8192, 20480, 1);
	t_chain_write(c, "/m/base", 3 * MIB, 8192, 2);
	t_chain_create(c, "/m/one", "/m/base", MIB, T_CHAIN_LEN);
	t_chain_write(c, "/m/one", MIB - 512, 5120, 3);
	t_chain_zero(c, "/m/one", 3 * MIB, MIB);
	t_chain_create(c, "/m/leaf", "/m/one", 2 * MIB, T_CHAIN_LEN);
	t_chain_write(c, "/m/leaf", MIB + 1024, 1024, 4);
	t_chain_write(c, "/m/leaf", 2 * MIB, 4096, 5);
	t_chain_zero(c, "/m/leaf", MIB - 4096, 1024);
	t_chain_create(c, "/m/grand", "/m/leaf", MIB, T_CHAIN_LEN);
	t_chain_write(c, "/m/grand", 2 * MIB + 512, 512, 6);
}

static void begin(enum vhdx_format format)
{
	run.format = look.format = format;
	leaf = malloc(T_CHAIN_LEN);
	grand = malloc(T_CHAIN_LEN);
	got = malloc(T_CHAIN_LEN);
	memset(&opts, 0, sizeof(opts));
	opts.children = others;
	opts.children_cnt = ARRAY_LEN(others);
	t_chain_begin(&run, NULL);
	make_disks();
	T_OK(t_chain_read(&run, "/m/leaf", leaf));
	T_OK(t_chain_read(&run, "/m/grand", grand));
	base_id = identity(&run, "/m/base");
	opener_crash_now(&run.oc, &start);
	t_chain_end(&run);
	t_chain_begin(&run, &start);
}

static void end(void)
{
	t_chain_end(&run);
	crash_tree_free(&start);
	free(leaf);
	free(grand);
	free(got);
}

static int merge(struct t_chain *c)
{
	return merge_chain(&c->oc.opener, c->loop, "/m/leaf", &opts, NULL,
			   &t_err);
}

static void shows(const char *path, const uint8_t *want)
{
	T_OK(t_chain_read(&look, path, got));
	T_TRUE(memcmp(got, want, T_CHAIN_LEN) == 0);
}

/* Before anything is done about it. */
static void check_cut(const char *target)
{
	bool child = t_chain_exists(&look, "/m/leaf");
	struct guid id = identity(&look, "/m/base");

	shows("/m/grand", grand);
	shows(child ? "/m/leaf" : target, leaf);
	T_TRUE(child || !opts.keep);
	if (child && !opts.keep && !guid_eq(&id, &base_id)) /* M1 */
		T_TRUE(t_chain_exists(&look, "/m/leaf.merge"));
}

static void check_finished(const char *target)
{
	T_TRUE(!t_chain_exists(&look, "/m/leaf.merge"));
	T_TRUE(t_chain_exists(&look, "/m/leaf") == opts.keep);
	T_TRUE(t_chain_exists(&look, "/m/one") ==
	       (opts.keep || strcmp(target, "/m/one") == 0));
	shows(target, leaf);
	shows("/m/grand", grand);
	if (opts.keep)
		shows("/m/leaf", leaf);
	t_chain_sound(&look, target);
	t_chain_sound(&look, "/m/grand");
}

/* t is what the merge left; it is freed. */
static void look_into(struct crash_tree *t, const char *target)
{
	struct guid id;
	bool done;

	t_chain_begin(&look, t);
	crash_tree_free(t);
	free(t);
	check_cut(target);
	id = identity(&look, "/m/base");
	done = !t_chain_exists(&look, "/m/leaf.merge") &&
	       (opts.keep ? !guid_eq(&id, &base_id) :
			    !t_chain_exists(&look, "/m/leaf"));
	if (!done)
		T_OK(merge(&look));
	check_finished(target);
	t_chain_end(&look);
	looked_cnt++;
}

static void look_at(uint64_t k, uint64_t number, const char *target)
{
	struct crash_tree *t = calloc(1, sizeof(*t));

	opener_crash_build(&run.oc, k, number, t);
	look_into(t, target);
}

static void cut_everywhere(enum vhdx_format format, const char *target,
			   bool keep)
{
	uint64_t rng = 42;

	begin(format);
	opts.keep = keep;
	opts.depth = strcmp(target, "/m/base") == 0 ? 2 : 1;
	T_OK(merge(&run));
	looked_cnt = 0;
	for (uint64_t k = 0, next;; k = next) {
		look_at(k, 1, target);
		/* Nothing that need not be there, or a choice. */
		look_at(k, k % 2 ? 0 : 2 + t_rand_below(&rng, 1000000),
			target);
		next = crash_next(run.oc.world, k);
		if (next == k)
			break;
	}
	T_TRUE(looked_cnt > 60);
	end();
}

static void two_levels_are_safe_at_any_instant(void)
{
	cut_everywhere(VHDX_FORMAT_VHDX, "/m/base", false);
}

static void child_of_a_child_is_safe_at_any_instant(void)
{
	cut_everywhere(VHDX_FORMAT_VHDX, "/m/one", false);
}

static void vhd_is_safe_at_any_instant(void)
{
	cut_everywhere(VHDX_FORMAT_VHD, "/m/base", false);
}

static void kept_files_are_safe_at_any_instant(void)
{
	cut_everywhere(VHDX_FORMAT_VHDX, "/m/base", true);
}


/* True: the n-th operation failed. */
static bool fail_at(uint64_t n, unsigned ops, int en, bool sticky)
{
	struct crash_tree *t = calloc(1, sizeof(*t));
	bool failed;
	int rc;

	run.oc.fault = (struct fault_rule){ .ops = ops, .nth = n,
					    .sys_errno = en,
					    .sticky = sticky };
	rc = merge(&run);
	failed = run.oc.failed_cnt > 0;
	T_TRUE(failed || !rc);
	if (rc) /* sticky: failed_path is the last of them */
		T_TRUE(strstr(t_err.text, sticky ? "/m/" :
						   run.oc.failed_path));
	opener_crash_now(&run.oc, t);
	look_into(t, "/m/base");
	t_chain_end(&run);
	t_chain_begin(&run, &start);
	return failed;
}

static void fail_everywhere(enum vhdx_format format, unsigned ops, int en,
			    bool sticky)
{
	uint64_t n = 1;

	begin(format);
	opts.depth = 2;
	while (fail_at(n, ops, en, sticky))
		n += sticky ? 3 : 1; /* what follows fails as well */
	T_TRUE(n > 10);
	end();
}

static void any_operation_may_fail(void)
{
	fail_everywhere(VHDX_FORMAT_VHDX, FAULT_ANY | FAULT_NAMES, EIO, false);
}

static void any_operation_on_a_vhd_may_fail(void)
{
	fail_everywhere(VHDX_FORMAT_VHD, FAULT_ANY | FAULT_NAMES, EIO, false);
}

static void host_may_fail_from_any_point_on(void)
{
	fail_everywhere(VHDX_FORMAT_VHDX, FAULT_ANY | FAULT_NAMES, EIO, true);
}

static void host_may_be_full_from_any_point_on(void)
{
	fail_everywhere(VHDX_FORMAT_VHDX, FAULT_ANY_CHANGE | FAULT_PUT, ENOSPC,
			true);
}

static const struct t_test tests[] = {
	T_TEST(two_levels_are_safe_at_any_instant),
	T_TEST(child_of_a_child_is_safe_at_any_instant),
	T_TEST(vhd_is_safe_at_any_instant),
	T_TEST(kept_files_are_safe_at_any_instant),
	T_TEST(any_operation_may_fail),
	T_TEST(any_operation_on_a_vhd_may_fail),
	T_TEST(host_may_fail_from_any_point_on),
	T_TEST(host_may_be_full_from_any_point_on),
	T_END
};

const struct t_suite t_suite_merge_crash = { "merge_crash", tests };
