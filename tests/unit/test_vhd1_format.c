/* SPDX-License-Identifier: MIT */
/* VHD structures. Golden bytes: hyperv2012r2-dynamic.vhd, written by Windows
 * Server 2012 R2. */
#include <string.h>

#include "le.h"
#include "t.h"
#include "vhd1_format.h"

static uint8_t b[VHD1_FOOTER_LEN], hb[VHD1_HEADER_LEN];
static struct vhd1_footer f;
static struct vhd1_header h;

static void golden_footer(void)
{
	memset(b, 0, sizeof(b));
	t_hex(b, "636f6e6563746978 00000002 00010000 0000000000000200"
		 "1e598ef7 77696e20 00060003 5769326b"
		 "0000001fc0000000 0000001fc0000000 fefe10ff 00000003"
		 "ffffe9db 6d2d5fc8eebade4c8ceede3a12db7c98");
}

static void golden_header(void)
{
	memset(hb, 0, sizeof(hb));
	t_hex(hb, "6378737061727365 ffffffffffffffff 0000000000000600"
		  "00010000 0000fe00 00200000 fffff379");
}

static void seal_footer(void)
{
	put_be32(b + 64, vhd1_checksum(b, sizeof(b), 64));
}

static void seal_header(void)
{
	put_be32(hb + 36, vhd1_checksum(hb, sizeof(hb), 36));
}

static void decodes_the_footer_that_windows_wrote(void)
{
	golden_footer();
	T_OK(vhd1_footer_decode(b, 0, &f, &t_err));
	T_EQ_U64(f.features, 2);
	T_EQ_U64(f.data_off, 512);
	T_EQ_U64(f.current_len, UINT64_C(136365211648));
	T_EQ_U64(f.original_len, UINT64_C(136365211648));
	T_EQ_U64(f.type, VHD1_DYNAMIC);
	T_TRUE(memcmp(f.creator_app, "win ", 4) == 0);
	T_EQ_U64(f.creator_version, 0x60003);
	T_EQ_U64(f.chs.cyl, 65278);
	T_EQ_U64(f.chs.heads, 16);
	T_EQ_U64(f.chs.spt, 255);
}

static void encodes_the_footer_as_windows_wrote_it(void)
{
	uint8_t again[VHD1_FOOTER_LEN];

	golden_footer();
	T_OK(vhd1_footer_decode(b, 0, &f, &t_err));
	memset(again, 0xee, sizeof(again));
	vhd1_footer_encode(&f, again);
	T_TRUE(memcmp(b, again, sizeof(b)) == 0);
}

static void decodes_the_header_that_windows_wrote(void)
{
	golden_header();
	T_OK(vhd1_header_decode(hb, 512, &h, &t_err));
	T_EQ_U64(h.bat_off, 1536);
	T_EQ_U64(h.bat_cnt, 65024);
	T_EQ_U64(h.block_len, 2 * MIB);
	T_EQ_U64(strlen(h.parent_name), 0);
}

static void encodes_the_header_as_windows_wrote_it(void)
{
	uint8_t again[VHD1_HEADER_LEN];

	golden_header();
	T_OK(vhd1_header_decode(hb, 512, &h, &t_err));
	memset(again, 0xee, sizeof(again));
	vhd1_header_encode(&h, again);
	T_TRUE(memcmp(hb, again, sizeof(hb)) == 0);
}

static void any_changed_byte_makes_a_footer_invalid(void)
{
	for (size_t i = 0; i < sizeof(b); i++) {
		golden_footer();
		b[i] ^= 0x10;
		T_FAILS(vhd1_footer_decode(b, 0, &f, &t_err), VHDX_E_CORRUPT,
			i < 8 ? "conectix" : "checksum");
	}
}

static void any_changed_byte_makes_a_header_invalid(void)
{
	for (size_t i = 0; i < sizeof(hb); i++) {
		golden_header();
		hb[i] ^= 0x10;
		T_FAILS(vhd1_header_decode(hb, 512, &h, &t_err),
			VHDX_E_CORRUPT, i < 8 ? "cxsparse" : "checksum");
	}
}

static void refuses_a_footer_of_another_version_or_type(void)
{
	golden_footer();
	put_be32(b + 12, 0x20000);
	seal_footer();
	T_FAILS(vhd1_footer_decode(b, 0, &f, &t_err), VHDX_E_UNSUPPORTED,
		"version 2.0");
	golden_footer();
	put_be32(b + 60, 5);
	seal_footer();
	T_FAILS(vhd1_footer_decode(b, 0, &f, &t_err), VHDX_E_CORRUPT,
		"disk type 5");
}

static void refuses_a_block_size_that_is_no_power_of_two(void)
{
	static const uint32_t bad[] = { 0, 1, 256, 3 * MIB, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		golden_header();
		put_be32(hb + 32, bad[i]);
		seal_header();
		T_FAILS(vhd1_header_decode(hb, 512, &h, &t_err),
			VHDX_E_CORRUPT, "block size");
	}
}

static void the_parent_name_is_big_endian_and_locators_are_kept(void)
{
	golden_header();
	t_hex(hb + 64, "00640061 00e4 002e 00760068 0064");
	t_hex(hb + 576, "57326b75 00000200 0000001a 00000000 0000000000000a00");
	seal_header();
	T_OK(vhd1_header_decode(hb, 512, &h, &t_err));
	CU_ASSERT_STRING_EQUAL(h.parent_name, "da\xc3\xa4.vhd");
	T_TRUE(memcmp(h.locators[0].code, "W2ku", 4) == 0);
	T_EQ_U64(h.locators[0].space, 512);
	T_EQ_U64(h.locators[0].len, 26);
	T_EQ_U64(h.locators[0].off, 2560);
}

static void geometry_is_what_windows_computes(void)
{
	static const struct {
		uint64_t len;
		unsigned cyl, heads, spt;
	} want[] = {
		{ UINT64_C(136365211648), 65278, 16, 255 }, /* Hyper-V */
		{ 10 * MIB, 301, 4, 17 },
		{ 40 * MIB, 963, 5, 17 },
		{ 512 * MIB, 1040, 16, 63 },
		{ 2 * GIB, 4161, 16, 63 },
		{ 2040 * GIB, 65535, 16, 255 },
		{ 512, 0, 4, 17 },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct vhd1_chs g = vhd1_chs_of(want[i].len);

		T_EQ_U64(g.cyl, want[i].cyl);
		T_EQ_U64(g.heads, want[i].heads);
		T_EQ_U64(g.spt, want[i].spt);
	}
}

static void geometry_never_exceeds_the_size_and_falls_short_by_little(void)
{
	uint64_t seed = 1;

	for (int i = 0; i < 100000; i++) {
		uint64_t len = t_rand_below(&seed, 2040 * GIB / 512) * 512;
		struct vhd1_chs g = vhd1_chs_of(len);
		uint64_t chs = vhd1_chs_len(g);

		T_TRUE(chs <= len);
		T_TRUE(vhd1_chs_is_max(g) ||
		       len - chs < UINT64_C(16) * 255 * 512);
	}
}

static void time_counts_from_the_year_2000(void)
{
	T_EQ_U64(vhd1_time_encode(946684800), 0);
	T_EQ_U64(vhd1_time_encode(0), 0);
	T_EQ_U64(vhd1_time_encode(946684801), 1);
	T_EQ_U64(vhd1_time_encode((time_t)INT64_C(1) << 40), UINT32_MAX);
	/* hyperv2012r2-dynamic.vhd: 2016-02-19 */
	T_EQ_U64(vhd1_time_decode(0x1e598ef7) / 86400, 16850);
}

static void bitmaps_take_whole_sectors(void)
{
	T_EQ_U64(vhd1_bitmap_len(512), 512);
	T_EQ_U64(vhd1_bitmap_len(512 * KIB), 512);
	T_EQ_U64(vhd1_bitmap_len(2 * MIB), 512);
	T_EQ_U64(vhd1_bitmap_len(4 * MIB), 1024);
	T_EQ_U64(vhd1_bitmap_len(256 * MIB), 65536);
	T_EQ_U64(vhd1_bitmap_len(UINT32_C(1) << 31), 524288);
}

static void bit_zero_is_the_most_significant_one(void)
{
	uint8_t m[4] = { 0 };

	T_TRUE(vhd1_bits_set(m, 0, 1));
	T_EQ_U64(m[0], 0x80);
	T_TRUE(vhd1_bits_set(m, 15, 2));
	T_EQ_U64(m[1], 0x01);
	T_EQ_U64(m[2], 0x80);
	T_TRUE(vhd1_bit(m, 0) && !vhd1_bit(m, 1) && vhd1_bit(m, 16));
	T_TRUE(!vhd1_bits_set(m, 15, 2));
}

static void setting_bits_equals_setting_them_one_by_one(void)
{
	for (uint64_t first = 0; first < 24; first++)
		for (uint64_t cnt = 0; first + cnt <= 24; cnt++) {
			uint8_t all[3] = { 0 };

			vhd1_bits_set(all, first, cnt);
			for (uint64_t i = 0; i < 24; i++)
				T_TRUE(vhd1_bit(all, i) ==
				       (i >= first && i < first + cnt));
			T_TRUE(vhd1_bits_full(all, first + cnt) ==
			       (first == 0));
		}
}

static void runs_end_where_bits_change(void)
{
	uint8_t m[16];
	uint64_t seed = 3;

	for (int round = 0; round < 300; round++) {
		uint64_t i, n, first = t_rand_below(&seed, 128);

		for (i = 0; i < sizeof(m); i++)
			m[i] = t_rand_below(&seed, 3) ? (uint8_t)-(round & 1)
						      : (uint8_t)t_rand(&seed);
		n = 1 + t_rand_below(&seed, 128 - first);
		for (i = 1; i < n; i++)
			if (vhd1_bit(m, first + i) != vhd1_bit(m, first))
				break;
		T_EQ_U64(vhd1_bits_run(m, first, n), i);
	}
}

static void full_looks_at_the_first_bits_only(void)
{
	uint8_t m[2] = { 0xff, 0xe0 };

	T_TRUE(vhd1_bits_full(m, 0) && vhd1_bits_full(m, 8));
	T_TRUE(vhd1_bits_full(m, 11) && !vhd1_bits_full(m, 12));
	m[0] = 0xfd;
	T_TRUE(!vhd1_bits_full(m, 11) && vhd1_bits_full(m, 6));
}

static void the_uuid_swap_is_its_own_inverse(void)
{
	uint8_t in[16], out[16], back[16];

	for (uint8_t i = 0; i < 16; i++)
		in[i] = i;
	vhd1_uuid_swap(in, out);
	T_EQ_U64(out[0], 3);
	T_EQ_U64(out[4], 5);
	T_EQ_U64(out[15], 15);
	vhd1_uuid_swap(out, back);
	T_TRUE(memcmp(in, back, 16) == 0);
}

static const struct t_test tests[] = {
	T_TEST(decodes_the_footer_that_windows_wrote),
	T_TEST(encodes_the_footer_as_windows_wrote_it),
	T_TEST(decodes_the_header_that_windows_wrote),
	T_TEST(encodes_the_header_as_windows_wrote_it),
	T_TEST(any_changed_byte_makes_a_footer_invalid),
	T_TEST(any_changed_byte_makes_a_header_invalid),
	T_TEST(refuses_a_footer_of_another_version_or_type),
	T_TEST(refuses_a_block_size_that_is_no_power_of_two),
	T_TEST(the_parent_name_is_big_endian_and_locators_are_kept),
	T_TEST(geometry_is_what_windows_computes),
	T_TEST(geometry_never_exceeds_the_size_and_falls_short_by_little),
	T_TEST(time_counts_from_the_year_2000),
	T_TEST(bitmaps_take_whole_sectors),
	T_TEST(bit_zero_is_the_most_significant_one),
	T_TEST(setting_bits_equals_setting_them_one_by_one),
	T_TEST(runs_end_where_bits_change),
	T_TEST(full_looks_at_the_first_bits_only),
	T_TEST(the_uuid_swap_is_its_own_inverse),
	T_END,
};

const struct t_suite t_suite_vhd1_format = { "vhd1_format", tests };
