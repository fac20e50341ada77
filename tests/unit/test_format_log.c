/* SPDX-License-Identifier: MIT */
/* Log records. Golden bytes: the two entries that Windows left in the log of
 * iotest-dynamic-1G.vhdx. */
#include "format.h"
#include "le.h"
#include "t.h"

#define SEQ UINT64_C(0x3ca93a920d190a98)

static uint8_t b[2 * FMT_LOG_SECTOR];
static struct fmt_log_entry n;
static struct fmt_log_desc d;

static void golden_empty_entry(void)
{
	memset(b, 0, sizeof(b));
	t_hex(b, "6c6f6765 5ec105fd 00100000 00000000 970a190d923aa93c"
		 "00000000 00000000 935589c288ee5144a6815f41983af0b6"
		 "0000400000000000 0000400000000000");
}

/* 4 KiB of descriptors, one of them used, and its data sector. */
static void golden_data_entry(void)
{
	uint8_t *s = b + 4096;

	memset(b, 0, sizeof(b));
	t_hex(b, "6c6f6765 1dabc6a9 00200000 00100000 980a190d923aa93c"
		 "01000000 00000000 935589c288ee5144a6815f41983af0b6"
		 "0000000000000000 0000400600000000"
		 "64657363 00000000 0600400000000000"
		 "0000300000000000 980a190d923aa93c");
	t_hex(s, "64617461 923aa93c 0600400200000000 0600400400000000");
	for (unsigned i = 24; i <= 248; i += 8)
		s[i] = 2;
	t_hex(s + 4092, "980a190d");
}

static int decode_entry(void)
{
	return log_entry_decode(b, 0x5000, (uint32_t)MIB, &n, &t_err);
}

static void decodes_the_empty_entry_of_windows(void)
{
	golden_empty_entry();
	T_OK(decode_entry());
	T_EQ_U64(n.len, 4096);
	T_EQ_U64(n.tail, 0);
	T_EQ_U64(n.seq, SEQ - 1);
	T_EQ_U64(n.desc_cnt, 0);
	T_EQ_U64(n.log.b[0], 0x93);
	T_EQ_U64(n.flushed_len, 4 * MIB);
	T_EQ_U64(n.last_len, 4 * MIB);
	T_EQ_U64(log_entry_crc(b, 4096), 0xfd05c15e);
	T_EQ_U64(log_entry_stored_crc(b), 0xfd05c15e);
}

static void decodes_the_data_entry_of_windows(void)
{
	uint8_t page[4096];

	golden_data_entry();
	T_OK(decode_entry());
	T_EQ_U64(n.len, 8192);
	T_EQ_U64(n.desc_cnt, 1);
	T_EQ_U64(n.flushed_len, 0);
	T_EQ_U64(n.last_len, 100 * MIB);
	T_EQ_U64(log_entry_crc(b, 8192), 0xa9c6ab1d);
	T_OK(log_desc_decode(b + 64, 0, SEQ, &d, &t_err));
	T_TRUE(!d.zero);
	T_EQ_U64(d.file_off, 3 * MIB);
	T_OK(log_data_decode(b + 4096, 0, &d, page, &t_err));
	T_EQ_U64(get_le64(page), 0x400006);
	T_EQ_U64(get_le64(page + 8), 0x2400006);
	T_EQ_U64(get_le64(page + 16), 0x4400006);
	T_EQ_U64(get_le64(page + 248), 2);
	T_EQ_U64(get_le64(page + 4088), 0);
}

static void encodes_the_data_entry_of_windows(void)
{
	uint8_t page[4096], again[8192];

	golden_data_entry();
	T_OK(decode_entry());
	T_OK(log_desc_decode(b + 64, 0, SEQ, &d, &t_err));
	T_OK(log_data_decode(b + 4096, 0, &d, page, &t_err));
	memset(again, 0, 4096);
	memset(again + 4096, 0xee, 4096);
	memset(d.leading, 0xee, 8);
	memset(d.trailing, 0xee, 4);
	log_data_encode(page, SEQ, &d, again + 4096);
	log_desc_encode(&d, again + 64);
	log_entry_encode(&n, again);
	log_entry_seal(again, sizeof(again));
	T_TRUE(memcmp(b, again, sizeof(again)) == 0);
}

static void any_page_makes_a_round_trip(void)
{
	uint8_t page[4096], again[4096];

	t_fill(page, sizeof(page), 4);
	d = (struct fmt_log_desc){ .file_off = 8192, .seq = 5 };
	log_data_encode(page, UINT64_MAX, &d, b);
	d.seq = UINT64_MAX;
	T_OK(log_data_decode(b, 0, &d, again, &t_err));
	T_TRUE(memcmp(page, again, sizeof(page)) == 0);
}

static void a_zero_descriptor_makes_a_round_trip(void)
{
	struct fmt_log_desc in = { .zero = true, .file_off = 3 * TIB,
		.zero_len = 5 * TIB, .seq = UINT64_MAX };

	log_desc_encode(&in, b);
	T_TRUE(memcmp(b, "zero\0\0\0\0", 8) == 0);
	T_OK(log_desc_decode(b, 0, UINT64_MAX, &d, &t_err));
	T_TRUE(d.zero);
	T_EQ_U64(d.file_off, in.file_off);
	T_EQ_U64(d.zero_len, in.zero_len);
}

static void zeros_are_no_log_record(void)
{
	uint8_t page[4096];

	memset(b, 0, sizeof(b));
	T_FAILS(decode_entry(), VHDX_E_CORRUPT, "signature");
	T_EQ_U64(t_err.off, 0x5000);
	T_FAILS(log_desc_decode(b, 0, 0, &d, &t_err), VHDX_E_CORRUPT,
		"signature");
	d = (struct fmt_log_desc){ .seq = 0 };
	T_FAILS(log_data_decode(b, 0, &d, page, &t_err), VHDX_E_CORRUPT,
		"signature");
}

static void sequence_zero_is_no_entry(void)
{
	golden_empty_entry();
	put_le64(b + 16, 0);
	T_FAILS(decode_entry(), VHDX_E_CORRUPT, "SequenceNumber is 0");
}

static void rejects_entry_lengths(void)
{
	static const uint32_t bad[] = { 0, 4095, 4097, (uint32_t)MIB + 4096,
					UINT32_MAX };

	golden_empty_entry();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put_le32(b + 8, bad[i]);
		T_FAILS(decode_entry(), VHDX_E_CORRUPT, "EntryLength is");
	}
	put_le32(b + 8, (uint32_t)MIB);
	T_OK(decode_entry());
}

static void rejects_tails(void)
{
	static const uint32_t bad[] = { 1, 4095, (uint32_t)MIB, UINT32_MAX };

	golden_empty_entry();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put_le32(b + 12, bad[i]);
		T_FAILS(decode_entry(), VHDX_E_CORRUPT, "Tail is");
	}
	put_le32(b + 12, (uint32_t)MIB - 4096);
	T_OK(decode_entry());
}

static void rejects_reserved_entry_bytes(void)
{
	golden_empty_entry();
	b[28] = 1;
	T_FAILS(decode_entry(), VHDX_E_CORRUPT, "Reserved is 0x1");
}

static void descriptors_fill_126_then_128_per_sector(void)
{
	T_EQ_U64(log_desc_sectors(0), 1);
	T_EQ_U64(log_desc_sectors(126), 1);
	T_EQ_U64(log_desc_sectors(127), 2);
	T_EQ_U64(log_desc_sectors(254), 2);
	T_EQ_U64(log_desc_sectors(255), 3);
	T_EQ_U64(log_desc_sectors(UINT32_MAX), 33554433);
	golden_empty_entry();
	put_le32(b + 24, 126);
	T_OK(decode_entry());
	put_le32(b + 24, 127);
	T_FAILS(decode_entry(), VHDX_E_CORRUPT,
		"127 descriptors do not fit in EntryLength 4096");
	put_le32(b + 24, UINT32_MAX);
	T_FAILS(decode_entry(), VHDX_E_CORRUPT, "do not fit");
}

static void odd_file_sizes_do_not_cost_the_entry(void)
{
	golden_empty_entry();
	put_le64(b + 48, 272630272);
	T_OK(decode_entry());
	T_EQ_U64(n.flushed_len, 272630272);
}

static void rejects_descriptors_of_another_entry(void)
{
	golden_data_entry();
	T_FAILS(log_desc_decode(b + 64, 0, SEQ + 1, &d, &t_err),
		VHDX_E_CORRUPT, "must be its entry's 4371089312299158169");
}

static void rejects_unaligned_targets(void)
{
	golden_data_entry();
	put_le64(b + 64 + 16, 3 * MIB + 512);
	T_FAILS(log_desc_decode(b + 64, 0, SEQ, &d, &t_err), VHDX_E_CORRUPT,
		"multiples of 4096");
	d = (struct fmt_log_desc){ .zero = true, .file_off = MIB,
		.zero_len = 512, .seq = SEQ };
	log_desc_encode(&d, b);
	T_FAILS(log_desc_decode(b, 0, SEQ, &d, &t_err), VHDX_E_CORRUPT,
		"1048576+512, must be multiples of 4096");
}

static void rejects_targets_beyond_the_largest_file(void)
{
	golden_data_entry();
	put_le64(b + 64 + 16, UINT64_C(0x7ffffffffffff000));
	T_FAILS(log_desc_decode(b + 64, 0, SEQ, &d, &t_err), VHDX_E_CORRUPT,
		"largest file");
	d = (struct fmt_log_desc){ .zero = true, .file_off = 2 * MIB,
		.zero_len = UINT64_C(0xfffffffffffff000), .seq = SEQ };
	log_desc_encode(&d, b);
	T_FAILS(log_desc_decode(b, 0, SEQ, &d, &t_err), VHDX_E_CORRUPT,
		"largest file");
}

static void rejects_reserved_zero_descriptor_bytes(void)
{
	d = (struct fmt_log_desc){ .zero = true, .seq = SEQ };
	log_desc_encode(&d, b);
	b[7] = 1;
	T_FAILS(log_desc_decode(b, 0, SEQ, &d, &t_err), VHDX_E_CORRUPT,
		"Reserved is 0x1000000");
}

static void either_torn_half_of_a_data_sector_is_found(void)
{
	golden_data_entry();
	T_OK(log_data_verify(b + 4096, 0, SEQ, &t_err));
	b[4096 + 4] ^= 1;
	T_FAILS(log_data_verify(b + 4096, 9, SEQ, &t_err), VHDX_E_CORRUPT,
		"sequence number");
	T_EQ_U64(t_err.off, 9);
	golden_data_entry();
	b[8191] ^= 1;
	T_FAILS(log_data_verify(b + 4096, 0, SEQ, &t_err), VHDX_E_CORRUPT,
		"sequence number");
}

static const struct t_test tests[] = {
	T_TEST(decodes_the_empty_entry_of_windows),
	T_TEST(decodes_the_data_entry_of_windows),
	T_TEST(encodes_the_data_entry_of_windows),
	T_TEST(any_page_makes_a_round_trip),
	T_TEST(a_zero_descriptor_makes_a_round_trip),
	T_TEST(zeros_are_no_log_record),
	T_TEST(sequence_zero_is_no_entry),
	T_TEST(rejects_entry_lengths),
	T_TEST(rejects_tails),
	T_TEST(rejects_reserved_entry_bytes),
	T_TEST(descriptors_fill_126_then_128_per_sector),
	T_TEST(odd_file_sizes_do_not_cost_the_entry),
	T_TEST(rejects_descriptors_of_another_entry),
	T_TEST(rejects_unaligned_targets),
	T_TEST(rejects_targets_beyond_the_largest_file),
	T_TEST(rejects_reserved_zero_descriptor_bytes),
	T_TEST(either_torn_half_of_a_data_sector_is_found),
	T_END,
};
const struct t_suite t_suite_format_log = { "format_log", tests };
