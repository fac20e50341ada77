/* SPDX-License-Identifier: MIT */
/* Images here are notes in memory: who they are and whom they name. */
#include "t.h"

#include <string.h>

#include "chain.h"
#include "mem.h"
#include "opener_mem.h"

struct note {
	uint8_t id, linkage, linkage2; /* linkage 0: no parent */
	bool vhd;
	uint32_t sector_len;
	char path[64], path2[64];
};

static struct opener_mem om;
static struct loop *loop;
static struct chain *chain;
static char said[512];
static unsigned live_cnt;

static struct guid id_of(uint8_t n)
{
	struct guid g = { { n } };

	return g;
}

static int note_close(struct image *img, struct vhdx_err *e)
{
	err_clear(e);
	file_close(img->file);
	parent_ref_free(img->parent);
	mem_free(img);
	live_cnt--;
	return 0;
}

static const struct image_ops note_ops = { .close = note_close };

static void add_path(struct parent_ref *ref, const char *key, const char *text)
{
	ref->paths[ref->path_cnt].key = key;
	ref->paths[ref->path_cnt++].text = mem_strdup(text);
}

static int note_open(struct file *f, enum vhdx_format format,
		     const struct image_open_opts *o, struct image **out,
		     struct vhdx_err *e)
{
	struct image *img = mem_zalloc(sizeof(*img));
	struct note n;

	(void)format;
	T_OK(file_read(f, 0, &n, sizeof(n), e));
	img->ops = &note_ops;
	img->file = f;
	img->writable = o->flags & VHDX_OPEN_WRITE;
	img->sector_len = n.sector_len ? n.sector_len : 512;
	img->info.format = n.vhd ? VHDX_FORMAT_VHD : VHDX_FORMAT_VHDX;
	img->identity = id_of(n.id);
	if (n.linkage) {
		img->parent = mem_zalloc(sizeof(*img->parent));
		img->parent->linkage_cnt = n.linkage2 ? 2 : 1;
		img->parent->linkage[0] = id_of(n.linkage);
		img->parent->linkage[1] = id_of(n.linkage2);
		add_path(img->parent, "relative_path", n.path);
		if (*n.path2)
			add_path(img->parent, "absolute_win32_path", n.path2);
	}
	live_cnt++;
	*out = img;
	return 0;
}

static void put(const char *path, struct note n)
{
	struct opener_mem_file *f = opener_mem_add(&om, path);

	memimg_write(&f->img, 0, &n, sizeof(n));
}

static void start(void)
{
	opener_mem_init(&om);
	T_OK(loop_new(&loop, &t_err));
	chain = NULL;
	said[0] = '\0';
}

static void finish(void)
{
	T_OK(chain_close(chain, &t_err));
	T_EQ_U64(live_cnt, 0);
	loop_free(loop);
	opener_mem_free(&om);
}

static void on_msg(void *arg, const char *text)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s", text);
}

static int walk_from(const char *path, unsigned flags, const char *search)
{
	const char *const folders[] = { search };
	struct chain_opts o = {
		.flags = flags, .search = folders, .search_cnt = search != NULL,
		.msg = on_msg, .image_open = note_open,
	};

	return chain_open(&om.opener, loop, path, &o, &chain, &t_err);
}

static void only_the_leaf_is_writable(void)
{
	start();
	put("/v/c", (struct note){ .id = 3, .linkage = 2, .path = "b" });
	put("/v/b", (struct note){ .id = 2, .linkage = 1, .path = "..\\a" });
	put("/a", (struct note){ .id = 1 });
	T_OK(walk_from("/v/c", VHDX_OPEN_WRITE, NULL));
	T_EQ_U64(chain->cnt, 3);
	T_EQ_U64(opener_mem_find(&om, "/v/c")->flags, OPENER_WRITE);
	T_EQ_U64(opener_mem_find(&om, "/v/b")->flags, 0);
	T_EQ_U64(opener_mem_find(&om, "/a")->flags, 0);
	T_TRUE(chain->layers[0]->writable && !chain->layers[1]->writable);
	T_TRUE(said[0] == '\0');
	finish();
}

static void second_linkage_is_as_good(void)
{
	start();
	put("/c", (struct note){ 3, 9, 2, .path = "b" });
	put("/b", (struct note){ .id = 2 });
	T_OK(walk_from("/c", 0, NULL));
	T_EQ_U64(chain->cnt, 2);
	finish();
}

static void wrong_file_of_right_name_is_passed_over(void)
{
	start();
	put("/v/c", (struct note){ 3, 2, .path = ".\\b",
				   .path2 = "\\\\?\\\\old\\b" });
	put("/v/b", (struct note){ .id = 7 });
	put("/old/b", (struct note){ .id = 2 });
	T_OK(walk_from("/v/c", 0, NULL));
	T_TRUE(strcmp(chain->layers[1]->file->path, "/old/b") == 0);
	finish();
}

static void search_folder_is_used_and_told(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "x\\b" });
	put("/pool/b", (struct note){ .id = 2 });
	T_OK(walk_from("/c", 0, "/pool"));
	T_TRUE(strstr(said, "search folder, as /pool/b"));
	finish();
}

static void missing_parent_lists_what_was_tried(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "x\\b",
				 .path2 = "\\\\?\\C:\\y\\d" });
	T_FAILS(walk_from("/c", 0, "/pool"), VHDX_E_NOPARENT,
		"set-parent (tried: /x/b, /d, /pool/b, /pool/d)");
	T_TRUE(!chain);
	finish();
}

static void wrong_parent_names_both_ids(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "b" });
	put("/b", (struct note){ .id = 7 });
	T_FAILS(walk_from("/c", 0, NULL), VHDX_E_LINKAGE,
		"id 00000002-0000-0000-0000-000000000000, but /b has "
		"00000007-");
	finish();
}

static void vhd_ids_are_told_in_text_order(void)
{
	start();
	put("/c", (struct note){ 3, 2, .vhd = true, .path = "b" });
	put("/b", (struct note){ .id = 7, .vhd = true });
	T_FAILS(walk_from("/c", 0, NULL), VHDX_E_LINKAGE, "id 02000000-");
	finish();
}

static void parent_of_another_format_is_refused(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "b" });
	put("/b", (struct note){ .id = 2, .vhd = true });
	T_FAILS(walk_from("/c", 0, NULL), VHDX_E_LINKAGE, "but /b is vhd");
	finish();
}

static void circle_is_corrupt_and_named(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "b" });
	put("/b", (struct note){ 2, 3, .path = "c" });
	T_FAILS(walk_from("/c", VHDX_OPEN_WRITE, NULL), VHDX_E_CORRUPT,
		"parent of /b is /c again");
	T_EQ_U64(opener_mem_find(&om, "/c")->open_cnt, 1);
	finish();
}

/* C:\templates\disk under D:\vm\disk: the name alone leads to the child. */
static void own_name_is_no_circle(void)
{
	start();
	put("/vm/disk", (struct note){ 3, 2, .path = "C:\\templates\\disk" });
	put("/pool/disk", (struct note){ .id = 2 });
	T_OK(walk_from("/vm/disk", 0, "/pool"));
	T_TRUE(strcmp(chain->layers[1]->file->path, "/pool/disk") == 0);
	finish();
}

static void other_sector_size_is_refused(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "b" });
	put("/b", (struct note){ .id = 2, .sector_len = 4096 });
	T_FAILS(walk_from("/c", 0, NULL), VHDX_E_UNSUPPORTED,
		"/c has sectors of 512 bytes, its parent /b of 4096");
	finish();
}

static void busy_parent_is_told_as_busy(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = "b" });
	opener_mem_add(&om, "/b")->fail = VHDX_E_BUSY;
	T_FAILS(walk_from("/c", 0, "/pool"), VHDX_E_BUSY, "parent of /c: /b");
	finish();
}

static void put_tower(unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		struct note n = { .id = (uint8_t)(i % 250 + 1) };
		char path[16];

		if (i + 1 < cnt) {
			n.linkage = (uint8_t)((i + 1) % 250 + 1);
			snprintf(n.path, sizeof(n.path), "f%u", i + 1);
		}
		snprintf(path, sizeof(path), "/f%u", i);
		put(path, n);
	}
}

static void partial_chain_ends_before_what_is_missing(void)
{
	start();
	put("/c", (struct note){ 3, 2, .path = ".\\b" });
	put("/b", (struct note){ 2, 1, .path = ".\\a" });
	T_OK(walk_from("/c", VHDX_OPEN_PARTIAL, NULL));
	T_EQ_U64(chain->cnt, 2);
	T_TRUE(chain->layers[1]->parent != NULL);
	finish();
}

static void partial_chain_is_not_written(void)
{
	start();
	put("/c", (struct note){ .id = 3 });
	T_FAILS(walk_from("/c", VHDX_OPEN_PARTIAL | VHDX_OPEN_WRITE, NULL),
		VHDX_E_INVAL, "writing");
	finish();
}

static void deepest_chain_opens(void)
{
	start();
	put_tower(CHAIN_MAX);
	T_OK(walk_from("/f0", 0, NULL));
	T_EQ_U64(chain->cnt, CHAIN_MAX);
	finish();
}

static void one_layer_more_is_refused(void)
{
	start();
	put_tower(CHAIN_MAX + 1);
	T_FAILS(walk_from("/f0", 0, NULL), VHDX_E_UNSUPPORTED,
		"deeper than 256");
	finish();
}

static const struct t_test tests[] = {
	T_TEST(only_the_leaf_is_writable),
	T_TEST(second_linkage_is_as_good),
	T_TEST(wrong_file_of_right_name_is_passed_over),
	T_TEST(search_folder_is_used_and_told),
	T_TEST(missing_parent_lists_what_was_tried),
	T_TEST(wrong_parent_names_both_ids),
	T_TEST(vhd_ids_are_told_in_text_order),
	T_TEST(parent_of_another_format_is_refused),
	T_TEST(circle_is_corrupt_and_named),
	T_TEST(own_name_is_no_circle),
	T_TEST(other_sector_size_is_refused),
	T_TEST(busy_parent_is_told_as_busy),
	T_TEST(partial_chain_ends_before_what_is_missing),
	T_TEST(partial_chain_is_not_written),
	T_TEST(deepest_chain_opens),
	T_TEST(one_layer_more_is_refused),
	T_END,
};

const struct t_suite t_suite_chain = { "chain", tests };
