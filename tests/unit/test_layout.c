/* SPDX-License-Identifier: MIT */
/* Regions and metadata of a small image: one rule broken per test. */
#include "file_mem.h"
#include "header.h"
#include "image.h"
#include "layout.h"
#include "le.h"
#include "mem.h"
#include "t.h"

#define META_OFF (2 * MIB) /* where vhdx_image_create puts it: 1 MiB log */
#define BAT_OFF (3 * MIB)

static struct loop *loop;
static struct file *f;
static struct header_pair hp;
static struct layout l;
static uint64_t live;
static uint8_t table[FMT_REGION_LEN];

static void make(void)
{
	struct vhdx_create_opts o = { .size_len = 10 * GIB, .format =
		VHDX_FORMAT_VHDX, .type = VHDX_TYPE_DYNAMIC, .type_given = true,
		.block_len = 2 * MIB, .sector_len = 512,
		.physical_sector_len = 4096 };

	live = mem_live_cnt();
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "mem", NULL, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	T_OK(header_load(f, &hp, &t_err));
}

static int load(void)
{
	return layout_load(f, &hp.cur, &l, &t_err);
}

static void drop(void)
{
	layout_free(&l);
	file_close(f);
	loop_free(loop);
	T_EQ_U64(mem_live_cnt(), live);
}

static void poke(uint64_t off, const void *p, size_t len)
{
	T_OK(file_write(f, off, p, len, &t_err));
}

static void poke32(uint64_t off, uint32_t v)
{
	uint8_t b[4];

	put_le32(b, v);
	poke(off, b, 4);
}

/* File offset of a known item's table entry and of its content. */
static uint64_t entry_off(const struct guid *id)
{
	uint8_t b[32];

	for (uint64_t off = META_OFF + 32;; off += 32) {
		T_OK(file_read(f, off, b, 32, &t_err));
		if (memcmp(b, id->b, 16) == 0)
			return off;
		T_TRUE(off < META_OFF + 4096);
	}
}

static uint64_t item_off(const struct guid *id)
{
	uint8_t b[4];

	T_OK(file_read(f, entry_off(id) + 16, b, 4, &t_err));
	return META_OFF + get_le32(b);
}

/* Adds an entry behind those that are there. */
static void add_entry(const struct guid *id, uint32_t off, uint32_t len,
		      uint32_t flags)
{
	uint8_t b[32] = { 0 }, cnt[2];

	T_OK(file_read(f, META_OFF + 10, cnt, 2, &t_err));
	memcpy(b, id->b, 16);
	put_le32(b + 16, off);
	put_le32(b + 20, len);
	put_le32(b + 24, flags);
	poke(META_OFF + 32 + 32 * (uint64_t)cnt[0], b, 32);
	cnt[0]++;
	poke(META_OFF + 10, cnt, 2);
}

/* Reads region table 0, lets the caller edit it, writes it to both copies. */
static void read_table(void)
{
	T_OK(file_read(f, FMT_REGION_OFF(0), table, sizeof(table), &t_err));
}

static void write_tables(void)
{
	log_entry_seal(table, sizeof(table));
	poke(FMT_REGION_OFF(0), table, sizeof(table));
	poke(FMT_REGION_OFF(1), table, sizeof(table));
}

static void a_sound_image_loads(void)
{
	make();
	T_OK(load());
	T_EQ_U64(l.region_bad, (uint64_t)-1);
	T_EQ_U64(l.bat_off, BAT_OFF);
	T_EQ_U64(l.meta_off, META_OFF);
	T_EQ_U64(l.size_len, 10 * GIB);
	T_EQ_U64(l.block_len, 2 * MIB);
	T_EQ_U64(l.sector_len, 512);
	T_EQ_U64(l.physical_sector_len, 4096);
	T_TRUE(!l.leave_allocated && !l.has_parent);
	T_EQ_U64(l.geom.block_cnt, 5120);
	T_EQ_U64(l.geom.entry_cnt, 5122);
	T_TRUE(!guid_is_zero(&l.disk_id));
	drop();
}

static void identifier_is_needed(void)
{
	make();
	poke(0, "conectix", 8);
	T_FAILS(load(), VHDX_E_CORRUPT, "vhdxfile");
	drop();
}

static void the_second_region_table_stands_in_for_the_first(void)
{
	make();
	poke(FMT_REGION_OFF(0) + 40, "?", 1);
	T_OK(load());
	T_EQ_U64(l.region_bad, 0);
	T_EQ_U64(l.bat_off, BAT_OFF);
	CU_ASSERT_PTR_NOT_NULL(strstr(l.region_why.text, "checksum"));
	drop();
}

static void a_bad_second_region_table_is_noticed(void)
{
	make();
	poke(FMT_REGION_OFF(1) + 65535, "?", 1);
	T_OK(load());
	T_EQ_U64(l.region_bad, 1);
	T_EQ_U64(l.region_why.off, FMT_REGION_OFF(1));
	drop();
}

static void two_bad_region_tables_are_corrupt(void)
{
	make();
	poke(FMT_REGION_OFF(0) + 40, "?", 1);
	poke(FMT_REGION_OFF(1), "?", 1);
	T_FAILS(load(), VHDX_E_CORRUPT,
		"both copies of the region table are damaged");
	drop();
}

static void region_tables_that_differ_are_noticed(void)
{
	make();
	read_table();
	put_le64(table + 32, 5 * MIB);
	log_entry_seal(table, sizeof(table));
	poke(FMT_REGION_OFF(1), table, sizeof(table));
	T_OK(load());
	T_EQ_U64(l.region_bad, 1);
	T_EQ_U64(l.bat_off, BAT_OFF);
	drop();
}

static void a_region_over_the_log_is_refused(void)
{
	make();
	read_table();
	put_le64(table + 32, MIB);
	write_tables();
	T_FAILS(load(), VHDX_E_CORRUPT, "overlaps the log (1048576+1048576)");
	drop();
}

static void both_regions_are_needed(void)
{
	make();
	read_table();
	table[16] ^= 1;
	table[44] = 0;
	write_tables();
	T_FAILS(load(), VHDX_E_CORRUPT, "has no BAT region");
	table[16] ^= 1;
	table[48] ^= 1;
	table[76] = 0;
	write_tables();
	T_FAILS(load(), VHDX_E_CORRUPT, "has no metadata region");
	drop();
}

static void a_required_unknown_region_is_refused(void)
{
	make();
	read_table();
	table[8] = 3;
	table[80] = 9;
	put_le64(table + 80 + 16, 8 * MIB);
	put_le32(table + 80 + 24, MIB);
	put_le32(table + 80 + 28, 1);
	write_tables();
	T_FAILS(load(), VHDX_E_UNSUPPORTED, "is required and not known");
	put_le32(table + 80 + 28, 0);
	write_tables();
	T_OK(load());
	T_EQ_U64(l.regions->cnt, 3);
	T_EQ_U64(l.regions->e[2].off, 8 * MIB);
	drop();
}

static void known_regions_need_not_be_marked_required(void)
{
	make();
	read_table();
	put_le32(table + 44, 0);
	put_le32(table + 76, 0);
	write_tables();
	T_OK(load());
	drop();
}

static void a_bat_region_too_small_is_refused(void)
{
	uint8_t b[8];

	make();
	put_le64(b, 64 * TIB);
	poke(item_off(&FMT_META_DISK_SIZE), b, 8);
	T_FAILS(load(), VHDX_E_CORRUPT, "the BAT region has 1048576 bytes");
	drop();
}

static void every_item_is_needed(void)
{
	static const struct guid *const ids[] = { &FMT_META_FILE_PARAMS,
		&FMT_META_DISK_SIZE, &FMT_META_DISK_ID, &FMT_META_LSS,
		&FMT_META_PSS };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		make();
		poke32(entry_off(ids[i]) + 24, 1); /* a user item now */
		T_FAILS(load(), VHDX_E_CORRUPT, "is missing");
		drop();
	}
}

static void item_lengths_are_exact(void)
{
	make();
	poke32(entry_off(&FMT_META_PSS) + 20, 8);
	T_FAILS(load(), VHDX_E_CORRUPT,
		"\"Physical Sector Size\" has 8 bytes, must have 4");
	drop();
}

static void odd_flags_of_a_known_item_do_not_stop_a_reader(void)
{
	make();
	poke32(entry_off(&FMT_META_DISK_ID) + 24, 4);
	T_OK(load());
	drop();
}

static void items_beyond_the_end_of_the_file_are_refused(void)
{
	make();
	poke32(entry_off(&FMT_META_PSS) + 16, 0xffff0);
	T_OK(file_truncate(f, META_OFF + 0xf0000, &t_err));
	T_FAILS(load(), VHDX_E_CORRUPT, "but the file ends at 3080192");
	drop();
}

static void a_file_cut_off_inside_its_bat_is_refused(void)
{
	make();
	T_OK(file_truncate(f, BAT_OFF, &t_err));
	T_FAILS(load(), VHDX_E_CORRUPT, "it was cut off");
	drop();
}

static void block_sizes_are_checked(void)
{
	static const uint32_t bad[] = { 0, 512 * KIB, 3 * MIB, 512 * MIB,
					1u << 31 };

	make();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		poke32(item_off(&FMT_META_FILE_PARAMS), bad[i]);
		T_FAILS(load(), VHDX_E_CORRUPT, "BlockSize is");
	}
	poke32(item_off(&FMT_META_FILE_PARAMS), 256 * MIB);
	T_OK(load());
	drop();
}

static void file_parameter_flags_are_checked(void)
{
	make();
	poke32(item_off(&FMT_META_FILE_PARAMS) + 4, 5);
	T_FAILS(load(), VHDX_E_CORRUPT, "flags are 0x5");
	poke32(item_off(&FMT_META_FILE_PARAMS) + 4, 1);
	T_OK(load());
	T_TRUE(l.leave_allocated);
	drop();
}

static void a_child_needs_a_locator(void)
{
	make();
	poke32(item_off(&FMT_META_FILE_PARAMS) + 4, 3);
	T_FAILS(load(), VHDX_E_CORRUPT, "no parent locator");
	add_entry(&FMT_META_LOCATOR, 0x20000, 100, 4);
	T_OK(load());
	T_TRUE(l.has_parent && !l.leave_allocated);
	T_EQ_U64(l.geom.entry_cnt, 3 * 2049);
	drop();
}

static void sector_sizes_are_checked(void)
{
	make();
	poke32(item_off(&FMT_META_LSS), 1024);
	T_FAILS(load(), VHDX_E_CORRUPT, "\"Logical Sector Size\" is 1024");
	poke32(item_off(&FMT_META_LSS), 4096);
	T_OK(load());
	layout_free(&l);
	poke32(item_off(&FMT_META_PSS), 0);
	T_FAILS(load(), VHDX_E_CORRUPT, "\"Physical Sector Size\" is 0");
	drop();
}

static void disk_sizes_are_checked(void)
{
	uint8_t b[8];

	make();
	put_le64(b, 10 * GIB + 1);
	poke(item_off(&FMT_META_DISK_SIZE), b, 8);
	T_FAILS(load(), VHDX_E_CORRUPT, "VirtualDiskSize is 10737418241");
	put_le64(b, 64 * TIB + 512);
	poke(item_off(&FMT_META_DISK_SIZE), b, 8);
	T_FAILS(load(), VHDX_E_CORRUPT, "up to 64 TiB");
	put_le64(b, 0);
	poke(item_off(&FMT_META_DISK_SIZE), b, 8);
	T_OK(load());
	T_EQ_U64(l.geom.entry_cnt, 0);
	drop();
}

static void an_unfinished_creation_is_refused(void)
{
	make();
	add_entry(&FMT_META_INCOMPLETE, 0, 0, 4);
	T_FAILS(load(), VHDX_E_CORRUPT, "never finished");
	drop();
}

static void a_required_unknown_item_is_refused(void)
{
	const struct guid id = { { 1, 2, 3 } };

	make();
	add_entry(&id, 0x20000, 4, 4);
	T_FAILS(load(), VHDX_E_UNSUPPORTED, "00030201-0000-0000-");
	poke32(entry_off(&id) + 24, 0);
	T_OK(load());
	T_EQ_U64(l.meta->cnt, 6);
	layout_free(&l);
	poke32(entry_off(&id) + 24, 5);
	T_FAILS(load(), VHDX_E_UNSUPPORTED, "required and not known");
	drop();
}

static void undocumented_items_of_hyper_v_are_passed_over(void)
{
	make();
	add_entry(&FMT_META_CHS, 0x20000, 8, 4);
	add_entry(&FMT_META_PMEM, 0x30000, 8, 4);
	T_OK(load());
	drop();
}

static void running_out_of_memory_is_an_error_and_no_leak(void)
{
	make();
	for (uint64_t n = 1;; n++) {
		mem_fail_nth(n);
		int rc = load();
		if (mem_fail_nth(0) < n) {
			T_OK(rc);
			break;
		}
		T_EQ_U64(rc, VHDX_E_NOMEM);
	}
	drop();
}

static void the_creator_reaches_no_terminal_unfiltered(void)
{
	struct fmt_ident id = { .creator = { 'a', 0x1b, 0x9b, 0x7f, 0xe4,
					     0xd800, 'z', 0, 'q' } };
	char out[64];

	layout_creator(&id, out, sizeof(out));
	CU_ASSERT_STRING_EQUAL(out, "a???\xc3\xa4\xef\xbf\xbdz");
	layout_creator(&id, out, 6);
	CU_ASSERT_STRING_EQUAL(out, "a???");
}

static const struct t_test tests[] = {
	T_TEST(a_sound_image_loads),
	T_TEST(identifier_is_needed),
	T_TEST(the_second_region_table_stands_in_for_the_first),
	T_TEST(a_bad_second_region_table_is_noticed),
	T_TEST(two_bad_region_tables_are_corrupt),
	T_TEST(region_tables_that_differ_are_noticed),
	T_TEST(a_region_over_the_log_is_refused),
	T_TEST(both_regions_are_needed),
	T_TEST(a_required_unknown_region_is_refused),
	T_TEST(known_regions_need_not_be_marked_required),
	T_TEST(a_bat_region_too_small_is_refused),
	T_TEST(every_item_is_needed),
	T_TEST(item_lengths_are_exact),
	T_TEST(odd_flags_of_a_known_item_do_not_stop_a_reader),
	T_TEST(items_beyond_the_end_of_the_file_are_refused),
	T_TEST(a_file_cut_off_inside_its_bat_is_refused),
	T_TEST(block_sizes_are_checked),
	T_TEST(file_parameter_flags_are_checked),
	T_TEST(a_child_needs_a_locator),
	T_TEST(sector_sizes_are_checked),
	T_TEST(disk_sizes_are_checked),
	T_TEST(an_unfinished_creation_is_refused),
	T_TEST(a_required_unknown_item_is_refused),
	T_TEST(undocumented_items_of_hyper_v_are_passed_over),
	T_TEST(running_out_of_memory_is_an_error_and_no_leak),
	T_TEST(the_creator_reaches_no_terminal_unfiltered),
	T_END,
};
const struct t_suite t_suite_layout = { "layout", tests };
