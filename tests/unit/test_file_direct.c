/* SPDX-License-Identifier: MIT */
/*
 * Transfers past the page cache, of every alignment, side by side. Where the
 * temporary folder has no O_DIRECT they go through it, with the same results.
 */
#include <string.h>
#include <unistd.h>

#include "file_direct.h"
#include "mem.h"
#include "t.h"

#define SECTOR 512u
#define SECTORS 512u /* of the file */
#define SLOTS 24u
#define RUN_MAX 40u

struct slot {
	struct file_io io;
	struct iovec iov[2];
	uint8_t *buf; /* with room to be misaligned in */
	uint8_t *data;
	unsigned lba, cnt;
	bool busy;
};

struct rig {
	struct loop *loop;
	struct file *f;
	uint64_t rng;
	uint8_t model[SECTORS * SECTOR];
	bool taken[SECTORS]; /* by a request in flight */
	struct slot slots[SLOTS];
	unsigned in_flight, done_cnt, wrong_cnt;
};

static struct rig rig;

static void setup(struct rig *r, uint64_t seed)
{
	char path[128];

	memset(r, 0, sizeof(*r));
	r->rng = seed;
	T_OK(loop_new(&r->loop, &t_err));
	snprintf(path, sizeof(path), "%s/direct", t_tmpdir());
	(void)unlink(path);
	T_OK(opener_default.open(&opener_default, r->loop, path,
				 OPENER_WRITE | OPENER_CREATE | OPENER_DIRECT,
				 &r->f, &t_err));
	T_OK(file_truncate(r->f, sizeof(r->model), &t_err));
	for (unsigned i = 0; i < SLOTS; i++) {
		r->slots[i].buf = mem_aligned(4096, RUN_MAX * SECTOR + 4096);
		r->slots[i].io.opaque = r;
	}
}

static void teardown(struct rig *r)
{
	for (unsigned i = 0; i < SLOTS; i++)
		mem_free(r->slots[i].buf);
	file_close(r->f);
	loop_free(r->loop);
}

static void done(struct file_io *io)
{
	struct slot *s = container_of(io, struct slot, io);
	struct rig *r = io->opaque;
	uint8_t *want = r->model + s->lba * SECTOR;
	size_t len = s->cnt * SECTOR;

	if (io->res || (io->op == FILE_READ && memcmp(s->data, want, len)))
		r->wrong_cnt++;
	if (io->op == FILE_WRITE)
		memcpy(want, s->data, len);
	else if (io->op != FILE_READ)
		memset(want, 0, len);
	memset(r->taken + s->lba, 0, s->cnt * sizeof(r->taken[0]));
	s->busy = false;
	r->in_flight--;
	r->done_cnt++;
}

static bool take(struct rig *r, struct slot *s)
{
	s->cnt = 1 + (unsigned)t_rand_below(&r->rng, RUN_MAX);
	s->lba = (unsigned)t_rand_below(&r->rng, SECTORS - s->cnt);
	if (t_rand_below(&r->rng, 2)) {
		s->lba &= ~7u;
		s->cnt = (s->cnt + 7) & ~7u;
	}
	for (unsigned i = 0; i < s->cnt; i++)
		if (r->taken[s->lba + i])
			return false;
	memset(r->taken + s->lba, 1, s->cnt * sizeof(r->taken[0]));
	return true;
}

/* In one or two buffers, aligned to a page, a sector, or to nothing. */
static void start(struct rig *r, struct slot *s)
{
	static const enum file_op ops[] = { FILE_READ, FILE_READ, FILE_WRITE,
					    FILE_WRITE, FILE_WRITE, FILE_ZERO,
					    FILE_PUNCH };
	static const size_t shift[] = { 0, 0, 512, 16, 1 };
	size_t len = s->cnt * SECTOR, cut = t_rand_below(&r->rng, 3) ? 0 :
		t_rand_below(&r->rng, len);

	s->io.op = ops[t_rand_below(&r->rng, ARRAY_LEN(ops))];
	s->data = s->buf + shift[t_rand_below(&r->rng, ARRAY_LEN(shift))];
	if (s->io.op == FILE_WRITE)
		t_fill(s->data, len, t_rand(&r->rng));
	s->iov[0] = (struct iovec){ s->data, cut };
	s->iov[1] = (struct iovec){ s->data + cut, len - cut };
	s->io.iov = s->iov;
	s->io.iov_cnt = 2;
	s->io.off = s->lba * SECTOR;
	s->io.len = len;
	s->io.done = done;
	s->busy = true;
	r->in_flight++;
	file_submit(r->f, &s->io);
}

static void run(struct rig *r, unsigned total)
{
	unsigned started = 0;

	while (r->done_cnt < total) {
		for (unsigned i = 0; i < SLOTS && started < total; i++)
			if (!r->slots[i].busy && take(r, &r->slots[i])) {
				start(r, &r->slots[i]);
				started++;
			}
		loop_turn(r->loop, -1);
	}
	T_EQ_U64(r->in_flight, 0);
	T_EQ_U64(r->wrong_cnt, 0);
}

static void same_as_the_model_on_this_host(void)
{
	setup(&rig, 1);
	run(&rig, 3000);
	teardown(&rig);
}

/* The page cache and direct transfers meet within a page all the time. */
static void same_as_the_model_where_4096_is_the_least(void)
{
	setup(&rig, 2);
	(void)file_direct_align_for_tests(rig.f, 4096, 4096);
	run(&rig, 3000);
	teardown(&rig);
}

static void unaligned_end_of_file_is_read_and_kept(void)
{
	uint8_t buf[1024];

	setup(&rig, 3);
	(void)file_direct_align_for_tests(rig.f, 4096, 4096);
	T_OK(file_truncate(rig.f, 8192, &t_err));
	t_fill(buf, 512, 7);
	T_OK(file_write(rig.f, 8192, buf, 512, &t_err));
	T_EQ_U64(rig.f->size, 8704);
	memset(buf, 1, sizeof(buf));
	T_OK(file_read(rig.f, 8192, buf, 1024, &t_err));
	t_fill(rig.model, 512, 7);
	T_TRUE(memcmp(buf, rig.model, 512) == 0);
	T_TRUE(buf[512] == 0 && buf[1023] == 0);
	teardown(&rig);
}

static void count_good(struct file_io *io)
{
	rig.done_cnt += io->res == 0;
}

/* More at once than the kernel's ring holds. */
static void any_number_may_be_in_flight(void)
{
	enum { CNT = 600 };
	static struct file_io io[CNT];
	struct iovec v;

	setup(&rig, 4);
	t_fill(rig.slots[0].buf, SECTOR, 9);
	v = (struct iovec){ rig.slots[0].buf, SECTOR };
	for (unsigned i = 0; i < CNT; i++) {
		io[i] = (struct file_io){ .op = FILE_WRITE, .off = i * SECTOR,
					  .len = SECTOR, .iov = &v,
					  .iov_cnt = 1, .done = count_good };
		file_submit(rig.f, &io[i]);
	}
	T_EQ_U64(rig.done_cnt, 0); /* never inside the call */
	while (rig.done_cnt < CNT)
		loop_turn(rig.loop, -1);
	T_EQ_U64(rig.f->size, CNT * SECTOR);
	T_OK(file_read(rig.f, (CNT - 1) * SECTOR, rig.model, SECTOR, &t_err));
	T_TRUE(memcmp(rig.model, rig.slots[0].buf, SECTOR) == 0);
	teardown(&rig);
}

static unsigned odd_place;

static void note_place(struct file_io *io)
{
	if (io->opaque)
		odd_place = rig.done_cnt;
	rig.done_cnt += io->res == 0;
}

/* Writes, the middle one of `len` bytes and `shift` bytes into its memory: it
 * is alone. */
static void one_is_alone(uint64_t len, size_t shift)
{
	enum { CNT = 41, ODD = 20 };
	static struct file_io io[CNT];
	struct iovec v[2];

	setup(&rig, 5);
	t_fill(rig.slots[0].buf, 8192, 1);
	v[0] = (struct iovec){ rig.slots[0].buf, 4096 };
	v[1] = (struct iovec){ rig.slots[0].buf + shift, 4096 };
	odd_place = ODD; /* without O_DIRECT there is nothing to see */
	if (file_direct_align_for_tests(rig.f, 4096, 4096))
		odd_place = CNT;
	for (unsigned i = 0; i < CNT; i++) {
		bool odd = i == ODD && odd_place == CNT;

		io[i] = (struct file_io){ .op = FILE_WRITE, .off = i * 4096,
					  .len = i == ODD ? len : 4096,
					  .iov = &v[i == ODD], .iov_cnt = 1,
					  .opaque = odd ? &rig : NULL,
					  .done = note_place };
		file_submit(rig.f, &io[i]);
	}
	while (rig.done_cnt < CNT)
		loop_turn(rig.loop, -1);
	T_EQ_U64(odd_place, ODD);
	teardown(&rig);
}

/* D1. */
static void one_that_is_not_aligned_waits_and_is_waited_for(void)
{
	one_is_alone(512, 0);
}

/* ---- buffers ------------------------------------------------------------- */

static struct bufpool_wait taker;

static struct bufpool *pool(void)
{
	struct aio *a;

	T_OK(loop_aio(rig.loop, &a, &t_err));
	return aio_bufs(a);
}

static void give_write(struct file_io *io, const struct iovec *v, int cnt,
		       uint64_t off, uint64_t len)
{
	*io = (struct file_io){ .op = FILE_WRITE, .off = off, .len = len,
				.iov = v, .iov_cnt = cnt, .done = count_good };
	file_submit(rig.f, io);
}

/* False: this host has no O_DIRECT, and there is nothing to see. */
static bool setup_direct(uint64_t seed)
{
	setup(&rig, seed);
	if (file_direct_align_for_tests(rig.f, 4096, 4096))
		return true;
	teardown(&rig);
	return false;
}

static void aligned_pieces_of_memory_are_not_copied(void)
{
	uint8_t *bufs[BUFPOOL_CNT];
	struct file_io io, odd;
	struct iovec v[40], w;

	if (!setup_direct(7))
		return;
	for (unsigned i = 0; i < BUFPOOL_CNT; i++)
		bufs[i] = bufpool_get(pool(), &taker);
	for (unsigned i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (struct iovec){ rig.slots[i % 7].buf, 4096 };
	give_write(&io, v, ARRAY_LEN(v), 0, sizeof(v) / sizeof(v[0]) * 4096);
	w = (struct iovec){ rig.slots[0].buf + 16, 4096 };
	give_write(&odd, &w, 1, MIB, 4096);
	while (rig.done_cnt < 1) /* the first, though there is no buffer */
		loop_turn(rig.loop, -1);
	while (loop_turn(rig.loop, 0))
		;
	T_EQ_U64(rig.done_cnt, 1);
	for (unsigned i = 0; i < BUFPOOL_CNT; i++)
		bufpool_put(pool(), bufs[i]);
	while (rig.done_cnt < 2)
		loop_turn(rig.loop, -1);
	teardown(&rig);
}

static void one_longer_than_a_buffer_is_moved_in_pieces(void)
{
	size_t len = 3 * BUFPOOL_LEN + 4096;
	uint8_t *out = mem_alloc(len + 1), *in = mem_alloc(len + 1);

	setup(&rig, 8);
	t_fill(out, len + 1, 8);
	T_OK(file_write(rig.f, 4096, out + 1, len, &t_err));
	T_OK(file_read(rig.f, 4096, in + 1, len, &t_err));
	T_TRUE(memcmp(in + 1, out + 1, len) == 0);
	T_EQ_U64(rig.f->size, 4096 + len);
	mem_free(out);
	mem_free(in);
	teardown(&rig);
}

static void more_than_the_buffers_wait_and_allocate_nothing(void)
{
	enum { CNT = 5 * BUFPOOL_CNT };
	static struct file_io io[CNT];
	struct iovec v;

	setup(&rig, 9);
	v = (struct iovec){ rig.slots[0].buf + 1, 4096 };
	t_fill(v.iov_base, v.iov_len, 1);
	mem_fail_nth(0);
	for (unsigned i = 0; i < CNT; i++)
		give_write(&io[i], &v, 1, i * 4096, 4096);
	while (rig.done_cnt < CNT)
		loop_turn(rig.loop, -1);
	T_EQ_U64(mem_fail_nth(0), 0);
	T_OK(file_read(rig.f, (CNT - 1) * 4096, rig.model, 4096, &t_err));
	T_TRUE(memcmp(rig.model, v.iov_base, 4096) == 0);
	teardown(&rig);
}

static struct file_io *last_done;

static void note_last(struct file_io *io)
{
	last_done = io;
	count_good(io);
}

static void one_that_waits_for_a_buffer_counts_as_in_flight(void)
{
	uint8_t *bufs[BUFPOOL_CNT];
	struct iovec v, w;
	struct file_io odd, alone;

	if (!setup_direct(10))
		return;
	for (unsigned i = 0; i < BUFPOOL_CNT; i++)
		bufs[i] = bufpool_get(pool(), &taker);
	v = (struct iovec){ rig.slots[0].buf + 16, 4096 };
	w = (struct iovec){ rig.slots[0].buf, 512 };
	give_write(&odd, &v, 1, 0, 4096);
	give_write(&alone, &w, 1, 8192, 512);
	odd.done = alone.done = note_last;
	while (loop_turn(rig.loop, 0))
		;
	for (unsigned i = 0; i < BUFPOOL_CNT; i++)
		bufpool_put(pool(), bufs[i]);
	while (rig.done_cnt < 2)
		loop_turn(rig.loop, -1);
	T_TRUE(last_done == &alone);
	teardown(&rig);
}

/* ---- the size ------------------------------------------------------------ */

/* D3: a sync that began before a write beyond the end and ends after it. */
static void a_sync_does_not_forget_that_the_file_has_grown(void)
{
	struct iovec v;

	setup(&rig, 6);
	v = (struct iovec){ rig.slots[0].buf, 4096 };
	t_fill(v.iov_base, v.iov_len, 1);
	for (unsigned i = 1; i <= 100; i++) {
		uint64_t end = rig.f->size;
		struct file_io sync = { .op = FILE_SYNC, .done = count_good };
		struct file_io io = { .op = FILE_WRITE, .off = end,
				      .len = 4096, .iov = &v, .iov_cnt = 1,
				      .done = count_good };

		file_submit(rig.f, &sync);
		file_submit(rig.f, &io);
		while (rig.done_cnt < 2 * i)
			loop_turn(rig.loop, -1);
		T_EQ_U64(rig.f->size, end + 4096);
	}
	teardown(&rig);
}

const struct t_suite t_suite_file_direct = {
	"file_direct",
	(const struct t_test[]){
		T_TEST(same_as_the_model_on_this_host),
		T_TEST(same_as_the_model_where_4096_is_the_least),
		T_TEST(unaligned_end_of_file_is_read_and_kept),
		T_TEST(any_number_may_be_in_flight),
		T_TEST(one_that_is_not_aligned_waits_and_is_waited_for),
		T_TEST(aligned_pieces_of_memory_are_not_copied),
		T_TEST(one_longer_than_a_buffer_is_moved_in_pieces),
		T_TEST(more_than_the_buffers_wait_and_allocate_nothing),
		T_TEST(one_that_waits_for_a_buffer_counts_as_in_flight),
		T_TEST(a_sync_does_not_forget_that_the_file_has_grown),
		T_END,
	},
};
