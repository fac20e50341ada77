/* SPDX-License-Identifier: MIT */
/* Real images in the simulated folder: /v/leaf over /v/mid over /v/base. */
#include "chain_check.h"

#include <string.h>

#include "header.h"
#include "opener_crash.h"
#include "t.h"

static struct opener_crash oc;
static struct loop *loop;
static struct vhdx_chain_check_result res;
static char said[8][1200];
static unsigned said_cnt;

static struct file *get(const char *path, unsigned flags)
{
	struct file *f;

	T_OK(oc.opener.open(&oc.opener, loop, path, OPENER_WRITE | flags, &f,
			    &t_err));
	return f;
}

static void create(const char *path, const char *parent)
{
	struct vhdx_create_opts o = { .format = VHDX_FORMAT_VHDX,
				      .type = VHDX_TYPE_DYNAMIC,
				      .type_given = true, .size_len = 8 * MIB };
	struct chain_opts co = { .flags = 0 };
	struct file *f = get(path, OPENER_CREATE);
	uint64_t file_len, host_len;
	struct chain *c;

	T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
	if (!parent) {
		T_OK(vhdx_image_create(f, &o, &t_err));
		file_close(f);
		return;
	}
	o.type = VHDX_TYPE_DIFFERENCING;
	o.parent = parent;
	T_OK(chain_open(&oc.opener, loop, parent, &co, &c, &t_err));
	T_OK(vhdx_image_create_child(f, path, &o, c->layers[0], &t_err));
	T_OK(chain_close(c, &t_err));
	file_close(f);
}

static void begin(void)
{
	T_OK(loop_new(&loop, &t_err));
	opener_crash_init(&oc, NULL, NULL);
	create("/v/base", NULL);
	create("/v/mid", "/v/base");
	create("/v/leaf", "/v/mid");
}

static void end(void)
{
	T_EQ_U64(opener_crash_open_cnt(&oc), 0);
	opener_crash_fini(&oc);
	loop_free(loop);
}

static void on_finding(void *arg, unsigned depth, const char *path,
		       const struct vhdx_finding *f)
{
	(void)arg;
	(void)depth;
	T_TRUE(said_cnt < 8);
	snprintf(said[said_cnt++], sizeof(said[0]), "%s %s: %s%s", path,
		 f->severity == VHDX_SEV_ERROR ? "error" :
		 f->severity == VHDX_SEV_WARNING ? "warning" : "note", f->text,
		 f->repaired ? " REPAIRED" : f->repairable ? " REPAIRABLE" :
		 "");
}

static void check_at(const char *path, unsigned flags, const char *folder)
{
	struct vhdx_chain_check_opts o = { .flags = flags, .search = &folder,
					   .search_cnt = folder != NULL,
					   .finding = on_finding };

	said_cnt = 0;
	T_OK(check_chain(&oc.opener, loop, path, &o, &res, &t_err));
}

static void check(unsigned flags, const char *folder)
{
	check_at("/v/leaf", flags, folder);
}

static bool says(unsigned i, const char *begin_text, const char *part)
{
	return i < said_cnt &&
	       strncmp(said[i], begin_text, strlen(begin_text)) == 0 &&
	       strstr(said[i], part);
}

static void sound_chain_has_nothing_to_say(void)
{
	begin();
	check(0, NULL);
	T_EQ_U64(said_cnt, 0);
	T_TRUE(res.layer_cnt == 3 && !res.broken.code);
	T_TRUE(!res.errors && !res.warnings);
	end();
}

static void stale_path_is_mended_in_the_layer_that_has_it(void)
{
	begin();
	opener_crash_restart(&oc, "/v/base", "/far/base");
	check(VHDX_CHECK_REPAIR | VHDX_CHECK_DRY_RUN, "/far");
	T_TRUE(said_cnt == 1 && says(0, "/v/mid warning", "REPAIRABLE"));
	check(VHDX_CHECK_REPAIR, "/far");
	T_TRUE(said_cnt == 1 && says(0, "/v/mid warning", "REPAIRED"));
	T_TRUE(res.layer_cnt == 3 && res.repaired == 1 && !res.warnings);
	check(0, NULL);
	T_TRUE(said_cnt == 0 && res.layer_cnt == 3);
	end();
}

static void missing_parent_ends_the_chain_and_is_told_of_its_child(void)
{
	begin();
	opener_crash_restart(&oc, "/v/base", "/far/base");
	check(VHDX_CHECK_REPAIR, NULL);
	T_EQ_U64(res.broken.code, VHDX_E_NOPARENT);
	T_TRUE(said_cnt == 1);
	T_TRUE(says(0, "/v/mid error: its parent", "--search"));
	T_TRUE(res.layer_cnt == 2 && res.errors == 1);
	end();
}

/* By its name it would be found, by its id it is another disk. */
static void what_is_not_proved_is_not_recorded(void)
{
	struct crash_tree *t = calloc(2, sizeof(*t));
	uint64_t off;

	begin();
	opener_crash_restart(&oc, "/v/base", "/far/away");
	create("/far/base", NULL);
	opener_crash_now(&oc, &t[0]);
	check(VHDX_CHECK_REPAIR, "/far");
	T_EQ_U64(res.broken.code, VHDX_E_LINKAGE);
	opener_crash_now(&oc, &t[1]);
	for (unsigned i = 0; i < t[0].cnt; i++)
		T_TRUE(memimg_eq(&t[0].files[i].img, &t[1].files[i].img,
				 &off));
	crash_tree_free(&t[0]);
	crash_tree_free(&t[1]);
	free(t);
	end();
}

/* The base of the chain gives way to the leaf, which takes over its id. */
static void circle_is_an_error_of_the_layer_that_closes_it(void)
{
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct header_pair hp;
	struct chain *c;
	struct file *f;

	begin();
	T_OK(chain_open(&oc.opener, loop, "/v/base", &co, &c, &t_err));
	f = get("/v/leaf", 0);
	T_OK(header_load(f, &hp, &t_err));
	hp.cur.data_write = c->layers[0]->identity;
	T_OK(header_update(f, &hp, &t_err));
	file_close(f);
	T_OK(chain_close(c, &t_err));
	opener_crash_restart(&oc, "/v/base", "/far/base");
	opener_crash_restart(&oc, "/v/leaf", "/v/base");
	check_at("/v/mid", 0, NULL);
	T_EQ_U64(res.broken.code, VHDX_E_CORRUPT);
	T_TRUE(said_cnt == 1 && says(0, "/v/base error", "runs in a circle"));
	end();
}

static void error_in_a_layer_keeps_its_path_from_being_mended(void)
{
	uint8_t junk[2] = { 0xff, 0xff };
	struct chain_opts co = { .flags = VHDX_OPEN_ALONE };
	struct chain *c;
	struct file *f;
	uint64_t bat;

	begin();
	T_OK(chain_open(&oc.opener, loop, "/v/mid", &co, &c, &t_err));
	bat = c->layers[0]->info.bat_off;
	T_OK(chain_close(c, &t_err));
	f = get("/v/mid", 0);
	T_OK(file_write(f, bat, junk, sizeof(junk), &t_err));
	file_close(f);
	opener_crash_restart(&oc, "/v/base", "/far/base");
	check(VHDX_CHECK_REPAIR, "/far");
	T_TRUE(says(said_cnt - 1, "/v/mid warning", "does not lead"));
	T_TRUE(!strstr(said[said_cnt - 1], "REPAIR"));
	T_TRUE(res.errors > 0 && res.warnings == 1 && !res.repaired);
	end();
}

static void busy_parent_is_told_and_nothing_hangs(void)
{
	struct file *f;

	begin();
	f = get("/v/base", 0);
	check(VHDX_CHECK_REPAIR, NULL);
	T_EQ_U64(res.broken.code, VHDX_E_BUSY);
	file_close(f);
	end();
}

static void merge_that_was_cut_off_is_told_of_its_child(void)
{
	begin();
	T_OK(oc.opener.put(&oc.opener, loop, "/v/mid.merge", "x", 1, &t_err));
	check(0, NULL);
	T_TRUE(said_cnt == 1 && says(0, "/v/mid warning: a merge of it was cut",
				     "vhdtool merge /v/mid"));
	T_TRUE(res.warnings == 1 && res.layer_cnt == 3);
	end();
}

static const struct t_test tests[] = {
	T_TEST(sound_chain_has_nothing_to_say),
	T_TEST(stale_path_is_mended_in_the_layer_that_has_it),
	T_TEST(missing_parent_ends_the_chain_and_is_told_of_its_child),
	T_TEST(what_is_not_proved_is_not_recorded),
	T_TEST(circle_is_an_error_of_the_layer_that_closes_it),
	T_TEST(error_in_a_layer_keeps_its_path_from_being_mended),
	T_TEST(merge_that_was_cut_off_is_told_of_its_child),
	T_TEST(busy_parent_is_told_and_nothing_hangs),
	T_END
};

const struct t_suite t_suite_chain_check = { "chain_check", tests };
