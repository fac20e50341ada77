/* SPDX-License-Identifier: MIT */
/*
 * UNMAP, WRITE SAME, GET LBA STATUS, VERIFY: large ranges of few bytes, and
 * parameter lists that lie. Blocks of the image are 1 MiB, 0x800 of the disk's.
 */
#include <string.h>

#include "le.h"
#include "t.h"
#include "t_child.h"
#include "t_scsi.h"

static const struct t_scsi_opts big_blocks = { .sector_len = 4096 };

static unsigned run(const char *cdb, enum scsi_dir dir, uint32_t len)
{
	return t_scsi_sense(t_scsi_run(cdb, dir, len));
}

/* ---- UNMAP --------------------------------------------------------------- */

struct lba_range {
	uint64_t lba;
	uint32_t cnt;
};

/* With a list of list_len bytes that says it has ranges_len of them. */
static unsigned unmap_raw(const struct lba_range *r, unsigned cnt,
			  uint16_t list_len, uint16_t ranges_len)
{
	struct t_scsi_cmd *c = t_scsi_make("42", SCSI_FROM_GUEST,
					   8 + 16 * cnt);

	put_be16(c->cmd.cdb + 7, list_len);
	put_be16(c->data, (uint16_t)(ranges_len + 6));
	put_be16(c->data + 2, ranges_len);
	for (unsigned i = 0; i < cnt; i++) {
		put_be64(c->data + 8 + 16 * i, r[i].lba);
		put_be32(c->data + 16 + 16 * i, r[i].cnt);
	}
	t_scsi_submit(c);
	t_scsi_turn();
	return t_scsi_sense(c);
}

static unsigned unmap(const struct lba_range *r, unsigned cnt)
{
	return unmap_raw(r, cnt, (uint16_t)(8 + 16 * cnt),
			 (uint16_t)(16 * cnt));
}

static void fill(void)
{
	for (uint32_t lba = 0; lba < 0x4000; lba += 0x800)
		T_EQ_U64(t_scsi_write(lba, 0x800, 7), 0);
}

static void whole_blocks_are_gone_and_their_neighbours_are_not(void)
{
	struct lba_range r[] = { { 0x800, 0x800 }, { 0, 0 },
				 { 0x2000, 0x1000 } };

	t_scsi_open(NULL);
	fill();
	T_EQ_U64(unmap(r, 3), 0);
	T_EQ_U64(t_scsi_byte_at(0, 0x800), 7);
	T_EQ_U64(t_scsi_byte_at(0x800, 0x800), 0);
	T_EQ_U64(t_scsi_byte_at(0x1000, 0x800), 7);
	T_EQ_U64(t_scsi_byte_at(0x2000, 0x800), 0);
	T_EQ_U64(t_scsi_byte_at(0x2800, 0x800), 0);
	T_EQ_U64(t_scsi_byte_at(0x3000, 0x800), 7);
	t_scsi_close();
}

static void one_bad_range_and_none_is_unmapped(void)
{
	struct lba_range far[] = { { 0, 0x800 }, { 0x3fff, 2 } };
	struct lba_range wraps[] = { { 0, 0x800 }, { UINT64_MAX, 2 } };

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 0x800, 7), 0);
	T_EQ_U64(unmap(far, 2), SENSE_LBA);
	T_EQ_U64(unmap(wraps, 2), SENSE_LBA);
	T_EQ_U64(t_scsi_byte_at(0, 0x800), 7);
	t_scsi_close();
}

static void ranges_are_as_many_as_told_and_no_more(void)
{
	struct lba_range r[17] = { { 0, 0 } };

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0x800, 0x800, 7), 0);
	r[15] = (struct lba_range){ 0x800, 0x800 };
	T_EQ_U64(unmap(r, 17), SENSE_LIST_FIELD);
	T_EQ_U64(t_scsi_byte_at(0x800, 0x800), 7);
	T_EQ_U64(unmap(r, 16), 0);
	T_EQ_U64(t_scsi_byte_at(0x800, 0x800), 0);
	t_scsi_close();
}

static void so_many_blocks_as_told_and_no_more(void)
{
	struct t_scsi_opts o = { .size_len = 8 * GIB };
	struct lba_range r[] = { { 0, 0x400000 }, { 0x800000, 0x400000 } };

	t_scsi_open(&o);
	T_EQ_U64(t_scsi_write(0x800000, 1, 7), 0);
	r[1].cnt++;
	T_EQ_U64(unmap(r, 2), SENSE_LIST_FIELD);
	T_EQ_U64(t_scsi_byte_at(0x800000, 1), 7);
	r[1].cnt--;
	T_EQ_U64(unmap(r, 2), 0);
	T_EQ_U64(t_scsi_byte_at(0x800000, 1), 0);
	t_scsi_close();
}

static void a_list_that_lies_is_refused(void)
{
	struct lba_range r = { 0, 0x800 }, two[] = { { 0, 0x800 }, { 0, 1 } };

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 0x800, 7), 0);
	T_EQ_U64(unmap_raw(&r, 1, 24, 32), SENSE_LIST_LEN);
	T_EQ_U64(unmap_raw(&r, 1, 24, 0xffff), SENSE_LIST_LEN);
	T_EQ_U64(unmap_raw(&r, 1, 7, 16), SENSE_LIST_LEN);
	T_EQ_U64(unmap_raw(two, 2, 24, 32), SENSE_LIST_LEN); /* is in data */
	T_EQ_U64(unmap_raw(&r, 1, 25, 16), SENSE_CDB_FIELD);
	T_EQ_U64(unmap_raw(&r, 1, 0, 16), 0);  /* no list */
	T_EQ_U64(unmap_raw(&r, 1, 24, 15), 0); /* half a descriptor: ignored */
	T_EQ_U64(run("42 01 00000000 00 0018 00", SCSI_FROM_GUEST, 24),
		 SENSE_CDB_FIELD); /* anchored */
	T_EQ_U64(run("42 00 00000000 00 0018 00", SCSI_TO_GUEST, 24),
		 SENSE_CDB_FIELD);
	T_EQ_U64(t_scsi_byte_at(0, 0x800), 7);
	t_scsi_close();
}

/* A list is read before the first range is unmapped, and not again. */
static void a_list_that_changes_meanwhile_changes_nothing(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	fill();
	c = t_scsi_make("42 00 00000000 00 0028 00", SCSI_FROM_GUEST, 40);
	memset(c->data, 0, 40);
	put_be16(c->data + 2, 32);
	put_be32(c->data + 16, 0x800);
	put_be64(c->data + 24, 0x1000);
	put_be32(c->data + 32, 0x800);
	t_scsi_submit(c);
	memset(c->data, 0xff, 40);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(t_scsi_byte_at(0, 0x800), 0);
	T_EQ_U64(t_scsi_byte_at(0x800, 0x800), 7);
	T_EQ_U64(t_scsi_byte_at(0x1000, 0x800), 0);
	t_scsi_close();
}

/* ---- WRITE SAME ---------------------------------------------------------- */

static unsigned same(const char *cdb, uint32_t len, int byte)
{
	struct t_scsi_cmd *c = t_scsi_make(cdb, SCSI_FROM_GUEST, len);

	memset(c->data, byte, len);
	t_scsi_submit(c);
	if (len) /* it is not read again either */
		memset(c->data, 0x99, len);
	t_scsi_turn();
	return t_scsi_sense(c);
}

static void a_pattern_fills_its_range_and_nothing_else(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(same("93 00 0000000000000001 00003ffe 00 00", 512, 5), 0);
	T_EQ_U64(t_scsi_byte_at(0, 1), 0);
	for (uint32_t lba = 1; lba < 0x3801; lba += 0x800)
		T_EQ_U64(t_scsi_byte_at(lba, 0x7fe), 5);
	T_EQ_U64(t_scsi_byte_at(0x3ffe, 1), 5);
	T_EQ_U64(t_scsi_byte_at(0x3fff, 1), 0);
	T_EQ_U64(same("41 00 00000003 00 0001 00", 512, 6), 0);
	T_EQ_U64(t_scsi_byte_at(2, 1), 5);
	T_EQ_U64(t_scsi_byte_at(3, 1), 6);
	T_EQ_U64(t_scsi_byte_at(4, 1), 5);
	t_scsi_close();
}

static void a_pattern_is_a_whole_block(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&big_blocks);
	T_EQ_U64(same("41 00 00000000 00 0002 00", 512, 5), SENSE_CDB_FIELD);
	c = t_scsi_make("41 00 00000001 00 0002 00", SCSI_FROM_GUEST, 4096);
	memset(c->data, 0, 4096);
	c->data[4095] = 3; /* not quite zeros */
	t_scsi_submit(c);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	c = t_scsi_run("28 00 00000000 00 0004 00", SCSI_TO_GUEST, 4 * 4096);
	for (unsigned i = 0; i < 4 * 4096; i++)
		T_EQ_U64(c->data[i], i == 8191 || i == 12287 ? 3 : 0);
	t_scsi_close();
}

/* By zeros, with or without UNMAP, and without any data. */
static void zeros(const char *cdb, uint32_t len)
{
	t_scsi_open(NULL);
	fill();
	T_EQ_U64(same(cdb, len, 0), 0);
	T_EQ_U64(t_scsi_byte_at(0, 0x400), 7);
	T_EQ_U64(t_scsi_byte_at(0x400, 0x400), 0); /* half an image block */
	T_EQ_U64(t_scsi_byte_at(0x800, 0x800), 0);
	T_EQ_U64(t_scsi_byte_at(0x1000, 1), 0);
	T_EQ_U64(t_scsi_byte_at(0x1001, 0x7ff), 7);
	t_scsi_close();
}

static void zeros_read_as_zeros_to_the_block(void)
{
	zeros("93 00 0000000000000400 00000c01 00 00", 512);
	zeros("93 08 0000000000000400 00000c01 00 00", 512);
	zeros("93 09 0000000000000400 00000c01 00 00", 0);
	zeros("41 08 00000400 00 0c01 00", 512);
}

static void what_write_same_cannot_do_is_refused(void)
{
	struct t_scsi_opts o = { .size_len = 8 * GIB };

	t_scsi_open(&o);
	T_EQ_U64(same("93 00 0000000000000000 00000000 00 00", 512, 5),
		 SENSE_CDB_FIELD); /* no blocks */
	T_EQ_U64(same("93 10 0000000000000000 00000001 00 00", 512, 5),
		 SENSE_CDB_FIELD); /* anchor */
	T_EQ_U64(same("93 02 0000000000000000 00000001 00 00", 512, 5),
		 SENSE_CDB_FIELD);
	T_EQ_U64(same("93 20 0000000000000000 00000001 00 00", 512, 5),
		 SENSE_CDB_FIELD);
	T_EQ_U64(same("41 01 00000000 00 0001 00", 0, 0), SENSE_CDB_FIELD);
	T_EQ_U64(same("93 00 0000000000000000 00000001 00 00", 511, 5),
		 SENSE_CDB_FIELD);
	T_EQ_U64(same("93 00 0000000000000000 00800001 00 00", 512, 0),
		 SENSE_CDB_FIELD); /* more than told */
	T_EQ_U64(same("93 00 0000000000000000 00800000 00 00", 512, 0), 0);
	T_EQ_U64(same("93 00 0000000000ffffff 00000002 00 00", 512, 0),
		 SENSE_LBA);
	T_EQ_U64(t_scsi_byte_at(0, 1), 0);
	t_scsi_close();
}

static void two_patterns_at_once_do_not_mix(void)
{
	struct t_scsi_cmd *c[4];

	t_scsi_open(NULL);
	for (unsigned i = 0; i < 4; i++) {
		c[i] = t_scsi_make("93 00 0000000000000000 00001000 00 00",
				   SCSI_FROM_GUEST, 512);
		c[i]->cmd.cdb[8] = (uint8_t)(0x10 * i);
		memset(c[i]->data, (int)i, 512); /* the first: zeros */
		t_scsi_submit(c[i]);
	}
	t_scsi_turn();
	for (unsigned i = 0; i < 4; i++) {
		T_EQ_U64(t_scsi_sense(c[i]), 0);
		T_EQ_U64(t_scsi_byte_at(0x1000 * i, 0x800), i);
		T_EQ_U64(t_scsi_byte_at(0x1000 * i + 0x800, 0x800), i);
	}
	t_scsi_close();
}

/* ---- GET LBA STATUS ------------------------------------------------------ */

static const uint8_t *status(const char *cdb, uint32_t len, uint32_t want_cnt)
{
	struct t_scsi_cmd *c = t_scsi_run(cdb, SCSI_TO_GUEST, len);

	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(get_be32(c->data), 4 + 16 * want_cnt);
	T_EQ_U64(c->cmd.moved_len, 8 + 16 * want_cnt);
	return c->data + 8;
}

static void is_range(const uint8_t *p, uint64_t lba, uint32_t cnt, uint8_t how)
{
	T_EQ_U64(get_be64(p), lba);
	T_EQ_U64(get_be32(p + 8), cnt);
	T_EQ_U64(p[12], how);
}

static void what_has_space_is_told_from_what_has_not(void)
{
	const uint8_t *p;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0x1000, 1, 7), 0);
	T_EQ_U64(t_scsi_write(0x1800, 1, 7), 0);
	p = status("9e 12 0000000000000010 00001000 00 00", 4096, 3);
	is_range(p, 0x10, 0xff0, 1);
	is_range(p + 16, 0x1000, 0x1000, 0);
	is_range(p + 32, 0x2000, 0x2000, 1);
	p = status("9e 12 0000000000000010 00000028 00 00", 4096, 2);
	is_range(p + 16, 0x1000, 0x1000, 0);
	p = status("9e 12 0000000000003fff 00001000 00 00", 24, 1);
	is_range(p, 0x3fff, 1, 1);
	t_scsi_close();
}

static void status_of_nothing_or_for_nobody_is_refused(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(run("9e 12 0000000000004000 00001000 00 00", SCSI_TO_GUEST,
		     24), SENSE_LBA);
	T_EQ_U64(run("9e 12 ffffffffffffffff 00001000 00 00", SCSI_TO_GUEST,
		     24), SENSE_LBA);
	T_EQ_U64(run("9e 12 0000000000000000 00001000 00 00", SCSI_TO_GUEST,
		     23), SENSE_CDB_FIELD);
	T_EQ_U64(run("9e 12 0000000000000000 00001000 00 00", SCSI_FROM_GUEST,
		     64), SENSE_CDB_FIELD);
	t_scsi_close();
}

static void a_run_is_no_longer_than_its_field(void)
{
	struct t_scsi_opts o = { .size_len = 4 * TIB, .block_len = 256 * MIB };
	const uint8_t *p;
	uint32_t cnt;

	t_scsi_open(&o);
	p = status("9e 12 0000000000000000 00000028 00 00", 40, 2);
	cnt = get_be32(p + 8);
	T_TRUE(cnt > UINT32_MAX / 2);
	is_range(p, 0, cnt, 1);
	is_range(p + 16, cnt, get_be32(p + 24), 1);
	p = status("9e 12 0000000000000000 00000018 00 00", 24, 1);
	is_range(p, 0, cnt, 1);
	t_scsi_close();
}

/* ---- VERIFY -------------------------------------------------------------- */

static void verify_reads_all_of_it(void)
{
	uint64_t before;

	t_scsi_open(NULL);
	fill();
	before = t_scsi.fault->bytes[FILE_READ];
	T_EQ_U64(run("8f 00 0000000000000001 00003fff 00 00", SCSI_NONE, 0), 0);
	T_EQ_U64(t_scsi.fault->bytes[FILE_READ] - before, 0x3fff * 512);
	T_EQ_U64(run("2f 00 00000000 00 0000 00", SCSI_NONE, 0), 0);
	T_EQ_U64(run("af 00 00003fff 00000001 00 00", SCSI_NONE, 0), 0);
	T_EQ_U64(run("af 00 00003fff 00000002 00 00", SCSI_NONE, 0),
		 SENSE_LBA);
	T_EQ_U64(run("2f 02 00000000 00 0001 00", SCSI_FROM_GUEST, 512),
		 SENSE_CDB_FIELD); /* and compare */
	t_scsi_close();
}

/* ---- a child ------------------------------------------------------------- */

/* Its block device under a SCSI disk. */
static void open_child(void)
{
	struct scsi_conf conf = { 0 };

	ch_begin(VHDX_FORMAT_VHDX, 2 * MIB, 512);
	memset(&t_scsi, 0, sizeof(t_scsi));
	conf.blk = t_scsi.blk = ch.blk;
	t_scsi.loop = ch.loop;
	T_OK(scsi_disk_create(&conf, &t_scsi.disk, &t_err));
}

static void close_child(void)
{
	t_scsi_free_cmds();
	scsi_disk_destroy(t_scsi.disk);
	ch_check_twice();
	ch_end();
}

/* Why it is not promised that what is unmapped reads as zeros. */
static void trimming_parts_of_blocks_makes_no_blocks_in_a_child(void)
{
	struct lba_range r[16];
	uint64_t before;

	open_child();
	ch_put(0, 512, 1);
	before = ch.child.size;
	for (unsigned i = 0; i < 16; i++)
		r[i] = (struct lba_range){ 0x1000 * (i + 1) + 8, 0xff0 };
	T_EQ_U64(unmap(r, 16), 0);
	T_EQ_U64(ch.child.size, before);
	close_child();
}

static void zeros_hide_the_parent_to_the_block(void)
{
	open_child();
	for (uint64_t voff = 0; voff < CH_SIZE; voff += 2 * MIB) {
		struct t_scsi_cmd *c = t_scsi_make(
			"93 08 0000000000000000 00000ffe 00 00",
			SCSI_FROM_GUEST, 512);

		put_be64(c->cmd.cdb + 2, voff / 512 + 1);
		memset(c->data, 0, 512);
		t_scsi_submit(c);
		memset(ch.model + voff + 512, 0, 0xffe * 512);
	}
	t_scsi_turn();
	ch_check_all();
	close_child();
}

static const struct t_test tests[] = {
	T_TEST(whole_blocks_are_gone_and_their_neighbours_are_not),
	T_TEST(one_bad_range_and_none_is_unmapped),
	T_TEST(ranges_are_as_many_as_told_and_no_more),
	T_TEST(so_many_blocks_as_told_and_no_more),
	T_TEST(a_list_that_lies_is_refused),
	T_TEST(a_list_that_changes_meanwhile_changes_nothing),
	T_TEST(a_pattern_fills_its_range_and_nothing_else),
	T_TEST(a_pattern_is_a_whole_block),
	T_TEST(zeros_read_as_zeros_to_the_block),
	T_TEST(what_write_same_cannot_do_is_refused),
	T_TEST(two_patterns_at_once_do_not_mix),
	T_TEST(what_has_space_is_told_from_what_has_not),
	T_TEST(status_of_nothing_or_for_nobody_is_refused),
	T_TEST(a_run_is_no_longer_than_its_field),
	T_TEST(verify_reads_all_of_it),
	T_TEST(trimming_parts_of_blocks_makes_no_blocks_in_a_child),
	T_TEST(zeros_hide_the_parent_to_the_block),
	T_END,
};

const struct t_suite t_suite_scsi_unmap = { "scsi_unmap", tests };
