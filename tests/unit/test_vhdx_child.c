/* SPDX-License-Identifier: MIT */
/*
 * A differencing VHDX disk over its parent, both in memory: what shows through
 * and what never may, checked against a byte-for-byte model.
 */
#include <string.h>

#include "chain.h"
#include "file_mem.h"
#include "locator.h"
#include "t.h"
#include "vhdx_create.h"

#define SIZE (40 * MIB)

static struct loop *loop;
static struct memimg base_disk, child_disk;
static struct vhdx_blk *blk;
static uint8_t *model; /* SIZE bytes */

static void fill_opts(struct vhdx_create_opts *o, uint32_t block_len,
		      uint32_t sector_len)
{
	*o = (struct vhdx_create_opts){ .format = VHDX_FORMAT_VHDX,
					.type = VHDX_TYPE_DYNAMIC,
					.type_given = true,
					.size_len = SIZE,
					.block_len = block_len,
					.sector_len = sector_len,
					.physical_sector_len = 4096 };
}

static struct image *open_image(struct memimg *disk, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;
	struct file *f;

	T_OK(file_mem_new(loop, "layer", disk, &f, &t_err));
	T_OK(vhdx_image_open(f, &o, &img, &t_err));
	return img;
}

static void create_base(uint32_t sector_len)
{
	struct vhdx_create_opts o;
	uint64_t seed = 5;
	struct file *f;

	fill_opts(&o, 4 * MIB, sector_len);
	T_OK(file_mem_new(loop, "base", &base_disk, &f, &t_err));
	T_OK(vhdx_image_create(f, &o, &t_err));
	file_close(f);
	T_OK(blk_new(open_image(&base_disk, VHDX_OPEN_WRITE), loop, false, &blk,
		     &t_err));
	for (int i = 0; i < 30; i++) {
		uint64_t voff = t_rand_below(&seed, SIZE / 65536) * 65536;

		t_fill(model + voff, 65536, (uint64_t)i);
		T_OK(vhdx_blk_write(blk, voff, model + voff, 65536, &t_err));
	}
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void create_child(uint32_t block_len, uint32_t sector_len)
{
	struct image *parent = open_image(&base_disk, 0);
	struct create_child child;
	struct vhdx_create_opts o;
	struct locator loc = { 0 };
	uint8_t item[1024];
	char guid[64] = "{";
	struct file *f;

	guid_format(&parent->identity, guid + 1);
	strcat(guid, "}");
	T_OK(locator_set(&loc, "parent_linkage", guid, &t_err));
	T_OK(locator_set(&loc, "relative_path", ".\\base", &t_err));
	fill_opts(&o, block_len, sector_len);
	o.type = VHDX_TYPE_DIFFERENCING;
	vhdx_image_as_parent(parent, &child);
	child.locator_len = locator_encode(&loc, item);
	child.locator = item;
	T_OK(file_mem_new(loop, "child", &child_disk, &f, &t_err));
	T_OK(vhdx_child_create(f, &o, &child, &t_err));
	file_close(f);
	locator_free(&loc);
	T_OK(parent->ops->close(parent, &t_err));
}

static void open_child(unsigned flags)
{
	struct chain *c;

	T_OK(chain_of(open_image(&child_disk, flags), &c, &t_err));
	c->layers[c->cnt++] = open_image(&base_disk, 0);
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
}

static void begin(uint32_t block_len, uint32_t sector_len)
{
	T_OK(loop_new(&loop, &t_err));
	model = calloc(1, SIZE);
	create_base(sector_len);
	create_child(block_len, sector_len);
	open_child(VHDX_OPEN_WRITE);
}

static void close_child(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
}

static void end(void)
{
	loop_free(loop);
	memimg_free(&base_disk);
	memimg_free(&child_disk);
	free(model);
}

static void check_all(void)
{
	uint8_t *buf = malloc(MIB);

	for (uint64_t voff = 0; voff < SIZE; voff += MIB) {
		T_OK(vhdx_blk_read(blk, voff, buf, MIB, &t_err));
		T_TRUE(memcmp(buf, model + voff, MIB) == 0);
	}
	free(buf);
}

static void put(uint64_t voff, uint64_t len, uint64_t seed)
{
	t_fill(model + voff, len, seed);
	T_OK(vhdx_blk_write(blk, voff, model + voff, len, &t_err));
}

static void zero(uint64_t voff, uint64_t len)
{
	memset(model + voff, 0, len);
	T_OK(vhdx_blk_write_zeroes(blk, voff, len, &t_err));
}

static void check_sound(void)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res };

	T_OK(file_mem_new(loop, "child", &child_disk, &c.file, &t_err));
	T_OK(vhdx_image_check(&c, &t_err));
	T_EQ_U64(res.errors + res.warnings, 0);
	file_close(c.file);
}

static void an_empty_child_shows_its_parent(void)
{
	begin(2 * MIB, 512);
	check_all();
	close_child();
	check_sound();
	end();
}

static void a_sector_written_hides_that_sector_only(void)
{
	begin(2 * MIB, 512);
	for (uint64_t i = 0; i < 20; i++)
		put(i * 2 * MIB + i * 512, 512, 100 + i);
	check_all();
	close_child();
	open_child(0);
	check_all();
	close_child();
	check_sound();
	end();
}

static void a_whole_block_needs_no_bitmap(void)
{
	struct vhdx_extent x;

	begin(MIB, 512);
	put(4 * MIB, 4 * MIB, 7);
	check_all();
	T_OK(vhdx_blk_map(blk, 4 * MIB, 8 * MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0 && x.len == 4 * MIB);
	close_child();
	check_sound();
	end();
}

/* Its chunk has a bitmap, in which its bits are clear. */
static void bits_of_a_whole_block_mean_nothing(void)
{
	begin(MIB, 512);
	put(5 * MIB + 512, 512, 1);
	put(6 * MIB, MIB, 2);
	check_all();
	close_child();
	open_child(0);
	check_all();
	close_child();
	end();
}

/* IsVirtualDisk: a guest must not see another disk after a checkpoint. */
static void a_child_is_the_same_disk_in_another_file(void)
{
	struct vhdx_info child, parent;
	const char *path;

	begin(MIB, 512);
	vhdx_get_layer(blk, 0, &child, &path);
	vhdx_get_layer(blk, 1, &parent, &path);
	T_TRUE(memcmp(child.disk_id, parent.disk_id, 16) == 0);
	T_TRUE(memcmp(child.data_write_guid, parent.data_write_guid,
		      16) != 0);
	close_child();
	end();
}

static void zeroes_never_show_the_parent(void)
{
	begin(2 * MIB, 512);
	zero(0, 4 * MIB);	    /* whole blocks, nothing here yet */
	zero(6 * MIB + 512, 3 * MIB); /* parts */
	put(20 * MIB, 4096, 1);
	zero(20 * MIB + 512, 1024);
	check_all();
	put(MIB, 512, 3); /* into a ZERO block: the rest stays zero */
	check_all();
	close_child();
	open_child(0);
	check_all();
	close_child();
	check_sound();
	end();
}

static void a_discarded_block_forgets_its_old_bits(void)
{
	begin(2 * MIB, 512);
	put(2 * MIB, 65536, 1);
	T_OK(vhdx_blk_discard(blk, 2 * MIB, 2 * MIB, &t_err));
	memset(model + 2 * MIB, 0, 2 * MIB);
	check_all();
	put(2 * MIB + 8192, 512, 2);
	check_all();
	close_child();
	open_child(0);
	check_all();
	close_child();
	end();
}

/* Random work on one geometry, reopened now and then. */
static void torture(uint32_t block_len, uint32_t sector_len, uint64_t seed)
{
	begin(block_len, sector_len);
	for (int i = 0; i < 400; i++) {
		uint64_t n = SIZE / sector_len;
		uint64_t from = t_rand_below(&seed, n);
		uint64_t big = t_rand_below(&seed, 8) == 0;
		uint64_t max = big ? 5 * MIB / sector_len : 64;
		uint64_t cnt = u64_min(n - from, 1 + t_rand_below(&seed, max));
		uint64_t what = t_rand_below(&seed, 20);

		if (what < 12)
			put(from * sector_len, cnt * sector_len, seed);
		else if (what < 17)
			zero(from * sector_len, cnt * sector_len);
		else if (what < 19)
			T_OK(vhdx_blk_flush(blk, &t_err));
		if (i % 80 == 79) {
			check_all();
			close_child();
			check_sound();
			open_child(VHDX_OPEN_WRITE);
		}
	}
	check_all();
	close_child();
	end();
}

static void random_work_matches_the_model(void)
{
	torture(MIB, 512, 1);
	torture(2 * MIB, 512, 2);
	torture(32 * MIB, 512, 3);
	torture(2 * MIB, 4096, 4);
	torture(256 * MIB, 512, 5);
}

/* ---- in flight together ------------------------------------------------ */

struct burst {
	struct vhdx_req req;
	struct iovec iov;
};

static unsigned burst_left;

static void burst_done(struct vhdx_req *req)
{
	T_OK(req->result);
	burst_left--;
}

static void writes_in_flight_to_shared_blocks_all_count(void)
{
	enum { N = 2000 };
	struct burst *b = calloc(N, sizeof(*b));

	begin(2 * MIB, 512);
	burst_left = N;
	for (unsigned i = 0; i < N; i++) {
		uint64_t voff = (uint64_t)i * 40 * 512;

		t_fill(model + voff, 1024, i);
		b[i].iov = (struct iovec){ model + voff, 1024 };
		b[i].req = (struct vhdx_req){ .op = VHDX_OP_WRITE,
					      .voff = voff,
					      .len = 1024,
					      .iov = &b[i].iov,
					      .iov_cnt = 1,
					      .err = &t_err,
					      .done = burst_done };
		vhdx_blk_submit(blk, &b[i].req);
	}
	vhdx_blk_drain(blk);
	T_EQ_U64(burst_left, 0);
	check_all();
	close_child();
	open_child(0);
	check_all();
	close_child();
	check_sound();
	free(b);
	end();
}

static void the_map_names_the_layer(void)
{
	struct vhdx_extent x;

	begin(2 * MIB, 512);
	zero(0, SIZE);
	close_child();
	memimg_free(&child_disk);
	create_child(2 * MIB, 512);
	open_child(VHDX_OPEN_WRITE);
	put(2 * MIB + 512, 512, 1);
	T_OK(vhdx_blk_map(blk, 2 * MIB + 512, MIB, &x, &t_err));
	T_TRUE(x.kind == VHDX_EXTENT_DATA && x.depth == 0 && x.len == 512);
	T_OK(vhdx_blk_map(blk, 2 * MIB + 1024, MIB, &x, &t_err));
	T_TRUE(x.depth == 1 || x.kind != VHDX_EXTENT_DATA);
	close_child();
	end();
}

static void without_its_parent_a_child_does_not_guess(void)
{
	uint8_t sector[512];

	begin(2 * MIB, 512);
	put(2 * MIB, 512, 1);
	close_child();
	T_OK(blk_new(open_image(&child_disk, 0), loop, false, &blk, &t_err));
	T_OK(vhdx_blk_read(blk, 2 * MIB, sector, 512, &t_err));
	T_TRUE(memcmp(sector, model + 2 * MIB, 512) == 0);
	T_FAILS(vhdx_blk_read(blk, 2 * MIB + 512, sector, 512, &t_err),
		VHDX_E_NOPARENT, "not open");
	close_child();
	end();
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
	T_END,
};

const struct t_suite t_suite_vhdx_child = { "vhdx_child", tests };
