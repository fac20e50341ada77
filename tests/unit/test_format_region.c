/* SPDX-License-Identifier: MIT */
/* Region table. Golden bytes: test-disk2vhd.vhdx, written by Disk2VHD. */
#include "format.h"
#include "le.h"
#include "t.h"

static uint8_t b[FMT_REGION_LEN];
static struct fmt_region_table t;

static void golden(void)
{
	memset(b, 0, sizeof(b));
	t_hex(b, "72656769 5928141c 02000000 00000000"
		 "06a27c8b90479a4bb8fe575f050f886e"
		 "0000200000000000 00001000 01000000"
		 "6677c22d23f600429d64115e9bfd4a08"
		 "0000300000000000 00001000 01000000");
}

static int decode_resealed(void)
{
	/* The checksum lies where a log entry has it. */
	log_entry_seal(b, sizeof(b));
	return regions_decode(b, FMT_REGION_OFF(0), &t, &t_err);
}

static void decodes_the_table_of_disk2vhd(void)
{
	golden();
	T_OK(regions_decode(b, FMT_REGION_OFF(0), &t, &t_err));
	T_EQ_U64(t.cnt, 2);
	T_TRUE(guid_eq(&t.e[0].id, &FMT_REGION_META));
	T_TRUE(guid_eq(&t.e[1].id, &FMT_REGION_BAT));
	T_EQ_U64(t.e[0].off, 2 * MIB);
	T_EQ_U64(t.e[1].off, 3 * MIB);
	T_EQ_U64(t.e[1].len, MIB);
	T_TRUE(t.e[0].required && t.e[1].required);
}

static void encodes_the_table_as_disk2vhd_wrote_it(void)
{
	static uint8_t again[FMT_REGION_LEN];

	golden();
	T_OK(regions_decode(b, 0, &t, &t_err));
	memset(again, 0xee, sizeof(again));
	regions_encode(&t, again);
	T_TRUE(memcmp(b, again, sizeof(b)) == 0);
}

static void a_full_table_makes_a_round_trip(void)
{
	static struct fmt_region_table in;

	in.cnt = FMT_REGION_MAX;
	for (uint32_t i = 0; i < in.cnt; i++) {
		in.e[i] = (struct fmt_region){ .off = MIB + i * 2 * MIB,
			.len = 2 * (uint32_t)MIB, .required = i % 2 };
		put_le32(in.e[i].id.b, i + 1);
	}
	regions_encode(&in, b);
	T_OK(regions_decode(b, 0, &t, &t_err));
	T_EQ_U64(t.cnt, in.cnt);
	for (uint32_t i = 0; i < in.cnt; i++) {
		T_TRUE(guid_eq(&t.e[i].id, &in.e[i].id));
		T_EQ_U64(t.e[i].off, in.e[i].off);
		T_EQ_U64(t.e[i].len, in.e[i].len);
		T_EQ_U64(t.e[i].required, in.e[i].required);
	}
}

static void zeros_are_no_region_table(void)
{
	memset(b, 0, sizeof(b));
	T_FAILS(regions_decode(b, 0, &t, &t_err), VHDX_E_CORRUPT, "signature");
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "signature");
}

static void zeros_are_no_region_entry(void)
{
	golden();
	b[8] = 3;
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "Guid is zero");
	T_EQ_U64(t_err.off, FMT_REGION_OFF(0) + 16 + 64);
}

static void a_flip_in_the_unused_part_is_found(void)
{
	golden();
	b[65535] = 1;
	T_FAILS(regions_decode(b, 0, &t, &t_err), VHDX_E_CORRUPT, "checksum");
	T_OK(decode_resealed());
}

static void rejects_2048_entries(void)
{
	golden();
	put_le32(b + 8, 2048);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT,
		"EntryCount is 2048, must be at most 2047");
}

static void rejects_an_offset_of_broken_mib(void)
{
	golden();
	put_le64(b + 32, 0x201000);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "FileOffset is 2101248");
}

static void rejects_a_region_in_the_header_area(void)
{
	golden();
	put_le64(b + 32, 0);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "FileOffset is 0");
}

static void rejects_a_length_of_broken_mib(void)
{
	golden();
	put_le32(b + 40, 0x1000);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "Length is 4096");
}

static void rejects_an_empty_region(void)
{
	golden();
	put_le32(b + 40, 0);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "Length is 0");
}

static void rejects_a_region_beyond_the_largest_file(void)
{
	golden();
	put_le64(b + 32, UINT64_C(0xfffffffffff00000));
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "largest file");
	put_le64(b + 32, UINT64_C(0x7ffffffffff00000));
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "largest file");
}

static void rejects_unknown_flag_bits(void)
{
	golden();
	put_le32(b + 44, 3);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT, "Required is 0x3");
}

static void rejects_the_same_guid_twice(void)
{
	golden();
	memcpy(b + 48, b + 16, 16);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT,
		"entries 0 and 1 have the same Guid 8b7ca206");
}

static void rejects_overlapping_regions(void)
{
	golden();
	put_le32(b + 40, 2 * (uint32_t)MIB);
	T_FAILS(decode_resealed(), VHDX_E_CORRUPT,
		"entries 0 (2097152+2097152) and 1 (3145728+1048576) overlap");
}

static const struct t_test tests[] = {
	T_TEST(decodes_the_table_of_disk2vhd),
	T_TEST(encodes_the_table_as_disk2vhd_wrote_it),
	T_TEST(a_full_table_makes_a_round_trip),
	T_TEST(zeros_are_no_region_table),
	T_TEST(zeros_are_no_region_entry),
	T_TEST(a_flip_in_the_unused_part_is_found),
	T_TEST(rejects_2048_entries),
	T_TEST(rejects_an_offset_of_broken_mib),
	T_TEST(rejects_a_region_in_the_header_area),
	T_TEST(rejects_a_length_of_broken_mib),
	T_TEST(rejects_an_empty_region),
	T_TEST(rejects_a_region_beyond_the_largest_file),
	T_TEST(rejects_unknown_flag_bits),
	T_TEST(rejects_the_same_guid_twice),
	T_TEST(rejects_overlapping_regions),
	T_END,
};
const struct t_suite t_suite_format_region = { "format_region", tests };
