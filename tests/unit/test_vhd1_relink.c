/* SPDX-License-Identifier: MIT */
/*
 * Changing the parent of a differencing VHD: S1 to S3 of vhd1_relink.c under
 * power failures at every instant, failing hosts, and where the header goes.
 */
#include <errno.h>
#include <string.h>

#include "chain.h"
#include "file_crash.h"
#include "file_fault.h"
#include "file_mem.h"
#include "mem.h"
#include "t.h"
#include "vhd1_format.h"

#define SIZE (8 * MIB)
#define BLOCK ((uint32_t)(512 * KIB))

static const struct guid old_id = { { 1, 2, 3 } }, new_id = { { 4, 5, 6 } };
static struct loop *loop;
static struct memimg disk;

/* A base image nobody opens: only its id counts. */
static void make_child(void)
{
	struct vhdx_create_opts o = { .format = VHDX_FORMAT_VHD,
				      .type = VHDX_TYPE_DIFFERENCING,
				      .type_given = true,
				      .size_len = SIZE,
				      .block_len = BLOCK,
				      .sector_len = 512,
				      .physical_sector_len = 512,
				      .parent = "/t/old.vhd" };
	struct image parent = { .identity = old_id };
	struct file *f;

	T_OK(file_mem_new(loop, "/t/child.vhd", &disk, &f, &t_err));
	T_OK(vhd1_image_create_child(f, "/t/child.vhd", &o, &parent, &t_err));
	file_close(f);
}

static int open_on(struct file *f, bool write, struct image **out)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_ALONE |
					      (write ? VHDX_OPEN_WRITE : 0) };

	f->writable = write;
	return vhd1_image_open(f, &o, out, &t_err);
}

static struct image *open_mem(bool write)
{
	struct image *img;
	struct file *f;

	T_OK(file_mem_new(loop, "/t/child.vhd", &disk, &f, &t_err));
	T_OK(open_on(f, write, &img));
	return img;
}

static void put(struct vhdx_blk *blk, uint64_t voff)
{
	uint8_t buf[1024];

	t_fill(buf, sizeof(buf), voff);
	T_OK(vhdx_blk_write(blk, voff, buf, sizeof(buf), &t_err));
}

static bool has(struct vhdx_blk *blk, uint64_t voff)
{
	uint8_t buf[1024], want[1024];

	t_fill(want, sizeof(want), voff);
	T_OK(vhdx_blk_read(blk, voff, buf, sizeof(buf), &t_err));
	return memcmp(buf, want, sizeof(buf)) == 0;
}

/* With data in blocks 0 and 3. */
static void begin(void)
{
	struct vhdx_blk *blk;

	T_OK(loop_new(&loop, &t_err));
	make_child();
	T_OK(blk_new(open_mem(true), loop, false, &blk, &t_err));
	put(blk, 512);
	put(blk, 3 * BLOCK + 2048);
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void end(void)
{
	memimg_free(&disk);
	loop_free(loop);
}

static int relink(struct image *img, const struct guid *id, const char *path)
{
	struct parent_edit p = { .linkage = *id, .path = path };

	return img->ops->set_parent(img, &p, &t_err);
}

static void relink_mem(const struct guid *id, const char *path)
{
	struct image *img = open_mem(true);

	T_OK(relink(img, id, path));
	T_TRUE(guid_eq(&img->parent->linkage[0], id));
	T_OK(img->ops->close(img, &t_err));
}

static uint64_t check_errors(struct memimg *m)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res };

	T_OK(file_mem_new(loop, "child", m, &c.file, &t_err));
	T_OK(vhd1_image_check(&c, &t_err));
	file_close(c.file);
	return res.errors + res.warnings + res.leaked_len;
}

/* ---- without failures ---------------------------------------------------- */

static void the_new_parent_is_recorded_and_all_else_stays(void)
{
	struct vhdx_blk *blk;
	struct image *img;

	begin();
	relink_mem(&new_id, "/t/sub/new.vhd");
	T_EQ_U64(check_errors(&disk), 0);
	img = open_mem(false);
	T_TRUE(guid_eq(&img->parent->linkage[0], &new_id));
	CU_ASSERT_STRING_EQUAL(img->parent->paths[0].text, ".\\sub\\new.vhd");
	CU_ASSERT_STRING_EQUAL(img->parent->paths[1].text,
			       "\\\\?\\\\t\\sub\\new.vhd");
	CU_ASSERT_STRING_EQUAL(img->parent->paths[2].text, "new.vhd");
	T_OK(blk_new(img, loop, false, &blk, &t_err));
	T_TRUE(has(blk, 512) && has(blk, 3 * BLOCK + 2048));
	T_OK(vhdx_blk_close(blk, &t_err));
	end();
}

static void without_a_path_the_paths_stay(void)
{
	struct image *img;

	begin();
	relink_mem(&new_id, NULL);
	T_EQ_U64(check_errors(&disk), 0);
	img = open_mem(false);
	T_TRUE(guid_eq(&img->parent->linkage[0], &new_id));
	CU_ASSERT_STRING_EQUAL(img->parent->paths[0].text, ".\\old.vhd");
	T_OK(img->ops->close(img, &t_err));
	end();
}

static void changing_it_again_and_again_takes_two_places_only(void)
{
	uint64_t size[2];

	begin();
	size[0] = disk.size;
	relink_mem(&new_id, "/t/new.vhd");
	size[1] = disk.size;
	for (int i = 0; i < 6; i++) {
		relink_mem(i % 2 ? &new_id : &old_id, "/t/again.vhd");
		T_EQ_U64(disk.size, size[i % 2]);
		T_EQ_U64(check_errors(&disk), 0);
	}
	end();
}

static void it_can_be_changed_while_blocks_are_being_added(void)
{
	struct image *img;
	struct vhdx_blk *blk;

	begin();
	img = open_mem(true);
	T_OK(blk_new(img, loop, false, &blk, &t_err));
	for (uint64_t i = 5; i < 12; i++) {
		put(blk, i * BLOCK);
		T_OK(relink(img, i % 2 ? &new_id : &old_id, "/t/a.vhd"));
	}
	for (uint64_t i = 5; i < 12; i++)
		T_TRUE(has(blk, i * BLOCK));
	T_OK(vhdx_blk_close(blk, &t_err));
	T_EQ_U64(check_errors(&disk), 0);
	T_OK(blk_new(open_mem(false), loop, false, &blk, &t_err));
	for (uint64_t i = 5; i < 12; i++)
		T_TRUE(has(blk, i * BLOCK));
	T_OK(vhdx_blk_close(blk, &t_err));
	end();
}

/* ---- power failures ------------------------------------------------------ */

static int look(struct memimg *m, bool write, struct guid *linkage)
{
	struct vhdx_blk *blk;
	struct image *img;
	struct file *f;
	int rc;

	T_OK(file_mem_new(loop, "/t/child.vhd", m, &f, &t_err));
	rc = open_on(f, write, &img);
	if (rc) {
		file_close(f);
		return rc;
	}
	*linkage = img->parent->linkage[0];
	T_OK(blk_new(img, loop, false, &blk, &t_err));
	T_TRUE(has(blk, 512) && has(blk, 3 * BLOCK + 2048));
	T_OK(vhdx_blk_close(blk, &t_err));
	return 0;
}

/* Opens, read-only and for writing, with the old parent or the new one, from
 * `done` on the new one; and is sound then. */
static void state_is_good(struct memimg *m, bool done)
{
	struct guid ro, rw;

	T_OK(look(m, false, &ro));
	T_OK(look(m, true, &rw));
	T_TRUE(guid_eq(&ro, &rw));
	T_TRUE(guid_eq(&ro, &new_id) || (!done && guid_eq(&ro, &old_id)));
	T_OK(look(m, false, &rw));
	T_TRUE(guid_eq(&ro, &rw));
	T_EQ_U64(check_errors(m), 0);
}

static void every_state_is_good(struct crash_world *w, struct crash_disk *d,
				uint64_t done)
{
	uint64_t k = 0, next;

	for (;; k = next) {
		struct crash_iter it;
		struct memimg m;

		crash_iter_init(&it, d, k, 150, k + 1);
		while (crash_iter_next(&it, &m)) {
			state_is_good(&m, k >= done);
			memimg_free(&m);
		}
		next = crash_next(w, k);
		if (next == k)
			return;
	}
}

/* A change, then a new block over what was the end of the file. */
static void crash_everywhere(void)
{
	struct crash_world *w = crash_world_new(NULL);
	struct crash_disk *d = crash_disk_new(w, "child", &disk);
	struct vhdx_blk *blk;
	struct image *img;
	struct file *f;
	uint64_t done;

	T_OK(crash_disk_open(d, loop, &f, &t_err));
	T_OK(open_on(f, true, &img));
	T_OK(relink(img, &new_id, "/t/new.vhd"));
	done = crash_now(w);
	T_OK(blk_new(img, loop, false, &blk, &t_err));
	put(blk, 7 * BLOCK);
	T_OK(vhdx_blk_flush(blk, &t_err));
	T_OK(vhdx_blk_close(blk, &t_err));
	every_state_is_good(w, d, done);
	crash_world_free(w);
}

static void power_may_fail_at_any_instant_behind_the_last_block(void)
{
	begin();
	crash_everywhere();
	end();
}

static void power_may_fail_at_any_instant_in_the_former_place(void)
{
	begin();
	relink_mem(&new_id, "/t/new.vhd");
	relink_mem(&old_id, "/t/old.vhd");
	crash_everywhere();
	end();
}

static void a_failing_host_leaves_the_old_parent_or_the_new_one(void)
{
	static const unsigned kinds[] = { 1u << FILE_WRITE, 1u << FILE_SYNC,
					  1u << FILE_TRUNCATE };

	for (unsigned i = 0; i < 3 * 8; i++) {
		struct file_fault *fault;
		struct image *img;
		struct file *f;

		begin();
		T_OK(file_mem_new(loop, "/t/child.vhd", &disk, &f, &t_err));
		f->writable = true;
		T_OK(file_fault_new(f, &fault, &t_err));
		T_OK(open_on(&fault->w.file, true, &img));
		fault_set(fault, (struct fault_rule){
			.ops = kinds[i % 3], .nth = 1 + i / 6,
			.sys_errno = i % 2 ? EIO : ENOSPC,
			.extent = i % 2 ? FAULT_HALF : FAULT_NOTHING });
		bool done = relink(img, &new_id, "/t/new.vhd") == 0;
		(void)img->ops->close(img, &t_err);
		state_is_good(&disk, done);
		end();
	}
}

/* S2: behind the syncs of the flush and of the header. */
static void the_copy_stays_while_the_end_may_be_lost(void)
{
	uint8_t was[512], is[512];
	struct file_fault *fault;
	struct image *img;
	struct file *f;

	begin();
	memimg_read(&disk, 0, was, 512);
	T_OK(file_mem_new(loop, "/t/child.vhd", &disk, &f, &t_err));
	f->writable = true;
	T_OK(file_fault_new(f, &fault, &t_err));
	T_OK(open_on(&fault->w.file, true, &img));
	fault_set(fault, (struct fault_rule){ .ops = 1u << FILE_SYNC, .nth = 3,
					      .sys_errno = EIO });
	T_FAILS(relink(img, &new_id, "/t/new.vhd"), VHDX_E_IO, "footers");
	memimg_read(&disk, 0, is, 512);
	T_TRUE(memcmp(was, is, 512) == 0);
	(void)img->ops->close(img, NULL);
	end();
}

static void running_out_of_memory_leaves_the_old_parent_or_the_new_one(void)
{
	int rc = VHDX_E_NOMEM;

	for (uint64_t n = 1; rc; n++) {
		struct image *img;

		begin();
		img = open_mem(true);
		mem_fail_nth(n);
		rc = relink(img, &new_id, "/t/new.vhd");
		T_TRUE((mem_fail_nth(0) >= n) == (rc == VHDX_E_NOMEM));
		T_OK(img->ops->close(img, &t_err));
		state_is_good(&disk, rc == 0);
		end();
	}
}

static const struct t_test tests[] = {
	T_TEST(the_new_parent_is_recorded_and_all_else_stays),
	T_TEST(without_a_path_the_paths_stay),
	T_TEST(changing_it_again_and_again_takes_two_places_only),
	T_TEST(it_can_be_changed_while_blocks_are_being_added),
	T_TEST(power_may_fail_at_any_instant_behind_the_last_block),
	T_TEST(power_may_fail_at_any_instant_in_the_former_place),
	T_TEST(a_failing_host_leaves_the_old_parent_or_the_new_one),
	T_TEST(the_copy_stays_while_the_end_may_be_lost),
	T_TEST(running_out_of_memory_leaves_the_old_parent_or_the_new_one),
	T_END,
};

const struct t_suite t_suite_vhd1_relink = { "vhd1_relink", tests };
