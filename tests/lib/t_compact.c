/* SPDX-License-Identifier: MIT */
#include "t_compact.h"

#include <errno.h>
#include <string.h>

#include "chain.h"
#include "file_crash.h"
#include "file_fault.h"
#include "file_mem.h"
#include "mem.h"
#include "t.h"

#define PAGE 4096u
#define PAGES (TC_SIZE / PAGE)

struct t_compact tc;
static bool touched[PAGES];

struct image *tc_image(struct memimg *m, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;
	struct file *f;

	if (m == &tc.child)
		o.flags |= VHDX_OPEN_ALONE;
	T_OK(file_mem_new(tc.loop, "/t/disk", m, &f, &t_err));
	T_OK(image_open(f, tc.format, &o, &img, &t_err));
	return img;
}

struct vhdx_blk *tc_open(struct memimg *m, unsigned flags)
{
	struct vhdx_blk *blk;
	struct chain *c;

	T_OK(chain_of(tc_image(m, flags), &c, &t_err));
	if (tc.disk == &tc.child)
		c->layers[c->cnt++] = tc_image(&tc.base, 0);
	T_OK(blk_new_chain(c, tc.loop, false, &blk, &t_err));
	return blk;
}

static struct vhdx_create_opts opts_of(uint32_t block_len)
{
	bool vhd = tc.format == VHDX_FORMAT_VHD;

	return (struct vhdx_create_opts){
		.format = tc.format,
		.type = VHDX_TYPE_DYNAMIC,
		.type_given = true,
		.size_len = TC_SIZE,
		.block_len = block_len,
		.sector_len = 512,
		.physical_sector_len = vhd ? 512 : 4096,
	};
}

static void create_base(uint32_t block_len)
{
	struct vhdx_create_opts o = opts_of(block_len);
	struct file *f;

	T_OK(file_mem_new(tc.loop, "/t/base", &tc.base, &f, &t_err));
	if (tc.format == VHDX_FORMAT_VHD)
		T_OK(vhd1_image_create(f, &o, &t_err));
	else
		T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	tc.disk = &tc.base;
}

void tc_create_child(uint32_t block_len)
{
	struct image *parent = tc_image(&tc.base, 0);
	struct vhdx_create_opts o = opts_of(block_len);
	struct file *f;

	o.type = VHDX_TYPE_DIFFERENCING;
	o.parent = "/t/base";
	T_OK(file_mem_new(tc.loop, "/t/child", &tc.child, &f, &t_err));
	if (tc.format == VHDX_FORMAT_VHD)
		T_OK(vhd1_image_create_child(f, "/t/child", &o, parent,
					     &t_err));
	else
		T_OK(vhdx_image_create_child(f, "/t/child", &o, parent,
					     &t_err));
	file_close(f);
	T_OK(parent->ops->close(parent, &t_err));
	tc.disk = &tc.child;
}

/* ---- what is on the disk ------------------------------------------------- */

void tc_put(struct vhdx_blk *blk, uint64_t voff, uint64_t len, uint64_t seed)
{
	uint8_t *b = calloc(1, len);

	if (seed)
		t_fill(b, len, seed);
	T_OK(vhdx_blk_write(blk, voff, b, len, &t_err));
	memimg_write(&tc.model, voff, b, len);
	for (uint64_t i = voff / PAGE; i <= (voff + len - 1) / PAGE; i++)
		touched[i] = true;
	free(b);
}

void tc_zeroes(struct vhdx_blk *blk, uint64_t voff, uint64_t len)
{
	T_OK(vhdx_blk_write_zeroes(blk, voff, len, &t_err));
	memimg_zero(&tc.model, voff, len);
}

void tc_check_pages(struct memimg *m, bool all)
{
	struct vhdx_blk *blk = tc_open(m, 0);
	uint8_t got[PAGE], want[PAGE];

	for (uint64_t i = 0; i < PAGES; i++) {
		if (!touched[i] && !all)
			continue;
		T_OK(vhdx_blk_read(blk, i * PAGE, got, PAGE, &t_err));
		memimg_read(&tc.model, i * PAGE, want, PAGE);
		if (memcmp(got, want, PAGE) != 0)
			T_EQ_U64(i * PAGE, UINT64_MAX); /* the page is wrong */
	}
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void print_finding(void *arg, const struct vhdx_finding *f)
{
	bool closed = *(bool *)arg;

	if (f->severity == VHDX_SEV_ERROR ||
	    (closed && f->severity == VHDX_SEV_WARNING))
		printf("\n    %s\n", f->text);
}

void tc_check_sound(struct memimg *m, bool closed)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res, .fn = print_finding,
			   .arg = &closed };

	T_OK(file_mem_new(tc.loop, "/t/disk", m, &c.file, &t_err));
	if (tc.format == VHDX_FORMAT_VHD)
		T_OK(vhd1_image_check(&c, &t_err));
	else
		T_OK(vhdx_image_check(&c, &t_err));
	file_close(c.file);
	T_EQ_U64(res.errors, 0);
	if (closed)
		T_EQ_U64(res.warnings, 0);
}

static void fill(struct vhdx_blk *blk, unsigned cnt, uint64_t seed)
{
	for (unsigned i = 0; i < cnt; i++) {
		uint64_t page = t_rand_below(&seed, PAGES);
		uint64_t what = t_rand_below(&seed, 8);
		uint64_t mib = align_down(page * PAGE, MIB);

		if (what < 3)
			tc_put(blk, page * PAGE, PAGE, t_rand(&seed));
		else if (what < 5)
			tc_put(blk, page * PAGE, PAGE, 0);
		else if (what < 6)
			tc_put(blk, page * PAGE + 512, 512, t_rand(&seed));
		else if (mib + 2 * MIB < TC_SIZE && what < 7)
			tc_zeroes(blk, mib, MIB);
		else if (mib + MIB < TC_SIZE)
			tc_put(blk, mib, MIB, t_rand_below(&seed, 2) * seed);
	}
}

static void fill_disk(unsigned cnt, uint64_t seed)
{
	struct vhdx_blk *blk = tc_open(tc.disk, VHDX_OPEN_WRITE);

	fill(blk, cnt, seed);
	T_OK(vhdx_blk_close(blk, &t_err));
}

void tc_begin(enum vhdx_format format, uint32_t block_len, bool has_parent,
	      unsigned cnt, uint64_t seed)
{
	memset(&tc, 0, sizeof(tc));
	tc.format = format;
	T_OK(loop_new(&tc.loop, &t_err));
	create_base(block_len);
	fill_disk(cnt, seed);
	if (has_parent) {
		tc_create_child(block_len);
		fill_disk(cnt, seed + 1000);
	}
	tc_check_pages(tc.disk, false);
}

void tc_end(void)
{
	loop_free(tc.loop);
	memimg_free(&tc.base);
	memimg_free(&tc.child);
	memimg_free(&tc.model);
	memset(touched, 0, sizeof(touched));
	unused_free(&tc.unused);
}

/* ---- compacting ---------------------------------------------------------- */

int tc_compact_file(struct file *f, struct vhdx_err *e)
{
	struct image_open_opts o = {
		.flags = VHDX_OPEN_ALONE | (tc.dry_run ? 0 : VHDX_OPEN_WRITE)
	};
	struct compact how = { .dry_run = tc.dry_run,
			       .progress = { tc.progress, NULL },
			       .unused = tc.use_unused ? &tc.unused : NULL,
			       .result = &tc.result };
	struct image *img;
	int rc = image_open(f, tc.format, &o, &img, e), rc2;

	memset(&tc.result, 0, sizeof(tc.result));
	if (rc) {
		file_close(f);
		return rc;
	}
	rc = img->ops->compact(img, &how, e);
	rc2 = img->ops->close(img, rc ? NULL : e);
	return rc ? rc : rc2;
}

int tc_compact(struct memimg *m)
{
	struct file *f;

	T_OK(file_mem_new(tc.loop, "/t/disk", m, &f, &t_err));
	return tc_compact_file(f, &t_err);
}

void tc_compact_and_check(void)
{
	T_OK(tc_compact(tc.disk));
	T_EQ_U64(tc.result.file_len_after, tc.disk->size);
	tc_check_sound(tc.disk, true);
	tc_check_pages(tc.disk, true);
}

/* ---- failures ------------------------------------------------------------ */

bool tc_fail_nth(uint64_t nth, int sys_errno)
{
	struct memimg before;
	struct file_fault *ff;
	struct file *f;
	uint64_t failed_cnt = 0;
	int rc;

	memimg_clone(&before, tc.disk);
	T_OK(file_mem_new(tc.loop, "/t/disk", tc.disk, &f, &t_err));
	T_OK(file_fault_new(f, &ff, &t_err));
	ff->failed_total = &failed_cnt;
	fault_set(ff, (struct fault_rule){ .ops = sys_errno == EIO
							  ? FAULT_ANY
							  : FAULT_ANY_CHANGE,
					   .nth = nth,
					   .sys_errno = sys_errno,
					   .extent = FAULT_HALF });
	rc = tc_compact_file(&ff->w.file, &t_err);
	if (rc && sys_errno == ENOSPC && t_err.code != VHDX_E_NOSPC)
		T_EQ_U64(t_err.code, VHDX_E_FAILED);
	tc_check_sound(tc.disk, false);
	tc_check_pages(tc.disk, false);
	tc_compact_and_check();
	memimg_free(tc.disk);
	*tc.disk = before;
	return failed_cnt > 0;
}

/* One content after a power failure. */
static void check_state(struct memimg *now, bool rerun)
{
	tc_check_pages(now, false);
	if (!rerun)
		return;
	T_OK(tc_compact(now));
	tc_check_sound(now, true);
	tc_check_pages(now, false);
}

void tc_power_fails(enum vhdx_format format, uint32_t block_len,
		    bool has_parent, uint64_t seed, unsigned delay)
{
	struct crash_opts o = { .seed = seed, .max_delay = delay,
				.no_punch = seed % 2 };
	struct crash_world *w = crash_world_new(&o);
	struct crash_iter it;
	struct crash_disk *d;
	struct memimg now;
	struct file *f;

	tc_begin(format, block_len, has_parent, 40, seed);
	d = crash_disk_new(w, "disk", tc.disk);
	T_OK(crash_disk_open(d, tc.loop, &f, &t_err));
	T_OK(tc_compact_file(f, &t_err));
	for (uint64_t k = 0;; k = crash_next(w, k)) {
		crash_iter_init(&it, d, k, 6, seed + k);
		for (unsigned i = 0; crash_iter_next(&it, &now); i++) {
			check_state(&now, (k + i) % 16 == 0);
			memimg_free(&now);
		}
		if (crash_next(w, k) == k)
			break;
	}
	crash_world_free(w);
	tc_end();
}

/* ---- claims that hold for both formats ----------------------------------- */

static void begin(const struct tc_disk *d)
{
	tc_begin(d->format, d->block_len, d->has_parent, d->cnt, d->seed);
}

void tc_second_run_changes_nothing(const struct tc_disk *d)
{
	struct memimg before;

	begin(d);
	tc_compact_and_check();
	memimg_clone(&before, tc.disk);
	tc_compact_and_check();
	T_TRUE(memimg_eq(&before, tc.disk, NULL));
	memimg_free(&before);
	tc_end();
}

void tc_dry_run_is_right(const struct tc_disk *d)
{
	struct memimg before;
	uint64_t len, cnt;

	begin(d);
	memimg_clone(&before, tc.disk);
	tc.dry_run = true;
	T_OK(tc_compact(tc.disk));
	T_TRUE(memimg_eq(&before, tc.disk, NULL));
	len = tc.result.file_len_after;
	cnt = tc.result.zero_cnt;
	T_TRUE(cnt > 0);
	tc.dry_run = false;
	tc_compact_and_check();
	T_EQ_U64(len, tc.disk->size);
	T_EQ_U64(cnt, tc.result.zero_cnt);
	memimg_free(&before);
	tc_end();
}

static int stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	T_TRUE(done <= total);
	return 1;
}

void tc_stopped_run_goes_on(const struct tc_disk *d)
{
	begin(d);
	for (unsigned i = 0; i < 100; i++) {
		tc.progress = i % 4 == 3 ? NULL : stop_at_once;
		if (tc_compact(tc.disk) == 0)
			break;
		T_EQ_U64(t_err.code, VHDX_E_CANCELED);
		tc_check_sound(tc.disk, false);
		tc_check_pages(tc.disk, false);
	}
	tc_compact_and_check();
}

void tc_any_allocation_may_fail(const struct tc_disk *d)
{
	uint64_t live;
	int rc = 0;

	begin(d);
	live = mem_live_cnt();
	for (uint64_t n = 1; n == 1 || rc; n++) {
		(void)mem_fail_nth(n);
		rc = tc_compact(tc.disk);
		(void)mem_fail_nth(0);
		T_TRUE(!rc || t_err.code == VHDX_E_NOMEM);
		T_EQ_U64(mem_live_cnt(), live);
		tc_check_pages(tc.disk, false);
	}
	tc_compact_and_check();
	tc_end();
}

void tc_any_operation_may_fail(const struct tc_disk *d)
{
	begin(d);
	for (uint64_t nth = 1; tc_fail_nth(nth, EIO); nth++)
		;
	for (uint64_t nth = 1; tc_fail_nth(nth, ENOSPC); nth++)
		;
	tc_end();
}

void tc_put_unused(void)
{
	struct vhdx_blk *blk = tc_open(tc.disk, VHDX_OPEN_WRITE);

	for (uint64_t i = 0; i < 10; i++)
		tc_put(blk, i * MIB, MIB, 1 + i);
	tc_put(blk, 8 * MIB, MIB / 2, 0);
	T_OK(vhdx_blk_close(blk, &t_err));
	unused_init(&tc.unused, TC_SIZE);
	tc.use_unused = true;
	T_OK(vhdx_unused_add(&tc.unused, 3 * MIB, 2 * MIB, &t_err));
	T_OK(vhdx_unused_add(&tc.unused, 6 * MIB, MIB - 512, &t_err));
	T_OK(vhdx_unused_add(&tc.unused, 8 * MIB + MIB / 2, MIB / 2, &t_err));
	unused_sort(&tc.unused);
	memimg_zero(&tc.model, 3 * MIB, 2 * MIB);
	memimg_zero(&tc.model, 8 * MIB, MIB);
}
