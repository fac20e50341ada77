/* SPDX-License-Identifier: MIT */
/* Real images, in the simulated folder. /v/child and its parent /v/base, which
 * was moved to /new/base; /new/other is another disk. */
#include "relink.h"

#include <errno.h>
#include <string.h>

#include "disk_set.h"
#include "opener_crash.h"
#include "t.h"

static struct opener_crash oc;
static struct loop *loop;
static struct vhdx_set_parent_result res;
static char said[1024];

static void fill_opts(struct vhdx_create_opts *o, uint32_t sector_len)
{
	uint64_t file_len, host_len;

	*o = (struct vhdx_create_opts){ .format = VHDX_FORMAT_VHDX,
					.type = VHDX_TYPE_DYNAMIC,
					.type_given = true,
					.size_len = 8 * MIB,
					.sector_len = sector_len };
	T_OK(vhdx_create_plan(o, &file_len, &host_len, &t_err));
}

static struct file *new_file(const char *path)
{
	struct file *f;

	T_OK(oc.opener.open(&oc.opener, loop, path,
			    OPENER_WRITE | OPENER_CREATE, &f, &t_err));
	return f;
}

static void create(const char *path, uint32_t sector_len)
{
	struct vhdx_create_opts o;
	struct file *f = new_file(path);

	fill_opts(&o, sector_len);
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
}

static int open_chain(const char *path, unsigned flags, struct chain **out)
{
	struct chain_opts co = { .flags = flags };

	return chain_open(&oc.opener, loop, path, &co, out, &t_err);
}

static void create_child(const char *path, const char *parent)
{
	struct vhdx_create_opts o;
	struct file *f = new_file(path);
	struct chain *c;

	fill_opts(&o, 512);
	o.type = VHDX_TYPE_DIFFERENCING;
	o.parent = parent;
	T_OK(open_chain(parent, 0, &c));
	T_OK(vhdx_image_create_child(f, path, &o, c->layers[0], &t_err));
	T_OK(chain_close(c, &t_err));
	file_close(f);
}

static void begin(void)
{
	T_OK(loop_new(&loop, &t_err));
	opener_crash_init(&oc, NULL, NULL);
	create("/v/base", 512);
	create_child("/v/child", "/v/base");
	create("/new/other", 512);
	create("/new/third", 512);
	opener_crash_restart(&oc, "/v/base", "/new/base");
	said[0] = '\0';
}

static void end(void)
{
	T_EQ_U64(opener_crash_open_cnt(&oc), 0);
	opener_crash_fini(&oc);
	loop_free(loop);
}

static void on_msg(void *arg, const char *text)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s", text);
}

static int set_parent(const char *child, const char *parent, bool ignore_id)
{
	struct vhdx_set_parent_opts o = { .ignore_id = ignore_id,
					  .msg = on_msg };

	return set_parent_image(&oc.opener, loop, child, parent, &o, &res,
				&t_err);
}

static unsigned layers_of(const char *path)
{
	struct chain *c;
	unsigned cnt;

	T_OK(open_chain(path, 0, &c));
	cnt = c->cnt;
	T_OK(chain_close(c, &t_err));
	return cnt;
}

static void moved_parent_is_found_again_without_a_search(void)
{
	struct chain *c;

	begin();
	T_FAILS(open_chain("/v/child", 0, &c), VHDX_E_NOPARENT, "");
	T_OK(set_parent("/v/child", "/new/base", false));
	T_TRUE(res.id_matched && res.changed && !said[0]);
	T_EQ_U64(layers_of("/v/child"), 2);
	end();
}

static void recorded_so_already_is_no_change(void)
{
	begin();
	T_OK(set_parent("/v/child", "/new/base", false));
	T_OK(set_parent("/v/child", "/new/./base", false));
	T_TRUE(res.id_matched && !res.changed);
	end();
}

/* No refusal leaves a trace in the child. */
static void refused(const char *child, const char *parent, bool ignore_id,
		    int code, const char *text)
{
	struct crash_tree *was = calloc(1, sizeof(*was));
	struct crash_tree *is = calloc(1, sizeof(*is));
	uint64_t off;

	opener_crash_now(&oc, was);
	T_FAILS(set_parent(child, parent, ignore_id), code, text);
	opener_crash_now(&oc, is);
	T_EQ_U64(was->cnt, is->cnt);
	for (unsigned i = 0; i < was->cnt; i++)
		T_TRUE(memimg_eq(&was->files[i].img, &is->files[i].img, &off));
	crash_tree_free(was);
	crash_tree_free(is);
	free(was);
	free(is);
}

static void another_disk_is_refused_by_its_id(void)
{
	begin();
	refused("/v/child", "/new/other", false, VHDX_E_LINKAGE,
		"it is another disk, or was changed");
	end();
}

static void another_disk_is_taken_when_told_to_and_that_is_said(void)
{
	begin();
	T_OK(set_parent("/v/child", "/new/other", true));
	T_TRUE(!res.id_matched && res.changed);
	T_TRUE(strstr(said, "a mixture of two"));
	T_EQ_U64(layers_of("/v/child"), 2);
	T_OK(set_parent("/v/child", "/new/other", false));
	T_TRUE(res.id_matched && !res.changed);
	end();
}

static void a_circle_is_refused_whatever_the_ids(void)
{
	begin();
	T_OK(set_parent("/v/child", "/new/base", false));
	create_child("/v/grand", "/v/child");
	refused("/v/child", "/v/grand", true, VHDX_E_LINKAGE,
		"itself a child of it");
	refused("/v/child", "/v/child", true, VHDX_E_LINKAGE,
		"they are one file");
	refused("/v/child", "/v/x/../child", true, VHDX_E_LINKAGE, "");
	end();
}

static void parent_that_does_not_open_is_refused(void)
{
	begin();
	create("/v/base", 512);
	create_child("/v/orphan", "/v/base");
	opener_crash_restart(&oc, "/v/base", "/far/base");
	refused("/v/child", "/v/orphan", true, VHDX_E_NOPARENT, "/v/base");
	refused("/v/child", "/v/nothing", false, VHDX_E_NOTFOUND, "");
	end();
}

static void what_cannot_be_a_parent_is_refused(void)
{
	begin();
	create("/new/4k", 4096);
	file_close(new_file("/new/raw"));
	refused("/v/child", "/new/4k", true, VHDX_E_UNSUPPORTED, "sectors");
	refused("/v/child", "/new/raw", true, VHDX_E_LINKAGE, "it is raw");
	refused("/new/base", "/new/other", true, VHDX_E_INVAL,
		"has no parent");
	end();
}

static void dry_run_changes_no_byte(void)
{
	struct vhdx_set_parent_opts o = { .dry_run = true };
	struct chain *c;

	begin();
	T_OK(set_parent_image(&oc.opener, loop, "/v/child", "/new/base", &o,
			      &res, &t_err));
	T_TRUE(res.id_matched);
	T_FAILS(open_chain("/v/child", 0, &c), VHDX_E_NOPARENT, "");
	end();
}

/* An interrupted merge may need the second id. */
static void second_id_stays_with_a_parent_that_matches(void)
{
	struct parent_edit p = { .linkage2 = { { 7 } } };
	struct chain *c;

	begin();
	T_OK(open_chain("/v/child", VHDX_OPEN_ALONE | VHDX_OPEN_WRITE, &c));
	p.linkage = c->layers[0]->parent->linkage[0];
	T_OK(c->layers[0]->ops->set_parent(c->layers[0], &p, &t_err));
	T_OK(chain_close(c, &t_err));
	T_OK(set_parent("/v/child", "/new/base", false));
	T_OK(open_chain("/v/child", 0, &c));
	T_EQ_U64(c->layers[0]->parent->linkage_cnt, 2);
	T_OK(chain_close(c, &t_err));
	T_OK(set_parent("/v/child", "/new/other", true));
	T_OK(open_chain("/v/child", 0, &c));
	T_EQ_U64(c->layers[0]->parent->linkage_cnt, 1);
	T_OK(chain_close(c, &t_err));
	end();
}

static void merge_that_was_cut_off_keeps_the_ids_it_needs(void)
{
	begin();
	T_OK(oc.opener.put(&oc.opener, loop, "/v/child.merge", "x", 1,
			   &t_err));
	refused("/v/child", "/new/other", true, VHDX_E_LINKAGE,
		"vhdtool merge /v/child");
	T_OK(set_parent("/v/child", "/new/base", true));
	T_TRUE(res.id_matched && res.changed);
	end();
}

/* The nth operation on any file fails; true if there was one. */
static bool set_parent_with_fault(uint64_t nth, int sys_errno)
{
	bool failed;
	int rc;

	begin();
	T_OK(set_parent("/v/child", "/new/base", false));
	oc.fault = (struct fault_rule){ .ops = FAULT_ANY | FAULT_NAMES,
					.nth = nth, .sys_errno = sys_errno };
	rc = set_parent("/v/child", "/new/other", true);
	failed = oc.failed_cnt > 0;
	T_TRUE(failed || rc == 0);
	if (rc)
		T_TRUE(strstr(t_err.text, "/v/") || strstr(t_err.text, "/new"));
	oc.fault = (struct fault_rule){ .nth = 0 };
	T_EQ_U64(layers_of("/v/child"), 2);
	T_OK(set_parent("/v/child", "/new/other", true));
	T_EQ_U64(layers_of("/v/child"), 2);
	end();
	return failed;
}

static void failure_of_any_operation_leaves_a_chain_and_is_made_good(void)
{
	uint64_t nth = 1;

	while (set_parent_with_fault(nth, nth % 2 ? EIO : ENOSPC))
		nth++;
	T_TRUE(nth > 20);
}

/* Both parents are there: the chain opens whichever is recorded. */
static void at_every_instant(void (*each)(struct crash_tree *t))
{
	struct crash_tree *t = calloc(1, sizeof(*t));
	struct opener_crash run;
	uint64_t rng = 1;

	run = oc;
	for (uint64_t k = 0, last = UINT64_MAX; k != last;
	     last = k, k = crash_next(run.world, k)) {
		uint64_t cnt = opener_crash_state_cnt(&run, k, 40);

		for (uint64_t n = 0; n < cnt; n++) {
			opener_crash_build(&run, k,
					   opener_crash_state(&run, k, n, &rng),
					   t);
			each(t);
			crash_tree_free(t);
		}
	}
	free(t);
}

/* A refusal leaves even a dirty log as it is. */
static void chain_opens(struct crash_tree *t)
{
	struct opener_crash saved = oc;

	opener_crash_init(&oc, NULL, t);
	T_EQ_U64(layers_of("/v/child"), 2);
	refused("/v/child", "/new/third", false, VHDX_E_LINKAGE, "");
	opener_crash_fini(&oc);
	oc = saved;
}

static void power_failure_leaves_a_chain_that_opens(void)
{
	begin();
	T_OK(set_parent("/v/child", "/new/base", false));
	opener_crash_restart(&oc, NULL, NULL);
	T_OK(set_parent("/v/child", "/new/other", true));
	at_every_instant(chain_opens);
	end();
}

/* ---- set ----------------------------------------------------------------- */

static int set(const char *path, const char *id, uint32_t physical, bool dry,
	       struct vhdx_set_result *r)
{
	struct vhdx_set_opts o = { .disk_id = id, .dry_run = dry,
				   .physical_sector_len = physical };

	return set_image(&oc.opener, loop, path, &o, r, &t_err);
}

static void disk_id_and_physical_sectors_are_set(void)
{
	static const char id[] = "00112233-4455-6677-8899-aabbccddeeff";
	struct vhdx_set_result r;
	struct chain *c;
	char text[GUID_TEXT_LEN];

	begin();
	T_OK(set("/new/other", id, 512, false, &r));
	T_TRUE(r.changed && r.was_physical_sector_len == 4096);
	T_OK(open_chain("/new/other", 0, &c));
	guid_format((struct guid *)c->layers[0]->info.disk_id, text);
	T_TRUE(strcmp(text, id) == 0);
	T_EQ_U64(c->layers[0]->physical_sector_len, 512);
	T_OK(chain_close(c, &t_err));
	T_OK(set("/new/other", id, 512, false, &r));
	T_TRUE(!r.changed);
	end();
}

/* A guest sees it: whoever had it as a parent must not take it for that. */
static void setting_cuts_children_off(void)
{
	struct vhdx_set_result r;
	struct chain *c;

	begin();
	T_OK(set_parent("/v/child", "/new/base", false));
	T_OK(set("/new/base", "new", 0, true, &r));
	T_TRUE(r.changed && memcmp(r.disk_id, r.was_disk_id, 16) != 0);
	T_EQ_U64(layers_of("/v/child"), 2);
	T_OK(set("/new/base", "new", 0, false, &r));
	T_FAILS(open_chain("/v/child", 0, &c), VHDX_E_LINKAGE, "");
	end();
}

/* A VHD of one block, made durable. */
static void begin_vhd(void)
{
	struct vhdx_create_opts o = { .format = VHDX_FORMAT_VHD,
				      .type = VHDX_TYPE_DYNAMIC,
				      .type_given = true, .size_len = 4 * MIB };
	uint64_t file_len, host_len;
	uint8_t sector[512] = { 9 };
	struct vhdx_blk *blk;
	struct chain *c;
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	opener_crash_init(&oc, NULL, NULL);
	T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
	f = new_file("/v/disk");
	T_OK(vhd1_image_create(f, &o, &t_err));
	file_close(f);
	T_OK(open_chain("/v/disk", VHDX_OPEN_WRITE, &c));
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
	T_OK(vhdx_blk_write(blk, 0, sector, sizeof(sector), &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
	opener_crash_restart(&oc, NULL, NULL);
}

static struct vhdx_set_result vhd_set;

static void vhd_has_the_old_or_the_new_id(struct crash_tree *t)
{
	struct opener_crash saved = oc;
	uint8_t sector[512];
	struct vhdx_blk *blk;
	struct chain *c;
	const uint8_t *id;

	opener_crash_init(&oc, NULL, t);
	T_OK(open_chain("/v/disk", VHDX_OPEN_WRITE, &c));
	id = c->layers[0]->info.disk_id;
	T_TRUE(memcmp(id, vhd_set.disk_id, 16) == 0 ||
	       memcmp(id, vhd_set.was_disk_id, 16) == 0);
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
	T_OK(vhdx_blk_read(blk, 0, sector, sizeof(sector), &t_err));
	T_EQ_U64(sector[0], 9);
	T_OK(vhdx_blk_close(blk, &t_err));
	opener_crash_fini(&oc);
	oc = saved;
}

static void vhd_id_under_power_failure_is_the_old_or_the_new(void)
{
	static const char id[] = "00112233-4455-6677-8899-aabbccddeeff";

	begin_vhd();
	T_OK(set("/v/disk", id, 0, false, &vhd_set));
	T_TRUE(vhd_set.changed && vhd_set.disk_id[3] == 0x33);
	at_every_instant(vhd_has_the_old_or_the_new_id);
	T_OK(set("/v/disk", id, 0, false, &vhd_set));
	T_TRUE(!vhd_set.changed);
	T_FAILS(set("/v/disk", NULL, 4096, false, &vhd_set),
		VHDX_E_UNSUPPORTED, "512 bytes, always");
	end();
}

static void odd_values_are_refused(void)
{
	struct vhdx_set_result r;

	begin();
	T_FAILS(set("/new/base", "1234", 0, false, &r), VHDX_E_INVAL,
		"no disk id");
	T_FAILS(set("/new/base", NULL, 1024, true, &r), VHDX_E_INVAL,
		"512 or 4096");
	create("/new/4k", 4096);
	T_FAILS(set("/new/4k", NULL, 512, false, &r), VHDX_E_INVAL,
		"must be 4096");
	file_close(new_file("/new/raw"));
	T_FAILS(set("/new/raw", "new", 0, false, &r), VHDX_E_UNSUPPORTED,
		"raw");
	end();
}

static const struct t_test tests[] = {
	T_TEST(moved_parent_is_found_again_without_a_search),
	T_TEST(recorded_so_already_is_no_change),
	T_TEST(another_disk_is_refused_by_its_id),
	T_TEST(another_disk_is_taken_when_told_to_and_that_is_said),
	T_TEST(a_circle_is_refused_whatever_the_ids),
	T_TEST(parent_that_does_not_open_is_refused),
	T_TEST(what_cannot_be_a_parent_is_refused),
	T_TEST(dry_run_changes_no_byte),
	T_TEST(second_id_stays_with_a_parent_that_matches),
	T_TEST(merge_that_was_cut_off_keeps_the_ids_it_needs),
	T_TEST(failure_of_any_operation_leaves_a_chain_and_is_made_good),
	T_TEST(power_failure_leaves_a_chain_that_opens),
	T_TEST(disk_id_and_physical_sectors_are_set),
	T_TEST(setting_cuts_children_off),
	T_TEST(vhd_id_under_power_failure_is_the_old_or_the_new),
	T_TEST(odd_values_are_refused),
	T_END
};

const struct t_suite t_suite_relink = { "relink", tests };
