/* SPDX-License-Identifier: MIT */
/*
 * A differencing VHDX disk over its parent, both in memory: what shows through
 * and what never may, checked against a byte-for-byte model.
 */
#include <string.h>

#include "memory_blk.h"
#include "t.h"
#include "t_child.h"

#define VHDX VHDX_FORMAT_VHDX

static void an_empty_child_shows_its_parent(void)
{
	ch_empty_child_shows_its_parent(VHDX);
}

static void a_sector_written_hides_that_sector_only(void)
{
	ch_sector_hides_itself_only(VHDX);
}

static void a_whole_block_needs_no_bitmap(void)
{
	struct vhdx_extent x;

	ch_begin(VHDX, MIB, 512);
	ch_put(4 * MIB, 4 * MIB, 7);
	ch_check_all();
	T_OK(vhdx_blk_map(ch.blk, 4 * MIB, 8 * MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0 && x.len == 4 * MIB);
	ch_close();
	ch_check_sound();
	ch_end();
}

/* Its chunk has a bitmap, in which its bits are clear. */
static void bits_of_a_whole_block_mean_nothing(void)
{
	ch_begin(VHDX, MIB, 512);
	ch_put(5 * MIB + 512, 512, 1);
	ch_put(6 * MIB, MIB, 2);
	ch_check_twice();
	ch_end();
}

/* IsVirtualDisk: a guest must not see another disk after a checkpoint. */
static void a_child_is_the_same_disk_in_another_file(void)
{
	struct vhdx_info child, parent;
	const char *path;

	ch_begin(VHDX, MIB, 512);
	vhdx_get_layer(ch.blk, 0, &child, &path);
	vhdx_get_layer(ch.blk, 1, &parent, &path);
	T_TRUE(memcmp(child.disk_id, parent.disk_id, 16) == 0);
	T_TRUE(memcmp(child.data_write_guid, parent.data_write_guid,
		      16) != 0);
	ch_close();
	ch_end();
}

static void zeroes_never_show_the_parent(void)
{
	ch_begin(VHDX, 2 * MIB, 512);
	ch_zero(0, 4 * MIB);	    /* whole blocks, nothing here yet */
	ch_zero(6 * MIB + 512, 3 * MIB); /* parts */
	ch_put(20 * MIB, 4096, 1);
	ch_zero(20 * MIB + 512, 1024);
	ch_check_all();
	ch_put(MIB, 512, 3); /* into a ZERO block: the rest stays zero */
	ch_check_twice();
	ch_end();
}

static void a_discarded_block_forgets_its_old_bits(void)
{
	ch_begin(VHDX, 2 * MIB, 512);
	ch_put(2 * MIB, 65536, 1);
	T_OK(vhdx_blk_discard(ch.blk, 2 * MIB, 2 * MIB, &t_err));
	memset(ch.model + 2 * MIB, 0, 2 * MIB);
	ch_check_all();
	ch_put(2 * MIB + 8192, 512, 2);
	ch_check_twice();
	ch_end();
}

static void random_work_matches_the_model(void)
{
	ch_torture(VHDX, MIB, 512, 1);
	ch_torture(VHDX, 2 * MIB, 512, 2);
	ch_torture(VHDX, 32 * MIB, 512, 3);
	ch_torture(VHDX, 2 * MIB, 4096, 4);
	ch_torture(VHDX, 256 * MIB, 512, 5);
}

/* ---- in flight together ------------------------------------------------ */

static void writes_in_flight_to_shared_blocks_all_count(void)
{
	ch_writes_in_flight_all_count(VHDX);
}

static void the_map_names_the_layer(void)
{
	struct vhdx_extent x;

	ch_begin(VHDX, 2 * MIB, 512);
	ch_zero(0, CH_SIZE);
	ch_close();
	ch_create(2 * MIB, CH_SIZE);
	ch_open(VHDX_OPEN_WRITE);
	ch_put(2 * MIB + 512, 512, 1);
	T_OK(vhdx_blk_map(ch.blk, 2 * MIB + 512, MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0 && x.len == 512);
	T_OK(vhdx_blk_map(ch.blk, 2 * MIB + 1024, MIB, &x, &t_err));
	T_TRUE(x.depth == 1 || x.kind != VHDX_EXTENT_DATA);
	ch_close();
	ch_end();
}

static void without_its_parent_a_child_does_not_guess(void)
{
	ch_does_not_guess_without_parent(VHDX);
}

/* Where a sector's bit is clear anything may lie, a write that failed left it,
 * say: it must not show once the bit is set. */
static void zeros_that_are_copied_onto_zeros_hide_what_lies_there(void)
{
	static uint8_t from[64 * KIB], junk[64 * KIB];
	struct vhdx_copy copy = memory_blk_copy(from);
	struct vhdx_req req = { .op = VHDX_OP_COPY, .voff = 4 * MIB,
				.len = sizeof(from), .copy = &copy,
				.flags = VHDX_REQ_ONTO_ZEROS, .err = &t_err };
	struct vhdx_extent x;

	ch_begin(VHDX, 2 * MIB, 512);
	ch_close();
	ch_create(2 * MIB, CH_SIZE);
	ch_open(VHDX_OPEN_WRITE);
	ch_put(5 * MIB, 512, 1);
	T_OK(vhdx_blk_map(ch.blk, 5 * MIB, 512, &x, &t_err));
	t_fill(junk, sizeof(junk), 2);
	memimg_write(&ch.child, x.host_off - MIB, junk, sizeof(junk));
	t_fill(from, 512, 3);
	t_fill(from + sizeof(from) - 512, 512, 4);
	memcpy(ch.model + 4 * MIB, from, sizeof(from));
	T_OK(vhdx_blk_run(ch.blk, &req));
	ch_check_twice();
	ch_end();
}

static const struct t_test tests[] = {
	T_TEST(an_empty_child_shows_its_parent),
	T_TEST(a_sector_written_hides_that_sector_only),
	T_TEST(a_whole_block_needs_no_bitmap),
	T_TEST(bits_of_a_whole_block_mean_nothing),
	T_TEST(a_child_is_the_same_disk_in_another_file),
	T_TEST(zeroes_never_show_the_parent),
	T_TEST(a_discarded_block_forgets_its_old_bits),
	T_TEST(random_work_matches_the_model),
	T_TEST(writes_in_flight_to_shared_blocks_all_count),
	T_TEST(the_map_names_the_layer),
	T_TEST(without_its_parent_a_child_does_not_guess),
	T_TEST(zeros_that_are_copied_onto_zeros_hide_what_lies_there),
	T_END,
};

const struct t_suite t_suite_vhdx_child = { "vhdx_child", tests };
