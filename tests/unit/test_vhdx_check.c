/* SPDX-License-Identifier: MIT */
/*
 * What check says is held to the letter by tests/golden; here stands what it
 * does and does not do to the file, and what it costs.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cut.h"
#include "damage.h"
#include "file_crash.h"
#include "file_mem.h"
#include "header.h"
#include "mem.h"
#include "t.h"

struct rig {
	struct loop *loop;
	struct memimg img;
	struct file *file;
	struct damage damage;
	struct vhdx_check_result result;
	char text[16384]; /* of the last check */
};

static void collect(void *arg, const struct vhdx_finding *f)
{
	struct rig *r = arg;
	size_t n = strlen(r->text);

	snprintf(r->text + n, sizeof(r->text) - n, "%s: %s%s\n",
		 f->severity == VHDX_SEV_ERROR	   ? "error"
		 : f->severity == VHDX_SEV_WARNING ? "warning"
						   : "note",
		 f->text,
		 f->repaired	 ? " - repaired"
		 : f->repairable ? " - repairable"
				 : "");
}

static void rig_up(struct rig *r, const char *script)
{
	memset(r, 0, sizeof(*r));
	T_OK(loop_new(&r->loop, &t_err));
	T_OK(file_mem_new(r->loop, "disk.vhdx", &r->img, &r->file, &t_err));
	T_OK(damage_begin(&r->damage, r->file, &t_err));
	T_OK(damage_run(&r->damage, script, &t_err));
}

static void rig_down(struct rig *r)
{
	file_close(r->file);
	loop_free(r->loop);
	memimg_free(&r->img);
}

#define REPAIR 1u
#define DRY 2u

static int run_on(struct rig *r, struct file *f, unsigned flags)
{
	struct check c = {
		.file = f,
		.repair = flags & REPAIR,
		.dry_run = flags & DRY,
		.fn = collect,
		.arg = r,
		.result = &r->result,
	};

	memset(&r->result, 0, sizeof(r->result));
	r->text[0] = '\0';
	return vhdx_image_check(&c, &t_err);
}

static int run(struct rig *r, unsigned flags)
{
	return run_on(r, r->file, flags);
}

static void says(struct rig *r, const char *part)
{
	if (!strstr(r->text, part))
		printf("\nwanted: %s\nin:\n%.2000s", part, r->text);
	T_TRUE(strstr(r->text, part) != NULL);
}

#define DIRTY_BLOCK \
	"create\nblock 0\ndirty 7\ntruncate end+1M\n" \
	"entry 0 seq=5 bat=1:0x500006 flushed=6M last=6M\n"

/* ---- sound files --------------------------------------------------------- */

static void new_image_has_nothing_to_say(void)
{
	struct rig r;

	rig_up(&r, "create");
	T_OK(run(&r, 0));
	CU_ASSERT_STRING_EQUAL(r.text, "");
	rig_down(&r);
}

static void fixed_image_has_nothing_to_say(void)
{
	struct rig r;

	rig_up(&r, "create type=fixed size=5M");
	T_OK(run(&r, 0));
	CU_ASSERT_STRING_EQUAL(r.text, "");
	T_EQ_U64(r.result.blocks_allocated, 5);
	rig_down(&r);
}

static void huge_empty_disk_reads_little(void)
{
	struct rig r;

	rig_up(&r, "create size=64T block=1M\nblock 67108863");
	T_OK(run(&r, 0));
	CU_ASSERT_STRING_EQUAL(r.text, "");
	T_EQ_U64(r.result.blocks_allocated, 1);
	rig_down(&r);
}

static void chunks_of_4k_sectors_are_larger(void)
{
	struct rig r;

	/* Entry 4096 is a bitmap's with 512-byte sectors, a block's here. */
	rig_up(&r, "create size=8G sector=4096\nblock 4096");
	T_OK(run(&r, 0));
	CU_ASSERT_STRING_EQUAL(r.text, "");
	rig_down(&r);
}

/* ---- nothing is written -------------------------------------------------- */

static void unchanged_by(const char *script, unsigned flags)
{
	struct rig r;
	struct memimg before = { 0 };
	uint64_t off;

	rig_up(&r, script);
	memimg_clone(&before, &r.img);
	T_OK(run(&r, flags));
	T_TRUE(memimg_eq(&before, &r.img, &off));
	memimg_free(&before);
	rig_down(&r);
}

static void check_writes_nothing(void)
{
	unchanged_by(DIRTY_BLOCK "flip header1\nflip region1", 0);
}

static void dry_run_writes_nothing(void)
{
	unchanged_by(DIRTY_BLOCK "flip header1\nflip region1", REPAIR | DRY);
}

static void repair_of_a_sound_file_writes_nothing(void)
{
	unchanged_by("create\nblock 3", REPAIR);
}

static void repair_writes_nothing_while_the_log_cannot_be_replayed(void)
{
	unchanged_by(DIRTY_BLOCK "flip log\nflip region1", REPAIR);
}

/* ---- repair -------------------------------------------------------------- */

static void mended(const char *script, const char *what)
{
	struct rig r;

	rig_up(&r, script);
	T_OK(run(&r, REPAIR | DRY));
	says(&r, what);
	says(&r, " - repairable");
	T_OK(run(&r, REPAIR));
	says(&r, what);
	says(&r, " - repaired");
	T_TRUE(strstr(r.text, " - repairable") == NULL);
	T_EQ_U64(r.result.errors + r.result.warnings, 0);
	T_OK(run(&r, 0));
	CU_ASSERT_STRING_EQUAL(r.text, "");
	rig_down(&r);
}

static void bad_header_is_rewritten(void)
{
	mended("create\nflip header1+20", "copy 1 of 2; the other one");
	mended("create\nflip header2+20", "copy 2 of 2; the other one");
}

static void bad_region_table_is_rewritten(void)
{
	mended("create\nflip region1+100", "copy 1 of 2; the other one");
	mended("create\nflip region2", "copy 2 of 2; the other one");
}

static void twin_headers_get_numbers(void)
{
	mended("create\ncopy header2 header1 4K", "they are identical");
}

static void dirty_log_is_replayed(void)
{
	mended(DIRTY_BLOCK, "to be replayed");
}

static void tail_is_cut(void)
{
	mended("create\nblock 0\ntruncate end+5M", "last 5242880 bytes");
}

static void offset_without_place_is_cleared(void)
{
	mended("create\nblock 0\nbat 9 0x7000002", "has state 2");
	mended("create\nblock 0\nbat 9 0x400000", "has state 0");
}

static void anchor_that_leads_nowhere_is_cleared(void)
{
	mended("create\nblock 0\nbat 9 0x400003", "the former place 4194304");
	mended("create\nblock 0\nbat 9 0x7000001", "the former place");
}

static void all_at_once_is_mended(void)
{
	mended(DIRTY_BLOCK "flip header2+1\nflip region2+1\nbat 9 0x7000002\n"
	       "truncate end+3M", "to be replayed");
}

static void repair_changes_only_the_file_write_guid_of_the_header(void)
{
	struct header_pair a, b;
	struct rig r;

	rig_up(&r, "create\nflip region1");
	T_OK(header_load(r.file, &a, &t_err));
	T_OK(run(&r, REPAIR));
	T_OK(header_load(r.file, &b, &t_err));
	T_TRUE(!guid_eq(&a.cur.file_write, &b.cur.file_write));
	T_TRUE(guid_eq(&a.cur.data_write, &b.cur.data_write));
	T_TRUE(guid_is_zero(&b.cur.log));
	rig_down(&r);
}

/* ---- what repair leaves alone -------------------------------------------- */

static void kept(const char *script, const char *what)
{
	struct rig r;

	rig_up(&r, script);
	T_OK(run(&r, REPAIR));
	says(&r, what);
	T_TRUE(strstr(r.text, "repaired") == NULL);
	T_OK(run(&r, 0));
	says(&r, what);
	rig_down(&r);
}

static void offset_that_leads_to_free_space_is_kept(void)
{
	/* One flipped bit made state 6 a state 2: the data is still there. */
	kept("create\nblock 0\nblock 1 state=2", "it is left alone");
}

static void blocks_behind_a_damaged_size_are_kept(void)
{
	kept("create\nblock 0\nblock 40\nput64 size 32M", "it is left alone");
}

static void tail_is_kept_while_a_block_is_damaged(void)
{
	kept("create\nblock 0\nbat 0 0x400004\ntruncate end+1M", "state 4");
}

static void sound_anchor_keeps_its_space(void)
{
	struct rig r;

	rig_up(&r, "create\nblock 0\nblock 1 state=3");
	T_OK(run(&r, REPAIR));
	CU_ASSERT_STRING_EQUAL(r.text, "");
	rig_down(&r);
}

/* ---- bounds -------------------------------------------------------------- */

static void many_findings_are_summed_up(void)
{
	struct rig r;

	rig_up(&r, "create size=1G\nfill bat 4096 4");
	T_OK(run(&r, 0));
	says(&r, "... and 492 more entries with a reserved state");
	T_EQ_U64(r.result.errors, 512);
	rig_down(&r);
}

static void running_out_of_memory_anywhere_is_reported(void)
{
	struct rig r;
	uint64_t n = 1;
	int rc;

	rig_up(&r, DIRTY_BLOCK "bat 2 0x400006\nbat 9 0x7000002");
	do {
		uint64_t live = mem_live_cnt();

		mem_fail_nth(n++);
		rc = run(&r, 0);
		mem_fail_nth(0);
		T_EQ_U64(mem_live_cnt(), live);
		T_TRUE(rc == 0 || rc == VHDX_E_NOMEM);
	} while (rc);
	T_TRUE(n > 10);
	rig_down(&r);
}

/* K3, for writes that take effect in order. */
static void interrupted_repair_can_be_repeated(void)
{
	struct cut cut;
	struct rig r;

	for (uint64_t n = 0;; n++) {
		int rc;

		rig_up(&r, DIRTY_BLOCK "flip header2+1\nflip region2+1\n"
		       "bat 9 0x7000002\ntruncate end+3M");
		cut_init(&cut, r.file, n);
		rc = run_on(&r, &cut.w.file, REPAIR);
		T_TRUE(rc == 0 || rc == VHDX_E_IO);
		T_OK(run(&r, REPAIR));
		T_EQ_U64(r.result.errors + r.result.warnings, 0);
		T_OK(run(&r, 0));
		CU_ASSERT_STRING_EQUAL(r.text, "");
		rig_down(&r);
		if (!rc)
			break;
	}
}

/* K3, for everything that a power failure can leave behind. */
static void power_failure_during_repair_makes_nothing_worse(void)
{
	struct crash_world *w = crash_world_new(NULL);
	struct memimg state = { 0 };
	struct crash_disk *d;
	struct crash_iter it;
	struct file *f;
	struct rig r;

	rig_up(&r, DIRTY_BLOCK "flip header2+1\nflip region2+1\n"
	       "bat 9 0x7000002\nbat 63 0x7000003\ntruncate end+3M");
	d = crash_disk_new(w, "disk.vhdx", &r.img);
	T_OK(crash_disk_open(d, r.loop, &f, &t_err));
	T_OK(run_on(&r, f, REPAIR));
	file_close(f);
	for (uint64_t k = 0, last = UINT64_MAX; k != last;
	     last = k, k = crash_next(w, k)) {
		crash_iter_init(&it, d, k, 64, k);
		while (crash_iter_next(&it, &state)) {
			memimg_free(&r.img);
			r.img = state;
			r.file->size = r.img.size;
			T_OK(run(&r, REPAIR));
			T_EQ_U64(r.result.errors + r.result.warnings, 0);
			T_EQ_U64(r.result.blocks_allocated, 2);
			T_OK(run(&r, 0));
			CU_ASSERT_STRING_EQUAL_FATAL(r.text, "");
		}
	}
	crash_world_free(w);
	rig_down(&r);
}

/* What is not durable yet is not told as repaired. */
static void failed_repair_is_not_told_as_repaired(void)
{
	struct cut cut;
	struct rig r;

	rig_up(&r, "create\nflip region2");
	cut_init(&cut, r.file, 5); /* all but the last sync */
	T_FAILS(run_on(&r, &cut.w.file, REPAIR), VHDX_E_IO, "failure");
	T_TRUE(strstr(r.text, "repaired") == NULL);
	rig_down(&r);
}

static const struct t_test tests[] = {
	T_TEST(new_image_has_nothing_to_say),
	T_TEST(fixed_image_has_nothing_to_say),
	T_TEST(huge_empty_disk_reads_little),
	T_TEST(chunks_of_4k_sectors_are_larger),
	T_TEST(check_writes_nothing),
	T_TEST(dry_run_writes_nothing),
	T_TEST(repair_of_a_sound_file_writes_nothing),
	T_TEST(repair_writes_nothing_while_the_log_cannot_be_replayed),
	T_TEST(bad_header_is_rewritten),
	T_TEST(bad_region_table_is_rewritten),
	T_TEST(twin_headers_get_numbers),
	T_TEST(dirty_log_is_replayed),
	T_TEST(tail_is_cut),
	T_TEST(offset_without_place_is_cleared),
	T_TEST(anchor_that_leads_nowhere_is_cleared),
	T_TEST(all_at_once_is_mended),
	T_TEST(repair_changes_only_the_file_write_guid_of_the_header),
	T_TEST(offset_that_leads_to_free_space_is_kept),
	T_TEST(blocks_behind_a_damaged_size_are_kept),
	T_TEST(tail_is_kept_while_a_block_is_damaged),
	T_TEST(sound_anchor_keeps_its_space),
	T_TEST(many_findings_are_summed_up),
	T_TEST(interrupted_repair_can_be_repeated),
	T_TEST(power_failure_during_repair_makes_nothing_worse),
	T_TEST(failed_repair_is_not_told_as_repaired),
	T_TEST(running_out_of_memory_anywhere_is_reported),
	T_END
};

const struct t_suite t_suite_vhdx_check = { "vhdx_check", tests };
