/* SPDX-License-Identifier: MIT */
/*
 * Transfers that lie side by side and are submitted in one turn, on a real
 * file: how many system calls they become, and that each has its own result.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "file_direct.h"
#include "short_io.h"
#include "t.h"

#define CNT 100u
#define LEN 4096u

static struct loop *loop;
static struct file *f;
static struct file_io ios[CNT];
static struct iovec iovs[CNT];
static _Alignas(4096) uint8_t out[CNT * LEN], in[CNT * LEN];
static unsigned done_cnt, ring_ops;
static struct loop_task submitter;

static void begin(unsigned flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/merge", t_tmpdir());
	(void)unlink(path);
	T_OK(loop_new(&loop, &t_err));
	T_OK(opener_default.open(&opener_default, loop, path,
				 OPENER_WRITE | OPENER_CREATE | flags, &f,
				 &t_err));
	memset(ios, 0, sizeof(ios));
	t_fill(out, sizeof(out), 1);
	memset(in, 0, sizeof(in));
	short_io_now(0);
}

static void end(void)
{
	short_io_fail_at(-1);
	short_io_now(0);
	file_close(f);
	loop_free(loop);
}

static void done(struct file_io *io)
{
	T_TRUE(io->opaque == &done_cnt); /* for the first time */
	io->opaque = NULL;
	done_cnt++;
}

static void make(unsigned n, enum file_op op, uint64_t off)
{
	uint8_t *mem = op == FILE_READ ? in : out;

	iovs[n] = (struct iovec){ mem + n * LEN, LEN };
	ios[n] = (struct file_io){ .op = op, .off = off, .len = LEN,
				   .iov = &iovs[n], .iov_cnt = 1,
				   .done = done, .opaque = &done_cnt };
}

static void submit_made(struct loop_task *t)
{
	(void)t;
	for (unsigned i = 0; i < CNT && ios[i].done; i++)
		file_submit(f, &ios[i]);
}

/* Those that are made, in one turn; returns the calls. */
static unsigned run(unsigned cnt)
{
	struct short_io_calls calls;

	done_cnt = 0;
	(void)short_io_count();
	loop_task_init(&submitter, submit_made);
	loop_defer(loop, &submitter);
	while (done_cnt < cnt)
		loop_turn(loop, -1);
	calls = short_io_count();
	ring_ops = calls.ring;
	return calls.waiting;
}

static void make_run(enum file_op op, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		make(i, op, i * LEN);
}

static void neighbours_of_one_turn_are_one_call(void)
{
	begin(0);
	make_run(FILE_WRITE, 16);
	T_EQ_U64(run(16), 1);
	T_EQ_U64(f->size, 16 * LEN);
	short_io_now(EAGAIN);
	make_run(FILE_READ, 16);
	T_EQ_U64(run(16), 1);
	T_TRUE(memcmp(in, out, 16 * LEN) == 0);
	end();
}

static void a_call_moves_no_more_than_128_kib(void)
{
	begin(0);
	make_run(FILE_WRITE, CNT);
	T_EQ_U64(run(CNT), (CNT + 31) / 32);
	T_OK(file_read(f, 0, in, sizeof(in), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	end();
}

static void an_error_is_only_that_of_the_one_it_hits(void)
{
	begin(0);
	make_run(FILE_WRITE, 16);
	short_io_fail_at(5 * LEN + 7);
	run(16);
	for (unsigned i = 0; i < 16; i++)
		T_EQ_U64(ios[i].res, i == 5 ? VHDX_E_IO : 0);
	T_TRUE(strstr(ios[5].err.text, "write at offset 20480"));
	short_io_fail_at(-1);
	T_OK(file_read(f, 0, in, 16 * LEN, &t_err));
	T_TRUE(memcmp(in, out, 5 * LEN) == 0);
	T_TRUE(memcmp(in + 6 * LEN, out + 6 * LEN, 10 * LEN) == 0);
	end();
}

static void reads_across_the_end_give_zeros(void)
{
	begin(0);
	T_OK(file_write(f, 0, out, 2 * LEN + 100, &t_err));
	memset(in, 1, sizeof(in));
	make_run(FILE_READ, 8);
	run(8);
	for (unsigned i = 0; i < 8; i++)
		T_EQ_U64(ios[i].res, 0);
	T_TRUE(memcmp(in, out, 2 * LEN + 100) == 0);
	for (size_t i = 2 * LEN + 100; i < 8 * LEN; i++)
		T_EQ_U64(in[i], 0);
	end();
}

static void reads_and_writes_and_gaps_stay_apart(void)
{
	begin(0);
	short_io_now(EAGAIN);
	make(0, FILE_WRITE, 0);
	make(1, FILE_WRITE, 2 * LEN);
	make(2, FILE_READ, 3 * LEN);
	make(3, FILE_WRITE, 4 * LEN);
	T_EQ_U64(run(4), 4);
	T_OK(file_read(f, 4 * LEN, in, LEN, &t_err));
	T_TRUE(memcmp(in, out + 3 * LEN, LEN) == 0);
	end();
}

/* ---- without a thread ---------------------------------------------------- */

static void what_the_cache_has_needs_no_thread(void)
{
	begin(0);
	short_io_now(SHORT_IO_CACHED);
	T_OK(file_write(f, 0, out, 4 * LEN, &t_err));
	make_run(FILE_READ, 4);
	T_EQ_U64(run(4), 0);
	T_TRUE(memcmp(in, out, 4 * LEN) == 0);
	end();
}

static void what_the_cache_has_not_is_asked_for_less_and_less(void)
{
	begin(0);
	T_OK(file_write(f, 0, out, LEN, &t_err));
	short_io_now(EAGAIN);
	(void)short_io_count();
	for (unsigned i = 0; i < 200; i++)
		T_OK(file_read(f, 0, in, LEN, &t_err));
	T_TRUE(short_io_count().now < 10);
	short_io_now(SHORT_IO_CACHED);
	for (unsigned i = 0; i < 100; i++)
		T_OK(file_read(f, 0, in, LEN, &t_err));
	(void)short_io_count();
	T_OK(file_read(f, 0, in, LEN, &t_err));
	T_EQ_U64(short_io_count().waiting, 0);
	end();
}

static void a_host_that_cannot_say_is_asked_once(void)
{
	begin(0);
	T_OK(file_write(f, 0, out, LEN, &t_err));
	short_io_now(EOPNOTSUPP);
	(void)short_io_count();
	for (unsigned i = 0; i < 10; i++)
		T_OK(file_read(f, 0, in, LEN, &t_err));
	T_EQ_U64(short_io_count().now, 1);
	T_TRUE(memcmp(in, out, LEN) == 0);
	end();
}

/* ---- past the page cache ------------------------------------------------- */

/* False: not on this host. */
static bool begin_direct(void)
{
	begin(OPENER_DIRECT);
	if (file_direct_align_for_tests(f, 0, 0))
		return true;
	end();
	return false;
}

static void neighbours_are_one_operation_of_the_ring(void)
{
	if (!begin_direct())
		return;
	T_OK(file_truncate(f, sizeof(out), &t_err));
	make_run(FILE_WRITE, 16);
	run(16);
	T_EQ_U64(f->size, sizeof(out));
	T_EQ_U64(ring_ops, 1);
	make_run(FILE_READ, CNT);
	run(CNT);
	T_EQ_U64(ring_ops, (CNT + 15) / 16);
	T_TRUE(memcmp(in, out, 16 * LEN) == 0);
	end();
}

static void an_error_of_the_ring_is_only_that_of_the_one_it_hits(void)
{
	if (!begin_direct())
		return;
	T_OK(file_truncate(f, sizeof(out), &t_err));
	make_run(FILE_WRITE, 16);
	short_io_fail_at(5 * LEN + 7);
	run(16);
	for (unsigned i = 0; i < 16; i++)
		T_EQ_U64(ios[i].res, i == 5 ? VHDX_E_IO : 0);
	short_io_fail_at(-1);
	T_OK(file_read(f, 0, in, 16 * LEN, &t_err));
	T_TRUE(memcmp(in, out, 5 * LEN) == 0);
	T_TRUE(memcmp(in + 6 * LEN, out + 6 * LEN, 10 * LEN) == 0);
	end();
}

static void direct_reads_across_the_end_give_zeros(void)
{
	if (!begin_direct())
		return;
	T_OK(file_write(f, 0, out, 2 * LEN + 512, &t_err));
	memset(in, 1, sizeof(in));
	make_run(FILE_READ, 8);
	run(8);
	T_TRUE(memcmp(in, out, 2 * LEN + 512) == 0);
	for (size_t i = 2 * LEN + 512; i < 8 * LEN; i++)
		T_EQ_U64(in[i], 0);
	end();
}

static void direct_writes_that_grow_the_file_are_all_there(void)
{
	if (!begin_direct())
		return;
	make_run(FILE_WRITE, CNT);
	run(CNT);
	T_EQ_U64(f->size, sizeof(out));
	T_OK(file_read(f, 0, in, sizeof(in), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	end();
}

const struct t_suite t_suite_file_merge = {
	"file_merge",
	(const struct t_test[]){
	T_TEST(neighbours_of_one_turn_are_one_call),
	T_TEST(a_call_moves_no_more_than_128_kib),
	T_TEST(an_error_is_only_that_of_the_one_it_hits),
	T_TEST(reads_across_the_end_give_zeros),
	T_TEST(reads_and_writes_and_gaps_stay_apart),
	T_TEST(what_the_cache_has_needs_no_thread),
	T_TEST(what_the_cache_has_not_is_asked_for_less_and_less),
	T_TEST(a_host_that_cannot_say_is_asked_once),
	T_TEST(neighbours_are_one_operation_of_the_ring),
	T_TEST(an_error_of_the_ring_is_only_that_of_the_one_it_hits),
	T_TEST(direct_reads_across_the_end_give_zeros),
	T_TEST(direct_writes_that_grow_the_file_are_all_there),
	T_END,
	},
};
