/* SPDX-License-Identifier: MIT */
/*
 * Deep chains of toy images, whose map is a letter per sector, read through the
 * index and compared with a plain walk over the letters. Layer n's data is the
 * byte n + 1 everywhere.
 */
#include "t.h"

#include <string.h>

#include "chain.h"
#include "file_mem.h"
#include "mem.h"
#include "owner.h"
#include "t_chain.h"

#define SECTOR 512u
#define SIZE (9 * MIB + 3 * SECTOR) /* several granules, the last one short */

struct toy {
	struct image img;
	uint32_t step;	/* answers end at multiples of it, as blocks do */
	bool late;	/* answers come later */
	unsigned *asked;
	char map[SIZE / SECTOR]; /* Parent Data Zero Unmapped Bad */
};

struct late {
	struct loop_task task;
	struct image_map *m;
};

static struct loop *loop;
static struct toy *toys[CHAIN_MAX];
static unsigned toy_cnt, asked;
static struct vhdx_blk *blk;

static struct toy *toy_of(struct image *img)
{
	return container_of(img, struct toy, img);
}

static void answer_late(struct loop_task *t)
{
	struct image_map *m = container_of(t, struct late, task)->m;

	m->done(m);
}

static bool toy_map_read(struct image *img, struct image_map *m)
{
	struct toy *t = toy_of(img);
	uint64_t at = m->voff / SECTOR, end = (m->voff + m->len) / SECTOR;
	uint64_t block_end = (m->voff / t->step + 1) * t->step / SECTOR;
	struct late *l = (struct late *)(void *)m->priv;
	uint64_t to = at;

	++*t->asked;
	T_TRUE(m->voff + m->len <= img->size_len && m->len);
	while (to < end && to < block_end && t->map[to] == t->map[at])
		to++;
	m->len = (to - at) * SECTOR;
	m->kind = t->map[at] == 'P' ? MAP_PARENT : t->map[at] == 'D' ?
		  MAP_DATA : t->map[at] == 'Z' ? MAP_ZERO : MAP_UNMAPPED;
	m->file = img->file;
	m->file_off = m->voff;
	m->res = t->map[at] == 'B' ? err_set(&m->err, VHDX_E_IO, "bad") : 0;
	if (!t->late)
		return true;
	loop_task_init(&l->task, answer_late);
	l->m = m;
	loop_defer(loop, &l->task);
	return false;
}

static bool toy_map_write(struct image *img, struct image_map *m)
{
	m->kind = MAP_DATA;
	m->file = img->file;
	m->file_off = m->voff;
	return true;
}

static bool toy_end_write(struct image *img, struct image_map *m, bool ok)
{
	T_TRUE(ok);
	memset(toy_of(img)->map + m->voff / SECTOR, 'D', m->len / SECTOR);
	return true;
}

static bool toy_unmap(struct image *img, struct image_map *m, bool zeroes)
{
	memset(toy_of(img)->map + m->voff / SECTOR, zeroes ? 'Z' : 'U',
	       m->len / SECTOR);
	m->kind = MAP_ZERO;
	return true;
}

static int toy_close(struct image *img, struct vhdx_err *e)
{
	err_clear(e);
	file_close(img->file);
	free(toy_of(img));
	return 0;
}

static const struct image_ops toy_ops = {
	.map_read = toy_map_read, .map_write = toy_map_write,
	.end_write = toy_end_write, .unmap = toy_unmap, .close = toy_close,
};

/* Layers that hold nothing, of the same size; the last one holds all. */
static void begin(unsigned cnt)
{
	uint8_t *data = malloc(SIZE);

	T_OK(loop_new(&loop, &t_err));
	toy_cnt = cnt;
	asked = 0;
	for (unsigned i = 0; i < cnt; i++) {
		struct toy *t = toys[i] = calloc(1, sizeof(*t));

		t->img.ops = &toy_ops;
		t->img.size_len = SIZE;
		t->img.sector_len = SECTOR;
		t->step = 64 * MIB;
		t->asked = &asked;
		memset(t->map, i + 1 < cnt ? 'P' : 'D', sizeof(t->map));
		T_OK(file_mem_new(loop, "toy", NULL, &t->img.file, &t_err));
		memset(data, (int)i + 1, SIZE);
		memimg_write(file_mem_img(t->img.file), 0, data,
			     cnt < 40 ? SIZE : SECTOR);
		t->img.file->size = SIZE;
	}
	free(data);
}

static void stack(bool writable)
{
	struct chain *c;

	toys[0]->img.writable = writable;
	T_OK(chain_of(&toys[0]->img, &c, &t_err));
	while (c->cnt < toy_cnt) {
		c->layers[c->cnt] = &toys[c->cnt]->img;
		c->cnt++;
	}
	T_OK(blk_new_chain(c, loop, false, &blk, &t_err));
}

static void end(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
	loop_free(loop);
}

/* The letter and layer that a plain walk finds. */
static char plain(uint64_t sector, unsigned *layer)
{
	unsigned i = 0;

	while (toys[i]->map[sector] == 'P') {
		*layer = i;
		if (++i == toy_cnt)
			return 'P';
		if (sector * SECTOR >= toys[i]->img.size_len)
			return 'Z';
	}
	*layer = i;
	return toys[i]->map[sector];
}

/* What reading the range must give: its code, and its bytes. */
static int expected(uint64_t voff, uint64_t len, uint8_t *buf)
{
	for (uint64_t at = 0; at < len; at += SECTOR) {
		unsigned layer = 0;
		char c = plain((voff + at) / SECTOR, &layer);

		if (c == 'B' || c == 'P')
			return c == 'B' ? VHDX_E_IO : VHDX_E_NOPARENT;
		memset(buf + at, c == 'D' ? (int)layer + 1 : 0, SECTOR);
	}
	return 0;
}

static bool read_is_right(uint64_t voff, uint64_t len)
{
	static uint8_t got[4 * MIB], want[4 * MIB];
	int rc = expected(voff, len, want);

	if (vhdx_blk_read(blk, voff, got, len, &t_err) != rc)
		return false;
	return rc || memcmp(got, want, len) == 0;
}

static void set(unsigned layer, uint64_t from, uint64_t to, char c)
{
	memset(toys[layer]->map + from, c, to - from);
}

/* Ends of ranges are often where granules and pieces end. */
static uint64_t random_sector(uint64_t *seed, uint64_t size_len)
{
	static const uint64_t unit[] = { 512, 4096, 65536, 262144, 2097152 };
	uint64_t u = unit[t_rand_below(seed, ARRAY_LEN(unit))];

	return t_rand_below(seed, div_up(size_len, u)) * u / SECTOR;
}

static void scatter(uint64_t *seed, unsigned layer, unsigned cnt)
{
	struct toy *t = toys[layer];

	t->step = 4096u << t_rand_below(seed, 12);
	t->late = t_rand_below(seed, 2);
	while (cnt--) {
		uint64_t from = random_sector(seed, SIZE);
		uint64_t to = from + 1 + t_rand_below(seed, 1u <<
						t_rand_below(seed, 12));

		set(layer, from, u64_min(to, SIZE / SECTOR),
		    "DDDDZUP"[t_rand_below(seed, 7)]);
	}
}

static void read_at_random(uint64_t *seed, unsigned cnt)
{
	while (cnt--) {
		uint64_t from = random_sector(seed, SIZE);
		uint64_t cnt_max = SIZE / SECTOR - from;
		uint64_t len = 1 + t_rand_below(seed, 1u <<
						t_rand_below(seed, 13));

		T_TRUE(read_is_right(from * SECTOR,
				     u64_min(len, cnt_max) * SECTOR));
	}
}

static void random_chains_read_as_a_plain_walk(void)
{
	for (uint64_t seed = 1, n = 0; n < 40; n++) {
		begin(3 + (unsigned)t_rand_below(&seed, 6));
		for (unsigned i = 0; i < toy_cnt; i++)
			scatter(&seed, i, (unsigned)t_rand_below(&seed, 40));
		for (unsigned i = 1; i < toy_cnt; i++)
			if (t_rand_below(&seed, 4) == 0)
				toys[i]->img.size_len = SECTOR +
					random_sector(&seed, SIZE) * SECTOR;
		if (n % 5 == 0)
			scatter(&seed, toy_cnt - 1, 1);
		if (n % 7 == 0)
			set(toy_cnt / 2, 5000, 5001, 'B');
		stack(n % 2);
		read_at_random(&seed, 200);
		end();
	}
}

static void many_readers_at_once_agree(void)
{
	static struct vhdx_req req[64];
	static uint8_t got[64][8192], want[8192];
	uint64_t seed = 3;

	begin(6);
	for (unsigned i = 0; i < 6; i++) {
		scatter(&seed, i, 60);
		toys[i]->late = i % 2 == 0;
	}
	set(5, 0, SIZE / SECTOR, 'D');
	stack(false);
	for (unsigned n = 0; n < 64; n++) {
		static struct iovec iov[64];

		iov[n] = (struct iovec){ got[n], 8192 };
		req[n].op = VHDX_OP_READ;
		req[n].voff = t_rand_below(&seed, 600) * 8192;
		req[n].len = 8192;
		req[n].iov = &iov[n];
		req[n].iov_cnt = 1;
		vhdx_blk_submit(blk, &req[n]);
	}
	vhdx_blk_drain(blk);
	for (unsigned n = 0; n < 64; n++) {
		T_OK(expected(req[n].voff, 8192, want));
		T_TRUE(memcmp(got[n], want, 8192) == 0);
	}
	end();
}

static void what_the_leaf_takes_is_seen_at_once(void)
{
	static const uint8_t fresh[4096] = { [0 ... 4095] = 9 };
	uint8_t buf[4096];

	begin(5);
	stack(true);
	T_TRUE(read_is_right(MIB, 65536));
	T_OK(vhdx_blk_write(blk, MIB, fresh, 4096, &t_err));
	T_OK(vhdx_blk_read(blk, MIB, buf, 4096, &t_err));
	T_TRUE(memcmp(buf, fresh, 4096) == 0);
	T_OK(vhdx_blk_write_zeroes(blk, MIB + 4096, 4096, &t_err));
	T_OK(vhdx_blk_read(blk, MIB + 4096, buf, 4096, &t_err));
	T_TRUE(buf[0] == 0 && buf[4095] == 0);
	T_TRUE(read_is_right(MIB + 8192, 4096));
	end();
}

/* Real images: /m/0 the base, /m/4 the leaf, with data here and there. */
static struct vhdx_blk *open_real(struct t_chain *tc, enum vhdx_format format,
				  uint8_t *model)
{
	struct chain_opts co = { .flags = VHDX_OPEN_WRITE };
	char path[8] = "/m/0", under[8];
	struct vhdx_blk *out;
	struct chain *c;

	t_chain_begin(tc, NULL);
	tc->format = format;
	for (unsigned i = 0; i < 5; i++) {
		strcpy(under, path);
		path[3] = (char)('0' + i);
		t_chain_create(tc, path, i ? under : NULL, MIB, T_CHAIN_LEN);
		for (uint64_t voff = i * 65536; voff < T_CHAIN_LEN;
		     voff += 7 * 65536) {
			t_chain_write(tc, path, voff, 65536, voff + i);
			t_fill(model + voff, 65536, voff + i);
		}
	}
	T_OK(chain_open(&tc->oc.opener, tc->loop, path, &co, &c, &t_err));
	T_OK(blk_new_chain(c, tc->loop, false, &out, &t_err));
	return out;
}

/* Blocks of the leaf become partly present, whole, zero and unmapped, in any
 * order; parts of a block are only hidden by what is written. */
static void change_real(struct vhdx_blk *real, bool vhd, uint8_t *model,
			uint64_t *seed)
{
	uint64_t what = t_rand_below(seed, 4);
	bool whole = what > 1 || t_rand_below(seed, 8) == 0;
	uint64_t unit = whole ? MIB : 512;
	uint64_t voff = t_rand_below(seed, T_CHAIN_LEN / unit) * unit;
	uint64_t len = whole ? MIB : u64_min(T_CHAIN_LEN - voff,
				(1 + t_rand_below(seed, 200)) * 512);

	if (what == 0) {
		t_fill(model + voff, len, *seed);
		T_OK(vhdx_blk_write(real, voff, model + voff, len, &t_err));
		return;
	}
	if (what == 3 && !vhd)
		T_OK(vhdx_blk_discard(real, voff, len, &t_err));
	else
		T_OK(vhdx_blk_write_zeroes(real, voff, len, &t_err));
	memset(model + voff, 0, len);
}

static void every_change_of_a_leaf_is_seen_through_the_index(void)
{
	uint8_t *model = calloc(1, T_CHAIN_LEN), *got = malloc(T_CHAIN_LEN);

	for (uint64_t seed = 1; seed <= 6; seed++) {
		bool vhd = seed % 2 == 0;
		struct t_chain tc;
		struct vhdx_blk *real;
		uint64_t s = seed;

		memset(model, 0, T_CHAIN_LEN);
		real = open_real(&tc, vhd ? VHDX_FORMAT_VHD : VHDX_FORMAT_VHDX,
				 model);
		for (unsigned i = 0; i < 60; i++) {
			T_OK(vhdx_blk_read(real, 0, got, T_CHAIN_LEN, &t_err));
			T_TRUE(memcmp(got, model, T_CHAIN_LEN) == 0);
			change_real(real, vhd, model, &s);
		}
		T_OK(vhdx_blk_close(real, &t_err));
		t_chain_end(&tc);
	}
	free(model);
	free(got);
}

static void beyond_a_smaller_parent_are_zeros(void)
{
	begin(5);
	toys[2]->img.size_len = 3 * MIB + 5 * SECTOR;
	stack(false);
	for (unsigned twice = 0; twice < 2; twice++) {
		T_TRUE(read_is_right(3 * MIB, 4096));
		T_TRUE(read_is_right(2 * MIB, 4 * MIB));
		T_TRUE(read_is_right(5 * MIB, 4096));
	}
	end();
}

static void end_of_a_partial_chain_is_told(void)
{
	begin(4);
	set(3, 100, 5000, 'P');
	stack(false);
	for (unsigned twice = 0; twice < 2; twice++) {
		T_TRUE(read_is_right(0, 100 * SECTOR));
		T_FAILS(vhdx_blk_read(blk, 0, (uint8_t[SECTOR * 101]){ 0 },
				      101 * SECTOR, &t_err),
			VHDX_E_NOPARENT, "offset 51200");
	}
	end();
}

static void damage_nearby_does_not_fail_a_read(void)
{
	begin(5);
	set(2, 0, 1, 'B');
	set(1, 4095, 4096, 'B');
	stack(false);
	T_TRUE(read_is_right(SECTOR, MIB));
	T_TRUE(read_is_right(0, SECTOR));
	T_TRUE(read_is_right(4094 * SECTOR, SECTOR));
	T_TRUE(read_is_right(4094 * SECTOR, 2 * SECTOR));
	end();
}

/* Thirty ranges of whole pieces in each layer but the last. */
static void scatter_pieces(uint64_t *seed)
{
	for (unsigned i = 0; i + 1 < toy_cnt; i++)
		for (unsigned n = 0; n < 30; n++) {
			uint64_t from = t_rand_below(seed, 2240) * 8;

			set(i, from, from + 8 + t_rand_below(seed, 64) * 8,
			    'D');
		}
}

/* The claim of the whole module, counted instead of timed: the leaf where it
 * is writable, and the owner; a few more where a row was replaced. */
static void deep_reads_cost_what_shallow_ones_do(void)
{
	uint64_t seed = 11;

	for (unsigned writable = 0; writable < 2; writable++) {
		begin(33);
		scatter_pieces(&seed);
		stack(writable);
		for (uint64_t voff = 0; voff + 4096 <= SIZE; voff += 4096)
			T_TRUE(read_is_right(voff, 4096));
		asked = 0;
		for (uint64_t voff = 0; voff + 4096 <= SIZE; voff += 4096)
			T_TRUE(read_is_right(voff, 4096));
		T_TRUE(asked <= (1 + writable) * (SIZE / 4096) * 5 / 4);
		end();
	}
}

static void deepest_chain_is_described(void)
{
	begin(CHAIN_MAX);
	stack(false);
	T_TRUE(read_is_right(0, SECTOR));
	asked = 0;
	T_TRUE(read_is_right(0, SECTOR));
	T_EQ_U64(asked, 1);
	end();
}

static void reading_allocates_nothing(void)
{
	uint64_t seed = 7;

	begin(9);
	for (unsigned i = 0; i + 1 < toy_cnt; i++)
		scatter(&seed, i, 30);
	stack(false);
	(void)mem_fail_nth(1);
	read_at_random(&seed, 100);
	T_EQ_U64(mem_fail_nth(0), 0);
	end();
}

static bool map_is_right(uint64_t voff, uint64_t *next)
{
	struct vhdx_extent x;
	uint64_t at = voff / SECTOR;
	unsigned layer = 0, first = 0;
	char c = plain(at, &first);

	T_OK(vhdx_blk_map(blk, voff, SIZE - voff, &x, &t_err));
	*next = voff + x.len;
	T_EQ_U64(x.depth, first);
	T_TRUE(x.kind == (c == 'D' ? VHDX_EXTENT_DATA : c == 'Z' ?
			  VHDX_EXTENT_ZERO : VHDX_EXTENT_UNMAPPED));
	if (c == 'D')
		T_EQ_U64(x.host_off, voff);
	for (; at < *next / SECTOR; at++)
		if (plain(at, &layer) != c || layer != first)
			return false;
	return *next == SIZE || plain(at, &layer) != c || layer != first;
}

static void map_equals_a_plain_walk(void)
{
	for (uint64_t seed = 1, n = 0; n < 20; n++) {
		begin(3 + (unsigned)t_rand_below(&seed, 6));
		for (unsigned i = 0; i < toy_cnt; i++)
			scatter(&seed, i, 30);
		set(toy_cnt - 1, 0, SIZE / SECTOR, 'D');
		toys[1]->img.size_len = n % 3 ? SIZE : 5 * MIB;
		stack(n % 2);
		for (uint64_t voff = 0; voff < SIZE;)
			T_TRUE(map_is_right(voff, &voff));
		end();
	}
}

/* Each layer is asked once for each of its own extents, not for everybody's. */
static void map_of_a_deep_chain_asks_each_layer_seldom(void)
{
	begin(33);
	for (uint64_t s = 0; s < SIZE / SECTOR; s += 16)
		set(31, s, s + 8, 'D');
	stack(false);
	for (uint64_t voff = 0; voff < SIZE;)
		T_TRUE(map_is_right(voff, &voff));
	T_TRUE(asked < 3 * SIZE / SECTOR / 8);
	end();
}

static void few_layers_have_no_index(void)
{
	struct chain *c;
	struct owner *o;

	begin(3);
	T_OK(chain_of(&toys[0]->img, &c, &t_err));
	c->layers[1] = &toys[1]->img;
	c->layers[2] = &toys[2]->img;
	c->cnt = 2;
	T_OK(owner_new(c, &o, &t_err));
	T_TRUE(!o);
	c->cnt = 3;
	T_OK(owner_new(c, &o, &t_err));
	T_TRUE(o);
	owner_free(o);
	toys[0]->img.writable = true;
	T_OK(owner_new(c, &o, &t_err));
	T_TRUE(!o);
	T_OK(chain_close(c, &t_err));
	loop_free(loop);
}

static const struct t_test tests[] = {
	T_TEST(random_chains_read_as_a_plain_walk),
	T_TEST(many_readers_at_once_agree),
	T_TEST(what_the_leaf_takes_is_seen_at_once),
	T_TEST(every_change_of_a_leaf_is_seen_through_the_index),
	T_TEST(beyond_a_smaller_parent_are_zeros),
	T_TEST(end_of_a_partial_chain_is_told),
	T_TEST(damage_nearby_does_not_fail_a_read),
	T_TEST(deep_reads_cost_what_shallow_ones_do),
	T_TEST(deepest_chain_is_described),
	T_TEST(reading_allocates_nothing),
	T_TEST(map_equals_a_plain_walk),
	T_TEST(map_of_a_deep_chain_asks_each_layer_seldom),
	T_TEST(few_layers_have_no_index),
	T_END,
};

const struct t_suite t_suite_owner = { "owner", tests };
