/* SPDX-License-Identifier: MIT */
/*
 * Compacting a VHDX, over a model of what the disk holds: nothing that a guest
 * reads changes, whatever fails, and whenever power does.
 */
#include <errno.h>
#include <string.h>

#include "chain.h"
#include "file_crash.h"
#include "file_fault.h"
#include "file_mem.h"
#include "locator.h"
#include "t.h"
#include "vhdx_create.h"
#include "vhdx_edit.h"

#define SIZE (24 * MIB + 4096) /* the last block is not whole */
#define PAGE 4096u
#define PAGES (SIZE / PAGE)

static struct loop *loop;
static struct memimg base, child, model;
static struct memimg *disk; /* the one being compacted */
static bool touched[PAGES];
static struct vhdx_compact_result result;
static struct vhdx_unused unused;
static bool use_unused, dry_run;
static int (*progress)(void *arg, uint64_t done, uint64_t total);

static struct image *open_image(struct memimg *m, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;
	struct file *f;

	T_OK(file_mem_new(loop, "disk", m, &f, &t_err));
	T_OK(vhdx_image_open(f, &o, &img, &t_err));
	return img;
}

/* With its parent, if it is the child that is compacted. */
static struct vhdx_blk *open_disk(struct memimg *m, unsigned flags)
{
	struct vhdx_blk *blk;
	struct chain *c;

	T_OK(chain_of(open_image(m, flags), &c, &t_err));
	if (disk == &child)
		c->layers[c->cnt++] = open_image(&base, 0);
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
	return blk;
}

static struct vhdx_create_opts opts_of(uint32_t block_len)
{
	return (struct vhdx_create_opts){ .format = VHDX_FORMAT_VHDX,
					  .type = VHDX_TYPE_DYNAMIC,
					  .type_given = true,
					  .size_len = SIZE,
					  .block_len = block_len,
					  .sector_len = 512,
					  .physical_sector_len = 4096 };
}

static void create_base(uint32_t block_len)
{
	struct vhdx_create_opts o = opts_of(block_len);
	struct file *f;

	T_OK(file_mem_new(loop, "base", &base, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	disk = &base;
}

static void create_child(uint32_t block_len)
{
	struct image *parent = open_image(&base, 0);
	struct vhdx_create_opts o = opts_of(block_len);
	struct create_child ch;
	struct locator loc = { 0 };
	uint8_t item[1024];
	struct file *f;

	o.type = VHDX_TYPE_DIFFERENCING;
	T_OK(locator_make("child", "base", &parent->identity, &loc, &t_err));
	vhdx_image_as_parent(parent, &ch);
	ch.locator_len = locator_encode(&loc, item);
	ch.locator = item;
	T_OK(file_mem_new(loop, "child", &child, &f, &t_err));
	T_OK(vhdx_child_create(f, &o, &ch, &t_err));
	file_close(f);
	locator_free(&loc);
	T_OK(parent->ops->close(parent, &t_err));
	disk = &child;
}

/* ---- what is on the disk ------------------------------------------------ */

static void put(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
		uint64_t seed)
{
	uint8_t *b = calloc(1, len);

	if (seed)
		t_fill(b, len, seed);
	T_OK(vhdx_blk_write(blk, voff, b, len, &t_err));
	memimg_write(&model, voff, b, len);
	for (uint64_t i = voff / PAGE; i <= (voff + len - 1) / PAGE; i++)
		touched[i] = true;
	free(b);
}

static void discard(struct vhdx_blk *blk, uint64_t voff, uint64_t len)
{
	T_OK(vhdx_blk_write_zeroes(blk, voff, len, &t_err));
	memimg_zero(&model, voff, len);
}

static void check_pages(struct memimg *m, bool all)
{
	struct vhdx_blk *blk = open_disk(m, 0);
	uint8_t got[PAGE], want[PAGE];

	for (uint64_t i = 0; i < PAGES; i++) {
		if (!touched[i] && !all)
			continue;
		T_OK(vhdx_blk_read(blk, i * PAGE, got, PAGE, &t_err));
		memimg_read(&model, i * PAGE, want, PAGE);
		if (memcmp(got, want, PAGE) != 0)
			T_EQ_U64(i * PAGE, UINT64_MAX); /* the page is wrong */
	}
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void print_finding(void *arg, const struct vhdx_finding *f)
{
	(void)arg;
	if (f->severity == VHDX_SEV_ERROR)
		printf("\n    %s\n", f->text);
}

static void check_sound(struct memimg *m, bool whole)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res, .fn = print_finding };

	T_OK(file_mem_new(loop, "disk", m, &c.file, &t_err));
	T_OK(vhdx_image_check(&c, &t_err));
	file_close(c.file);
	T_EQ_U64(res.errors, 0);
	if (whole)
		T_EQ_U64(res.warnings, 0);
}

/* Data, zeros that take space, holes, on the disk that is open. */
static void fill(struct vhdx_blk *blk, unsigned cnt, uint64_t seed)
{
	for (unsigned i = 0; i < cnt; i++) {
		uint64_t page = t_rand_below(&seed, PAGES);
		uint64_t what = t_rand_below(&seed, 8);
		uint64_t blk_voff = align_down(page * PAGE, MIB);

		if (what < 3)
			put(blk, page * PAGE, PAGE, t_rand(&seed));
		else if (what < 5)
			put(blk, page * PAGE, PAGE, 0);
		else if (what < 6)
			put(blk, page * PAGE + 512, 512, t_rand(&seed));
		else if (blk_voff + 2 * MIB < SIZE && what < 7)
			discard(blk, blk_voff, MIB);
		else if (blk_voff + MIB < SIZE)
			put(blk, blk_voff, MIB, t_rand_below(&seed, 2) * seed);
	}
}

static void begin(uint32_t block_len, bool has_parent, unsigned cnt,
		  uint64_t seed)
{
	struct vhdx_blk *blk;

	T_OK(loop_new(&loop, &t_err));
	create_base(block_len);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	fill(blk, cnt, seed);
	T_OK(vhdx_blk_close(blk, &t_err));
	if (has_parent) {
		create_child(block_len);
		blk = open_disk(disk, VHDX_OPEN_WRITE);
		fill(blk, cnt, seed + 1000);
		T_OK(vhdx_blk_close(blk, &t_err));
	}
	check_pages(disk, false);
}

static void end(void)
{
	loop_free(loop);
	memimg_free(&base);
	memimg_free(&child);
	memimg_free(&model);
	memset(touched, 0, sizeof(touched));
	unused_free(&unused);
	use_unused = dry_run = false;
	progress = NULL;
}

/* ---- compacting --------------------------------------------------------- */

/* Takes over f. */
static int compact_file(struct file *f, struct vhdx_err *e)
{
	struct image_open_opts o = { .flags = dry_run ? 0 : VHDX_OPEN_WRITE };
	struct compact how = { .dry_run = dry_run,
			       .progress = { progress, NULL },
			       .unused = use_unused ? &unused : NULL,
			       .result = &result };
	struct image *img;
	int rc = vhdx_image_open(f, &o, &img, e), rc2;

	memset(&result, 0, sizeof(result));
	if (rc) {
		file_close(f);
		return rc;
	}
	rc = img->ops->compact(img, &how, e);
	rc2 = img->ops->close(img, rc ? NULL : e);
	return rc ? rc : rc2;
}

static int compact(struct memimg *m)
{
	struct file *f;

	T_OK(file_mem_new(loop, "disk", m, &f, &t_err));
	return compact_file(f, &t_err);
}

static void compact_and_check(void)
{
	T_OK(compact(disk));
	T_EQ_U64(result.file_len_after, disk->size);
	check_sound(disk, true);
	check_pages(disk, true);
}

static void guids(uint8_t file_write[16], uint8_t data_write[16])
{
	struct image *img = open_image(disk, 0);

	memcpy(file_write, img->info.file_write_guid, 16);
	memcpy(data_write, img->info.data_write_guid, 16);
	T_OK(img->ops->close(img, &t_err));
}

static void the_file_becomes_as_long_as_what_it_holds(void)
{
	struct vhdx_blk *blk;

	begin(MIB, false, 0, 1);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	for (uint64_t i = 0; i < 20; i++)
		put(blk, i * MIB, MIB, i % 3 == 2 ? i : 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	compact_and_check();
	T_EQ_U64(result.zero_cnt, 14);
	T_EQ_U64(result.moved_len, 4 * MIB); /* 2 of 6 lie low enough */
	T_EQ_U64(disk->size, (4 + 6) * MIB);
	end();
}

static void children_stay_valid_and_copies_are_told_apart(void)
{
	uint8_t f0[16], d0[16], f1[16], d1[16];

	begin(MIB, false, 60, 2);
	guids(f0, d0);
	compact_and_check();
	guids(f1, d1);
	T_TRUE(memcmp(f0, f1, 16) != 0);
	T_TRUE(memcmp(d0, d1, 16) == 0);
	end();
}

static void a_second_run_changes_not_a_byte(void)
{
	struct memimg before;

	begin(2 * MIB, true, 60, 3);
	compact_and_check();
	memimg_clone(&before, disk);
	compact_and_check();
	T_TRUE(memimg_eq(&before, disk, NULL));
	memimg_free(&before);
	end();
}

static void a_dry_run_changes_nothing_and_is_right(void)
{
	struct memimg before;
	uint64_t len, cnt;

	begin(MIB, true, 80, 4);
	memimg_clone(&before, disk);
	dry_run = true;
	T_OK(compact(disk));
	T_TRUE(memimg_eq(&before, disk, NULL));
	len = result.file_len_after;
	cnt = result.zero_cnt;
	T_TRUE(cnt > 0);
	dry_run = false;
	compact_and_check();
	T_EQ_U64(len, disk->size);
	T_EQ_U64(cnt, result.zero_cnt);
	memimg_free(&before);
	end();
}

static void bitmaps_go_when_no_block_needs_them(void)
{
	struct vhdx_blk *blk;

	begin(MIB, true, 0, 5);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	put(blk, 0, 4096, 1);
	put(blk, 4096, MIB - 4096, 2); /* all bits set: as good as full */
	T_OK(vhdx_blk_close(blk, &t_err));
	compact_and_check();
	T_EQ_U64(result.bitmap_cnt, 1);
	T_EQ_U64(disk->size, 5 * MIB);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	put(blk, 2 * MIB, 512, 3);
	T_OK(vhdx_blk_close(blk, &t_err));
	compact_and_check();
	T_EQ_U64(result.bitmap_cnt, 0);
	T_EQ_U64(disk->size, 7 * MIB);
	end();
}

static void random_disks_keep_their_content(void)
{
	for (uint64_t seed = 0; seed < 24; seed++) {
		begin((uint32_t)MIB << seed % 6, seed % 2, 70, 10 + seed);
		compact_and_check();
		if (seed % 6 == 0) /* no bitmap can make a hole too small */
			T_EQ_U64(result.hole_len, 0);
		end();
	}
}

/* ---- what nothing uses -------------------------------------------------- */

static void unused_blocks_go_and_cut_children_off(void)
{
	uint8_t f0[16], d0[16], f1[16], d1[16];
	struct vhdx_blk *blk;

	begin(MIB, false, 0, 6);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	for (uint64_t i = 0; i < 10; i++)
		put(blk, i * MIB, MIB, 1 + i);
	put(blk, 8 * MIB, MIB / 2, 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	guids(f0, d0);
	unused_init(&unused, SIZE);
	use_unused = true;
	T_OK(vhdx_unused_add(&unused, 3 * MIB, 2 * MIB, &t_err)); /* 3, 4 */
	T_OK(vhdx_unused_add(&unused, 6 * MIB, MIB - 512, &t_err)); /* not 6 */
	T_OK(vhdx_unused_add(&unused, 8 * MIB + MIB / 2, MIB / 2, &t_err));
	unused_sort(&unused);
	memimg_zero(&model, 3 * MIB, 2 * MIB);
	memimg_zero(&model, 8 * MIB, MIB); /* unused, or zero */
	compact_and_check();
	T_EQ_U64(result.unused_cnt, 3);
	guids(f1, d1);
	T_TRUE(memcmp(d0, d1, 16) != 0);
	end();
}

static void unused_and_zero_blocks_of_a_child_never_show_the_parent(void)
{
	struct vhdx_blk *blk;

	begin(MIB, false, 0, 7);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	put(blk, 0, 10 * MIB, 77);
	T_OK(vhdx_blk_close(blk, &t_err));
	create_child(MIB);
	blk = open_disk(disk, VHDX_OPEN_WRITE);
	put(blk, 0, 2 * MIB, 0);
	put(blk, 4 * MIB, 512, 5);
	put(blk, 5 * MIB, 512, 0); /* the other sectors are the parent's */
	T_OK(vhdx_blk_close(blk, &t_err));
	unused_init(&unused, SIZE);
	use_unused = true;
	T_OK(vhdx_unused_add(&unused, 4 * MIB, MIB, &t_err));
	unused_sort(&unused);
	memimg_zero(&model, 4 * MIB, MIB);
	compact_and_check();
	T_EQ_U64(result.zero_cnt, 2);
	T_EQ_U64(result.unused_cnt, 1);
	end();
}

/* ---- failures ----------------------------------------------------------- */

static int stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	T_TRUE(done <= total);
	return 1;
}

static void a_stopped_run_can_go_on(void)
{
	begin(MIB, true, 90, 8);
	for (unsigned i = 0; i < 100; i++) {
		progress = i % 4 == 3 ? NULL : stop_at_once;
		if (compact(disk) == 0)
			break;
		T_EQ_U64(t_err.code, VHDX_E_CANCELED);
		check_sound(disk, false);
		check_pages(disk, false);
	}
	compact_and_check();
	end();
}

/* The nth operation fails; what is left is intact, and a rerun completes. */
static bool fail_nth(uint64_t nth, int sys_errno)
{
	struct memimg before;
	struct file_fault *ff;
	struct file *f;
	uint64_t failed_cnt = 0;
	int rc;

	memimg_clone(&before, disk);
	T_OK(file_mem_new(loop, "disk", disk, &f, &t_err));
	T_OK(file_fault_new(f, &ff, &t_err));
	ff->failed_total = &failed_cnt;
	fault_set(ff, (struct fault_rule){ .ops = sys_errno == EIO
							  ? FAULT_ANY
							  : FAULT_ANY_CHANGE,
					   .nth = nth,
					   .sys_errno = sys_errno,
					   .extent = FAULT_HALF });
	rc = compact_file(&ff->file, &t_err);
	if (rc && sys_errno == ENOSPC && t_err.code != VHDX_E_NOSPC)
		T_EQ_U64(t_err.code, VHDX_E_FAILED);
	check_sound(disk, false);
	check_pages(disk, false);
	compact_and_check();
	memimg_free(disk);
	*disk = before;
	return failed_cnt > 0;
}

static void any_operation_may_fail(void)
{
	begin(MIB, true, 50, 9);
	for (uint64_t nth = 1; fail_nth(nth, EIO); nth++)
		;
	for (uint64_t nth = 1; fail_nth(nth, ENOSPC); nth++)
		;
	end();
}

/* Compacts on a disk that records, then looks at what a power failure at
 * any instant may leave. */
static void power_fails(uint32_t block_len, bool has_parent, uint64_t seed,
			unsigned delay)
{
	struct crash_opts o = { .seed = seed, .max_delay = delay,
				.no_punch = seed % 2 };
	struct crash_world *w = crash_world_new(&o);
	struct crash_iter it;
	struct crash_disk *d;
	struct memimg now;
	struct file *f;

	begin(block_len, has_parent, 40, seed);
	d = crash_disk_new(w, "disk", disk);
	T_OK(crash_disk_open(d, loop, &f, &t_err));
	T_OK(compact_file(f, &t_err));
	for (uint64_t k = 0;; k = crash_next(w, k)) {
		crash_iter_init(&it, d, k, 6, seed + k);
		for (unsigned i = 0; crash_iter_next(&it, &now); i++) {
			check_pages(&now, false);
			if ((k + i) % 16 == 0) {
				T_OK(compact(&now));
				check_sound(&now, true);
				check_pages(&now, false);
			}
			memimg_free(&now);
		}
		if (crash_next(w, k) == k)
			break;
	}
	crash_world_free(w);
	end();
}

static void power_may_fail_at_any_instant(void)
{
	power_fails(MIB, false, 20, 0);
	power_fails(MIB, false, 21, 4);
	power_fails(2 * MIB, false, 22, 2);
}

static void power_may_fail_at_any_instant_in_a_child(void)
{
	power_fails(MIB, true, 30, 0);
	power_fails(MIB, true, 31, 4);
	power_fails(2 * MIB, true, 33, 2);
}

static const struct t_test tests[] = {
	T_TEST(the_file_becomes_as_long_as_what_it_holds),
	T_TEST(children_stay_valid_and_copies_are_told_apart),
	T_TEST(a_second_run_changes_not_a_byte),
	T_TEST(a_dry_run_changes_nothing_and_is_right),
	T_TEST(bitmaps_go_when_no_block_needs_them),
	T_TEST(random_disks_keep_their_content),
	T_TEST(unused_blocks_go_and_cut_children_off),
	T_TEST(unused_and_zero_blocks_of_a_child_never_show_the_parent),
	T_TEST(a_stopped_run_can_go_on),
	T_TEST(any_operation_may_fail),
	T_TEST(power_may_fail_at_any_instant),
	T_TEST(power_may_fail_at_any_instant_in_a_child),
	T_END,
};

const struct t_suite t_suite_vhdx_compact = { "vhdx_compact", tests };
