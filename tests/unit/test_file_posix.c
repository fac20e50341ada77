/* SPDX-License-Identifier: MIT */
/* Real files, their locks, and what the messages say about the other side. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"
#include "short_io.h"
#include "t.h"

static struct loop *loop;

static const char *new_path(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", t_tmpdir(), name);
	return path;
}

static int open_path(const char *path, unsigned flags, struct file **f)
{
	if (!loop)
		T_OK(loop_new(&loop, &t_err));
	return opener_default.open(&opener_default, loop, path, flags, f,
				   &t_err);
}

static void close_all(struct file *f)
{
	file_close(f);
	loop_free(loop);
	loop = NULL;
}

static struct file *new_file(const char *path)
{
	struct file *f = NULL;

	T_OK(open_path(path, OPENER_WRITE | OPENER_CREATE, &f));
	return f;
}

/* A process that opens `path` and keeps it open until it is killed. */
static pid_t spawn_holder(const char *path, unsigned flags)
{
	int ready[2];
	char c;
	pid_t pid;

	T_TRUE(pipe(ready) == 0);
	pid = fork();
	T_TRUE(pid >= 0);
	if (pid == 0) {
		struct loop *l;
		struct file *f;

		/* A test that fails does not get to end_holder(). */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (loop_new(&l, NULL) ||
		    opener_default.open(&opener_default, l, path, flags, &f,
					NULL))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	T_EQ_U64(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void second_writer_is_told_the_pid_of_the_first(void)
{
	const char *path = new_path("image");
	struct file *f;
	char text[64];
	pid_t pid;

	close_all(new_file(path));
	pid = spawn_holder(path, OPENER_WRITE);
	snprintf(text, sizeof(text), "is in use by process %d (unit)", pid);
	T_FAILS(open_path(path, OPENER_WRITE, &f), VHDX_E_BUSY, text);
	snprintf(text, sizeof(text), "is being written to by process %d", pid);
	T_FAILS(open_path(path, 0, &f), VHDX_E_BUSY, text);
	end_holder(pid);
	T_OK(open_path(path, OPENER_WRITE, &f));
	close_all(f);
}

static void readers_share_and_keep_writers_out(void)
{
	const char *path = new_path("image");
	struct file *f;
	pid_t a, b;

	close_all(new_file(path));
	a = spawn_holder(path, 0);
	b = spawn_holder(path, 0);
	T_FAILS(open_path(path, OPENER_WRITE, &f), VHDX_E_BUSY,
		"and 1 other: wait for it to finish");
	T_OK(open_path(path, 0, &f));
	close_all(f);
	end_holder(a);
	end_holder(b);
}

static void opening_twice_in_one_process_is_refused(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path), *g;

	T_FAILS(open_path(path, 0, &g), VHDX_E_BUSY, "by this very process");
	T_OK(open_path(path, OPENER_NOLOCK, &g));
	file_close(g);
	close_all(f);
}

static void a_look_sees_writers_and_keeps_nobody_out(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path), *g;

	T_FAILS(open_path(path, OPENER_LOOK, &g), VHDX_E_BUSY, "written to");
	file_close(f);
	T_OK(open_path(path, OPENER_LOOK, &g));
	T_OK(open_path(path, OPENER_WRITE, &f));
	T_TRUE(!g->writable);
	file_close(g);
	file_close(f);
	T_OK(open_path(path, 0, &f));
	T_OK(open_path(path, OPENER_LOOK, &g));
	file_close(g);
	close_all(f);
}

static void closing_gives_the_lock_back(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path);

	file_close(f);
	T_OK(open_path(path, OPENER_WRITE, &f));
	close_all(f);
}

static void what_is_not_a_file_is_named(void)
{
	const char *path = new_path("pipe");
	struct file *f;

	T_TRUE(mkfifo(path, 0600) == 0);
	T_FAILS(open_path(path, 0, &f), VHDX_E_INVAL, "is a named pipe, not");
	T_FAILS(open_path("/var", 0, &f), VHDX_E_INVAL, "/var: is a directory");
	T_FAILS(open_path("/dev/null", OPENER_WRITE, &f), VHDX_E_INVAL,
		"is a character device");
	T_FAILS(open_path("/nowhere/x", 0, &f), VHDX_E_NOTFOUND, "/nowhere/x");
	close_all(NULL);
}

static void create_refuses_an_existing_file(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path), *g;

	T_FAILS(open_path(path, OPENER_WRITE | OPENER_CREATE, &g),
		VHDX_E_EXISTS, "exists already");
	close_all(f);
}

static void descriptors_do_not_leak_into_other_programs(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path);
	char link[64], target[128];

	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strcmp(target, path) == 0)
			T_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	close_all(f);
}

struct punch {
	struct file_io io;
	bool done;
};

static void punch_done(struct file_io *io)
{
	container_of(io, struct punch, io)->done = true;
}

static void punch(struct file *f, struct punch *p, uint64_t off, uint64_t len)
{
	*p = (struct punch){ .io = { .op = FILE_PUNCH, .off = off, .len = len,
				     .done = punch_done } };
	file_submit(f, &p->io);
	while (!p->done)
		(void)loop_turn(loop, -1);
}

static void punch_gives_space_back_and_says_so(void)
{
	struct file *f = new_file(new_path("image"));
	static uint8_t buf[MIB];
	uint64_t before;
	struct punch p;

	t_fill(buf, sizeof(buf), 1);
	T_OK(file_write(f, 0, buf, sizeof(buf), &t_err));
	T_OK(file_sync(f, &t_err));
	before = file_host_len(f);
	punch(f, &p, 0, MIB);
	T_OK(p.io.res);
	if (p.io.res_punched)
		T_TRUE(file_host_len(f) + MIB / 2 < before);
	close_all(f);
}

static void zeros_are_skipped_up_to_data_and_to_the_end(void)
{
	struct file *f = new_file(new_path("image"));
	static uint8_t buf[MIB];
	struct iovec v = { buf, sizeof(buf) };

	T_OK(file_truncate(f, 900 * KIB, &t_err));
	T_OK(file_write(f, 700 * KIB, "x", 1, &t_err));
	for (size_t i = 0; i < 2; i++) {
		struct punch p = { .io = { .op = FILE_READ, .off = i * 800 *
					   KIB, .len = MIB, .iov = &v,
					   .iov_cnt = 1, .done = punch_done } };

		memset(buf, 0xee, sizeof(buf));
		file_submit_skipping(f, &p.io);
		while (!p.done)
			(void)loop_turn(loop, -1);
		T_OK(p.io.res);
		/* A piece at a time, of 64 KiB; and what the file has. */
		T_EQ_U64(p.io.res_zero_len, i ? 100 * KIB : 640 * KIB);
		T_EQ_U64(buf[700 * KIB], i ? 0 : 'x');
		T_EQ_U64(buf[MIB - 1], 0);
	}
	close_all(f);
}

static void zero_of_a_read_only_descriptor_fails_with_the_errno(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path), *g = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	T_OK(file_truncate(f, MIB, &t_err));
	/* Claims to be writable, so that the host is asked and refuses. */
	T_OK(file_posix_new(loop, fd, path, true, &g, &t_err));
	T_FAILS(file_zero(g, 4096, 4096, &t_err), VHDX_E_IO,
		"write zeroes at offset 4096, length 4096");
	T_FAILS(file_write(g, 0, "x", 1, &t_err), VHDX_E_IO,
		"write at offset 0, length 1");
	T_TRUE(t_err.sys_errno == EBADF);
	T_EQ_U64(g->size, MIB);
	file_close(g);
	close_all(f);
}

static void zero_works_where_the_host_cannot_do_it(void)
{
	/* A memory file lacks ZERO_RANGE: the hole or the write must do. */
	int fd = memfd_create("zero", MFD_CLOEXEC);
	struct file *f = NULL;
	uint8_t b[3] = { 1, 2, 3 };

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_posix_new(loop, fd, "memfd", true, &f, &t_err));
	T_OK(file_write(f, 4095, b, 3, &t_err));
	T_OK(file_zero(f, 4096, 1, &t_err));
	T_OK(file_read(f, 4095, b, 3, &t_err));
	T_TRUE(b[0] == 1 && b[1] == 0 && b[2] == 3);
	T_EQ_U64(f->size, 4098);
	close_all(f);
}

static void failed_sync_is_never_followed_by_a_good_one(void)
{
	const char *path = new_path("image");
	struct file *f;
	int fd, good;

	close_all(new_file(path));
	T_OK(loop_new(&loop, &t_err));
	/* Such a descriptor cannot be synced... */
	fd = open(path, O_PATH | O_CLOEXEC);
	good = open(path, O_RDWR | O_CLOEXEC);
	T_OK(file_posix_new(loop, fd, path, true, &f, &t_err));
	T_FAILS(file_sync(f, &t_err), VHDX_E_IO, ": sync: ");
	/* ...and now it could. */
	T_TRUE(dup3(good, fd, O_CLOEXEC) == fd);
	close(good);
	T_OK(file_write(f, 0, "x", 1, &t_err));
	T_FAILS(file_sync(f, &t_err), VHDX_E_IO, "an earlier sync failed");
	close_all(f);
}

static void short_and_interrupted_transfers_are_continued(void)
{
	struct file *f = new_file(new_path("image"));
	static uint8_t in[9000], out[9000];

	t_fill(in, sizeof(in), 1);
	short_io_set(700, true);
	T_OK(file_write(f, 3, in, sizeof(in), &t_err));
	T_EQ_U64(f->size, 3 + sizeof(in));
	T_OK(file_read(f, 3, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	short_io_set(0, false);
	memset(out, 0, sizeof(out));
	T_OK(file_read(f, 3, out, sizeof(out), &t_err));
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	close_all(f);
}

/* The other form cannot wait, and so runs on the loop's own thread. */
static void small_reads_of_what_is_cached_take_no_thread(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path);
	static uint8_t in[8192], out[8192];
	struct iovec v = { out, sizeof(out) };
	int fd = open(path, O_RDONLY);
	bool can;
	unsigned before;

	t_fill(in, sizeof(in), 1);
	T_OK(file_write(f, 0, in, sizeof(in), &t_err));
	can = preadv2(fd, &v, 1, 0, RWF_NOWAIT) == sizeof(out);
	close(fd);
	memset(out, 0, sizeof(out));
	before = short_io_reads();
	T_OK(file_read(f, 0, out, sizeof(out), &t_err));
	T_TRUE(!can || short_io_reads() == before);
	T_TRUE(memcmp(in, out, sizeof(in)) == 0);
	/* Beyond the end it takes one, and the rest is zeros. */
	T_OK(file_read(f, 4096, out, sizeof(out), &t_err));
	T_TRUE(short_io_reads() > before);
	T_TRUE(memcmp(in + 4096, out, 4096) == 0);
	T_TRUE(mem_is_zero(out + 4096, 4096));
	close_all(f);
}

/* The disk is full in the middle of a write. */
static void size_is_right_after_a_write_that_failed_half_way(void)
{
	struct file *f = new_file(new_path("image"));
	struct rlimit old, small;
	static uint8_t in[8192];

	T_TRUE(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = (struct rlimit){ 5000, old.rlim_max };
	T_TRUE(setrlimit(RLIMIT_FSIZE, &small) == 0);
	T_FAILS(file_write(f, 0, in, sizeof(in), &t_err), VHDX_E_NOSPC,
		"write at offset 0, length 8192");
	T_TRUE(setrlimit(RLIMIT_FSIZE, &old) == 0);
	T_EQ_U64(f->size, 5000);
	close_all(f);
}

/* X3: the host may tell of a truncation that is not complete. */
static void size_after_a_failure_is_no_more_than_the_transfer_made(void)
{
	const char *path = new_path("image");
	struct file *f = new_file(path);
	char buf[4096] = { 1 };

	T_OK(file_write(f, 0, buf, sizeof(buf), &t_err));
	T_TRUE(truncate(path, 65536) == 0);
	short_io_fail_at(0);
	T_FAILS(file_read(f, 0, buf, sizeof(buf), &t_err), VHDX_E_IO, "read");
	T_EQ_U64(f->size, 4096);
	short_io_fail_at(4096);
	T_FAILS(file_write(f, 4096, buf, sizeof(buf), &t_err), VHDX_E_IO,
		"write");
	T_EQ_U64(f->size, 8192);
	short_io_fail_at(-1);
	close_all(f);
}

static void zero_by_writing_does_not_grow_the_file(void)
{
	struct file *f = new_file(new_path("image"));
	struct stat st;

	short_io_no_fallocate(true);
	T_OK(file_truncate(f, 10000, &t_err));
	T_OK(file_zero(f, 8000, MIB, &t_err));
	short_io_no_fallocate(false);
	T_TRUE(stat(f->path, &st) == 0);
	T_EQ_U64(st.st_size, 10000);
	close_all(f);
}

static void next_data_reports_a_hole_at_the_end(void)
{
	struct file *f = new_file(new_path("image"));
	uint64_t off, len;
	uint8_t b = 1;

	T_OK(file_write(f, 0, &b, 1, &t_err));
	T_OK(file_truncate(f, 100 * MIB, &t_err));
	T_OK(file_next_data(f, 0, &off, &len, &t_err));
	T_EQ_U64(off, 0);
	T_OK(file_next_data(f, 50 * MIB, &off, &len, &t_err));
	T_EQ_U64(len, 0);
	close_all(f);
}

static void size_the_host_cannot_have_is_no_space(void)
{
	struct file *f = new_file(new_path("image"));
	uint8_t b = 1;

	T_FAILS(file_truncate(f, (uint64_t)INT64_MAX, &t_err), VHDX_E_NOSPC,
		"set the size to 9223372036854775807 bytes");
	T_EQ_U64(f->size, 0);
	T_OK(file_write(f, 0, &b, 1, &t_err));
	close_all(f);
}

static void a_reservation_takes_the_space_or_is_refused(void)
{
	struct file *f = new_file(new_path("image"));

	T_OK(file_truncate(f, 8 * MIB, &t_err));
	T_OK(file_reserve(f, 0, 8 * MIB, &t_err));
	if (file_host_len(f) >= 8 * MIB) /* the host has the call */
		T_FAILS(file_reserve(f, 0, (uint64_t)INT64_MAX, &t_err),
			VHDX_E_NOSPC, "bytes more, the host has");
	T_EQ_U64(f->size, 8 * MIB);
	close_all(f);
}

static const struct t_test tests[] = {
	T_TEST(second_writer_is_told_the_pid_of_the_first),
	T_TEST(readers_share_and_keep_writers_out),
	T_TEST(opening_twice_in_one_process_is_refused),
	T_TEST(a_look_sees_writers_and_keeps_nobody_out),
	T_TEST(closing_gives_the_lock_back),
	T_TEST(what_is_not_a_file_is_named),
	T_TEST(create_refuses_an_existing_file),
	T_TEST(descriptors_do_not_leak_into_other_programs),
	T_TEST(punch_gives_space_back_and_says_so),
	T_TEST(zeros_are_skipped_up_to_data_and_to_the_end),
	T_TEST(zero_of_a_read_only_descriptor_fails_with_the_errno),
	T_TEST(zero_works_where_the_host_cannot_do_it),
	T_TEST(failed_sync_is_never_followed_by_a_good_one),
	T_TEST(short_and_interrupted_transfers_are_continued),
	T_TEST(small_reads_of_what_is_cached_take_no_thread),
	T_TEST(size_is_right_after_a_write_that_failed_half_way),
	T_TEST(size_after_a_failure_is_no_more_than_the_transfer_made),
	T_TEST(zero_by_writing_does_not_grow_the_file),
	T_TEST(next_data_reports_a_hole_at_the_end),
	T_TEST(size_the_host_cannot_have_is_no_space),
	T_TEST(a_reservation_takes_the_space_or_is_refused),
	T_END,
};

const struct t_suite t_suite_file_posix = { "file_posix", tests };
