/* SPDX-License-Identifier: MIT */
/* A log replayed in memory shows what a replay in place would give. */
#include "file_mem.h"
#include "mem.h"
#include "replay.h"
#include "t.h"
#include "t_log.h"

#define LOG_OFF (2 * MIB)
#define HOME (8 * MIB)
#define AREA (96 * 4096) /* the part of the file that random logs change */

static struct loop *loop;
static struct file *f, *o;
static struct t_log lg;
static struct memimg img;

static void make(void)
{
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "mem", &img, &f, &t_err));
	T_OK(file_truncate(f, HOME + 20 * 4096, &t_err));
	t_log_init(&lg, f, LOG_OFF, MIB);
}

static void overlay(void)
{
	struct replay_seq s;

	T_OK(replay_scan(f, &lg.hdr, &s, &t_err));
	T_OK(file_overlay_new(f, &s, &o, &t_err));
	T_TRUE(s.items == NULL);
}

static void drop(void)
{
	file_close(o);
	loop_free(loop);
	memimg_free(&img);
}

static void random_log(uint64_t seed)
{
	uint8_t page[4096];

	lg.pos = lg.tail = (uint32_t)t_rand_below(&seed, 256) * 4096;
	for (unsigned i = 0; i < 20; i++) {
		t_fill(page, sizeof(page), 1 + i);
		T_OK(file_write(f, HOME + i * 4096, page, 4096, &t_err));
	}
	for (unsigned i = 0; i < 1 + seed % 5; i++) {
		struct t_change c[16];
		uint32_t cnt = (uint32_t)t_rand_below(&seed, 16);

		for (uint32_t k = 0; k < cnt; k++)
			c[k] = (struct t_change){
				HOME + t_rand_below(&seed, 64) * 4096,
				t_rand_below(&seed, 3) ? 0 :
				4096 * t_rand_below(&seed, 24),
				100 * i + k + 1 };
		lg.last_len = HOME + t_rand_below(&seed, 2) * MIB;
		t_log_entry(&lg, c, cnt);
	}
}

/* The same file, replayed in place. */
static struct memimg replayed(void)
{
	struct memimg copy;
	struct replay_seq s;
	struct file *g;

	memimg_clone(&copy, &img);
	T_OK(file_mem_new(loop, "copy", &copy, &g, &t_err));
	T_OK(replay_scan(g, &lg.hdr, &s, &t_err));
	T_OK(replay_apply(g, &s, &t_err));
	replay_free(&s);
	file_close(g);
	return copy;
}

static void it_shows_what_a_replay_in_place_gives(void)
{
	static uint8_t got[AREA], want[AREA];

	for (uint64_t seed = 1; seed <= 200; seed++) {
		make();
		random_log(seed);
		struct memimg copy = replayed();
		overlay();
		T_EQ_U64(o->size, copy.size);
		T_OK(file_read(o, HOME, got, AREA, &t_err));
		memimg_read(&copy, HOME, want, AREA);
		T_TRUE(memcmp(got, want, AREA) == 0);
		memimg_free(&copy);
		drop();
	}
}

static void any_part_can_be_read_into_any_buffers(void)
{
	static uint8_t got[AREA], want[AREA];
	uint64_t rnd = 7;

	make();
	random_log(11);
	struct memimg copy = replayed();
	overlay();
	memimg_read(&copy, HOME, want, AREA);
	for (unsigned i = 0; i < 500; i++) {
		uint64_t off = t_rand_below(&rnd, AREA - 30000);
		size_t len = 1 + t_rand_below(&rnd, 30000);
		memset(got, 0xee, sizeof(got));
		T_OK(file_read(o, HOME + off, got, len, &t_err));
		T_TRUE(memcmp(got, want + off, len) == 0);
		T_TRUE(got[len] == 0xee);
	}
	memimg_free(&copy);
	drop();
}

struct many {
	struct file_io io;
	struct iovec iov[3];
	uint8_t buf[20000];
	bool done;
};

static void many_done(struct file_io *io)
{
	container_of(io, struct many, io)->done = true;
}

static void many_requests_at_once_get_their_own_data(void)
{
	static struct many m[32];
	static uint8_t want[AREA];

	make();
	random_log(13);
	struct memimg copy = replayed();
	overlay();
	memimg_read(&copy, HOME, want, AREA);
	for (unsigned i = 0; i < 32; i++) {
		m[i].iov[0] = (struct iovec){ m[i].buf, 1000 };
		m[i].iov[1] = (struct iovec){ m[i].buf + 1000, 5000 };
		m[i].iov[2] = (struct iovec){ m[i].buf + 6000, 14000 };
		m[i].io = (struct file_io){ .op = FILE_READ,
			.off = HOME + i * 5000, .len = 17000, .iov = m[i].iov,
			.iov_cnt = 3, .iov_skip = 1500, .done = many_done };
		m[i].done = false;
		file_submit(o, &m[i].io);
		T_TRUE(!m[i].done);
	}
	while (loop_turn(loop, 0) > 0)
		;
	for (unsigned i = 0; i < 32; i++) {
		T_TRUE(m[i].done && m[i].io.res == 0);
		T_TRUE(memcmp(m[i].buf + 1500, want + i * 5000, 17000) == 0);
	}
	memimg_free(&copy);
	drop();
}

static void the_base_does_not_change(void)
{
	struct memimg before;
	uint8_t b[512];

	make();
	random_log(3);
	memimg_clone(&before, &img);
	overlay();
	T_OK(file_read(o, HOME, b, sizeof(b), &t_err));
	T_OK(file_sync(o, &t_err));
	T_FAILS(file_write(o, HOME, b, sizeof(b), &t_err), VHDX_E_READONLY,
		"");
	file_close(o);
	T_TRUE(memimg_eq(&before, &img, NULL));
	memimg_free(&before);
	loop_free(loop);
	memimg_free(&img);
}

static void detaching_gives_the_base_back(void)
{
	make();
	random_log(3);
	overlay();
	T_TRUE(file_overlay_detach(o) == f);
	o = f;
	drop();
}

static void beyond_the_old_end_are_zeros_and_pages(void)
{
	uint8_t b[8192], want[4096];

	make();
	lg.last_len = 40 * MIB;
	t_log_entry(&lg, &(struct t_change){ 20 * MIB, 0, 4 }, 1);
	overlay();
	T_EQ_U64(o->size, 40 * MIB);
	T_OK(file_read(o, 20 * MIB - 4096, b, sizeof(b), &t_err));
	t_fill(want, sizeof(want), 4);
	for (unsigned i = 0; i < 4096; i++)
		T_EQ_U64(b[i], 0);
	T_TRUE(memcmp(b + 4096, want, 4096) == 0);
	drop();
}

static void next_data_sees_base_and_pages(void)
{
	uint64_t off, len;

	make();
	T_OK(file_write(f, 12 * MIB, "x", 1, &t_err));
	t_log_entry(&lg, &(struct t_change){ 10 * MIB, 0, 4 }, 1);
	t_log_entry(&lg, &(struct t_change){ 13 * MIB, 4096, 0 }, 1);
	t_log_entry(&lg, &(struct t_change){ 14 * MIB, 0, 4 }, 1);
	overlay();
	T_OK(file_next_data(o, 9 * MIB, &off, &len, &t_err));
	T_EQ_U64(off, 10 * MIB);
	T_EQ_U64(len, 4096);
	T_OK(file_next_data(o, off + len, &off, &len, &t_err));
	T_EQ_U64(off, 12 * MIB);
	T_OK(file_next_data(o, off + 4096, &off, &len, &t_err));
	T_EQ_U64(off, 14 * MIB);
	T_EQ_U64(len, 4096);
	T_OK(file_next_data(o, off + 8, &off, &len, &t_err));
	T_EQ_U64(off, 14 * MIB + 8);
	T_OK(file_next_data(o, off + len, &off, &len, &t_err));
	T_EQ_U64(len, 0);
	drop();
}

static void a_log_that_changes_nothing_shows_the_base(void)
{
	uint8_t b[1];

	make();
	T_OK(file_write(f, HOME, "x", 1, &t_err));
	t_log_entry(&lg, NULL, 0);
	overlay();
	T_OK(file_read(o, HOME, b, 1, &t_err));
	T_EQ_U64(b[0], 'x');
	drop();
}

/* A base whose data sector cannot be read any more. */
static struct file bad;

static void bad_submit(struct file *file, struct file_io *io)
{
	(void)file;
	if (io->off >= LOG_OFF && io->off < LOG_OFF + MIB)
		io->off = UINT64_MAX - 4095; /* refused as out of range */
	file_submit(f, io);
}

static const struct file_ops bad_ops = { .submit = bad_submit };

static void a_failed_read_is_told_and_the_next_one_works(void)
{
	struct replay_seq s;
	uint8_t b[4096];

	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 4 }, 1);
	T_OK(replay_scan(f, &lg.hdr, &s, &t_err));
	bad = *f;
	bad.ops = &bad_ops;
	T_OK(file_overlay_new(&bad, &s, &o, &t_err));
	T_FAILS(file_read(o, HOME, b, sizeof(b), &t_err), VHDX_E_RANGE,
		"beyond");
	T_OK(file_read(o, HOME + 4096, b, sizeof(b), &t_err));
	T_FAILS(file_read(o, HOME + 1, b, 1, &t_err), VHDX_E_RANGE, "beyond");
	T_TRUE(file_overlay_detach(o) == &bad);
	o = f;
	drop();
}

static void running_out_of_memory_keeps_the_base_and_leaks_nothing(void)
{
	uint64_t live = mem_live_cnt();
	struct replay_seq s;

	make();
	random_log(4);
	T_OK(replay_scan(f, &lg.hdr, &s, &t_err));
	for (uint64_t n = 1;; n++) {
		mem_fail_nth(n);
		int rc = file_overlay_new(f, &s, &o, &t_err);
		if (mem_fail_nth(0) < n) {
			T_OK(rc);
			break;
		}
		T_EQ_U64(rc, VHDX_E_NOMEM);
	}
	drop();
	T_EQ_U64(mem_live_cnt(), live);
}

static const struct t_test tests[] = {
	T_TEST(it_shows_what_a_replay_in_place_gives),
	T_TEST(any_part_can_be_read_into_any_buffers),
	T_TEST(many_requests_at_once_get_their_own_data),
	T_TEST(the_base_does_not_change),
	T_TEST(detaching_gives_the_base_back),
	T_TEST(beyond_the_old_end_are_zeros_and_pages),
	T_TEST(next_data_sees_base_and_pages),
	T_TEST(a_log_that_changes_nothing_shows_the_base),
	T_TEST(a_failed_read_is_told_and_the_next_one_works),
	T_TEST(running_out_of_memory_keeps_the_base_and_leaks_nothing),
	T_END,
};
const struct t_suite t_suite_file_overlay = { "file_overlay", tests };
