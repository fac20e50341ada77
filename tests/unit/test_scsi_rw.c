/* SPDX-License-Identifier: MIT */
/*
 * Commands that move data: the same blocks by every CDB that names them, at the
 * ends of the disk and beyond, with buffers that do not fit.
 */
#include <string.h>

#include "t.h"
#include "t_scsi.h"

#define LAST 0x3fff /* of 8 MiB in 512 bytes */

static unsigned run(const char *cdb, enum scsi_dir dir, uint32_t len)
{
	return t_scsi_sense(t_scsi_run(cdb, dir, len));
}

/* ---- READ, WRITE --------------------------------------------------------- */

static void write_n(const char *cdb, uint8_t fill)
{
	struct t_scsi_cmd *c = t_scsi_make(cdb, SCSI_FROM_GUEST, 1024);

	memset(c->data, fill, 1024);
	t_scsi_submit(c);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 1024);
}

static void every_length_of_write_hits_its_blocks(void)
{
	t_scsi_open(NULL);
	write_n("0a 000200 02 00", 6);
	write_n("2a 00 00000300 00 0002 00", 10);
	write_n("aa 00 00000400 00000002 00 00", 12);
	write_n("8a 00 0000000000000500 00000002 00 00", 16);
	T_EQ_U64(t_scsi_byte_at(0x200, 2), 6);
	T_EQ_U64(t_scsi_byte_at(0x300, 2), 10);
	T_EQ_U64(t_scsi_byte_at(0x400, 2), 12);
	T_EQ_U64(t_scsi_byte_at(0x500, 2), 16);
	T_EQ_U64(t_scsi_byte_at(0x1fe, 2), 0);
	T_EQ_U64(t_scsi_byte_at(0x502, 2), 0);
	t_scsi_close();
}

static void read_n(const char *cdb, uint8_t want)
{
	struct t_scsi_cmd *c = t_scsi_run(cdb, SCSI_TO_GUEST, 1024 + 3);

	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 1024);
	T_EQ_U64(c->data[0], want);
	T_EQ_U64(c->data[1023], want);
	T_EQ_U64(c->data[1024], 0xee);
}

static void every_length_of_read_gets_its_blocks(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0x1234, 2, 7), 0);
	read_n("08 001234 02 00", 7);
	read_n("28 00 00001234 00 0002 00", 7);
	read_n("a8 00 00001234 00000002 00 00", 7);
	read_n("88 00 0000000000001234 00000002 00 00", 7);
	t_scsi_close();
}

static void no_blocks_are_256_in_six_bytes_and_none_elsewhere(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	c = t_scsi_run("08 000000 00 00", SCSI_TO_GUEST, 256 * 512);
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 256 * 512);
	T_EQ_U64(c->data[256 * 512 - 1], 0);
	c = t_scsi_run("28 00 00000000 00 0000 00", SCSI_TO_GUEST, 512);
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 0);
	T_EQ_U64(c->data[0], 0xee);
	t_scsi_close();
}

static void blocks_of_4096_bytes_are_counted_as_such(void)
{
	struct t_scsi_opts o = { .sector_len = 4096 };

	t_scsi_open(&o);
	T_EQ_U64(t_scsi_write(2047, 1, 9), 0);
	T_EQ_U64(t_scsi_byte_at(2047, 1), 9);
	T_EQ_U64(t_scsi_byte_at(2046, 1), 0);
	T_EQ_U64(run("28 00 000007ff 00 0001 00", SCSI_TO_GUEST, 512),
		 SENSE_CDB_FIELD);
	T_EQ_U64(run("28 00 00000800 00 0001 00", SCSI_TO_GUEST, 4096),
		 SENSE_LBA);
	t_scsi_close();
}

static void the_end_of_the_disk_is_the_end(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(LAST, 1, 5), 0);
	T_EQ_U64(run("28 00 00003fff 00 0002 00", SCSI_TO_GUEST, 1024),
		 SENSE_LBA);
	T_EQ_U64(run("28 00 00004001 00 0000 00", SCSI_TO_GUEST, 0), SENSE_LBA);
	T_EQ_U64(run("28 00 ffffffff 00 ffff 00", SCSI_TO_GUEST, 1024),
		 SENSE_LBA);
	T_EQ_U64(run("88 00 ffffffffffffffff 00000002 00 00", SCSI_TO_GUEST,
		     1024), SENSE_LBA);
	T_EQ_U64(run("8a 00 8000000000000000 00000001 00 00", SCSI_FROM_GUEST,
		     512), SENSE_LBA);
	T_EQ_U64(t_scsi_byte_at(LAST, 1), 5);
	t_scsi_close();
}

static void a_buffer_that_is_too_short_is_refused_before_anything(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 4, 1), 0);
	c = t_scsi_run("2a 00 00000000 00 0002 00", SCSI_FROM_GUEST, 1023);
	T_EQ_U64(t_scsi_sense(c), SENSE_CDB_FIELD);
	c = t_scsi_run("28 00 00000000 00 0002 00", SCSI_TO_GUEST, 1023);
	T_EQ_U64(t_scsi_sense(c), SENSE_CDB_FIELD);
	T_EQ_U64(c->data[0], 0xee);
	T_EQ_U64(t_scsi_byte_at(0, 4), 1);
	t_scsi_close();
}

static void data_the_wrong_way_is_refused(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(run("28 00 00000000 00 0001 00", SCSI_FROM_GUEST, 512),
		 SENSE_CDB_FIELD);
	T_EQ_U64(run("2a 00 00000000 00 0001 00", SCSI_TO_GUEST, 512),
		 SENSE_CDB_FIELD);
	T_EQ_U64(run("28 00 00000000 00 0001 00", SCSI_NONE, 512),
		 SENSE_CDB_FIELD);
	T_EQ_U64(t_scsi_byte_at(0, 1), 0);
	t_scsi_close();
}

static void more_than_is_told_is_refused(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(run("28 00 00000000 00 0800 00", SCSI_TO_GUEST, MIB), 0);
	T_EQ_U64(run("28 00 00000000 00 0801 00", SCSI_TO_GUEST, MIB + 512),
		 SENSE_CDB_FIELD);
	t_scsi_close();
}

static void protection_information_is_refused(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(run("28 20 00000000 00 0001 00", SCSI_TO_GUEST, 512),
		 SENSE_CDB_FIELD);
	T_EQ_U64(run("2a 80 00000000 00 0001 00", SCSI_FROM_GUEST, 512),
		 SENSE_CDB_FIELD);
	T_EQ_U64(run("2f 20 00000000 00 0001 00", SCSI_NONE, 0),
		 SENSE_CDB_FIELD);
	t_scsi_close();
}

static void what_must_not_be_written_is_write_protected(void)
{
	struct t_scsi_opts o = { .read_only = true };

	t_scsi_open(&o);
	T_EQ_U64(t_scsi_write(0, 1, 1), SENSE_READ_ONLY);
	T_EQ_U64(t_scsi_byte_at(0, 1), 0);
	T_EQ_U64(run("42 00 00000000 00 0018 00", SCSI_FROM_GUEST, 24),
		 SENSE_READ_ONLY);
	T_EQ_U64(run("93 00 0000000000000000 00000001 00 00", SCSI_FROM_GUEST,
		     512), SENSE_READ_ONLY);
	T_EQ_U64(run("35 00 00000000 00 0000 00", SCSI_NONE, 0), 0);
	t_scsi_close();
}

/* ---- durability ---------------------------------------------------------- */

static uint64_t syncs(void)
{
	return t_scsi.fault->cnt[FILE_SYNC];
}

static void a_write_with_fua_is_synced_and_one_without_is_not(void)
{
	uint64_t before;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	T_EQ_U64(run("35 00 00000000 00 0000 00", SCSI_NONE, 0), 0);
	before = syncs();
	T_EQ_U64(t_scsi_write(0, 1, 2), 0);
	T_EQ_U64(syncs(), before);
	T_EQ_U64(run("2a 08 00000000 00 0001 00", SCSI_FROM_GUEST, 512), 0);
	T_TRUE(syncs() > before);
	t_scsi_close();
}

static void synced_by(const char *cdb, unsigned want)
{
	uint64_t before = syncs();

	T_EQ_U64(t_scsi_write(0, 1, 2), 0);
	T_EQ_U64(run(cdb, SCSI_NONE, 0), want);
	T_TRUE((syncs() > before) == !want);
}

static void what_flushes_syncs_the_file(void)
{
	t_scsi_open(NULL);
	synced_by("35 00 00000000 00 0000 00", 0);
	synced_by("91 00 0000000000000000 00000000 00 00", 0);
	synced_by("35 02 00000000 00 0001 00", 0);
	synced_by("1b 00 00 00 00 00", 0); /* stop */
	synced_by("35 00 00004000 00 0001 00", SENSE_LBA);
	synced_by("1b 00 00 00 02 00", SENSE_CDB_FIELD); /* eject */
	T_EQ_U64(run("1b 00 00 00 01 00", SCSI_NONE, 0), 0);
	t_scsi_close();
}

static void a_read_with_fua_is_of_what_is_durable(void)
{
	uint64_t before;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(2, 2, 3), 0);
	before = syncs();
	read_n("28 00 00000002 00 0002 00", 3);
	T_EQ_U64(syncs(), before);
	read_n("28 08 00000002 00 0002 00", 3);
	T_TRUE(syncs() > before);
	t_scsi_close();
}

static const struct t_test tests[] = {
	T_TEST(every_length_of_write_hits_its_blocks),
	T_TEST(every_length_of_read_gets_its_blocks),
	T_TEST(no_blocks_are_256_in_six_bytes_and_none_elsewhere),
	T_TEST(blocks_of_4096_bytes_are_counted_as_such),
	T_TEST(the_end_of_the_disk_is_the_end),
	T_TEST(a_buffer_that_is_too_short_is_refused_before_anything),
	T_TEST(data_the_wrong_way_is_refused),
	T_TEST(more_than_is_told_is_refused),
	T_TEST(protection_information_is_refused),
	T_TEST(what_must_not_be_written_is_write_protected),
	T_TEST(a_write_with_fua_is_synced_and_one_without_is_not),
	T_TEST(what_flushes_syncs_the_file),
	T_TEST(a_read_with_fua_is_of_what_is_durable),
	T_END,
};

const struct t_suite t_suite_scsi_rw = { "scsi_rw", tests };
