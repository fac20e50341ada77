/* SPDX-License-Identifier: MIT */
/* Another parent for a child, and what a parent takes over from a child. */
#include <string.h>

#include "file_crash.h"
#include "file_mem.h"
#include "le.h"
#include "locator.h"
#include "mem.h"
#include "t.h"
#include "vhdx_create.h"
#include "vhdx_items.h"

static struct loop *loop;
static struct memimg base, child;

static const struct guid old_id = { { 1, 2, 3 } }, new_id = { { 4, 5, 6 } };
static const struct guid user_a = { { 0xa } }, user_b = { { 0xb } };

static struct vhdx_image *open_file(struct file *f, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;

	T_OK(vhdx_image_open(f, &o, &img, &t_err));
	return vi_of(img);
}

static struct vhdx_image *open_at(struct memimg *m, const char *path,
				  unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(loop, path, m, &f, &t_err));
	return open_file(f, flags);
}

static void close_it(struct vhdx_image *vi)
{
	T_OK(vi->img.ops->close(&vi->img, &t_err));
}

static void fill_opts(struct vhdx_create_opts *o, uint64_t size_len,
		      uint32_t physical)
{
	uint64_t file_len, host_len;

	*o = (struct vhdx_create_opts){ .format = VHDX_FORMAT_VHDX,
					.type = VHDX_TYPE_DYNAMIC,
					.type_given = true,
					.size_len = size_len,
					.physical_sector_len = physical };
	T_OK(vhdx_create_plan(o, &file_len, &host_len, &t_err));
}

/* A child of 16 MiB, which names another parent than base's 8 MiB. */
static void create_child(void)
{
	struct vhdx_image *parent = open_at(&base, "/v/base", 0);
	struct create_child what;
	struct vhdx_create_opts o;
	struct locator loc;
	uint8_t item[1024];
	struct file *f;

	T_OK(locator_make("/v/child", "/old/base", &old_id, &loc, &t_err));
	T_OK(locator_set(&loc, "foreign_key", "kept", &t_err));
	T_OK(locator_set(&loc, "volume_path", "\\\\?\\Volume{1}\\a", &t_err));
	fill_opts(&o, 16 * MIB, 512);
	vhdx_image_as_parent(&parent->img, &what);
	what.locator_len = locator_encode(&loc, item);
	what.locator = item;
	T_OK(file_mem_new(loop, "/v/child", &child, &f, &t_err));
	T_OK(vhdx_child_create(f, &o, &what, &t_err));
	file_close(f);
	locator_free(&loc);
	close_it(parent);
}

static void begin(void)
{
	struct vhdx_create_opts o;
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	fill_opts(&o, 8 * MIB, 4096);
	T_OK(file_mem_new(loop, "/v/base", &base, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	create_child();
}

static void end(void)
{
	loop_free(loop);
	memimg_free(&base);
	memimg_free(&child);
}

static const struct parent_edit move = { .linkage = { { 4, 5, 6 } },
					 .path = "/new/base" };

static void relink(const struct parent_edit *p)
{
	struct vhdx_image *vi = open_at(&child, "/v/child", VHDX_OPEN_WRITE);

	T_OK(vi->img.ops->set_parent(&vi->img, p, &t_err));
	close_it(vi);
}

static bool says(struct vhdx_image *vi, const char *key, const char *value)
{
	struct locator l;
	uint64_t off;
	char *text;
	bool ok;

	T_OK(vhdx_load_locator(vi, &l, &off, &t_err));
	text = locator_get(&l, key);
	ok = text && value ? strcmp(text, value) == 0 : text == value;
	mem_free(text);
	locator_free(&l);
	return ok;
}

static void new_parent_is_recorded_and_the_unknown_is_kept(void)
{
	struct vhdx_image *vi;

	begin();
	relink(&move);
	vi = open_at(&child, "/v/child", 0);
	T_TRUE(says(vi, "parent_linkage",
		    "{00060504-0000-0000-0000-000000000000}"));
	T_TRUE(says(vi, "relative_path", "..\\new\\base"));
	T_TRUE(says(vi, "absolute_win32_path", "\\\\?\\\\new\\base"));
	T_TRUE(says(vi, "volume_path", NULL));
	T_TRUE(says(vi, "foreign_key", "kept"));
	close_it(vi);
	end();
}

static void relinking_keeps_this_disks_own_identity(void)
{
	struct vhdx_image *vi;
	struct fmt_header was;

	begin();
	vi = open_at(&child, "/v/child", 0);
	was = vi->hdr.cur;
	close_it(vi);
	relink(&move);
	vi = open_at(&child, "/v/child", 0);
	T_TRUE(guid_eq(&vi->hdr.cur.data_write, &was.data_write));
	T_TRUE(!guid_eq(&vi->hdr.cur.file_write, &was.file_write));
	close_it(vi);
	end();
}

static void same_parent_again_changes_no_byte(void)
{
	struct memimg before = { 0 };
	uint64_t off;

	begin();
	relink(&move);
	memimg_clone(&before, &child);
	relink(&move);
	T_TRUE(memimg_eq(&before, &child, &off));
	memimg_free(&before);
	end();
}

static void second_linkage_comes_and_goes_alone(void)
{
	struct parent_edit p = { .linkage = old_id, .linkage2 = new_id };
	struct vhdx_image *vi;

	begin();
	relink(&p);
	vi = open_at(&child, "/v/child", 0);
	T_EQ_U64(vi->img.parent->linkage_cnt, 2);
	T_TRUE(guid_eq(&vi->img.parent->linkage[1], &new_id));
	T_TRUE(says(vi, "volume_path", "\\\\?\\Volume{1}\\a"));
	close_it(vi);
	p.linkage2 = (struct guid){ { 0 } };
	relink(&p);
	vi = open_at(&child, "/v/child", 0);
	T_EQ_U64(vi->img.parent->linkage_cnt, 1);
	T_TRUE(guid_eq(&vi->img.parent->linkage[0], &old_id));
	close_it(vi);
	end();
}

static void base_disk_has_no_parent_to_change(void)
{
	struct vhdx_image *vi;

	begin();
	vi = open_at(&base, "/v/base", VHDX_OPEN_WRITE);
	T_FAILS(vi->img.ops->set_parent(&vi->img, &move, &t_err),
		VHDX_E_INVAL, "not a differencing disk");
	close_it(vi);
	end();
}

/* Old linkage with the old path, or new with new; never a mixture. */
static void verify_state(struct memimg *m, const struct guid *data_write)
{
	struct vhdx_image *vi = open_at(m, "/v/child", 0);
	bool is_new = guid_eq(&vi->img.parent->linkage[0], &new_id);

	T_TRUE(is_new || guid_eq(&vi->img.parent->linkage[0], &old_id));
	T_TRUE(says(vi, "relative_path",
		    is_new ? "..\\new\\base" : "..\\old\\base"));
	T_TRUE(guid_eq(&vi->hdr.cur.data_write, data_write));
	close_it(vi);
}

static void power_failure_leaves_the_old_or_the_new_parent(void)
{
	struct crash_world *w = crash_world_new(NULL);
	struct memimg state = { 0 };
	struct vhdx_image *vi;
	struct crash_disk *d;
	struct crash_iter it;
	struct guid was;
	struct file *f;

	begin();
	d = crash_disk_new(w, "/v/child", &child);
	T_OK(crash_disk_open(d, loop, &f, &t_err));
	vi = open_file(f, VHDX_OPEN_WRITE);
	was = vi->hdr.cur.data_write;
	T_OK(vi->img.ops->set_parent(&vi->img, &move, &t_err));
	close_it(vi);
	for (uint64_t k = 0, last = UINT64_MAX; k != last;
	     last = k, k = crash_next(w, k)) {
		crash_iter_init(&it, d, k, 64, k);
		while (crash_iter_next(&it, &state)) {
			verify_state(&state, &was);
			memimg_free(&state);
		}
	}
	crash_world_free(w);
	end();
}

/* ---- adopting ------------------------------------------------------------ */

static struct item_edit user_item(const struct guid *id, bool disks,
				  const char *text)
{
	return (struct item_edit){ .id = *id, .user = true,
				   .virtual_disk = disks, .data = text,
				   .len = (uint32_t)strlen(text) };
}

static void put_item(struct memimg *m, struct item_edit it)
{
	struct vhdx_image *vi = open_at(m, "/v/x", VHDX_OPEN_WRITE);

	T_OK(vhdx_edit_items(vi, &it, 1, true, &t_err));
	close_it(vi);
}

static void adopt(void)
{
	struct vhdx_image *to = open_at(&base, "/v/base", VHDX_OPEN_WRITE);
	struct vhdx_image *from = open_at(&child, "/v/child", 0);

	T_OK(to->img.ops->adopt(&to->img, &from->img, &t_err));
	close_it(from);
	close_it(to);
}

static bool base_has(const struct guid *id, const char *text)
{
	struct vhdx_image *vi = open_at(&base, "/v/base", 0);
	const struct fmt_meta_entry *m =
		meta_item_find(vi->layout.meta, id, true);
	char b[64] = "";
	bool ok = !m == !text;

	if (m)
		T_OK(file_read(vi->img.file, vi->layout.meta_off + m->off, b,
			       m->len, &t_err));
	if (m && text)
		ok = m->len == strlen(text) && memcmp(b, text, m->len) == 0;
	close_it(vi);
	return ok;
}

static void what_is_the_disks_replaces_the_parents(void)
{
	struct item_edit id = { .id = FMT_META_DISK_ID, .virtual_disk = true,
				.required = true, .data = "0123456789abcdef",
				.len = 16 };
	struct vhdx_image *vi;

	begin();
	put_item(&child, id);
	put_item(&child, user_item(&user_a, true, "of the child"));
	put_item(&base, user_item(&user_a, true, "old"));
	put_item(&base, user_item(&user_b, true, "gone in the child"));
	adopt();
	T_TRUE(base_has(&user_a, "of the child"));
	T_TRUE(base_has(&user_b, NULL));
	vi = open_at(&base, "/v/base", 0);
	T_TRUE(memcmp(vi->img.info.disk_id, "0123456789abcdef", 16) == 0);
	T_EQ_U64(vi->img.physical_sector_len, 512);
	T_EQ_U64(vi->img.size_len, 8 * MIB);
	T_TRUE(!vi->layout.has_parent);
	close_it(vi);
	end();
}

static void what_is_a_files_stays_with_it(void)
{
	begin();
	put_item(&base, user_item(&user_a, false, "base's"));
	put_item(&child, user_item(&user_b, false, "child's"));
	adopt();
	T_TRUE(base_has(&user_a, "base's"));
	T_TRUE(base_has(&user_b, NULL));
	end();
}

/* Flags are a file's word; the items every file needs are told by name. */
static void wrong_flags_cost_no_item(void)
{
	struct item_edit size = { .id = FMT_META_DISK_SIZE, .required = true },
			 id = { .id = FMT_META_DISK_ID, .required = true,
				.data = "0123456789abcdef", .len = 16 };
	struct vhdx_image *vi;
	uint8_t b[8];

	begin();
	put_le64(b, 16 * MIB);
	size.data = b;
	size.len = 8;
	put_item(&child, size);
	put_item(&child, id);
	adopt();
	vi = open_at(&base, "/v/base", 0);
	T_TRUE(memcmp(vi->img.info.disk_id, "0123456789abcdef", 16) == 0);
	T_EQ_U64(vi->img.size_len, 8 * MIB);
	close_it(vi);
	end();
}

static void adopting_again_changes_no_byte(void)
{
	struct memimg before = { 0 };
	uint64_t off;

	begin();
	adopt();
	memimg_clone(&before, &base);
	adopt();
	T_TRUE(memimg_eq(&before, &base, &off));
	memimg_free(&before);
	end();
}

static void other_sector_size_is_not_adopted(void)
{
	struct vhdx_image *to, *from;

	begin();
	to = open_at(&base, "/v/base", VHDX_OPEN_WRITE);
	from = open_at(&child, "/v/child", 0);
	from->img.sector_len = 4096;
	T_FAILS(to->img.ops->adopt(&to->img, &from->img, &t_err),
		VHDX_E_UNSUPPORTED, "must be the same");
	close_it(from);
	close_it(to);
	end();
}

static const struct t_test tests[] = {
	T_TEST(new_parent_is_recorded_and_the_unknown_is_kept),
	T_TEST(relinking_keeps_this_disks_own_identity),
	T_TEST(same_parent_again_changes_no_byte),
	T_TEST(second_linkage_comes_and_goes_alone),
	T_TEST(base_disk_has_no_parent_to_change),
	T_TEST(power_failure_leaves_the_old_or_the_new_parent),
	T_TEST(what_is_the_disks_replaces_the_parents),
	T_TEST(what_is_a_files_stays_with_it),
	T_TEST(wrong_flags_cost_no_item),
	T_TEST(adopting_again_changes_no_byte),
	T_TEST(other_sector_size_is_not_adopted),
	T_END
};

const struct t_suite t_suite_vhdx_relink = { "vhdx_relink", tests };
