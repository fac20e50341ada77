/* SPDX-License-Identifier: MIT */
/*
 * Random damage, checksums mended half of the time, and three claims about
 * whatever comes of it: what check calls good opens and reads; what a reader
 * sees is the same after a repair as before; a repaired file has nothing left
 * to repair.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "damage.h"
#include "file_mem.h"
#include "t.h"

#define ROUNDS 2000
#define DISK_LEN (16 * MIB)

static const char sound[] =
	"create size=16M\n"
	"block 0\nblock 3\nblock 7 state=3\nblock 15\nbat 9 2\nbat 10 1\n"
	"fill 4M 8K 0x11\nfill 5M 8K 0x22\nfill 6M 8K 0x33\nfill 7M 8K 0x44\n"
	"region 00000000-0000-0000-0000-000000000009 8M 1M 0\n"
	"item 00000000-0000-0000-0000-00000000000a 128K 4 0\n"
	"items 2 00000000-1111-2222-3333-444444444444\n"
	"truncate 10M\n";

/* The same, with a log that changes the BAT and grows the file. */
static const char dirty[] =
	"dirty 7\n"
	"entry 0 seq=5 bat=1:0x900006 zero=bat+8K:4K\n"
	"entry 8K seq=6 tail=0 bat=2:3 last=12M\n";

struct verdict {
	int rc;
	unsigned cnt, repairable;
	uint64_t errors;
};

static struct loop *loop;

static struct file *file_over(struct memimg *img)
{
	struct file *f;

	T_OK(file_mem_new(loop, "disk.vhdx", img, &f, &t_err));
	return f;
}

static void tally(void *arg, const struct vhdx_finding *f)
{
	struct verdict *v = arg;

	v->cnt++;
	v->repairable += f->repairable && !f->repaired;
}

static struct verdict check(struct memimg *img, bool repair)
{
	struct vhdx_check_result r = { 0 };
	struct verdict v = { 0 };
	struct check c = {
		.file = file_over(img),
		.repair = repair,
		.fn = tally,
		.arg = &v,
		.result = &r,
	};

	v.rc = vhdx_image_check(&c, &t_err);
	v.errors = r.errors;
	file_close(c.file);
	return v;
}

/* The first 4 KiB of every MiB of the disk, and whether it can be opened. */
static bool look(struct memimg *img, uint8_t *out)
{
	struct image_open_opts o = { 0 };
	struct file *f = file_over(img);
	struct vhdx_geometry g;
	struct vhdx_blk *blk;
	struct image *image;
	bool all = true;

	if (vhdx_image_open(f, &o, &image, &t_err)) {
		file_close(f);
		return false;
	}
	T_OK(blk_new(image, loop, false, &blk, &t_err));
	vhdx_blk_geometry(blk, &g);
	for (uint64_t i = 0; i < DISK_LEN / MIB && (i + 1) * MIB <= g.size_len;
	     i++)
		all &= vhdx_blk_read(blk, i * MIB, out + i * 4096, 4096,
				     &t_err) == 0;
	T_OK(vhdx_blk_close(blk, &t_err));
	return all;
}

static uint64_t pick(uint64_t *seed, const struct damage *d)
{
	const uint64_t place[] = {
		FMT_HEADER_OFF(0), FMT_HEADER_OFF(1), FMT_REGION_OFF(0),
		FMT_REGION_OFF(1), d->meta_off, d->meta_off + 64 * KIB,
		d->bat_off, d->bat_off, d->log_off, d->log_off + 8 * KIB,
	};

	return place[t_rand_below(seed, ARRAY_LEN(place))] +
	       t_rand_below(seed, 160);
}

static void hurt(struct damage *d, uint64_t *seed)
{
	char line[96];
	uint64_t at = pick(seed, d);
	unsigned how = (unsigned)t_rand_below(seed, 4);

	if (how == 0)
		snprintf(line, sizeof(line), "put8 %ju %ju", (uintmax_t)at,
			 (uintmax_t)t_rand_below(seed, 256));
	else if (how == 1)
		snprintf(line, sizeof(line), "put64 %ju %ju",
			 (uintmax_t)(at & ~UINT64_C(7)),
			 (uintmax_t)(t_rand_below(seed, 16) * MIB +
				     t_rand_below(seed, 8)));
	else if (how == 2)
		snprintf(line, sizeof(line), "put32 %ju 0x%x",
			 (uintmax_t)(at & ~UINT64_C(3)),
			 1u << t_rand_below(seed, 32));
	else
		snprintf(line, sizeof(line), "flip %ju", (uintmax_t)at);
	T_OK(damage_run(d, line, &t_err));
	if (t_rand_below(seed, 2))
		T_OK(damage_run(d, "crc header1\ncrc header2\n"
				"crc region1\ncrc region2", &t_err));
}

static void one_round(const struct memimg *from, const struct damage *places,
		      uint64_t seed)
{
	static uint8_t before[DISK_LEN / MIB * 4096], after[sizeof(before)];
	struct memimg img = { 0 };
	struct damage d = *places;
	struct verdict first, repair, second;
	bool opens;

	memimg_clone(&img, from);
	d.file = file_over(&img);
	for (uint64_t n = 1 + t_rand_below(&seed, 3); n; n--)
		hurt(&d, &seed);
	file_close(d.file);
	memset(before, 0, sizeof(before));
	memset(after, 0, sizeof(after));
	first = check(&img, false);
	opens = look(&img, before);
	T_OK(first.rc);
	T_TRUE(first.errors || opens);
	repair = check(&img, true);
	T_OK(repair.rc);
	second = check(&img, false);
	T_OK(second.rc);
	T_TRUE(second.repairable == 0);
	if (opens) {
		T_TRUE(look(&img, after));
		T_TRUE(memcmp(before, after, sizeof(before)) == 0);
	}
	memimg_free(&img);
}

static void rounds(const char *more, uint64_t seed)
{
	struct memimg img = { 0 };
	struct damage d;

	T_OK(loop_new(&loop, &t_err));
	T_OK(damage_begin(&d, file_over(&img), &t_err));
	T_OK(damage_run(&d, sound, &t_err));
	T_OK(damage_run(&d, more, &t_err));
	file_close(d.file);
	for (uint64_t i = 0; i < ROUNDS; i++)
		one_round(&img, &d, seed + i);
	memimg_free(&img);
	loop_free(loop);
}

static void damaged_files_are_told_and_repaired_without_loss(void)
{
	rounds("", 1000000);
}

static void damaged_dirty_files_are_told_and_repaired_without_loss(void)
{
	rounds(dirty, 2000000);
}

static const struct t_test tests[] = {
	T_TEST(damaged_files_are_told_and_repaired_without_loss),
	T_TEST(damaged_dirty_files_are_told_and_repaired_without_loss),
	T_END
};

const struct t_suite t_suite_check_random = { "check_random", tests };
