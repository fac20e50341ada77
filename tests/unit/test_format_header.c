/* SPDX-License-Identifier: MIT */
/* Identifier and headers. Golden bytes: iotest-dynamic-1G.vhdx, written by
 * Windows; qemu's and Disk2VHD's checksums agree with the same code. */
#include "format.h"
#include "le.h"
#include "t.h"

static uint8_t b[FMT_HEADER_LEN];
static struct fmt_header h;

static void golden_header(void)
{
	memset(b, 0, sizeof(b));
	t_hex(b, "68656164 6f2702b5 0f00000000000000"
		 "6dea908e36b6491cb7d435109e600c0c"
		 "b2cb47d2b6154b409133790733d694c0"
		 "00000000000000000000000000000000"
		 "0000 0100 00001000 0000100000000000");
}

static void reseal(void)
{
	uint8_t copy[FMT_HEADER_LEN];

	/* header_encode cannot be asked for a bad field, so the checksum is
	 * taken from a log entry's, which lies at the same place. */
	memcpy(copy, b, sizeof(copy));
	put_le32(b + 4, log_entry_crc(copy, sizeof(copy)));
}

static void decodes_the_header_that_windows_wrote(void)
{
	char text[GUID_TEXT_LEN];

	golden_header();
	T_OK(header_decode(b, 0x20000, &h, &t_err));
	T_EQ_U64(h.seq, 15);
	T_EQ_U64(h.version, 1);
	T_EQ_U64(h.log_version, 0);
	T_EQ_U64(h.log_len, MIB);
	T_EQ_U64(h.log_off, MIB);
	T_TRUE(guid_is_zero(&h.log));
	guid_format(&h.file_write, text);
	CU_ASSERT_STRING_EQUAL(text, "8e90ea6d-b636-1c49-b7d4-35109e600c0c");
	guid_format(&h.data_write, text);
	CU_ASSERT_STRING_EQUAL(text, "d247cbb2-15b6-404b-9133-790733d694c0");
}

static void encodes_the_header_as_windows_wrote_it(void)
{
	uint8_t again[FMT_HEADER_LEN];

	golden_header();
	T_OK(header_decode(b, 0, &h, &t_err));
	memset(again, 0xee, sizeof(again));
	header_encode(&h, again);
	T_TRUE(memcmp(b, again, sizeof(b)) == 0);
}

static void every_field_makes_a_round_trip(void)
{
	struct fmt_header in = {
		.seq = UINT64_C(0x8877665544332211), .version = 1,
		.log_version = 0, .log_len = 0xfff00000,
		.log_off = UINT64_C(0x7ffffff00000) }, out;

	t_fill(&in.file_write, 16, 1);
	t_fill(&in.data_write, 16, 2);
	t_fill(&in.log, 16, 3);
	header_encode(&in, b);
	T_OK(header_decode(b, 0, &out, &t_err));
	T_EQ_U64(out.seq, in.seq);
	T_EQ_U64(out.log_len, in.log_len);
	T_EQ_U64(out.log_off, in.log_off);
	T_TRUE(guid_eq(&out.file_write, &in.file_write));
	T_TRUE(guid_eq(&out.data_write, &in.data_write));
	T_TRUE(guid_eq(&out.log, &in.log));
}

static void reserved_bytes_are_ignored_but_checksummed(void)
{
	golden_header();
	b[4095] = 7;
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT, "checksum");
	reseal();
	T_OK(header_decode(b, 0, &h, &t_err));
}

static void zeros_are_no_header(void)
{
	memset(b, 0, sizeof(b));
	T_FAILS(header_decode(b, 65536, &h, &t_err), VHDX_E_CORRUPT,
		"signature is 0x00000000");
	T_EQ_U64(t_err.off, 65536);
	T_TRUE(t_err.obj == VHDX_OBJ_HEADER);
}

static void any_flipped_bit_is_found(void)
{
	for (unsigned bit = 0; bit < 8 * FMT_HEADER_LEN; bit += 37) {
		golden_header();
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT, "");
	}
}

static void another_version_is_unsupported(void)
{
	golden_header();
	b[66] = 2;
	reseal();
	T_OK(header_parse(b, 0, &h, &t_err));
	T_FAILS(header_verify(&h, 0, &t_err), VHDX_E_UNSUPPORTED,
		"Version is 2, must be 1");
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_UNSUPPORTED, "");
}

static void log_version_counts_only_with_a_log(void)
{
	golden_header();
	b[64] = 1;
	reseal();
	T_OK(header_decode(b, 0, &h, &t_err));
	b[48] = 1;
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_UNSUPPORTED,
		"LogVersion is 1");
}

static void rejects_log_length_of_broken_mib(void)
{
	golden_header();
	put_le32(b + 68, 0x101000);
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT,
		"LogLength is 1052672");
}

static void rejects_log_offset_of_broken_mib(void)
{
	golden_header();
	put_le64(b + 72, 0x101000);
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT,
		"LogOffset is 1052672");
}

static void rejects_a_log_inside_the_header_area(void)
{
	golden_header();
	put_le64(b + 72, 0);
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT,
		"LogOffset is 0");
}

static void rejects_a_log_beyond_the_largest_file(void)
{
	golden_header();
	put_le64(b + 72, UINT64_C(0x7ffffffffff00000));
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT, "largest");
	put_le64(b + 72, UINT64_C(0xfffffffffff00000));
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT, "largest");
}

static void no_log_is_legal_only_without_log_guid(void)
{
	golden_header();
	put_le32(b + 68, 0);
	put_le64(b + 72, 0);
	reseal();
	T_OK(header_decode(b, 0, &h, &t_err));
	b[48] = 1;
	reseal();
	T_FAILS(header_decode(b, 0, &h, &t_err), VHDX_E_CORRUPT,
		"LogLength is 0");
}

static void identifier_makes_a_round_trip(void)
{
	static uint8_t raw[FMT_IDENT_LEN];
	struct fmt_ident in = { .creator = { 'M', 0xd83d, 'c' } }, out;

	in.creator[255] = 'z';
	memset(raw, 0xee, sizeof(raw));
	ident_encode(&in, raw);
	T_TRUE(memcmp(raw, "vhdxfileM\0\x3d\xd8" "c\0\0", 15) == 0);
	T_EQ_U64(raw[8 + 510], 'z');
	for (size_t i = 520; i < sizeof(raw); i++)
		T_EQ_U64(raw[i], 0);
	T_OK(ident_decode(raw, &out, &t_err));
	T_TRUE(memcmp(&in, &out, sizeof(in)) == 0);
}

static void identifier_needs_its_signature(void)
{
	struct fmt_ident out;

	memset(b, 0, sizeof(b));
	T_FAILS(ident_decode(b, &out, &t_err), VHDX_E_CORRUPT, "vhdxfile");
	memcpy(b, "vhdxfilE", 8);
	T_FAILS(ident_decode(b, &out, &t_err), VHDX_E_CORRUPT,
		"0x7668647866696c45");
}

static const struct t_test tests[] = {
	T_TEST(decodes_the_header_that_windows_wrote),
	T_TEST(encodes_the_header_as_windows_wrote_it),
	T_TEST(every_field_makes_a_round_trip),
	T_TEST(reserved_bytes_are_ignored_but_checksummed),
	T_TEST(zeros_are_no_header),
	T_TEST(any_flipped_bit_is_found),
	T_TEST(another_version_is_unsupported),
	T_TEST(log_version_counts_only_with_a_log),
	T_TEST(rejects_log_length_of_broken_mib),
	T_TEST(rejects_log_offset_of_broken_mib),
	T_TEST(rejects_a_log_inside_the_header_area),
	T_TEST(rejects_a_log_beyond_the_largest_file),
	T_TEST(no_log_is_legal_only_without_log_guid),
	T_TEST(identifier_makes_a_round_trip),
	T_TEST(identifier_needs_its_signature),
	T_END,
};
const struct t_suite t_suite_format_header = { "format_header", tests };
