/* SPDX-License-Identifier: MIT */
#include "parttab.h"

#include <string.h>

#include "le.h"
#include "memimg.h"
#include "t.h"

static struct memimg disk;
static struct parttab tab;

static int read_mem(void *arg, uint64_t off, void *buf, size_t len,
		    struct vhdx_err *e)
{
	(void)e;
	memimg_read(arg, off, buf, len);
	return 0;
}

static void load(uint32_t sector_len)
{
	T_OK(parttab_load(read_mem, &disk, disk.size, sector_len, &tab,
			  &t_err));
}

static void begin(uint64_t size)
{
	memimg_free(&disk);
	memimg_resize(&disk, size);
}

static uint32_t crc32_slow(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len * 8; i++) {
		crc ^= (uint32_t)(p[i / 8] >> i % 8 & 1);
		crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void put_mbr(uint64_t off, int i, uint8_t type, uint32_t first,
		    uint32_t cnt)
{
	uint8_t e[16] = { 0 }, end[2] = { 0x55, 0xaa };

	e[4] = type;
	put_le32(e + 8, first);
	put_le32(e + 12, cnt);
	memimg_write(&disk, off + 446 + (uint64_t)i * 16, e, 16);
	memimg_write(&disk, off + 510, end, 2);
}

static void put_gpt_header(uint8_t h[92], uint64_t lba, uint64_t table_lba,
			   uint32_t cnt, uint32_t crc)
{
	put_le32(h + 12, 92);
	put_le64(h + 24, lba);
	put_le64(h + 72, table_lba);
	put_le32(h + 80, cnt);
	put_le32(h + 84, 128);
	put_le32(h + 88, crc);
	put_le32(h + 16, crc32_slow(h, 92));
}

/* One partition, [first, last], of 128 entries. */
static void put_gpt(uint64_t lba, uint64_t table_lba, uint32_t ss,
		    uint64_t first, uint64_t last)
{
	uint8_t h[92] = "EFI PART", t[128 * 128] = { 1 };

	put_le64(t + 32, first);
	put_le64(t + 40, last);
	memimg_write(&disk, table_lba * ss, t, sizeof(t));
	put_gpt_header(h, lba, table_lba, 128, crc32_slow(t, sizeof(t)));
	memimg_write(&disk, lba * ss, h, sizeof(h));
}

static void listed(unsigned i, unsigned nr, uint64_t off, uint64_t len)
{
	T_TRUE(i < tab.part_cnt);
	T_EQ_U64(tab.parts[i].nr, nr);
	T_EQ_U64(tab.parts[i].off, off);
	T_EQ_U64(tab.parts[i].len, len);
}

static void empty_disk_has_no_table(void)
{
	begin(MIB);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_NONE && tab.end_len == 0);
	begin(512);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_NONE);
}

static void boot_sector_of_a_file_system_is_no_table(void)
{
	begin(MIB);
	put_mbr(0, 0, 'a', 0x61626364, 0x61626364);
	memimg_write(&disk, 446 + 16, "NTLDR is missing", 16);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_NONE);
}

static void logical_partition_can_be_the_last(void)
{
	begin(MIB);
	put_mbr(0, 0, 5, 100, 50);
	put_mbr(0, 3, 7, 1, 9);
	put_mbr(100 * 512, 0, 0x83, 1, 10);
	put_mbr(100 * 512, 1, 5, 20, 40);
	put_mbr(120 * 512, 0, 0x83, 1, 99);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_MBR);
	T_EQ_U64(tab.end_len, (120 + 1 + 99) * 512);
	T_EQ_U64(tab.part_cnt, 4);
	listed(0, 1, 100 * 512, 50 * 512);
	listed(1, 4, 1 * 512, 9 * 512);
	listed(2, 5, 101 * 512, 10 * 512);
	listed(3, 6, 121 * 512, 99 * 512);
	T_TRUE(tab.parts[1].type[0] == 7 && !tab.parts[1].extended);
	T_TRUE(tab.parts[0].extended && !tab.parts[2].extended);
}

static void empty_link_takes_no_number(void)
{
	begin(MIB);
	put_mbr(0, 1, 15, 100, 90);
	put_mbr(100 * 512, 1, 5, 20, 40);
	put_mbr(120 * 512, 0, 0x83, 1, 9);
	put_mbr(120 * 512, 1, 5, 40, 40);
	put_mbr(140 * 512, 1, 0x82, 1, 8);
	load(512);
	T_EQ_U64(tab.part_cnt, 3);
	listed(0, 2, 100 * 512, 90 * 512);
	listed(1, 5, 121 * 512, 9 * 512);
	listed(2, 6, 141 * 512, 8 * 512);
}

static void mbr_counts_in_the_sectors_of_the_disk(void)
{
	begin(4 * MIB);
	put_mbr(0, 2, 5, 10, 50);
	put_mbr(10 * 4096, 0, 0x83, 1, 9);
	load(4096);
	listed(0, 3, 10 * 4096, 50 * 4096);
	listed(1, 5, 11 * 4096, 9 * 4096);
	T_EQ_U64(tab.head_len, 4096);
}

static void list_ends_where_the_disk_ends(void)
{
	begin(MIB);
	put_mbr(0, 0, 7, 2000, 49);
	put_mbr(0, 1, 7, 2048, 1);
	put_mbr(0, 2, 7, UINT32_MAX, UINT32_MAX);
	load(512);
	T_EQ_U64(tab.part_cnt, 1);
	listed(0, 1, 2000 * 512, 48 * 512);
	T_EQ_U64(tab.end_len, 2 * (uint64_t)UINT32_MAX * 512);
}

static void chain_without_end_is_damage(void)
{
	begin(MIB);
	put_mbr(0, 0, 5, 100, 50);
	put_mbr(100 * 512, 1, 5, 0, 40); /* itself */
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_DAMAGED);
	put_mbr(100 * 512, 1, 5, 0xfffffff0, 40);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_DAMAGED);
	put_mbr(100 * 512, 1, 5, 7, 40); /* nothing there */
	put_mbr(0, 1, 7, 200, 10);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_DAMAGED && tab.part_cnt == 0);
}

static void gpt_is_found_with_either_sector_size(void)
{
	static const uint32_t sizes[] = { 512, 4096 };

	for (unsigned i = 0; i < 4; i++) {
		uint32_t ss = sizes[i % 2];

		begin(8 * MIB);
		put_mbr(0, 0, 0xee, 1, UINT32_MAX);
		put_gpt(1, 2, ss, 100, 199);
		load(sizes[i / 2]);
		T_TRUE(tab.kind == VHDX_TABLE_GPT);
		T_EQ_U64(tab.end_len, 200 * ss);
		T_EQ_U64(tab.min_len, 200 * ss + 128 * 128 + ss);
		T_EQ_U64(tab.head_len, 2 * ss + 128 * 128);
		T_TRUE(tab.sector_len == ss && !tab.mixed && !tab.backup);
		T_EQ_U64(tab.part_cnt, 1);
		listed(0, 1, 100 * ss, 100 * ss);
		T_TRUE(tab.parts[0].type[0] == 1);
	}
}

static void backup_stands_in_for_the_primary(void)
{
	uint64_t last = 8 * MIB / 512 - 1;

	begin(8 * MIB);
	put_mbr(0, 0, 0xee, 1, UINT32_MAX);
	put_gpt(last, last - 32, 512, 100, 199);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_GPT);
	T_EQ_U64(tab.end_len, 200 * 512);
	T_TRUE(tab.backup && tab.part_cnt == 1);
	memimg_write(&disk, (last - 32) * 512 + 40, "x", 1);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_DAMAGED);
}

static void old_backup_behind_an_mbr_does_not_count(void)
{
	uint64_t last = 8 * MIB / 512 - 1;

	begin(8 * MIB);
	put_mbr(0, 0, 7, 1, 9);
	put_gpt(last, last - 32, 512, 100, 199);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_MBR && !tab.mixed);
	T_EQ_U64(tab.min_len, 10 * 512);
}

static void mbr_of_its_own_stands_before_a_gpt_it_does_not_guard(void)
{
	begin(8 * MIB);
	put_mbr(0, 0, 7, 1, 9);
	put_gpt(1, 2, 512, 100, 199);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_MBR && tab.mixed);
	T_EQ_U64(tab.part_cnt, 1);
	listed(0, 1, 512, 9 * 512);
	T_EQ_U64(tab.end_len, 200 * 512);
}

static void gpt_stands_before_the_rest_of_a_hybrid_mbr(void)
{
	begin(8 * MIB);
	put_mbr(0, 0, 0xee, 1, 40);
	put_mbr(0, 1, 7, 41, 2000);
	put_gpt(1, 2, 512, 100, 199);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_GPT && tab.mixed);
	T_EQ_U64(tab.part_cnt, 1);
	listed(0, 1, 100 * 512, 100 * 512);
	T_EQ_U64(tab.end_len, 2041 * 512);
}

/* What mkfs leaves behind on a disk that had one: nobody shows it, but it is
 * not cut off unasked. */
static void gpt_that_no_mbr_guards_is_not_listed(void)
{
	begin(8 * MIB);
	put_gpt(1, 2, 512, 100, 199);
	load(512);
	T_TRUE(tab.kind == VHDX_TABLE_GPT && tab.mixed);
	T_EQ_U64(tab.part_cnt, 0);
	T_EQ_U64(tab.end_len, 200 * 512);
}

static void more_than_fit_are_told_of(void)
{
	static uint8_t t[300 * 128], h[92] = "EFI PART";

	begin(8 * MIB);
	for (unsigned i = 0; i < 300; i++) {
		t[i * 128] = 1;
		put_le64(t + i * 128 + 32, 100 + i);
		put_le64(t + i * 128 + 40, 100 + i);
	}
	put_mbr(0, 0, 0xee, 1, UINT32_MAX);
	memimg_write(&disk, 1024, t, sizeof(t));
	put_gpt_header(h, 1, 2, 300, crc32_slow(t, sizeof(t)));
	memimg_write(&disk, 512, h, sizeof(h));
	load(512);
	T_TRUE(tab.more && tab.part_cnt == PARTTAB_MAX);
	listed(PARTTAB_MAX - 1, PARTTAB_MAX, (99 + PARTTAB_MAX) * 512, 512);
	T_EQ_U64(tab.end_len, 400 * 512);
}

static void any_bytes_give_an_answer(void)
{
	uint64_t seed = 3, counts[4] = { 0 };

	for (int i = 0; i < 4000; i++) {
		begin(64 * KIB + t_rand_below(&seed, 100) * 512);
		put_mbr(0, 0, i % 3 ? 0xee : 5, 2, 20);
		put_gpt(1, 2, 512, 100, 199);
		for (int n = (int)t_rand_below(&seed, 20); n > 0; n--) {
			uint64_t v = t_rand(&seed);

			memimg_write(&disk, t_rand_below(&seed, 8192), &v,
				     1 + t_rand_below(&seed, 8));
		}
		load(512);
		counts[tab.kind]++;
		T_TRUE(tab.kind != VHDX_TABLE_GPT || tab.min_len > tab.end_len);
		for (unsigned k = 0; k < tab.part_cnt; k++)
			T_TRUE(tab.parts[k].len && tab.parts[k].off +
			       tab.parts[k].len <= disk.size);
	}
	T_TRUE(counts[VHDX_TABLE_GPT] && counts[VHDX_TABLE_DAMAGED]);
	memimg_free(&disk);
}

static const struct t_test tests[] = {
	T_TEST(empty_disk_has_no_table),
	T_TEST(boot_sector_of_a_file_system_is_no_table),
	T_TEST(logical_partition_can_be_the_last),
	T_TEST(empty_link_takes_no_number),
	T_TEST(mbr_counts_in_the_sectors_of_the_disk),
	T_TEST(list_ends_where_the_disk_ends),
	T_TEST(chain_without_end_is_damage),
	T_TEST(gpt_is_found_with_either_sector_size),
	T_TEST(backup_stands_in_for_the_primary),
	T_TEST(old_backup_behind_an_mbr_does_not_count),
	T_TEST(mbr_of_its_own_stands_before_a_gpt_it_does_not_guard),
	T_TEST(gpt_stands_before_the_rest_of_a_hybrid_mbr),
	T_TEST(gpt_that_no_mbr_guards_is_not_listed),
	T_TEST(more_than_fit_are_told_of),
	T_TEST(any_bytes_give_an_answer),
	T_END
};

const struct t_suite t_suite_parttab = { "parttab", tests };
