/* SPDX-License-Identifier: MIT */
/*
 * What the disk tells of itself, byte by byte at the places where a guest
 * looks, and no byte more than the guest has room for.
 */
#include <string.h>

#include "le.h"
#include "t.h"
#include "t_scsi.h"

#define IN SCSI_TO_GUEST

static const struct t_scsi_opts big_blocks = { .sector_len = 4096 };
static const struct t_scsi_opts small = { .physical_len = 512 };
static const struct t_scsi_opts protected = { .read_only = true };

static unsigned run(const char *cdb, enum scsi_dir dir, uint32_t len)
{
	return t_scsi_sense(t_scsi_run(cdb, dir, len));
}

/* Its data, that ended well. */
static const uint8_t *ask(const char *cdb, uint32_t want_len)
{
	struct t_scsi_cmd *c = t_scsi_run(cdb, IN, 300);

	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, want_len);
	T_EQ_U64(c->data[want_len], 0xee);
	return c->data;
}

/* ---- INQUIRY ------------------------------------------------------------- */

static void it_is_the_disk_that_linux_knows(void)
{
	const uint8_t *p;

	t_scsi_open(NULL);
	p = ask("12 00 00 00ff 00", 36);
	T_EQ_U64(p[0], 0);
	T_EQ_U64(p[2], 6);
	T_EQ_U64(p[3] & 0x0f, 2);
	T_EQ_U64(p[4], 31);
	T_TRUE(!memcmp(p + 8, "Msft    Virtual Disk    1.0 ", 28));
	t_scsi_close();
}

static void every_page_that_is_listed_is_there(void)
{
	const uint8_t *list;
	uint8_t last = 0;
	char cdb[32];

	t_scsi_open(NULL);
	list = ask("12 01 00 00ff 00", 10);
	T_EQ_U64(get_be16(list + 2), 6);
	for (unsigned i = 4; i < 10; i++) {
		struct t_scsi_cmd *c;

		snprintf(cdb, sizeof(cdb), "12 01 %02x 00ff 00", list[i]);
		c = t_scsi_run(cdb, IN, 255);
		T_EQ_U64(t_scsi_sense(c), 0);
		T_EQ_U64(c->data[1], list[i]);
		T_EQ_U64(get_be16(c->data + 2), c->cmd.moved_len - 4);
		T_TRUE(list[i] >= last); /* in ascending order */
		last = list[i];
	}
	t_scsi_close();
}

/* hv_storvsc takes the refusal for an answer. */
static void a_page_that_is_not_there_is_refused_and_the_buffer_zeros(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	c = t_scsi_run("12 01 b9 00ff 00", IN, 600);
	T_EQ_U64(t_scsi_sense(c), SENSE_CDB_FIELD);
	for (unsigned i = 0; i < 600; i++)
		T_EQ_U64(c->data[i], 0);
	T_EQ_U64(run("12 00 80 00ff 00", IN, 255), SENSE_CDB_FIELD);
	T_EQ_U64(run("12 02 00 00ff 00", IN, 255), SENSE_CDB_FIELD);
	t_scsi_close();
}

static void the_allocation_length_and_the_buffer_are_kept_to(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	c = t_scsi_run("12 00 00 0005 00", IN, 36);
	T_EQ_U64(c->cmd.moved_len, 5);
	T_EQ_U64(c->data[5], 0xee);
	c = t_scsi_run("12 00 00 0024 00", IN, 7);
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 7);
	T_EQ_U64(run("12 00 00 0000 00", SCSI_NONE, 0), 0);
	T_EQ_U64(run("12 00 00 0024 00", SCSI_FROM_GUEST, 36),
		 SENSE_CDB_FIELD);
	t_scsi_close();
}

static void its_names_are_made_of_its_id(void)
{
	const char *hex = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
	const uint8_t *p;

	t_scsi_open(NULL);
	p = ask("12 01 80 00ff 00", 36);
	T_TRUE(!memcmp(p + 4, hex, 32));
	p = ask("12 01 83 00ff 00", 60);
	T_EQ_U64(get_be32(p + 4), 0x02010028);
	T_TRUE(!memcmp(p + 8, "Msft    ", 8));
	T_TRUE(!memcmp(p + 16, hex, 32));
	T_EQ_U64(get_be32(p + 48), 0x01030008);
	T_EQ_U64(get_be64(p + 52), UINT64_C(0x3808080808080808));
	t_scsi_close();
}

static void limits_are_told_in_blocks(uint32_t sector_len)
{
	const uint8_t *p = ask("12 01 b0 00ff 00", 64);

	T_EQ_U64(p[4], 1);
	T_EQ_U64(get_be16(p + 6), 4096 / sector_len);
	T_EQ_U64(get_be32(p + 8), MIB / sector_len);
	T_EQ_U64(get_be32(p + 20), 4 * GIB / sector_len);
	T_EQ_U64(get_be32(p + 24), 16);
	T_EQ_U64(get_be32(p + 28), MIB / sector_len);
	T_EQ_U64(get_be32(p + 32), 0x80000000);
	T_EQ_U64(get_be64(p + 36), 4 * GIB / sector_len);
}

static void limits_are_told_in_blocks_of_either_size(void)
{
	t_scsi_open(NULL);
	limits_are_told_in_blocks(512);
	t_scsi_close();
	t_scsi_open(&big_blocks);
	limits_are_told_in_blocks(4096);
	t_scsi_close();
}

static void it_is_thin_and_does_not_rotate(void)
{
	const uint8_t *p;

	t_scsi_open(NULL);
	p = ask("12 01 b1 00ff 00", 64);
	T_EQ_U64(get_be16(p + 4), 1);
	p = ask("12 01 b2 00ff 00", 8);
	T_EQ_U64(p[5], 0xe0); /* all three, and no zeros promised */
	T_EQ_U64(p[6], 2);
	t_scsi_close();
}

static void nothing_is_unmapped_of_what_is_write_protected(void)
{
	const uint8_t *p;

	t_scsi_open(&protected);
	p = ask("12 01 b0 00ff 00", 64);
	T_EQ_U64(get_be32(p + 20), 0);
	T_EQ_U64(get_be32(p + 24), 0);
	p = ask("12 01 b2 00ff 00", 8);
	T_EQ_U64(p[5], 0);
	p = ask("9e 10 0000000000000000 00000020 00 00", 32);
	T_EQ_U64(p[14], 0);
	t_scsi_close();
}

/* ---- READ CAPACITY ------------------------------------------------------- */

static void capacity(const struct t_scsi_opts *o, uint64_t last,
		     uint32_t sector_len, uint8_t exponent)
{
	const uint8_t *p;

	t_scsi_open(o);
	p = ask("25 00 00000000 0000 00 00", 8);
	T_EQ_U64(get_be32(p), u64_min(last, UINT32_MAX));
	T_EQ_U64(get_be32(p + 4), sector_len);
	p = ask("9e 10 0000000000000000 00000020 00 00", 32);
	T_EQ_U64(get_be64(p), last);
	T_EQ_U64(get_be32(p + 8), sector_len);
	T_EQ_U64(p[12], 0);
	T_EQ_U64(p[13], exponent);
	T_EQ_U64(p[14], 0x80); /* LBPME, not LBPRZ */
	T_EQ_U64(p[15], 0);
	t_scsi_close();
}

static void capacity_is_told_for_all_sizes_of_blocks(void)
{
	struct t_scsi_opts huge = { .size_len = 3 * TIB };

	capacity(NULL, 0x3fff, 512, 3);
	capacity(&small, 0x3fff, 512, 0);
	capacity(&big_blocks, 0x7ff, 4096, 0);
	capacity(&huge, UINT64_C(0x17fffffff), 512, 3);
}

static void a_part_of_the_capacity_is_not_told(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(run("25 00 00000001 0000 00 00", IN, 8), SENSE_CDB_FIELD);
	T_EQ_U64(run("9e 11 0000000000000000 00000020 00 00", IN, 32),
		 SENSE_CDB_FIELD);
	t_scsi_close();
}

/* ---- MODE SENSE ---------------------------------------------------------- */

static void there_is_a_write_cache_and_fua(void)
{
	const uint8_t *p;

	t_scsi_open(NULL);
	p = ask("1a 08 08 00 ff 00", 24);
	T_EQ_U64(p[0], 23);
	T_EQ_U64(p[2], 0x10);
	T_EQ_U64(p[3], 0);
	T_EQ_U64(p[4], 0x08);
	T_EQ_U64(p[5], 18);
	T_EQ_U64(p[6], 0x04);
	p = ask("5a 08 3f 00 00000000 ff 00", 28);
	T_EQ_U64(get_be16(p), 26);
	T_EQ_U64(p[3], 0x10);
	T_EQ_U64(p[8], 0x08);
	T_EQ_U64(p[10], 0x04);
	p = ask("1a 08 48 00 ff 00", 24);
	T_EQ_U64(p[6], 0); /* and it cannot be changed */
	t_scsi_close();
}

static void write_protection_is_told(void)
{
	t_scsi_open(&protected);
	T_EQ_U64(ask("1a 08 3f 00 ff 00", 24)[2], 0x90);
	T_EQ_U64(ask("5a 08 3f ff 00000000 ff 00", 28)[3], 0x90);
	t_scsi_close();
}

static void block_descriptors_are_told_where_they_are_asked_for(void)
{
	const uint8_t *p;

	t_scsi_open(&big_blocks);
	p = ask("1a 00 08 00 ff 00", 32);
	T_EQ_U64(p[3], 8);
	T_EQ_U64(get_be32(p + 4), 0x800);
	T_EQ_U64(get_be32(p + 8), 4096);
	T_EQ_U64(p[12], 0x08);
	p = ask("5a 10 08 00 00000000 ff 00", 44);
	T_EQ_U64(p[4], 1);
	T_EQ_U64(get_be16(p + 6), 16);
	T_EQ_U64(get_be64(p + 8), 0x800);
	T_EQ_U64(get_be32(p + 20), 4096);
	t_scsi_close();
}

static void other_pages_and_saved_ones_are_refused(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	T_EQ_U64(run("1a 08 c8 00 ff 00", IN, 255), SENSE_NO_SAVING);
	c = t_scsi_run("1a 08 1c 00 ff 00", IN, 255);
	T_EQ_U64(t_scsi_sense(c), SENSE_CDB_FIELD);
	T_EQ_U64(c->data[0], 0);
	T_EQ_U64(c->data[254], 0);
	T_EQ_U64(run("1a 08 08 01 ff 00", IN, 255), SENSE_CDB_FIELD);
	T_EQ_U64(run("5a 08 0a 00 00000000 ff 00", IN, 255), SENSE_CDB_FIELD);
	t_scsi_close();
}

/* ---- the rest ------------------------------------------------------------ */

static void a_quiet_disk_has_no_sense(void)
{
	const uint8_t *p;

	t_scsi_open(NULL);
	p = ask("03 00 00 00 ff 00", 18);
	T_EQ_U64(p[0], 0x70);
	T_EQ_U64(p[2], 0);
	T_EQ_U64(p[7], 10);
	T_EQ_U64(run("00 00 00 00 00 00", SCSI_NONE, 0), 0);
	T_EQ_U64(run("1e 00 00 00 01 00", SCSI_NONE, 0), 0);
	t_scsi_close();
}

static void all_other_commands_are_refused(void)
{
	static const uint8_t served[] = {
		0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28,
		0x2a, 0x2f, 0x35, 0x41, 0x42, 0x5a, 0x88, 0x8a, 0x8f, 0x91,
		0x93, 0x9e, 0xa0, 0xa8, 0xaa, 0xaf,
	};
	char cdb[8];

	t_scsi_open(NULL);
	for (unsigned op = 0; op < 256; op++) {
		struct t_scsi_cmd *c;
		bool there = memchr(served, (int)op, sizeof(served));

		snprintf(cdb, sizeof(cdb), "%02x", op);
		c = t_scsi_run(cdb, SCSI_NONE, 0);
		T_EQ_U64(t_scsi_sense(c) == SENSE_OPCODE, !there);
		t_scsi_free_cmds();
	}
	t_scsi_close();
}

static void report(const char *cdb, unsigned cnt)
{
	static const uint8_t luns[] = { 1, 5, 63 };
	struct t_scsi_cmd *c = t_scsi_make(cdb, IN, 300);

	T_TRUE(scsi_is_report_luns(&c->cmd));
	T_TRUE(scsi_no_disk(&c->cmd, luns, 3));
	c->done_cnt = 1;
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 8 + 8 * cnt);
	T_EQ_U64(get_be32(c->data), 8 * cnt);
	for (unsigned i = 0; i < cnt; i++)
		T_EQ_U64(get_be64(c->data + 8 + 8 * i),
			 (uint64_t)luns[i] << 48);
}

static void luns_are_reported_as_they_are_given(void)
{
	t_scsi_open(NULL);
	report("a0 00 00 000000 00000100 00 00", 3);
	report("a0 00 02 000000 00000100 00 00", 3);
	report("a0 00 01 000000 00000100 00 00", 0); /* well known ones */
	ask("a0 00 00 000000 00000100 00 00", 16);
	T_EQ_U64(run("a0 00 00 000000 00000008 00 00", IN, 8),
		 SENSE_CDB_FIELD);
	T_EQ_U64(run("a0 00 11 000000 00000100 00 00", IN, 8),
		 SENSE_CDB_FIELD);
	t_scsi_close();
}

static struct t_scsi_cmd *ask_nobody(const char *cdb, bool want)
{
	struct t_scsi_cmd *c = t_scsi_make(cdb, IN, 64);

	T_EQ_U64(scsi_no_disk(&c->cmd, NULL, 0), want);
	c->done_cnt = 1;
	return c;
}

static void where_no_disk_is_it_is_said(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	c = ask_nobody("12 00 00 0024 00", true);
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->cmd.moved_len, 36);
	T_EQ_U64(c->data[0], 0x7f);
	c = ask_nobody("12 01 80 0024 00", true);
	T_EQ_U64(t_scsi_sense(c), SENSE_CDB_FIELD);
	T_EQ_U64(c->data[0], 0);
	ask_nobody("28 00 00000000 00 0001 00", false);
	ask_nobody("00 00 00 00 00 00", false);
	t_scsi_close();
}

static const struct t_test tests[] = {
	T_TEST(it_is_the_disk_that_linux_knows),
	T_TEST(every_page_that_is_listed_is_there),
	T_TEST(a_page_that_is_not_there_is_refused_and_the_buffer_zeros),
	T_TEST(the_allocation_length_and_the_buffer_are_kept_to),
	T_TEST(its_names_are_made_of_its_id),
	T_TEST(limits_are_told_in_blocks_of_either_size),
	T_TEST(it_is_thin_and_does_not_rotate),
	T_TEST(nothing_is_unmapped_of_what_is_write_protected),
	T_TEST(capacity_is_told_for_all_sizes_of_blocks),
	T_TEST(a_part_of_the_capacity_is_not_told),
	T_TEST(there_is_a_write_cache_and_fua),
	T_TEST(write_protection_is_told),
	T_TEST(block_descriptors_are_told_where_they_are_asked_for),
	T_TEST(other_pages_and_saved_ones_are_refused),
	T_TEST(a_quiet_disk_has_no_sense),
	T_TEST(all_other_commands_are_refused),
	T_TEST(luns_are_reported_as_they_are_given),
	T_TEST(where_no_disk_is_it_is_said),
	T_END,
};

const struct t_suite t_suite_scsi_tell = { "scsi_tell", tests };
