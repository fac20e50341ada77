/* SPDX-License-Identifier: MIT */
#include "vhdx_items.h"

#include <errno.h>
#include <string.h>

#include "file_crash.h"
#include "file_fault.h"
#include "file_mem.h"
#include "mem.h"
#include "t.h"
#include "vhdx_pages.h"

static struct loop *loop;
static struct memimg disk;

static const struct guid id_a = { { 0xa } }, id_b = { { 0xb } };

static struct item_edit edit(const struct guid *id, const char *text)
{
	return (struct item_edit){ .id = *id, .user = true,
				   .virtual_disk = true, .data = text,
				   .len = text ? (uint32_t)strlen(text) : 0 };
}

static struct vhdx_image *open_file(struct file *f, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;

	T_OK(vhdx_image_open(f, &o, &img, &t_err));
	return vi_of(img);
}

static struct vhdx_image *open_disk(struct memimg *m, unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(loop, "disk", m, &f, &t_err));
	return open_file(f, flags);
}

static void close_disk(struct vhdx_image *vi)
{
	T_OK(vi->img.ops->close(&vi->img, &t_err));
}

/* A disk with the item A = "old". */
static void begin(void)
{
	struct vhdx_create_opts o = { .format = VHDX_FORMAT_VHDX,
				      .type = VHDX_TYPE_DYNAMIC,
				      .type_given = true, .size_len = 8 * MIB };
	struct item_edit it = edit(&id_a, "old");
	uint64_t file_len, host_len;
	struct vhdx_image *vi;
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	T_OK(vhdx_create_plan(&o, &file_len, &host_len, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	T_OK(vhdx_edit_items(vi, &it, 1, true, &t_err));
	close_disk(vi);
}

static void end(void)
{
	loop_free(loop);
	memimg_free(&disk);
}

static bool has(struct vhdx_image *vi, const struct guid *id, const char *text)
{
	const struct fmt_meta_entry *m =
		meta_item_find(vi->layout.meta, id, true);
	char b[5000];

	if (!m || !text)
		return !m && !text;
	T_TRUE(m->len < sizeof(b));
	T_OK(file_read(vi->img.file, vi->layout.meta_off + m->off, b, m->len,
		       &t_err));
	return m->len == strlen(text) && memcmp(b, text, m->len) == 0;
}

static bool disk_has(struct memimg *m, const struct guid *id, const char *text)
{
	struct vhdx_image *vi = open_disk(m, 0);
	bool ok = has(vi, id, text);

	close_disk(vi);
	return ok;
}

static void edit_disk(struct item_edit it, bool visible)
{
	struct vhdx_image *vi = open_disk(&disk, VHDX_OPEN_WRITE);

	T_OK(vhdx_edit_items(vi, &it, 1, visible, &t_err));
	T_TRUE(has(vi, &it.id, it.data)); /* durable, and loaded anew */
	close_disk(vi);
}

static void item_grows_shrinks_and_goes(void)
{
	begin();
	edit_disk(edit(&id_b, "neighbour"), true);
	edit_disk(edit(&id_a, "a much longer value than the old one"), true);
	T_TRUE(disk_has(&disk, &id_b, "neighbour"));
	edit_disk(edit(&id_a, "x"), true);
	T_TRUE(disk_has(&disk, &id_b, "neighbour"));
	edit_disk(edit(&id_a, NULL), true);
	T_TRUE(disk_has(&disk, &id_a, NULL));
	T_TRUE(disk_has(&disk, &id_b, "neighbour"));
	end();
}

static void item_of_the_same_length_keeps_its_place(void)
{
	struct vhdx_image *vi;
	struct item_edit it = edit(&id_a, "new");
	uint32_t off;

	begin();
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	off = meta_item_find(vi->layout.meta, &id_a, true)->off;
	T_OK(vhdx_edit_items(vi, &it, 1, true, &t_err));
	T_EQ_U64(meta_item_find(vi->layout.meta, &id_a, true)->off, off);
	T_TRUE(has(vi, &id_a, "new"));
	close_disk(vi);
	end();
}

static void empty_item_is_present(void)
{
	struct vhdx_image *vi;

	begin();
	edit_disk(edit(&id_a, ""), true);
	vi = open_disk(&disk, 0);
	T_EQ_U64(meta_item_find(vi->layout.meta, &id_a, true)->off, 0);
	close_disk(vi);
	end();
}

static void what_is_so_already_changes_no_byte(void)
{
	struct item_edit its[] = { edit(&id_a, "old"), edit(&id_b, NULL) };
	struct memimg before = { 0 };
	struct vhdx_image *vi;
	uint64_t off;

	begin();
	memimg_clone(&before, &disk);
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	T_OK(vhdx_edit_items(vi, its, 2, true, &t_err));
	close_disk(vi);
	T_TRUE(memimg_eq(&before, &disk, &off));
	memimg_free(&before);
	end();
}

static void what_does_not_fit_leaves_the_file_untouched(void)
{
	char *big = mem_zalloc(MIB);
	struct item_edit it = { .id = id_b, .user = true, .data = big };
	struct memimg before = { 0 };
	struct vhdx_image *vi;
	uint64_t off;

	begin();
	memimg_clone(&before, &disk);
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	it.len = MIB;
	T_FAILS(vhdx_edit_items(vi, &it, 1, true, &t_err),
		VHDX_E_UNSUPPORTED, "no 1048576 free ones in a row");
	it.len = MIB + 1;
	T_FAILS(vhdx_edit_items(vi, &it, 1, true, &t_err), VHDX_E_INVAL,
		"at most 1 MiB");
	close_disk(vi);
	T_TRUE(memimg_eq(&before, &disk, &off));
	memimg_free(&before);
	mem_free(big);
	end();
}

static void more_than_an_entry_carries_goes_ahead_of_the_table(void)
{
	char *big = mem_zalloc(MIB), *got = mem_zalloc(MIB);
	struct item_edit it = { .id = id_b, .user = true, .data = big,
				.len = 400 * KIB };
	const struct fmt_meta_entry *m;
	struct vhdx_image *vi;

	begin();
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	t_fill(big, MIB, 3);
	T_OK(vhdx_edit_items(vi, &it, 1, true, &t_err));
	it.len = 600 * KIB;
	T_FAILS(vhdx_edit_items(vi, &it, 1, true, &t_err), VHDX_E_UNSUPPORTED,
		"614400 free ones"); /* the old one is in the way */
	it.id = id_a;
	it.len = 540 * KIB;
	T_OK(vhdx_edit_items(vi, &it, 1, true, &t_err));
	close_disk(vi);
	vi = open_disk(&disk, 0);
	m = meta_item_find(vi->layout.meta, &id_a, true);
	T_EQ_U64(m->len, 540 * KIB);
	T_OK(file_read(vi->img.file, vi->layout.meta_off + m->off, got, m->len,
		       &t_err));
	T_TRUE(memcmp(got, big, m->len) == 0);
	close_disk(vi);
	mem_free(big);
	mem_free(got);
	end();
}

static void table_of_1024_user_items_is_full(void)
{
	struct item_edit *its = mem_array(1025, sizeof(*its));
	struct vhdx_image *vi;

	begin();
	for (unsigned i = 0; i < 1025; i++)
		its[i] = (struct item_edit){
			.id = { { 1, (uint8_t)(i >> 8), (uint8_t)i } },
			.user = true, .data = "a value", .len = 7 };
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	T_FAILS(vhdx_edit_items(vi, its, 1024, true, &t_err),
		VHDX_E_UNSUPPORTED, "1025 user items");
	T_OK(vhdx_edit_items(vi, its, 1023, true, &t_err));
	close_disk(vi);
	T_TRUE(disk_has(&disk, &its[1022].id, "a value"));
	mem_free(its);
	end();
}

/* ---- a model ------------------------------------------------------------- */

#define MODEL_ITEMS 40u

struct model {
	uint32_t len[MODEL_ITEMS];
	uint64_t seed[MODEL_ITEMS]; /* of the content; 0: not there */
	uint8_t *buf; /* of one edit: MODEL_ITEMS times MODEL_LEN */
	uint64_t rng;
};

#define MODEL_LEN (24 * KIB)

static struct guid model_id(unsigned i)
{
	return (struct guid){ { 0x77, (uint8_t)i } };
}

/* Some items at random: set, changed in place, or removed. */
static unsigned model_edit(struct model *mo, struct item_edit *its)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < MODEL_ITEMS; i++) {
		uint64_t what = t_rand_below(&mo->rng, 8);

		if (what > 3)
			continue;
		its[cnt] = (struct item_edit){ .id = model_id(i),
					       .user = i % 2 };
		mo->seed[i] = what == 0 ? 0 : mo->rng | 1;
		if (what == 1 || !mo->len[i])
			mo->len[i] = (uint32_t)t_rand_below(&mo->rng,
							    MODEL_LEN);
		if (mo->seed[i]) {
			its[cnt].data = mo->buf + i * MODEL_LEN;
			its[cnt].len = mo->len[i];
			t_fill(mo->buf + i * MODEL_LEN, mo->len[i],
			       mo->seed[i]);
		}
		cnt++;
	}
	return cnt;
}

static void model_verify(struct model *mo, struct vhdx_image *vi)
{
	uint8_t *got = mem_zalloc(MODEL_LEN), *want = mem_zalloc(MODEL_LEN);

	for (unsigned i = 0; i < MODEL_ITEMS; i++) {
		struct guid id = model_id(i);
		const struct fmt_meta_entry *m =
			meta_item_find(vi->layout.meta, &id, i % 2);

		T_TRUE(!m == !mo->seed[i]);
		if (!m)
			continue;
		T_EQ_U64(m->len, mo->len[i]);
		t_fill(want, m->len, mo->seed[i]);
		T_OK(file_read(vi->img.file, vi->layout.meta_off + m->off, got,
			       m->len, &t_err));
		T_TRUE(memcmp(got, want, m->len) == 0);
	}
	mem_free(got);
	mem_free(want);
}

static void random_edits_match_a_model(void)
{
	struct model mo = { .rng = 42 };
	struct item_edit its[MODEL_ITEMS];
	struct vhdx_image *vi;

	begin();
	mo.buf = mem_zalloc(MODEL_ITEMS * MODEL_LEN);
	for (int round = 0; round < 60; round++) {
		struct model was = mo;
		unsigned cnt;
		int rc;

		vi = open_disk(&disk, VHDX_OPEN_WRITE);
		cnt = model_edit(&mo, its);
		rc = vhdx_edit_items(vi, its, cnt, round % 2, &t_err);
		if (rc) { /* refused as a whole */
			T_EQ_U64(rc, VHDX_E_UNSUPPORTED);
			was.rng = mo.rng;
			mo = was;
		}
		model_verify(&mo, vi);
		close_disk(vi);
		vi = open_disk(&disk, 0);
		model_verify(&mo, vi);
		close_disk(vi);
	}
	T_TRUE(disk_has(&disk, &id_a, "old"));
	mem_free(mo.buf);
	end();
}

/* ---- identities ---------------------------------------------------------- */

static void invisible_edit_keeps_data_write_guid(void)
{
	struct vhdx_image *vi;
	struct fmt_header was;

	begin();
	vi = open_disk(&disk, 0);
	was = vi->hdr.cur;
	close_disk(vi);
	edit_disk(edit(&id_a, "new one"), false);
	vi = open_disk(&disk, 0);
	T_TRUE(guid_eq(&was.data_write, &vi->hdr.cur.data_write));
	T_TRUE(!guid_eq(&was.file_write, &vi->hdr.cur.file_write));
	close_disk(vi);
	end();
}

static void visible_edit_takes_the_identity_it_is_given(void)
{
	struct item_edit it = edit(&id_a, "new one");
	struct vhdx_image *vi;

	begin();
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	vi->img.next_identity = id_b;
	T_OK(vhdx_edit_items(vi, &it, 1, true, &t_err));
	T_TRUE(guid_eq(&vi->img.identity, &id_b));
	close_disk(vi);
	vi = open_disk(&disk, 0);
	T_TRUE(guid_eq(&vi->hdr.cur.data_write, &id_b));
	close_disk(vi);
	end();
}

static void write_after_an_invisible_edit_is_visible(void)
{
	struct item_edit it = edit(&id_a, "new one");
	struct vhdx_image *vi;
	uint8_t sector[512] = { 1 };
	struct vhdx_blk *blk;
	struct guid was;

	begin();
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	was = vi->img.identity;
	T_OK(vhdx_edit_items(vi, &it, 1, false, &t_err));
	T_TRUE(guid_eq(&vi->img.identity, &was));
	T_OK(blk_new(&vi->img, loop, false, &blk, &t_err));
	T_OK(vhdx_blk_write(blk, 4096, sector, sizeof(sector), &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
	vi = open_disk(&disk, 0);
	T_TRUE(!guid_eq(&vi->hdr.cur.data_write, &was));
	T_TRUE(has(vi, &id_a, "new one"));
	close_disk(vi);
	end();
}

/* ---- power failures and errors ------------------------------------------- */

static const struct fmt_header none;

/* All old or all new; W4: nothing new without new identities. */
static void verify_state(struct memimg *m, const struct fmt_header *was,
			 bool visible)
{
	struct vhdx_image *vi = open_disk(m, 0);
	bool is_new = has(vi, &id_b, "added");
	bool was_visible = !guid_eq(&was->data_write, &vi->hdr.cur.data_write);

	T_TRUE(has(vi, &id_a, is_new ? "longer than before" : "old"));
	T_TRUE(has(vi, &id_b, is_new ? "added" : NULL));
	if (is_new)
		T_TRUE(!guid_eq(&was->file_write, &vi->hdr.cur.file_write));
	T_TRUE(visible ? !is_new || was_visible : !was_visible);
	close_disk(vi);
}

static void edit_under_power_failure(bool visible, uint32_t ballast_len)
{
	char *ballast = mem_zalloc(u64_max(ballast_len, 1));
	struct item_edit its[] = { edit(&id_a, "longer than before"),
				   { .id = { { 0xc } }, .user = true,
				     .data = ballast_len ? ballast : NULL,
				     .len = ballast_len },
				   edit(&id_b, "added") };
	struct crash_world *w = crash_world_new(NULL);
	struct memimg state = { 0 };
	struct fmt_header was = none;
	struct crash_disk *d;
	struct crash_iter it;
	struct vhdx_image *vi;
	struct file *f;

	begin();
	d = crash_disk_new(w, "disk", &disk);
	T_OK(crash_disk_open(d, loop, &f, &t_err));
	vi = open_file(f, VHDX_OPEN_WRITE);
	was = vi->hdr.cur;
	memset(ballast, 7, ballast_len);
	T_OK(vhdx_edit_items(vi, its, 3, visible, &t_err));
	close_disk(vi);
	for (uint64_t k = 0, last = UINT64_MAX; k != last;
	     last = k, k = crash_next(w, k)) {
		crash_iter_init(&it, d, k, ballast_len ? 12 : 64, k);
		while (crash_iter_next(&it, &state)) {
			verify_state(&state, &was, visible);
			memimg_free(&state);
		}
	}
	verify_state(&disk, &was, visible);
	crash_world_free(w);
	mem_free(ballast);
	end();
}

static void power_failure_leaves_all_old_or_all_new(void)
{
	edit_under_power_failure(true, 0);
}

static void power_failure_in_a_large_edit_leaves_all_old_or_all_new(void)
{
	edit_under_power_failure(true, 600 * KIB);
}

static void invisible_edit_under_power_failure_keeps_the_identity(void)
{
	edit_under_power_failure(false, 0);
}

/* The nth operation fails; true if there was one. */
static bool edit_with_fault(uint64_t nth)
{
	struct item_edit its[] = { edit(&id_a, "longer than before"),
				   edit(&id_b, "added") };
	struct memimg m = { 0 };
	struct file_fault *ff;
	struct vhdx_image *vi;
	struct file *f;
	bool failed;
	int rc;

	memimg_clone(&m, &disk);
	T_OK(file_mem_new(loop, "disk", &m, &f, &t_err));
	T_OK(file_fault_new(f, &ff, &t_err));
	vi = open_file(&ff->w.file, VHDX_OPEN_WRITE);
	fault_set(ff, (struct fault_rule){ .ops = FAULT_ANY, .nth = nth,
					   .sys_errno = EIO });
	rc = vhdx_edit_items(vi, its, 2, true, &t_err);
	failed = ff->failed_cnt > 0;
	T_TRUE(failed || rc == 0);
	(void)vi->img.ops->close(&vi->img, NULL);
	vi = open_disk(&m, 0);
	if (rc == 0)
		T_TRUE(has(vi, &id_b, "added"));
	close_disk(vi);
	verify_state(&m, &none, true);
	memimg_free(&m);
	return failed;
}

static void failure_of_any_operation_leaves_all_old_or_all_new(void)
{
	uint64_t nth = 1;

	begin();
	while (edit_with_fault(nth))
		nth++;
	T_TRUE(nth > 10);
	end();
}

static void pages_beyond_an_entry_are_refused(void)
{
	struct vhdx_image *vi;
	struct vhdx_pages s;

	begin();
	vi = open_disk(&disk, VHDX_OPEN_WRITE);
	s = (struct vhdx_pages){ .vi = vi };
	T_OK(vhdx_session(vi, false, &t_err));
	T_OK(pages_cover(&s, vi->layout.meta_off + 100,
			 126 * MPAGE_LEN - 100, &t_err));
	T_FAILS(pages_cover(&s, vi->layout.bat_off, 1, &t_err),
		VHDX_E_UNSUPPORTED, "126 pages");
	pages_end(&s);
	close_disk(vi);
	T_TRUE(disk_has(&disk, &id_a, "old"));
	end();
}

static const struct t_test tests[] = {
	T_TEST(item_grows_shrinks_and_goes),
	T_TEST(item_of_the_same_length_keeps_its_place),
	T_TEST(empty_item_is_present),
	T_TEST(what_is_so_already_changes_no_byte),
	T_TEST(what_does_not_fit_leaves_the_file_untouched),
	T_TEST(more_than_an_entry_carries_goes_ahead_of_the_table),
	T_TEST(table_of_1024_user_items_is_full),
	T_TEST(invisible_edit_keeps_data_write_guid),
	T_TEST(visible_edit_takes_the_identity_it_is_given),
	T_TEST(write_after_an_invisible_edit_is_visible),
	T_TEST(power_failure_leaves_all_old_or_all_new),
	T_TEST(power_failure_in_a_large_edit_leaves_all_old_or_all_new),
	T_TEST(random_edits_match_a_model),
	T_TEST(invisible_edit_under_power_failure_keeps_the_identity),
	T_TEST(failure_of_any_operation_leaves_all_old_or_all_new),
	T_TEST(pages_beyond_an_entry_are_refused),
	T_END
};

const struct t_suite t_suite_vhdx_items = { "vhdx_items", tests };
