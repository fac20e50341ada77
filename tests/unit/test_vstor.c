/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "t.h"
#include "vstor.h"

/* READ (10) of 4 KiB at LUN 3, as Linux 6.1 sends it. */
static const char read_srb[] =
	"03000000 01000000 00000000"
	"3400 00 00 02 00 00 03 0a 14 01 00 00100000"
	"28000000 08000000 08000000 00000000 00000000"
	"0000 ff 20 4a010000 3c000000 00000000";

static uint8_t p[VSTOR_LEN], out[VSTOR_LEN];
static struct vstor_srb srb;

static void an_srb_is_decoded(void)
{
	static const uint8_t cdb[VSTOR_CDB_MAX] = { 0x28, 0, 0, 0, 8, 0, 0, 0,
						    8 };
	uint32_t op;
	t_hex(p, read_srb);
	T_TRUE(vstor_decode_op(p, VSTOR_LEN, &op));
	T_EQ_U64(op, VSTOR_EXECUTE_SRB);
	T_TRUE(vstor_decode_srb(p, VSTOR_LEN, &srb));
	T_EQ_U64(srb.path, 0);
	T_EQ_U64(srb.target, 0);
	T_EQ_U64(srb.lun, 3);
	T_EQ_U64(srb.cdb_len, 10);
	T_EQ_U64(srb.dir, VSTOR_READ);
	T_EQ_U64(srb.data_len, 4096);
	T_TRUE(memcmp(srb.cdb, cdb, sizeof(cdb)) == 0);
}

static void bytes_behind_the_cdb_are_zeros_to_us(void)
{
	t_hex(p, read_srb);
	memset(p + 28 + 10, 0xff, 10);
	T_TRUE(vstor_decode_srb(p, VSTOR_LEN, &srb));
	T_EQ_U64(srb.cdb[9], 0);
	for (unsigned i = 10; i < VSTOR_CDB_MAX; i++)
		T_EQ_U64(srb.cdb[i], 0);
}

static void an_srb_of_5_1_is_48_bytes_long(void)
{
	t_hex(p, read_srb);
	T_TRUE(vstor_decode_srb(p, 48, &srb));
	T_TRUE(!vstor_decode_srb(p, 47, &srb));
}

static void nonsense_in_an_srb_is_refused(void)
{
	t_hex(p, read_srb);
	p[20] = VSTOR_CDB_MAX + 1;
	T_TRUE(!vstor_decode_srb(p, VSTOR_LEN, &srb));
	t_hex(p, read_srb);
	p[22] = VSTOR_NO_DATA + 1;
	T_TRUE(!vstor_decode_srb(p, VSTOR_LEN, &srb));
}

static void short_packets_are_refused(void)
{
	uint32_t op;
	uint16_t n;
	uint8_t lun;
	memset(p, 0, sizeof(p));
	T_TRUE(!vstor_decode_op(p, 11, &op));
	T_TRUE(vstor_decode_op(p, 12, &op));
	T_TRUE(!vstor_decode_version(p, 13, &n));
	T_TRUE(vstor_decode_version(p, 14, &n));
	T_TRUE(!vstor_decode_sub_cnt(p, 0, &n));
	T_TRUE(!vstor_decode_lun(p, 47, &lun));
}

static void an_answer_is_64_bytes_with_zeros(void)
{
	memset(out, 0xee, sizeof(out));
	vstor_reply(out, VSTOR_NT_REVISION);
	t_hex(p, "01000000 00000000 590000c0");
	memset(p + 12, 0, VSTOR_LEN - 12);
	T_TRUE(memcmp(out, p, VSTOR_LEN) == 0);
}

static void properties_tell_of_subchannels(void)
{
	vstor_reply_properties(out, 3, 1 << 20);
	t_hex(p, "01000000 00000000 00000000 00000000 0300 0000 01000000"
		 "00001000");
	memset(p + 28, 0, VSTOR_LEN - 28);
	T_TRUE(memcmp(out, p, VSTOR_LEN) == 0);
	vstor_reply_properties(out, 0, 1 << 20);
	T_EQ_U64(out[16], 0);
	T_EQ_U64(out[20], 0);
}

static void an_srb_goes_back_with_its_result(void)
{
	struct vstor_result r = { .srb_status = VSTOR_SRB_SUCCESS,
				  .data_len = 4096 };
	t_hex(p, read_srb);
	vstor_reply_srb(out, p, VSTOR_LEN, &r);
	T_EQ_U64(out[0], VSTOR_COMPLETE_IO);
	T_EQ_U64(out[4], 0);
	T_EQ_U64(out[14], VSTOR_SRB_SUCCESS);
	T_EQ_U64(out[19], 3);
	T_EQ_U64(out[21], 0); /* no sense data */
	T_TRUE(out[24] == 0 && out[25] == 0x10);
	T_EQ_U64(out[28], 0x28);
	T_EQ_U64(out[50], 0xff); /* the tag */
}

static void sense_data_takes_the_place_of_the_cdb(void)
{
	static const uint8_t sense[18] = { 0x70, 0, 5, [7] = 10, [12] = 0x24 };
	struct vstor_result r = {
		.srb_status = VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE,
		.scsi_status = 2, .sense = sense, .sense_len = 18,
	};
	t_hex(p, read_srb);
	memset(p + 28, 0xaa, 20);
	vstor_reply_srb(out, p, VSTOR_LEN, &r);
	T_EQ_U64(out[14], 0x84);
	T_EQ_U64(out[15], 2);
	T_EQ_U64(out[21], 18);
	T_TRUE(memcmp(out + 28, sense, 18) == 0);
	T_EQ_U64(out[46], 0);
	T_EQ_U64(out[47], 0);
}

static void a_short_srb_is_answered_in_full(void)
{
	struct vstor_result r = { .srb_status = VSTOR_SRB_SUCCESS };
	t_hex(p, read_srb);
	vstor_reply_srb(out, p, 48, &r);
	for (unsigned i = 48; i < VSTOR_LEN; i++)
		T_EQ_U64(out[i], 0);
}

static const struct t_test tests[] = {
	T_TEST(an_srb_is_decoded),
	T_TEST(bytes_behind_the_cdb_are_zeros_to_us),
	T_TEST(an_srb_of_5_1_is_48_bytes_long),
	T_TEST(nonsense_in_an_srb_is_refused),
	T_TEST(short_packets_are_refused),
	T_TEST(an_answer_is_64_bytes_with_zeros),
	T_TEST(properties_tell_of_subchannels),
	T_TEST(an_srb_goes_back_with_its_result),
	T_TEST(sense_data_takes_the_place_of_the_cdb),
	T_TEST(a_short_srb_is_answered_in_full),
	T_END,
};

const struct t_suite t_suite_vstor = { "vstor", tests };
