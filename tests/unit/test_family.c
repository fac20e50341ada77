/* SPDX-License-Identifier: MIT */
/* Images here are notes in memory: who they are and whom they name. */
#include "t.h"

#include <string.h>

#include "family.h"
#include "mem.h"
#include "opener_mem.h"

struct note {
	uint8_t id, linkage, linkage2; /* linkage 0: no parent */
	bool vhd, raw, damaged;
	char path[64], path2[64];
	uint8_t fill[2048];
};

static struct opener_mem om;
static struct loop *loop;
static struct vhdx_forest *forest;
static unsigned live_cnt, most_cnt;
static const char *unreadable;
static bool torn; /* the next image is read while it is written */

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

static bool add_path(struct parent_ref *ref, const char *text)
{
	if (!*text)
		return true;
	ref->paths[ref->path_cnt].key = "relative_path";
	ref->paths[ref->path_cnt].text = mem_strdup(text);
	return ref->paths[ref->path_cnt++].text;
}

static bool set_ref(struct image *img, const struct note *n)
{
	struct parent_ref *ref = n->linkage ? mem_zalloc(sizeof(*ref)) : NULL;

	img->parent = ref;
	if (!ref)
		return !n->linkage;
	ref->linkage_cnt = n->linkage2 ? 2 : 1;
	ref->linkage[0].b[0] = n->linkage;
	ref->linkage[1].b[0] = n->linkage2;
	return add_path(ref, n->path) && add_path(ref, n->path2);
}

static int note_open(struct file *f, enum vhdx_format format,
		     const struct image_open_opts *o, struct image **out,
		     struct vhdx_err *e)
{
	struct image *img;
	struct note n;

	T_EQ_U64(format, VHDX_FORMAT_PROBE);
	T_EQ_U64(o->flags, VHDX_OPEN_ALONE);
	T_TRUE(!f->writable);
	if (file_read(f, 0, &n, sizeof(n), e))
		return e->code;
	if (n.damaged || torn) {
		torn = false;
		return err_corrupt(e, VHDX_OBJ_HEADER, 0, "2.2", "as told");
	}
	img = mem_zalloc(sizeof(*img));
	if (!img || !set_ref(img, &n)) {
		if (img)
			parent_ref_free(img->parent);
		mem_free(img);
		return err_set(e, VHDX_E_NOMEM, "no memory for a note");
	}
	img->ops = &note_ops;
	img->file = f;
	img->info.format = n.raw ? VHDX_FORMAT_RAW : n.vhd ? VHDX_FORMAT_VHD :
							     VHDX_FORMAT_VHDX;
	img->identity.b[0] = n.id;
	if (++live_cnt > most_cnt)
		most_cnt = live_cnt;
	*out = img;
	return 0;
}

/* ---- folders: what lies in one, and the names of the next ones ---------- */

static bool look(const struct family_host *h, const char *path,
		 struct family_entry *out)
{
	struct opener_mem_file *f = opener_mem_find(&om, path);

	(void)h;
	*out = (struct family_entry){ .dev = 1 };
	if (!f)
		return false;
	out->ino = (uint64_t)(f - om.files) + 1;
	out->len = f->img.size;
	if (f->flags == UINT32_MAX) { /* a link to the file before it */
		out->link = true;
		out->ino--;
	}
	return true;
}

static int list(const struct family_host *h, const char *folder,
		bool (*fn)(void *arg, const struct family_entry *en), void *arg,
		struct vhdx_err *e)
{
	size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
	char name[64];

	if (unreadable && strcmp(folder, unreadable) == 0)
		return err_set(e, VHDX_E_PERM, "%s: as told", folder);
	for (unsigned i = om.cnt; i-- > 0;) {
		const char *path = om.files[i].path;
		struct family_entry en = { .folder = true };
		size_t len;

		if (strncmp(path, folder, n) != 0 || path[n] != '/')
			continue;
		len = strcspn(path + n + 1, "/");
		if (path[n + 1 + len] == '\0')
			T_TRUE(look(h, path, &en));
		snprintf(name, sizeof(name), "%.*s", (int)len, path + n + 1);
		en.name = name;
		if (!fn(arg, &en))
			break;
	}
	return 0;
}

static const struct family_host mem_host = { .list = list, .look = look };

static struct opener_mem_file *put(const char *path, struct note n)
{
	struct opener_mem_file *f = opener_mem_add(&om, path);

	memimg_write(&f->img, 0, &n, sizeof(n));
	return f;
}

static void start(void)
{
	opener_mem_init(&om);
	T_OK(loop_new(&loop, &t_err));
	forest = NULL;
	most_cnt = 0;
	unreadable = NULL;
}

static void finish(void)
{
	vhdx_forest_free(forest);
	T_EQ_U64(live_cnt, 0);
	loop_free(loop);
	opener_mem_free(&om);
}

static int scan_as(const struct vhdx_scan_opts *opts)
{
	struct family_opts fo = { &mem_host, note_open, opts };

	vhdx_forest_free(forest);
	return family_scan(&om.opener, loop, &fo, &forest, &t_err);
}

static int scan(const char *folder, bool recursive, bool parents)
{
	struct vhdx_scan_opts so = {
		.folders = &folder,
		.folder_cnt = 1,
		.recursive = recursive,
		.parents = parents,
	};

	return scan_as(&so);
}

static size_t at(const char *path)
{
	for (size_t i = 0; i < forest->cnt; i++)
		if (strcmp(forest->images[i].path, path) == 0)
			return i;
	return VHDX_NO_IMAGE;
}

static const struct vhdx_found *image(const char *path)
{
	T_TRUE(at(path) != VHDX_NO_IMAGE);
	return &forest->images[at(path)];
}

static enum vhdx_kin kin(const char *child, const char *of)
{
	T_TRUE(at(child) != VHDX_NO_IMAGE && at(of) != VHDX_NO_IMAGE);
	return vhdx_forest_kin(forest, at(child), at(of));
}

/* ---- the tests ---------------------------------------------------------- */

static void parents_are_known_by_id_not_by_name(void)
{
	start();
	put("/v/c.avhdx", (struct note){ .id = 3, .linkage = 2,
					 .path = ".\\wrong.vhdx" });
	put("/v/wrong.vhdx", (struct note){ .id = 7 });
	put("/v/right.vhdx", (struct note){ .id = 2 });
	T_OK(scan("/v", false, false));
	T_EQ_U64(forest->cnt, 3);
	T_EQ_U64(image("/v/c.avhdx")->parent, at("/v/right.vhdx"));
	T_TRUE(!image("/v/c.avhdx")->by_path);
	T_EQ_U64(image("/v/c.avhdx")->stranger, at("/v/wrong.vhdx"));
	T_EQ_U64(kin("/v/c.avhdx", "/v/right.vhdx"), VHDX_KIN_CHILD);
	T_EQ_U64(kin("/v/c.avhdx", "/v/wrong.vhdx"), VHDX_KIN_NONE);
	finish();
}

static void second_linkage_makes_a_child_too(void)
{
	start();
	put("/c.vhdx", (struct note){ 3, 9, 2, .path = ".\\b.vhdx" });
	put("/b.vhdx", (struct note){ .id = 2 });
	T_OK(scan("/", false, false));
	T_EQ_U64(kin("/c.vhdx", "/b.vhdx"), VHDX_KIN_CHILD);
	T_EQ_U64(image("/c.vhdx")->linkage_used, 1);
	T_TRUE(image("/c.vhdx")->by_path);
	finish();
}

static void named_but_changed_parent_is_a_broken_link(void)
{
	start();
	put("/c.vhdx", (struct note){ 3, 9, .path = ".\\b.vhdx" });
	put("/b.vhdx", (struct note){ .id = 2 });
	T_OK(scan("/", false, false));
	T_EQ_U64(kin("/c.vhdx", "/b.vhdx"), VHDX_KIN_BROKEN);
	T_EQ_U64(image("/c.vhdx")->parent, VHDX_NO_IMAGE);
	T_EQ_U64(image("/c.vhdx")->stranger, at("/b.vhdx"));
	finish();
}

static void other_format_with_the_same_id_is_no_parent(void)
{
	start();
	put("/c.vhdx", (struct note){ 3, 2, .path = ".\\b.vhd" });
	put("/b.vhd", (struct note){ .id = 2, .vhd = true });
	T_OK(scan("/", false, false));
	T_EQ_U64(kin("/c.vhdx", "/b.vhd"), VHDX_KIN_BROKEN);
	finish();
}

static void of_two_copies_the_one_led_to_is_the_parent(void)
{
	start();
	put("/a.vhdx", (struct note){ .id = 2 });
	put("/b.vhdx", (struct note){ .id = 2 });
	put("/c.vhdx", (struct note){ 3, 2, .path = ".\\b.vhdx" });
	put("/d.vhdx", (struct note){ 4, 2, .path = ".\\gone.vhdx" });
	T_OK(scan("/", false, false));
	T_EQ_U64(image("/c.vhdx")->parent, at("/b.vhdx"));
	T_EQ_U64(image("/d.vhdx")->parent, at("/a.vhdx"));
	T_EQ_U64(image("/b.vhdx")->copy_of, at("/a.vhdx"));
	T_EQ_U64(image("/a.vhdx")->copy_cnt, 2);
	T_EQ_U64(image("/c.vhdx")->copy_cnt, 1);
	T_EQ_U64(kin("/c.vhdx", "/a.vhdx"), VHDX_KIN_CHILD);
	finish();
}

static void damaged_image_might_be_anybodys_child(void)
{
	start();
	put("/b.vhdx", (struct note){ .id = 2 });
	put("/x.vhdx", (struct note){ .damaged = true });
	put("/y.vhdx", (struct note){ .damaged = true });
	put("/c.vhdx", (struct note){ 3, 2, .path = ".\\x.vhdx" });
	T_OK(scan("/", false, false));
	T_EQ_U64(image("/x.vhdx")->code, VHDX_E_CORRUPT);
	T_EQ_U64(image("/x.vhdx")->copy_cnt, 1);
	T_TRUE(strstr(image("/x.vhdx")->err->text, "as told"));
	T_EQ_U64(kin("/x.vhdx", "/b.vhdx"), VHDX_KIN_UNKNOWN);
	T_EQ_U64(kin("/c.vhdx", "/x.vhdx"), VHDX_KIN_NONE);
	finish();
}

/* The parent may be right, but nobody can tell. */
static void child_of_a_damaged_file_cannot_be_told(void)
{
	start();
	put("/x.vhdx", (struct note){ .damaged = true });
	put("/c.vhdx", (struct note){ 3, 2, .path = ".\\x.vhdx" });
	T_OK(scan("/", false, false));
	T_EQ_U64(kin("/c.vhdx", "/x.vhdx"), VHDX_KIN_UNKNOWN);
	finish();
}

/* Somebody writes to these: they cannot be locked, but read. */
static int open_busy(const struct opener *o, struct loop *l, const char *path,
		     unsigned flags, struct file **out, struct vhdx_err *e)
{
	(void)o;
	if (strncmp(path, "/busy", 5) == 0 && !(flags & OPENER_NOLOCK))
		return err_set(e, VHDX_E_BUSY, "%s: in use", path);
	return om.opener.open(&om.opener, l, path, flags, out, e);
}

static void busy_image_is_known_but_says_busy(void)
{
	static const struct opener busy = { .open = open_busy };
	const char *folder = "/";
	struct vhdx_scan_opts so = { .folders = &folder, .folder_cnt = 1 };
	struct family_opts fo = { &mem_host, note_open, &so };

	start();
	put("/busy1.vhdx", (struct note){ 3, 2, .path = ".\\b.vhdx" });
	put("/busy2.vhdx", (struct note){ .id = 4 });
	put("/busy3.vhdx", (struct note){ .damaged = true });
	put("/b.vhdx", (struct note){ .id = 2 });
	T_OK(family_scan(&busy, loop, &fo, &forest, &t_err));
	T_EQ_U64(image("/busy1.vhdx")->code, VHDX_E_BUSY);
	T_EQ_U64(kin("/busy1.vhdx", "/b.vhdx"), VHDX_KIN_CHILD);
	T_EQ_U64(kin("/busy2.vhdx", "/b.vhdx"), VHDX_KIN_NONE);
	T_EQ_U64(image("/busy3.vhdx")->code, VHDX_E_BUSY);
	T_EQ_U64(kin("/busy3.vhdx", "/b.vhdx"), VHDX_KIN_UNKNOWN);
	T_EQ_U64(opener_mem_find(&om, "/busy3.vhdx")->open_cnt, 2);
	finish();
}

static void torn_read_is_repeated(void)
{
	start();
	put("/b.vhdx", (struct note){ .id = 2 });
	torn = true;
	T_OK(scan("/", false, false));
	T_TRUE(!torn);
	T_EQ_U64(image("/b.vhdx")->code, 0);
	T_TRUE(image("/b.vhdx")->known && !image("/b.vhdx")->err);
	finish();
}

static void raw_content_under_an_image_name_is_damage(void)
{
	start();
	put("/x.VHDX", (struct note){ .raw = true });
	put("/y.img", (struct note){ .raw = true });
	T_OK(scan("/", false, false));
	T_EQ_U64(forest->cnt, 1);
	T_EQ_U64(image("/x.VHDX")->code, VHDX_E_CORRUPT);
	finish();
}

static void other_names_are_known_by_content(void)
{
	struct memimg *img;

	start();
	img = &put("/disk", (struct note){ .id = 2 })->img;
	memimg_write(img, img->size - 512, "conectix", 8);
	put("/notes.txt", (struct note){ .id = 3 });
	T_OK(scan("/", false, false));
	T_EQ_U64(forest->cnt, 1);
	T_TRUE(image("/disk")->known);
	finish();
}

static void leftovers_are_told_apart_from_images(void)
{
	static const char head[] = "vhdkit merge journal 1\n";
	struct opener_mem_file *f;

	start();
	f = put("/.d.vhdx.0123abcd.tmp", (struct note){ .id = 4 });
	memimg_write(&f->img, f->img.size - 512, "conectix", 8);
	put("/.e.vhdx.0123abcd.tmp", (struct note){ .id = 5 })->fail =
		VHDX_E_BUSY;
	put("/.f.vhdx.0123abcX.tmp", (struct note){ .id = 6 });
	f = opener_mem_add(&om, "/c.vhdx.merge");
	memimg_write(&f->img, 0, head, sizeof(head));
	put("/git.merge", (struct note){ .id = 7 });
	T_OK(scan("/", false, false));
	T_EQ_U64(forest->cnt, 0);
	T_EQ_U64(forest->leftover_cnt, 3);
	T_EQ_U64(forest->leftovers[0].kind, VHDX_LEFT_UNFINISHED);
	T_TRUE(!forest->leftovers[0].busy && forest->leftovers[1].busy);
	T_EQ_U64(forest->leftovers[2].kind, VHDX_LEFT_MERGE);
	T_TRUE(strcmp(forest->leftovers[2].path, "/c.vhdx.merge") == 0);
	finish();
}

static void two_names_of_one_file_count_once(void)
{
	start();
	put("/z.vhdx", (struct note){ .id = 2 });
	opener_mem_add(&om, "/a.vhdx")->flags = UINT32_MAX;
	T_OK(scan("/", false, false));
	T_EQ_U64(forest->cnt, 1);
	T_TRUE(image("/z.vhdx")->known);
	T_EQ_U64(vhdx_forest_find(forest, "/a.vhdx"), 0);
	T_EQ_U64(vhdx_forest_find(forest, "/b.vhdx"), VHDX_NO_IMAGE);
	finish();
}

static void subfolders_are_read_only_if_asked_for(void)
{
	start();
	put("/v/b.vhdx", (struct note){ .id = 2 });
	put("/v/s/t/c.vhdx", (struct note){ 3, 2, .path = "..\\..\\b.vhdx" });
	T_OK(scan("/v", false, false));
	T_EQ_U64(forest->cnt, 1);
	T_OK(scan("/v", true, false));
	T_EQ_U64(forest->cnt, 2);
	T_EQ_U64(kin("/v/s/t/c.vhdx", "/v/b.vhdx"), VHDX_KIN_CHILD);
	finish();
}

static void unreadable_subfolder_is_told_a_given_one_fails(void)
{
	start();
	put("/v/b.vhdx", (struct note){ .id = 2 });
	put("/v/s/c.vhdx", (struct note){ 3, 2, .path = "..\\b.vhdx" });
	unreadable = "/v/s";
	T_OK(scan("/v", true, false));
	T_EQ_U64(image("/v/s")->code, VHDX_E_PERM);
	T_EQ_U64(kin("/v/s", "/v/b.vhdx"), VHDX_KIN_UNKNOWN);
	unreadable = "/v";
	forest = (vhdx_forest_free(forest), NULL);
	T_FAILS(scan("/v", true, false), VHDX_E_PERM, "/v: as told");
	finish();
}

static void recorded_paths_lead_out_of_the_folder(void)
{
	start();
	put("/v/c.vhdx", (struct note){ 3, 2, .path = "..\\p\\b.vhdx" });
	put("/p/b.vhdx", (struct note){ 2, 1, .path = ".\\a.vhdx" });
	put("/p/a.vhdx", (struct note){ .id = 1 });
	put("/p/other.vhdx", (struct note){ .id = 4 });
	T_OK(scan("/v", false, true));
	T_EQ_U64(forest->cnt, 3);
	T_TRUE(!image("/v/c.vhdx")->outside);
	T_TRUE(image("/v/../p/b.vhdx")->outside);
	T_EQ_U64(kin("/v/../p/b.vhdx", "/v/../p/a.vhdx"), VHDX_KIN_CHILD);
	finish();
}

/* A child may say that its parent is anything at all. */
static void recorded_path_to_no_image_is_not_followed(void)
{
	start();
	put("/v/c.vhdx", (struct note){ 3, 2, .path = "\\\\?\\\\etc\\secret" });
	put("/etc/secret", (struct note){ .raw = true });
	T_OK(scan("/v", false, true));
	T_EQ_U64(forest->cnt, 1);
	T_EQ_U64(image("/v/c.vhdx")->stranger, VHDX_NO_IMAGE);
	finish();
}

static bool is_child(const struct note *c, const struct note *p)
{
	return c != p && c->linkage && c->vhd == p->vhd &&
	       (c->linkage == p->id ||
		(c->linkage2 && c->linkage2 == p->id));
}

static void random_families_agree_with_the_definition(void)
{
	struct note n[40];
	uint64_t seed = 7;
	char path[16];

	for (unsigned round = 0; round < 200; round++) {
		start();
		for (unsigned i = 0; i < ARRAY_LEN(n); i++) {
			n[i] = (struct note){
				.id = (uint8_t)(1 + t_rand_below(&seed, 30)),
				.linkage = (uint8_t)t_rand_below(&seed, 31),
				.linkage2 = (uint8_t)t_rand_below(&seed, 31),
				.vhd = t_rand_below(&seed, 4) == 0,
			};
			snprintf(n[i].path, sizeof(n[i].path), "f%02u.vhdx",
				 (unsigned)t_rand_below(&seed, 40));
			snprintf(path, sizeof(path), "/f%02u.vhdx", i);
			put(path, n[i]);
		}
		T_OK(scan("/", false, false));
		for (unsigned c = 0; c < ARRAY_LEN(n); c++) {
			size_t parent = forest->images[c].parent, any = 0;

			for (unsigned p = 0; p < ARRAY_LEN(n); p++) {
				bool is = is_child(&n[c], &n[p]);

				any += is;
				T_TRUE(is == (vhdx_forest_kin(forest, c, p) ==
					      VHDX_KIN_CHILD));
			}
			T_TRUE((parent != VHDX_NO_IMAGE) == (any > 0));
			T_TRUE(!any || is_child(&n[c], &n[parent]));
		}
		finish();
	}
}

static void circle_is_marked_and_what_hangs_on_it_is_not(void)
{
	start();
	put("/a.vhdx", (struct note){ 1, 2, .path = ".\\b.vhdx" });
	put("/b.vhdx", (struct note){ 2, 1, .path = ".\\a.vhdx" });
	put("/c.vhdx", (struct note){ 3, 2, .path = ".\\b.vhdx" });
	put("/d.vhdx", (struct note){ 4, 4, .path = ".\\d.vhdx" });
	T_OK(scan("/", false, false));
	T_TRUE(image("/a.vhdx")->circle && image("/b.vhdx")->circle);
	T_TRUE(!image("/c.vhdx")->circle && !image("/d.vhdx")->circle);
	T_EQ_U64(image("/d.vhdx")->parent, VHDX_NO_IMAGE);
	finish();
}

static void one_image_is_open_at_a_time(void)
{
	char path[32];

	start();
	for (unsigned i = 0; i < 250; i++) {
		snprintf(path, sizeof(path), "/f%03u.vhdx", i);
		put(path, (struct note){ .id = (uint8_t)(i + 1),
					 .linkage = (uint8_t)i });
	}
	T_OK(scan("/", false, false));
	T_EQ_U64(forest->cnt, 250);
	T_EQ_U64(most_cnt, 1);
	for (unsigned i = 0; i < 250; i++) {
		T_EQ_U64(om.files[i].open_cnt, 1);
		T_EQ_U64(om.files[i].flags, OPENER_LOOK); /* no lock */
		if (i)
			T_EQ_U64(forest->images[i].parent, i - 1);
	}
	finish();
}

static void any_failed_allocation_is_nomem_and_leaks_nothing(void)
{
	uint64_t total, live;

	start();
	put("/v/c.vhdx", (struct note){ 3, 2, .path = "s\\b.vhdx" });
	put("/v/s/b.vhdx", (struct note){ .id = 2 });
	put("/v/x.vhdx", (struct note){ .damaged = true });
	put("/v/.d.vhdx.0123abcd.tmp", (struct note){ .id = 4 });
	T_OK(scan("/v", true, true));
	forest = (vhdx_forest_free(forest), NULL);
	(void)mem_fail_nth(UINT64_MAX);
	T_OK(scan("/v", true, true));
	total = mem_fail_nth(0);
	forest = (vhdx_forest_free(forest), NULL);
	live = mem_live_cnt();
	for (uint64_t n = 1; n <= total; n++) {
		(void)mem_fail_nth(n);
		T_FAILS(scan("/v", true, true), VHDX_E_NOMEM, "");
		(void)mem_fail_nth(0);
		forest = (vhdx_forest_free(forest), NULL);
		T_EQ_U64(mem_live_cnt(), live);
	}
	finish();
}

static const struct t_test tests[] = {
	T_TEST(parents_are_known_by_id_not_by_name),
	T_TEST(second_linkage_makes_a_child_too),
	T_TEST(named_but_changed_parent_is_a_broken_link),
	T_TEST(other_format_with_the_same_id_is_no_parent),
	T_TEST(of_two_copies_the_one_led_to_is_the_parent),
	T_TEST(damaged_image_might_be_anybodys_child),
	T_TEST(child_of_a_damaged_file_cannot_be_told),
	T_TEST(busy_image_is_known_but_says_busy),
	T_TEST(torn_read_is_repeated),
	T_TEST(raw_content_under_an_image_name_is_damage),
	T_TEST(other_names_are_known_by_content),
	T_TEST(leftovers_are_told_apart_from_images),
	T_TEST(two_names_of_one_file_count_once),
	T_TEST(subfolders_are_read_only_if_asked_for),
	T_TEST(unreadable_subfolder_is_told_a_given_one_fails),
	T_TEST(recorded_paths_lead_out_of_the_folder),
	T_TEST(recorded_path_to_no_image_is_not_followed),
	T_TEST(random_families_agree_with_the_definition),
	T_TEST(circle_is_marked_and_what_hangs_on_it_is_not),
	T_TEST(one_image_is_open_at_a_time),
	T_TEST(any_failed_allocation_is_nomem_and_leaks_nothing),
	T_END,
};

const struct t_suite t_suite_family = { "family", tests };
