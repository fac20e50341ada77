/* SPDX-License-Identifier: MIT */
/* Checking and repairing VHDs: what is found, what is mended, what is left
 * alone. The wording of single findings is the golden cases' business. */
#include <string.h>

#include "check.h"
#include "t.h"
#include "t_vhd1.h"

#define SIZE (64 * MIB)
#define BLOCK ((uint32_t)(2 * MIB))

static struct vhdx_check_result res;
static char found[65536]; /* all findings, one a line */

static void keep(void *arg, const struct vhdx_finding *f)
{
	size_t used = strlen(found);

	(void)arg;
	snprintf(found + used, sizeof(found) - used, "%d%s%s: %s\n",
		 (int)f->severity, f->repairable ? "r" : "",
		 f->repaired ? "!" : "", f->text);
}

static void check(bool repair, bool dry_run)
{
	struct check c = { .repair = repair, .dry_run = dry_run, .fn = keep,
			   .result = &res };

	found[0] = '\0';
	memset(&res, 0, sizeof(res));
	T_OK(file_mem_new(tv.loop, "disk.vhd", &tv.disk, &c.file, &t_err));
	c.file->writable = repair && !dry_run;
	T_OK(vhd1_image_check(&c, &t_err));
	file_close(c.file);
}

static void with_data(void)
{
	tv_begin(SIZE, BLOCK);
	tv_put(0, 1);
	tv_put(10 * MIB, 1);
	tv_close();
}

static void expect_clean(void)
{
	check(false, false);
	T_EQ_U64(res.errors, 0);
	T_EQ_U64(res.warnings, 0);
}

/* What is there is mended by one repair; before, a dry run changes nothing. */
static void expect_mended(const char *text)
{
	uint64_t sum = tv_sum();

	check(true, true);
	T_TRUE(strstr(found, text) != NULL);
	T_TRUE(res.errors + res.warnings > 0 && res.repaired == 0);
	T_EQ_U64(tv_sum(), sum);
	check(true, false);
	T_TRUE(res.repaired > 0 && res.errors == 0 && res.warnings == 0);
	expect_clean();
	tv_open(0);
	CU_ASSERT_STRING_EQUAL(tv.msg, "");
	T_TRUE(tv_has(0, 1) && tv_has(10 * MIB, 1));
	tv_close();
	tv_end();
}

static void expect_left_alone(const char *text)
{
	uint64_t sum = tv_sum();

	check(true, false);
	T_TRUE(strstr(found, text) != NULL);
	T_EQ_U64(res.repaired, 0);
	T_TRUE(res.errors > 0);
	T_EQ_U64(tv_sum(), sum);
	tv_end();
}

static void what_we_write_is_clean_and_counted(void)
{
	with_data();
	expect_clean();
	T_EQ_U64(res.blocks_allocated, 2);
	T_EQ_U64(res.leaked_len, 0);
	tv_end();
	tv_begin(3 * MIB, 0);
	tv_put(0, 1);
	tv_close();
	expect_clean();
	tv_end();
}

static void either_footer_is_mended_from_the_other(void)
{
	with_data();
	tv_poke(0, "X", 1);
	expect_mended("file offset 0");
	with_data();
	tv_poke(tv.disk.size - 512, "X", 1);
	expect_mended("no VHD footer");
	with_data();
	memimg_resize(&tv.disk, tv.disk.size - 512);
	expect_mended("no VHD footer");
}

static void a_tail_is_given_back(void)
{
	uint8_t foot[512];

	with_data();
	uint64_t want = tv.disk.size;
	tv_peek(0, foot, sizeof(foot));
	tv_poke(want + MIB, foot, sizeof(foot));
	tv_poke(want + 4096, "junk", 4);
	check(false, false);
	T_EQ_U64(res.leaked_len, MIB + 512);
	check(true, false);
	T_EQ_U64(tv.disk.size, want);
	T_EQ_U64(res.leaked_len, 0);
	tv_end();
}

static void later(struct vhd1_footer *f)
{
	f->timestamp++;
}

static void smaller(struct vhd1_footer *f)
{
	f->current_len -= MIB;
}

static void footers_that_differ_in_passing_are_made_equal(void)
{
	with_data();
	tv_edit_footer(0, later);
	expect_mended("differs");
}

static void footers_of_two_sizes_are_left_alone(void)
{
	with_data();
	tv_edit_footer(0, smaller);
	expect_left_alone("disagree");
}

static void nothing_moves_while_an_entry_is_damaged(void)
{
	with_data();
	tv_poke(tv.disk.size - 512, "X", 1);
	tv_bat_set(3, 0xfffffffe);
	expect_left_alone("BAT entry 3");
}

static void every_kind_of_bad_entry_is_found(void)
{
	static const uint32_t bad[] = { 0, 1, 2, 3, 0x7fffffff, 0xfffffffe };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		with_data();
		tv_bat_set(7, bad[i]);
		expect_left_alone("BAT entry 7");
	}
	with_data();
	tv_bat_set(7, tv_bat(0));
	check(false, false);
	T_EQ_U64(res.errors, 2);
	T_TRUE(strstr(found, "overlaps block 0"));
	T_TRUE(strstr(found, "overlaps block 7"));
	tv_end();
}

static void data_under_clear_bits_is_told_of(void)
{
	uint8_t map[512];

	with_data();
	memset(map, 0xff, sizeof(map));
	map[0] = 0x1f; /* sectors 0, 1, 2 */
	map[300] = 0;  /* hold zeros */
	tv_poke(tv_bat(0) * UINT64_C(512), map, sizeof(map));
	check(true, false);
	T_EQ_U64(res.warnings, 1);
	T_TRUE(strstr(found, "block 0: 3 sectors"));
	tv_end();
}

static void places_between_blocks_are_only_noted(void)
{
	with_data();
	tv_bat_set(0, VHD1_ABSENT);
	expect_clean();
	T_TRUE(strstr(found, "belong to nothing"));
	T_TRUE(res.leaked_len >= 2 * MIB);
	tv_end();
}

static void many_bad_entries_are_summed_up(void)
{
	tv_create(1024 * MIB, BLOCK);
	for (uint32_t i = 0; i < 500; i++)
		tv_bat_set(i, 0xfffffff0);
	check(false, false);
	T_EQ_U64(res.errors, 500);
	T_TRUE(strstr(found, "more damaged BAT entries"));
	tv_end();
}

static const struct t_test tests[] = {
	T_TEST(what_we_write_is_clean_and_counted),
	T_TEST(either_footer_is_mended_from_the_other),
	T_TEST(a_tail_is_given_back),
	T_TEST(footers_that_differ_in_passing_are_made_equal),
	T_TEST(footers_of_two_sizes_are_left_alone),
	T_TEST(nothing_moves_while_an_entry_is_damaged),
	T_TEST(every_kind_of_bad_entry_is_found),
	T_TEST(data_under_clear_bits_is_told_of),
	T_TEST(places_between_blocks_are_only_noted),
	T_TEST(many_bad_entries_are_summed_up),
	T_END,
};

const struct t_suite t_suite_vhd1_check = { "vhd1_check", tests };
