/* SPDX-License-Identifier: MIT */
/* Files that other programs wrote: Windows, Disk2VHD, QEMU. Passes over where
 * the sample set is not there. */
#include <unistd.h>

#include "file_mem.h"
#include "header.h"
#include "layout.h"
#include "replay.h"
#include "t.h"
#include "t_sample.h"

static struct loop *loop;
static struct memimg img;
static struct file *f;
static struct header_pair hp;
static struct layout l;

/* The named sample in memory, or false. */
static bool open_sample(const char *name)
{
	char file[100];

	snprintf(file, sizeof(file), "%s.vhdx", name);
	if (!t_sample(file, &img))
		return false;
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, name, &img, &f, &t_err));
	T_OK(header_load(f, &hp, &t_err));
	return true;
}

static void drop(void)
{
	layout_free(&l);
	file_close(f);
	loop_free(loop);
	memimg_free(&img);
}

static void creator_is(const char *want)
{
	char text[257];

	layout_creator(&l.ident, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, want);
}

static void a_dynamic_disk_of_windows_loads(void)
{
	if (!open_sample("iotest-dynamic-1G"))
		return;
	T_OK(layout_load(f, &hp.cur, &l, &t_err));
	creator_is("Microsoft Windows 6.2.9200.16384");
	T_EQ_U64(hp.cur_slot, 1);
	T_EQ_U64(hp.cur.seq, 15);
	T_EQ_U64(l.region_bad, (uint64_t)-1);
	T_EQ_U64(l.bat_off, 3 * MIB);
	T_EQ_U64(l.meta_off, 2 * MIB);
	T_EQ_U64(l.size_len, GIB);
	T_EQ_U64(l.block_len, 32 * MIB);
	T_EQ_U64(l.sector_len, 512);
	T_EQ_U64(l.physical_sector_len, 4096);
	T_EQ_U64(l.geom.entry_cnt, 32);
	T_TRUE(!l.has_parent && !l.leave_allocated);
	drop();
}

static void a_disk2vhd_file_with_equal_headers_loads(void)
{
	if (!open_sample("test-disk2vhd"))
		return;
	T_OK(layout_load(f, &hp.cur, &l, &t_err));
	creator_is("d2v");
	T_TRUE(hp.valid[0] && hp.valid[1]);
	T_EQ_U64(hp.copy[0].seq, hp.copy[1].seq);
	T_EQ_U64(l.size_len, 256 * MIB);
	T_EQ_U64(l.block_len, 2 * MIB);
	T_EQ_U64(f->size % MIB, 512); /* trap 26 */
	drop();
}

static void a_dirty_log_of_qemu_is_understood(void)
{
	struct replay_seq s;

	if (!open_sample("iotest-dirtylog-10G-4M"))
		return;
	T_TRUE(!guid_is_zero(&hp.cur.log));
	T_OK(replay_scan(f, &hp.cur, &s, &t_err));
	T_EQ_U64(s.entry_cnt, 1);
	T_EQ_U64(s.last_seq, 7);
	T_EQ_U64(s.head_off, 0xc000);
	T_EQ_U64(s.last_len, 30 * MIB);
	T_EQ_U64(s.item_cnt, 1);
	T_EQ_U64(s.items[0].file_off, 2 * MIB);
	T_EQ_U64(s.items[0].data_off, MIB + 0xd000);
	replay_free(&s);
	drop();
}

static void a_dirty_file_in_memory_equals_one_replayed_in_place(void)
{
	static uint8_t shown[8192], home[8192];
	struct replay_seq s;
	struct file *o;

	if (!open_sample("iotest-dirtylog-10G-4M"))
		return;
	T_OK(replay_scan(f, &hp.cur, &s, &t_err));
	T_OK(file_overlay_new(f, &s, &o, &t_err));
	T_OK(layout_load(o, &hp.cur, &l, &t_err));
	T_EQ_U64(l.size_len, 10 * GIB);
	T_OK(file_read(o, l.bat_off, shown, sizeof(shown), &t_err));
	f = file_overlay_detach(o);
	T_OK(replay_scan(f, &hp.cur, &s, &t_err));
	T_OK(replay_apply(f, &s, &t_err));
	replay_free(&s);
	T_OK(file_read(f, l.bat_off, home, sizeof(home), &t_err));
	T_TRUE(memcmp(shown, home, sizeof(home)) == 0);
	drop();
}

/* What Windows logged, applied and left in the ring replays to what is there:
 * our reading of its entries is its own. */
static void replaying_what_windows_applied_changes_nothing(void)
{
	struct memimg before;
	struct replay_seq s;

	if (!open_sample("iotest-dynamic-1G"))
		return;
	memimg_clone(&before, &img);
	t_hex(hp.cur.log.b, "935589c288ee5144a6815f41983af0b6");
	T_OK(replay_scan(f, &hp.cur, &s, &t_err));
	T_EQ_U64(s.entry_cnt, 1); /* the head names itself, not the first */
	T_EQ_U64(s.last_seq, UINT64_C(4371089312299158168));
	T_EQ_U64(s.item_cnt, 1);
	T_OK(replay_apply(f, &s, &t_err));
	replay_free(&s);
	T_TRUE(memimg_eq(&before, &img, NULL));
	memimg_free(&before);
	drop();
}

static const struct t_test tests[] = {
	T_TEST(a_dynamic_disk_of_windows_loads),
	T_TEST(a_disk2vhd_file_with_equal_headers_loads),
	T_TEST(a_dirty_log_of_qemu_is_understood),
	T_TEST(a_dirty_file_in_memory_equals_one_replayed_in_place),
	T_TEST(replaying_what_windows_applied_changes_nothing),
	T_END,
};
const struct t_suite t_suite_realimages = { "realimages", tests };
