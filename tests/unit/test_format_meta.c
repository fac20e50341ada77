/* SPDX-License-Identifier: MIT */
/* Metadata table. Golden bytes: iotest-dynamic-1G.vhdx, written by Windows,
 * with the leftover of a sixth entry behind the five that count. */
#include "format.h"
#include "le.h"
#include "t.h"

#define REGION_LEN ((uint32_t)MIB)

static uint8_t b[FMT_META_TABLE_LEN];
static struct fmt_meta_table t;

static void golden(void)
{
	memset(b, 0, sizeof(b));
	t_hex(b, "6d65746164617461 0000 0500"
		 "0000000000000000000000000000000000000000"
		 "3767a1ca36fa434db3b633f0aa44e76b"
		 "00000100 08000000 04000000 00000000"
		 "2442a52f1bcd7648b2115dbed83bf4b8"
		 "08000100 08000000 06000000 00000000"
		 "1dbf41816fa90947ba47f233a8faab5f"
		 "10000100 04000000 06000000 00000000"
		 "c748a3cd5d4471449cc9e9885251c556"
		 "14000100 04000000 06000000 00000000"
		 "ab12cabee6b2234593efc309e000c746"
		 "18000100 10000000 06000000 00000000"
		 "ab12cabee6b2234593efc309e000c746"
		 "18000100 10000000 06000000 00000000");
}

static int decode(void)
{
	return meta_table_decode(b, 2 * MIB, REGION_LEN, &t, &t_err);
}

static uint8_t *entry(unsigned i)
{
	return b + 32 + 32 * i;
}

static void decodes_the_table_that_windows_wrote(void)
{
	golden();
	T_OK(decode());
	T_EQ_U64(t.cnt, 5);
	T_TRUE(guid_eq(&t.e[0].id, &FMT_META_FILE_PARAMS));
	T_TRUE(guid_eq(&t.e[1].id, &FMT_META_DISK_SIZE));
	T_TRUE(guid_eq(&t.e[2].id, &FMT_META_LSS));
	T_TRUE(guid_eq(&t.e[3].id, &FMT_META_PSS));
	T_TRUE(guid_eq(&t.e[4].id, &FMT_META_DISK_ID));
	T_EQ_U64(t.e[4].off, 0x10018);
	T_EQ_U64(t.e[4].len, 16);
	T_TRUE(!t.e[0].user && !t.e[0].vdisk && t.e[0].required);
	T_TRUE(!t.e[1].user && t.e[1].vdisk && t.e[1].required);
}

static void encodes_the_table_as_windows_wrote_it(void)
{
	static uint8_t again[FMT_META_TABLE_LEN];

	golden();
	memset(entry(5), 0, 32);
	T_OK(decode());
	memset(again, 0xee, sizeof(again));
	meta_table_encode(&t, again);
	T_TRUE(memcmp(b, again, sizeof(b)) == 0);
}

static void a_full_table_makes_a_round_trip(void)
{
	static struct fmt_meta_table in;

	in.cnt = FMT_META_MAX;
	for (uint32_t i = 0; i < in.cnt; i++) {
		in.e[i] = (struct fmt_meta_entry){ .off = 65536 + i * 3,
			.len = 3, .user = i < 1024, .vdisk = i % 3,
			.required = i % 5 };
		put_le32(in.e[i].id.b + 9, i + 1);
	}
	meta_table_encode(&in, b);
	T_OK(decode());
	T_EQ_U64(t.cnt, in.cnt);
	for (uint32_t i = 0; i < in.cnt; i++) {
		T_TRUE(guid_eq(&t.e[i].id, &in.e[i].id));
		T_EQ_U64(t.e[i].off, in.e[i].off);
		T_TRUE(t.e[i].user == in.e[i].user &&
		       t.e[i].vdisk == in.e[i].vdisk &&
		       t.e[i].required == in.e[i].required);
	}
}

static void zeros_are_no_metadata_table(void)
{
	memset(b, 0, sizeof(b));
	T_FAILS(decode(), VHDX_E_CORRUPT, "signature is 0x0000000000000000");
	T_EQ_U64(t_err.off, 2 * MIB);
}

static void zeros_are_no_metadata_entry(void)
{
	golden();
	b[10] = 7;
	memcpy(entry(5), entry(6), 32);
	T_FAILS(decode(), VHDX_E_CORRUPT, "ItemId is zero");
	T_EQ_U64(t_err.off, 2 * MIB + 32 + 5 * 32);
}

static void rejects_2048_entries(void)
{
	golden();
	put_le16(b + 10, 2048);
	T_FAILS(decode(), VHDX_E_CORRUPT, "EntryCount is 2048");
}

static void rejects_reserved_table_bytes(void)
{
	golden();
	b[31] = 1;
	T_FAILS(decode(), VHDX_E_CORRUPT, "reserved byte 31 is 0x01");
	b[31] = 0;
	b[8] = 2;
	T_FAILS(decode(), VHDX_E_CORRUPT, "reserved byte 8 is 0x02");
}

static void rejects_reserved_flags(void)
{
	golden();
	put_le32(entry(1) + 24, 0xe);
	T_FAILS(decode(), VHDX_E_CORRUPT, "flags are 0xe");
}

static void rejects_reserved_entry_bytes(void)
{
	golden();
	entry(1)[31] = 1;
	T_FAILS(decode(), VHDX_E_CORRUPT, "Reserved2 is 0x1000000");
}

static void rejects_an_item_inside_the_table(void)
{
	golden();
	put_le32(entry(0) + 16, 65535);
	T_FAILS(decode(), VHDX_E_CORRUPT, "Offset is 65535");
}

static void rejects_an_item_that_leaves_the_region(void)
{
	golden();
	put_le32(entry(0) + 16, REGION_LEN - 8);
	T_OK(decode());
	put_le32(entry(0) + 16, REGION_LEN - 7);
	T_FAILS(decode(), VHDX_E_CORRUPT, "ends outside the region of 1048576");
	put_le32(entry(0) + 16, UINT32_MAX);
	T_FAILS(decode(), VHDX_E_CORRUPT, "ends outside");
}

static void rejects_an_item_above_1_mib(void)
{
	golden();
	put_le32(entry(4) + 20, (uint32_t)MIB + 1);
	T_FAILS(meta_table_decode(b, 0, 16 * (uint32_t)MIB, &t, &t_err),
		VHDX_E_CORRUPT, "Length is 1048577");
	put_le32(entry(4) + 20, (uint32_t)MIB);
	T_OK(meta_table_decode(b, 0, 16 * (uint32_t)MIB, &t, &t_err));
}

static void an_empty_item_lies_at_zero(void)
{
	golden();
	put_le32(entry(3) + 20, 0);
	T_FAILS(decode(), VHDX_E_CORRUPT, "Offset is 65556, must be 0");
	put_le32(entry(3) + 16, 0);
	T_OK(decode());
}

static void rejects_the_same_item_twice(void)
{
	golden();
	b[10] = 6;
	T_FAILS(decode(), VHDX_E_CORRUPT,
		"entries 4 and 5 have the same ItemId beca12ab");
}

static void user_and_system_items_may_share_an_id(void)
{
	golden();
	b[10] = 6;
	put_le32(entry(5) + 24, 1);
	put_le32(entry(5) + 16, 0x20000);
	T_OK(decode());
	T_TRUE(t.e[5].user);
}

static void rejects_overlapping_items(void)
{
	golden();
	put_le32(entry(1) + 16, 0x10007);
	T_FAILS(decode(), VHDX_E_CORRUPT,
		"entries 0 (65536+8) and 1 (65543+8) overlap");
}

static void rejects_1025_user_items(void)
{
	memset(b, 0, sizeof(b));
	memcpy(b, "metadata", 8);
	put_le16(b + 10, 1025);
	for (unsigned i = 0; i < 1025; i++) {
		put_le32(entry(i), i + 1);
		put_le32(entry(i) + 24, 1);
	}
	T_FAILS(decode(), VHDX_E_CORRUPT, "1025 user entries");
	put_le32(entry(7) + 24, 0);
	T_OK(decode());
}

static const struct t_test tests[] = {
	T_TEST(decodes_the_table_that_windows_wrote),
	T_TEST(encodes_the_table_as_windows_wrote_it),
	T_TEST(a_full_table_makes_a_round_trip),
	T_TEST(zeros_are_no_metadata_table),
	T_TEST(zeros_are_no_metadata_entry),
	T_TEST(rejects_2048_entries),
	T_TEST(rejects_reserved_table_bytes),
	T_TEST(rejects_reserved_flags),
	T_TEST(rejects_reserved_entry_bytes),
	T_TEST(rejects_an_item_inside_the_table),
	T_TEST(rejects_an_item_that_leaves_the_region),
	T_TEST(rejects_an_item_above_1_mib),
	T_TEST(an_empty_item_lies_at_zero),
	T_TEST(rejects_the_same_item_twice),
	T_TEST(user_and_system_items_may_share_an_id),
	T_TEST(rejects_overlapping_items),
	T_TEST(rejects_1025_user_items),
	T_END,
};
const struct t_suite t_suite_format_meta = { "format_meta", tests };
