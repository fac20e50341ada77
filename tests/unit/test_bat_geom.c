/* SPDX-License-Identifier: MIT */
/* Where a block's BAT entry stands; numbers worked out from MS-VHDX 2.5. */
#include "format.h"
#include "t.h"

static struct bat_geom geom(uint64_t size, uint64_t block, uint32_t sector,
			    bool parent)
{
	struct bat_geom g;

	bat_geom_init(&g, size, (uint32_t)block, sector, parent);
	return g;
}

static void chunk_ratio_follows_block_and_sector_size(void)
{
	T_EQ_U64(geom(GIB, MIB, 512, false).chunk_ratio, 4096);
	T_EQ_U64(geom(GIB, 32 * MIB, 512, false).chunk_ratio, 128);
	T_EQ_U64(geom(GIB, 256 * MIB, 512, false).chunk_ratio, 16);
	T_EQ_U64(geom(GIB, MIB, 4096, false).chunk_ratio, 32768);
	T_EQ_U64(geom(GIB, 256 * MIB, 4096, false).chunk_ratio, 128);
}

static void a_partial_last_block_is_a_block(void)
{
	T_EQ_U64(geom(512, 32 * MIB, 512, false).block_cnt, 1);
	T_EQ_U64(geom(32 * MIB, 32 * MIB, 512, false).block_cnt, 1);
	T_EQ_U64(geom(32 * MIB + 512, 32 * MIB, 512, false).block_cnt, 2);
}

static void base_disks_end_with_a_payload_entry(void)
{
	T_EQ_U64(geom(4 * GIB, MIB, 512, false).entry_cnt, 4096);
	T_EQ_U64(geom(4 * GIB + 512, MIB, 512, false).entry_cnt, 4098);
	T_EQ_U64(geom(8 * GIB, MIB, 512, false).entry_cnt, 8193);
}

static void children_end_with_a_bitmap_entry(void)
{
	T_EQ_U64(geom(512, MIB, 512, true).entry_cnt, 4097);
	T_EQ_U64(geom(4 * GIB, MIB, 512, true).entry_cnt, 4097);
	T_EQ_U64(geom(4 * GIB + 512, MIB, 512, true).entry_cnt, 8194);
}

static void the_largest_bat_has_2_pow_26_plus_2_pow_14_entries(void)
{
	T_EQ_U64(geom(64 * TIB, MIB, 512, true).entry_cnt,
		 (1u << 26) + (1u << 14));
	T_EQ_U64(geom(64 * TIB, MIB, 512, false).entry_cnt,
		 (1u << 26) + (1u << 14) - 1);
}

static void an_empty_disk_has_no_entries(void)
{
	T_EQ_U64(geom(0, MIB, 512, false).entry_cnt, 0);
	T_EQ_U64(geom(0, MIB, 512, true).entry_cnt, 0);
}

static void bitmap_entries_stand_between_chunks(void)
{
	struct bat_geom g = geom(64 * GIB, 256 * MIB, 512, false);

	T_EQ_U64(bat_payload_index(&g, 0), 0);
	T_EQ_U64(bat_payload_index(&g, 15), 15);
	T_EQ_U64(bat_bitmap_index(&g, 0), 16);
	T_EQ_U64(bat_payload_index(&g, 16), 17);
	T_EQ_U64(bat_bitmap_index(&g, 1), 33);
	T_EQ_U64(bat_payload_index(&g, g.block_cnt - 1), g.entry_cnt - 1);
}

/* The entry that Windows logged for block 2 of iotest-dynamic-1G.vhdx. */
static void an_entry_takes_apart_and_together(void)
{
	uint64_t entry = UINT64_C(0x0000000004400006);

	T_EQ_U64(bat_entry_state(entry), BAT_FULLY_PRESENT);
	T_EQ_U64(bat_entry_off(entry), 68 * MIB);
	T_EQ_U64(bat_entry_reserved(entry), 0);
	T_EQ_U64(bat_entry_make(BAT_FULLY_PRESENT, 68 * MIB), entry);
	T_EQ_U64(bat_entry_reserved(UINT64_C(0xfffff00000 | 8 | 7)), 8);
	T_EQ_U64(bat_entry_off(UINT64_MAX), UINT64_C(0xfffffffffff00000));
}

static const struct t_test tests[] = {
	T_TEST(chunk_ratio_follows_block_and_sector_size),
	T_TEST(a_partial_last_block_is_a_block),
	T_TEST(base_disks_end_with_a_payload_entry),
	T_TEST(children_end_with_a_bitmap_entry),
	T_TEST(the_largest_bat_has_2_pow_26_plus_2_pow_14_entries),
	T_TEST(an_empty_disk_has_no_entries),
	T_TEST(bitmap_entries_stand_between_chunks),
	T_TEST(an_entry_takes_apart_and_together),
	T_END,
};
const struct t_suite t_suite_bat_geom = { "bat_geom", tests };
