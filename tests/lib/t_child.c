/* SPDX-License-Identifier: MIT */
#include "t_child.h"

#include <string.h>

#include "chain.h"
#include "file_mem.h"
#include "t.h"

#define BLOCK ((uint32_t)(2 * MIB))

struct t_child ch;

static bool is_vhd(void)
{
	return ch.format == VHDX_FORMAT_VHD;
}

static struct vhdx_create_opts opts_of(enum vhdx_type type, uint32_t block_len,
				       uint64_t size_len)
{
	return (struct vhdx_create_opts){
		.format = ch.format,
		.type = type,
		.type_given = true,
		.size_len = size_len,
		.block_len = block_len,
		.sector_len = ch.sector_len,
		.physical_sector_len = is_vhd() ? 512 : 4096,
		.parent = "/t/base",
	};
}

static struct image *open_file(struct file *f, unsigned flags)
{
	struct image_open_opts o = { .flags = flags };
	struct image *img;

	f->writable = flags & VHDX_OPEN_WRITE;
	T_OK(image_open(f, ch.format, &o, &img, &t_err));
	return img;
}

static struct image *open_base(unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(ch.loop, "/t/base", &ch.base, &f, &t_err));
	return open_file(f, flags);
}

struct image *ch_image(unsigned flags)
{
	struct file *f;

	T_OK(file_mem_new(ch.loop, "/t/child", &ch.child, &f, &t_err));
	f->writable = flags & VHDX_OPEN_WRITE;
	return open_file(ch.wrap ? ch.wrap(f) : f, flags);
}

static void create_base(uint64_t size_len)
{
	struct vhdx_create_opts o =
		opts_of(VHDX_TYPE_DYNAMIC, is_vhd() ? BLOCK : 2 * BLOCK,
			size_len);
	uint64_t seed = 5;
	struct vhdx_blk *blk;
	struct file *f;

	T_OK(file_mem_new(ch.loop, "/t/base", &ch.base, &f, &t_err));
	T_OK((is_vhd() ? vhd1_image_create : vhdx_image_create)(f, &o,
								&t_err));
	file_close(f);
	T_OK(blk_new(open_base(VHDX_OPEN_WRITE), ch.loop, false, &blk,
		     &t_err));
	for (int i = 0; i < 30; i++) {
		uint64_t voff = t_rand_below(&seed, size_len / 65536) * 65536;
		uint8_t *data = ch.model + voff;

		t_fill(data, 65536, (uint64_t)i);
		T_OK(vhdx_blk_write(blk, voff, data, 65536, &t_err));
	}
	T_OK(vhdx_blk_close(blk, &t_err));
}

void ch_create(uint32_t block_len, uint64_t size_len)
{
	struct vhdx_create_opts o = opts_of(VHDX_TYPE_DIFFERENCING, block_len,
					    size_len);
	struct image *parent = open_base(0);
	struct file *f;

	memimg_free(&ch.child);
	T_OK(file_mem_new(ch.loop, "/t/child", &ch.child, &f, &t_err));
	T_OK((is_vhd() ? vhd1_image_create_child : vhdx_image_create_child)(
		f, "/t/child", &o, parent, &t_err));
	file_close(f);
	T_OK(parent->ops->close(parent, &t_err));
}

void ch_open(unsigned flags)
{
	struct chain *c;

	T_OK(chain_of(ch_image(flags), &c, &t_err));
	c->layers[c->cnt++] = open_base(0);
	T_OK(blk_new_chain(c, ch.loop, false, &ch.blk, &t_err));
}

void ch_close(void)
{
	T_OK(vhdx_blk_close(ch.blk, &t_err));
}

void ch_begin_sized(enum vhdx_format format, uint64_t base_len,
		    uint32_t block_len, uint64_t child_len, uint32_t sector_len)
{
	ch.format = format;
	ch.sector_len = sector_len;
	T_OK(loop_new(&ch.loop, &t_err));
	ch.model = calloc(1, CH_SIZE);
	create_base(base_len);
	ch_create(block_len, child_len);
	ch_open(VHDX_OPEN_WRITE);
}

void ch_begin(enum vhdx_format format, uint32_t block_len, uint32_t sector_len)
{
	ch_begin_sized(format, CH_SIZE, block_len, CH_SIZE, sector_len);
}

void ch_end(void)
{
	loop_free(ch.loop);
	memimg_free(&ch.base);
	memimg_free(&ch.child);
	free(ch.model);
	memset(&ch, 0, sizeof(ch));
}

void ch_put(uint64_t voff, uint64_t len, uint64_t seed)
{
	t_fill(ch.model + voff, len, seed);
	T_OK(vhdx_blk_write(ch.blk, voff, ch.model + voff, len, &t_err));
}

void ch_zero(uint64_t voff, uint64_t len)
{
	memset(ch.model + voff, 0, len);
	T_OK(vhdx_blk_write_zeroes(ch.blk, voff, len, &t_err));
}

void ch_check_all(void)
{
	uint8_t *buf = malloc(MIB);

	for (uint64_t voff = 0; voff < CH_SIZE; voff += MIB) {
		T_OK(vhdx_blk_read(ch.blk, voff, buf, MIB, &t_err));
		T_TRUE(memcmp(buf, ch.model + voff, MIB) == 0);
	}
	free(buf);
}

void ch_check_sound(void)
{
	struct vhdx_check_result res = { 0 };
	struct check c = { .result = &res };

	T_OK(file_mem_new(ch.loop, "/t/child", &ch.child, &c.file, &t_err));
	T_OK((is_vhd() ? vhd1_image_check : vhdx_image_check)(&c, &t_err));
	T_EQ_U64(res.errors + res.warnings, 0);
	file_close(c.file);
}

void ch_check_twice(void)
{
	ch_check_all();
	ch_close();
	ch_check_sound();
	ch_open(0);
	ch_check_all();
	ch_close();
}

static void burst_done(struct vhdx_req *req)
{
	ch.bursts_left--;
	ch.bursts_bad += req->result != 0;
}

struct ch_burst *ch_burst(unsigned n, uint64_t step, uint32_t len)
{
	struct ch_burst *b = calloc(n, sizeof(*b));

	ch.bursts_left = n;
	ch.bursts_bad = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t voff = i * step;
		uint8_t *data = ch.model + (n * step > CH_SIZE ? i * 512
							       : voff);

		t_fill(data, len, i);
		b[i].iov = (struct iovec){ data, len };
		b[i].req = (struct vhdx_req){ .op = VHDX_OP_WRITE,
					      .voff = voff,
					      .len = len,
					      .iov = &b[i].iov,
					      .iov_cnt = 1,
					      .err = &b[i].err,
					      .done = burst_done };
		vhdx_blk_submit(ch.blk, &b[i].req);
	}
	return b;
}

/* ---- claims that hold for both formats ----------------------------------- */

static void random_work(uint64_t *seed)
{
	uint64_t n = CH_SIZE / ch.sector_len;
	uint64_t from = t_rand_below(seed, n);
	uint64_t max = t_rand_below(seed, 8) ? 64 : 5 * MIB / ch.sector_len;
	uint64_t cnt = u64_min(n - from, 1 + t_rand_below(seed, max));
	uint64_t what = t_rand_below(seed, 20);

	if (what < 12)
		ch_put(from * ch.sector_len, cnt * ch.sector_len, *seed);
	else if (what < 17)
		ch_zero(from * ch.sector_len, cnt * ch.sector_len);
	else if (what < 19)
		T_OK(vhdx_blk_flush(ch.blk, &t_err));
}

void ch_torture(enum vhdx_format format, uint32_t block_len,
		uint32_t sector_len, uint64_t seed)
{
	ch_begin(format, block_len, sector_len);
	for (int i = 0; i < 400; i++) {
		random_work(&seed);
		if (i % 80 != 79)
			continue;
		ch_check_twice();
		ch_open(VHDX_OPEN_WRITE);
	}
	ch_check_all();
	ch_close();
	ch_end();
}

void ch_empty_child_shows_its_parent(enum vhdx_format format)
{
	ch_begin(format, BLOCK, 512);
	ch_check_twice();
	ch_end();
}

void ch_sector_hides_itself_only(enum vhdx_format format)
{
	ch_begin(format, BLOCK, 512);
	for (uint64_t i = 0; i < 20; i++)
		ch_put(i * BLOCK + i * 512, 512, 100 + i);
	ch_check_twice();
	ch_end();
}

void ch_writes_in_flight_all_count(enum vhdx_format format)
{
	struct ch_burst *b;

	ch_begin(format, BLOCK, 512);
	b = ch_burst(2000, 20 * KIB, 1024);
	vhdx_blk_drain(ch.blk);
	T_EQ_U64(ch.bursts_left, 0);
	T_EQ_U64(ch.bursts_bad, 0);
	free(b);
	ch_check_twice();
	ch_end();
}

void ch_does_not_guess_without_parent(enum vhdx_format format)
{
	uint8_t sector[512];

	ch_begin(format, BLOCK, 512);
	ch_put(BLOCK, 512, 1);
	ch_close();
	T_OK(blk_new(ch_image(0), ch.loop, false, &ch.blk, &t_err));
	T_OK(vhdx_blk_read(ch.blk, BLOCK, sector, 512, &t_err));
	T_TRUE(memcmp(sector, ch.model + BLOCK, 512) == 0);
	T_FAILS(vhdx_blk_read(ch.blk, BLOCK + 512, sector, 512, &t_err),
		VHDX_E_NOPARENT, "not open");
	ch_close();
	ch_end();
}
