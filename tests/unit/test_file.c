/* SPDX-License-Identifier: MIT */
/* The contract of file.h, put to every implementation. */
#include <string.h>

#include "file_crash.h"
#include "file_fault.h"
#include "file_mem.h"
#include "short_io.h"
#include "t.h"

struct fixture {
	struct loop *loop;
	struct file *file;
	struct crash_world *world;
};

static void open_posix(struct fixture *x)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/image", t_tmpdir());
	T_OK(opener_default.open(&opener_default, x->loop, path,
				 OPENER_WRITE | OPENER_CREATE, &x->file,
				 &t_err));
}

static void open_direct(struct fixture *x)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/image", t_tmpdir());
	T_OK(opener_default.open(&opener_default, x->loop, path,
				 OPENER_WRITE | OPENER_CREATE | OPENER_DIRECT,
				 &x->file, &t_err));
}

static void open_mem(struct fixture *x)
{
	T_OK(file_mem_new(x->loop, "image", NULL, &x->file, &t_err));
}

static void open_crash(struct fixture *x)
{
	x->world = crash_world_new(NULL);
	T_OK(crash_disk_open(crash_disk_new(x->world, "image", NULL), x->loop,
			     &x->file, &t_err));
}

static void open_delayed(struct fixture *x)
{
	struct crash_opts o = { .seed = 1, .max_delay = 5, .no_punch = true };

	x->world = crash_world_new(&o);
	T_OK(crash_disk_open(crash_disk_new(x->world, "image", NULL), x->loop,
			     &x->file, &t_err));
}

static void open_fault(struct fixture *x)
{
	struct file_fault *f = NULL;

	T_OK(file_mem_new(x->loop, "image", NULL, &x->file, &t_err));
	T_OK(file_fault_new(x->file, &f, &t_err));
	x->file = &f->w.file;
}

static void run(void (*open)(struct fixture *), void (*test)(struct fixture *))
{
	struct fixture x = { 0 };

	T_OK(loop_new(&x.loop, &t_err));
	open(&x);
	test(&x);
	file_close(x.file);
	crash_world_free(x.world);
	loop_free(x.loop);
}

struct req {
	struct file_io io;
	int done_cnt;
};

static void count_done(struct file_io *io)
{
	container_of(io, struct req, io)->done_cnt++;
}

static void submit(struct fixture *x, struct req *r, enum file_op op,
		   uint64_t off, uint64_t len, const struct iovec *iov, int cnt)
{
	*r = (struct req){ .io = { .op = op, .off = off, .len = len,
				   .iov = iov, .iov_cnt = cnt,
				   .done = count_done } };
	file_submit(x->file, &r->io);
}

static void wait_for(struct fixture *x, struct req *r, int cnt)
{
	for (int i = 0; i < cnt; i++)
		while (r[i].done_cnt == 0)
			(void)loop_turn(x->loop, -1);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void written_bytes_are_read_back(struct fixture *x)
{
	uint8_t in[10000], out[10000];

	t_fill(in, sizeof(in), 1);
	T_OK(file_write(x->file, 777, in, sizeof(in), &t_err));
	T_EQ_U64(x->file->size, 777 + sizeof(in));
	T_OK(file_read(x->file, 777, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
}

static void read_across_the_end_gives_zeros_there(struct fixture *x)
{
	uint8_t in[100], out[300];

	t_fill(in, sizeof(in), 1);
	memset(out, 0xee, sizeof(out));
	T_OK(file_write(x->file, 0, in, sizeof(in), &t_err));
	T_OK(file_read(x->file, 50, out, sizeof(out), &t_err));
	T_TRUE(memcmp(out, in + 50, 50) == 0);
	T_TRUE(all_zero(out + 50, 250));
	memset(out, 0xee, sizeof(out));
	T_OK(file_read(x->file, TIB, out, sizeof(out), &t_err));
	T_TRUE(all_zero(out, sizeof(out)));
	T_EQ_U64(x->file->size, 100);
}

static void never_completes_inside_submit(struct fixture *x)
{
	static const struct { enum file_op op; uint64_t off, len; } cases[] = {
		{ FILE_READ, 0, 8 },	     { FILE_WRITE, 0, 8 },
		{ FILE_SYNC, 0, 0 },	     { FILE_TRUNCATE, 4096, 0 },
		{ FILE_ZERO, 0, 8 },	     { FILE_PUNCH, 0, 8 },
		{ FILE_RESERVE, 0, 8 },
		{ FILE_READ, 0, 0 },	     { FILE_WRITE, 0, 0 },
		{ FILE_WRITE, UINT64_MAX, 8 },
	};
	uint8_t buf[8] = { 1 };
	struct iovec v = { buf, sizeof(buf) };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct req r;

		submit(x, &r, cases[i].op, cases[i].off, cases[i].len, &v, 1);
		T_EQ_U64(r.done_cnt, 0);
		wait_for(x, &r, 1);
		T_EQ_U64(r.done_cnt, 1);
	}
}

static void many_in_flight_complete_once_each(struct fixture *x)
{
	enum { CNT = 200 };
	static struct req r[CNT];
	static uint8_t buf[CNT][512], back[512];
	struct iovec v[CNT];

	for (int i = 0; i < CNT; i++) {
		t_fill(buf[i], 512, (uint64_t)i);
		v[i] = (struct iovec){ buf[i], 512 };
		submit(x, &r[i], FILE_WRITE, (uint64_t)i * 512, 512, &v[i], 1);
	}
	wait_for(x, r, CNT);
	for (int i = 0; i < CNT; i++) {
		T_EQ_U64(r[i].done_cnt, 1);
		T_OK(r[i].io.res);
		T_OK(file_read(x->file, (uint64_t)i * 512, back, 512, &t_err));
		T_TRUE(memcmp(back, buf[i], 512) == 0);
	}
	T_EQ_U64(x->file->size, CNT * 512);
}

static void transfer_starts_iov_skip_bytes_into_the_buffers(struct fixture *x)
{
	uint8_t a[100], b[100], c[100], out[150];
	struct iovec v[] = { { a, 100 }, { b, 100 }, { c, 100 } };
	struct req r = { .io = { .op = FILE_WRITE, .len = 150, .iov = v,
				 .iov_cnt = 3, .iov_skip = 120,
				 .done = count_done } };

	t_fill(a, 100, 1);
	t_fill(b, 100, 2);
	t_fill(c, 100, 3);
	file_submit(x->file, &r.io);
	wait_for(x, &r, 1);
	T_EQ_U64(x->file->size, 150);
	T_OK(file_read(x->file, 0, out, 150, &t_err));
	T_TRUE(memcmp(out, b + 20, 80) == 0);
	T_TRUE(memcmp(out + 80, c, 70) == 0);
}

static void more_buffers_than_one_call_takes_are_all_read(struct fixture *x)
{
	enum { CNT = 1500 };
	static uint8_t in[CNT * 3], out[CNT * 3];
	static struct iovec v[CNT];
	struct req r;

	t_fill(in, sizeof(in), 9);
	T_OK(file_write(x->file, 5, in, sizeof(in), &t_err));
	memset(out, 0, sizeof(out));
	for (int i = 0; i < CNT; i++)
		v[i] = (struct iovec){ out + 3 * i, 3 };
	submit(x, &r, FILE_READ, 5, sizeof(out), v, CNT);
	wait_for(x, &r, 1);
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
}

static void shrinking_and_growing_again_shows_zeros(struct fixture *x)
{
	uint8_t in[8192], out[8192];

	t_fill(in, sizeof(in), 1);
	T_OK(file_write(x->file, 0, in, sizeof(in), &t_err));
	T_OK(file_truncate(x->file, 5000, &t_err));
	T_EQ_U64(x->file->size, 5000);
	T_OK(file_truncate(x->file, 3 * MIB, &t_err));
	T_EQ_U64(x->file->size, 3 * MIB);
	T_OK(file_read(x->file, 0, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, 5000) == 0);
	T_TRUE(all_zero(out + 5000, sizeof(out) - 5000));
}

static void zero_and_punch_clear_exactly_their_range(struct fixture *x)
{
	static uint8_t in[64 * 1024], out[64 * 1024];

	t_fill(in, sizeof(in), 1);
	T_OK(file_write(x->file, 0, in, sizeof(in), &t_err));
	T_OK(file_zero(x->file, 1000, 20000, &t_err));
	memset(in + 1000, 0, 20000);
	T_OK(file_read(x->file, 0, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);

	struct req r;

	submit(x, &r, FILE_PUNCH, 30001, 9999, NULL, 0);
	wait_for(x, &r, 1);
	T_OK(r.io.res);
	if (r.io.res_punched)
		memset(in + 30001, 0, 9999);
	T_OK(file_read(x->file, 0, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
}

static void zero_and_punch_keep_the_size(struct fixture *x)
{
	struct req r;

	T_OK(file_truncate(x->file, 10000, &t_err));
	T_OK(file_zero(x->file, 8000, MIB, &t_err));
	T_OK(file_zero(x->file, MIB, MIB, &t_err));
	submit(x, &r, FILE_PUNCH, 9000, MIB, NULL, 0);
	wait_for(x, &r, 1);
	T_OK(r.io.res);
	T_EQ_U64(x->file->size, 10000);
}

static void reserving_keeps_content_and_size(struct fixture *x)
{
	static uint8_t in[20000], out[20000];

	t_fill(in, sizeof(in), 1);
	T_OK(file_write(x->file, 0, in, sizeof(in), &t_err));
	T_OK(file_reserve(x->file, 0, MIB, &t_err));
	T_EQ_U64(x->file->size, sizeof(in));
	T_OK(file_read(x->file, 0, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
}

static void skipping_read(struct fixture *x, uint64_t off, uint8_t *out,
			  size_t len, uint64_t *zero_len)
{
	struct iovec v[] = { { out, 1000 }, { out + 1000, len - 1000 } };
	struct req r = { .io = { .op = FILE_READ, .off = off, .len = len,
				 .iov = v, .iov_cnt = 2,
				 .done = count_done } };

	memset(out, 0xee, len);
	file_submit_skipping(x->file, &r.io);
	wait_for(x, &r, 1);
	T_OK(r.io.res);
	*zero_len = r.io.res_zero_len;
	T_TRUE(*zero_len <= len);
}

static void a_skipping_read_leaves_nothing_but_zeros_out(struct fixture *x)
{
	static uint8_t in[512 * KIB], out[sizeof(in)];
	uint64_t zero_len, rng = 7;

	for (int i = 0; i < 20; i++) {
		uint64_t at = t_rand_below(&rng, sizeof(in) - 5000);
		uint64_t off = t_rand_below(&rng, 4096);

		memset(in, 0, sizeof(in));
		t_fill(in + at, 5000, (uint64_t)i);
		T_OK(file_write(x->file, off, in, sizeof(in), &t_err));
		skipping_read(x, off, out, sizeof(out), &zero_len);
		T_TRUE(all_zero(in, zero_len));
		T_TRUE(!memcmp(in + zero_len, out + zero_len,
			       sizeof(in) - zero_len));
	}
}

static void a_plain_read_leaves_nothing_out(struct fixture *x)
{
	uint8_t out[10000];
	struct iovec v = { out, sizeof(out) };
	struct req r = { .io = { .op = FILE_READ, .len = sizeof(out), .iov = &v,
				 .iov_cnt = 1, .done = count_done,
				 .skip_zeros = true, .res_zero_len = 5 } };

	T_OK(file_truncate(x->file, MIB, &t_err));
	memset(out, 0xee, sizeof(out));
	file_submit(x->file, &r.io); /* callers do not clear the struct */
	wait_for(x, &r, 1);
	T_TRUE(r.io.res_zero_len == 0 && all_zero(out, sizeof(out)));
}

static void changes_to_a_read_only_file_are_refused(struct fixture *x)
{
	uint8_t b = 1;

	x->file->writable = false;
	T_FAILS(file_write(x->file, 0, &b, 1, &t_err), VHDX_E_READONLY,
		"image: write: the file is open for reading only");
	T_FAILS(file_truncate(x->file, 1, &t_err), VHDX_E_READONLY, "");
	T_FAILS(file_zero(x->file, 0, 1, &t_err), VHDX_E_READONLY, "");
	T_FAILS(file_reserve(x->file, 0, 1, &t_err), VHDX_E_READONLY, "");
	T_OK(file_sync(x->file, &t_err));
	T_EQ_U64(x->file->size, 0);
}

static void range_beyond_the_largest_offset_is_refused(struct fixture *x)
{
	uint8_t b[8] = { 0 };

	T_FAILS(file_read(x->file, UINT64_MAX - 4, b, 8, &t_err), VHDX_E_RANGE,
		"offset 18446744073709551611, length 8");
	T_FAILS(file_write(x->file, (uint64_t)INT64_MAX - 7, b, 8, &t_err),
		VHDX_E_RANGE, "beyond the largest offset");
	T_FAILS(file_truncate(x->file, UINT64_MAX, &t_err), VHDX_E_RANGE, "");
}

static void next_data_skips_to_what_was_written(struct fixture *x)
{
	uint64_t off, len;
	uint8_t b[4096];

	t_fill(b, sizeof(b), 1);
	T_OK(file_truncate(x->file, 64 * MIB, &t_err));
	T_OK(file_write(x->file, 32 * MIB, b, sizeof(b), &t_err));
	T_OK(file_next_data(x->file, 0, &off, &len, &t_err));
	T_TRUE(off <= 32 * MIB && off + len >= 32 * MIB + sizeof(b));
	T_OK(file_next_data(x->file, 32 * MIB + 100, &off, &len, &t_err));
	T_EQ_U64(off, 32 * MIB + 100);
	T_TRUE(len >= sizeof(b) - 100);
	T_OK(file_next_data(x->file, 64 * MIB, &off, &len, &t_err));
	T_EQ_U64(len, 0);
}

static void sizes_of_64_tib_work(struct fixture *x)
{
	uint8_t in[512], out[512];

	/* Not every host file system goes that far. */
	if (file_truncate(x->file, 64 * TIB, &t_err) == VHDX_E_NOSPC)
		return;
	t_fill(in, sizeof(in), 1);
	T_OK(file_write(x->file, 64 * TIB - 512, in, 512, &t_err));
	T_OK(file_read(x->file, 64 * TIB - 512, out, 512, &t_err));
	T_TRUE(memcmp(in, out, 512) == 0);
	T_EQ_U64(x->file->size, 64 * TIB);
	T_TRUE(file_host_len(x->file) < MIB);
}

static void run_without_fallocate(void (*test)(struct fixture *))
{
	short_io_no_fallocate(true);
	run(open_posix, test);
	short_io_no_fallocate(false);
}

static void zero_without_fallocate_clears_exactly_its_range(void)
{
	run_without_fallocate(zero_and_punch_clear_exactly_their_range);
}

static void zero_without_fallocate_keeps_the_size(void)
{
	run_without_fallocate(zero_and_punch_keep_the_size);
}

/* ---- file.c itself ----------------------------------------------------- */

static void window_covers_the_transfer_piece_by_piece(void)
{
	uint8_t buf[300];
	struct iovec v[] = { { buf, 100 }, { buf, 0 }, { buf + 100, 200 } };
	struct file_io io = { .op = FILE_READ, .len = 250, .iov = v,
			      .iov_cnt = 3, .iov_skip = 30 };
	struct iovec w[3];
	size_t bytes;

	T_EQ_U64(file_iov_window(&io, 0, w, 3, &bytes), 2);
	T_EQ_U64(bytes, 250);
	T_TRUE(w[0].iov_base == buf + 30 && w[0].iov_len == 70);
	T_TRUE(w[1].iov_base == buf + 100 && w[1].iov_len == 180);
	T_EQ_U64(file_iov_window(&io, 0, w, 1, &bytes), 1);
	T_EQ_U64(bytes, 70);
	T_EQ_U64(file_iov_window(&io, 240, w, 3, &bytes), 1);
	T_TRUE(w[0].iov_base == buf + 270 && bytes == 10);
	T_EQ_U64(file_iov_window(&io, 250, w, 3, &bytes), 0);
	T_EQ_U64(bytes, 0);
}

#define EACH(test)                                                          \
	static void posix_##test(void) { run(open_posix, test); }           \
	static void direct_##test(void) { run(open_direct, test); }         \
	static void mem_##test(void) { run(open_mem, test); }               \
	static void crash_##test(void) { run(open_crash, test); }           \
	static void delayed_##test(void) { run(open_delayed, test); }       \
	static void fault_##test(void) { run(open_fault, test); }
#define CONTRACT(X)                                                         \
	X(written_bytes_are_read_back)                                      \
	X(read_across_the_end_gives_zeros_there)                            \
	X(never_completes_inside_submit)                                    \
	X(many_in_flight_complete_once_each)                                \
	X(transfer_starts_iov_skip_bytes_into_the_buffers)                  \
	X(more_buffers_than_one_call_takes_are_all_read)                    \
	X(shrinking_and_growing_again_shows_zeros)                          \
	X(zero_and_punch_clear_exactly_their_range)                         \
	X(zero_and_punch_keep_the_size)                                     \
	X(reserving_keeps_content_and_size)                                 \
	X(a_skipping_read_leaves_nothing_but_zeros_out)                     \
	X(a_plain_read_leaves_nothing_out)                                  \
	X(changes_to_a_read_only_file_are_refused)                          \
	X(range_beyond_the_largest_offset_is_refused)                       \
	X(next_data_skips_to_what_was_written)                              \
	X(sizes_of_64_tib_work)
#define POSIX_TEST(test) T_TEST(posix_##test),
#define DIRECT_TEST(test) T_TEST(direct_##test),
#define MEM_TEST(test) T_TEST(mem_##test),
#define CRASH_TEST(test) T_TEST(crash_##test),
#define DELAYED_TEST(test) T_TEST(delayed_##test),
#define FAULT_TEST(test) T_TEST(fault_##test),

CONTRACT(EACH)

static const struct t_test tests[] = {
	CONTRACT(POSIX_TEST)
	CONTRACT(DIRECT_TEST)
	CONTRACT(MEM_TEST)
	CONTRACT(CRASH_TEST)
	CONTRACT(DELAYED_TEST)
	CONTRACT(FAULT_TEST)
	T_TEST(zero_without_fallocate_clears_exactly_its_range),
	T_TEST(zero_without_fallocate_keeps_the_size),
	T_TEST(window_covers_the_transfer_piece_by_piece),
	T_END,
};

const struct t_suite t_suite_file = { "file", tests };
