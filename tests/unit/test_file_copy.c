/* SPDX-License-Identifier: MIT */
/* From one real file to another, on hosts of several manners. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_posix.h"
#include "short_io.h"
#include "t.h"

#define LEN (MIB + 3 * 512)

static struct loop *loop;
static struct file *src, *dst;
static uint8_t data[2 * MIB], back[2 * MIB];
static struct file_clone_range cloned;

static struct file *new_file(const char *name)
{
	char path[128];
	struct file *f;

	snprintf(path, sizeof(path), "%s/%s", t_tmpdir(), name);
	T_OK(opener_default.open(&opener_default, loop, path,
				 OPENER_WRITE | OPENER_CREATE, &f, &t_err));
	return f;
}

/* The source holds LEN bytes of data from 4 KiB on; the target is empty. */
static void begin(void)
{
	T_OK(loop_new(&loop, &t_err));
	src = new_file("src");
	dst = new_file("dst");
	memset(data, 0, sizeof(data));
	t_fill(data + 4096, LEN, 1);
	T_OK(file_write(src, 0, data, 4096 + LEN, &t_err));
}

static void end(void)
{
	file_close(src);
	file_close(dst);
	loop_free(loop);
	short_io_set(0, false);
	short_io_fail_writes(0, 0);
	short_io_clone(NULL);
}

static bool finished;

static void done(struct file_io *io)
{
	(void)io;
	finished = true;
}

static struct file_io run(enum file_op op, uint64_t off, uint64_t from_off,
			  uint64_t len, bool skip)
{
	struct file_io io = { .op = op, .off = off, .len = len, .from = src,
			      .from_off = from_off, .done = done };

	finished = false;
	if (skip)
		file_submit_skipping(dst, &io);
	else
		file_submit(dst, &io);
	while (!finished)
		(void)loop_turn(loop, -1);
	t_err = io.err;
	return io;
}

static bool shows(uint64_t off, const uint8_t *want, size_t len)
{
	T_OK(file_read(dst, off, back, len, &t_err));
	return memcmp(back, want, len) == 0;
}

static void a_copy_is_what_the_source_holds(void)
{
	begin();
	T_OK(run(FILE_COPY, 512, 4096, LEN, false).res);
	T_TRUE(shows(512, data + 4096, LEN));
	T_EQ_U64(dst->size, 512 + LEN);
	end();
}

static void short_and_interrupted_calls_are_continued(void)
{
	begin();
	short_io_set(70001, true);
	T_OK(run(FILE_COPY, 0, 0, 4096 + LEN, true).res);
	T_TRUE(shows(0, data, 4096 + LEN));
	end();
}

static void behind_the_end_of_the_source_are_zeros(void)
{
	begin();
	T_OK(file_write(dst, 0, data + 4096, MIB, &t_err));
	T_OK(run(FILE_COPY, 0, LEN, 8192, false).res);
	T_TRUE(shows(0, data + LEN, 8192));
	end();
}

static void zeros_are_left_out_where_asked(void)
{
	begin();
	T_OK(file_truncate(dst, 2 * MIB, &t_err));
	T_OK(file_write(dst, 0, data + 4096, 4096, &t_err));
	T_EQ_U64(run(FILE_COPY, 0, 0, 4096 + LEN, true).res_copied_len, LEN);
	T_TRUE(shows(0, data + 4096, 4096)); /* not touched */
	T_EQ_U64(run(FILE_COPY, 0, 0, 8192, false).res_copied_len, 8192);
	T_TRUE(shows(0, data, 8192));
	end();
}

static void a_copy_of_zeros_extends_the_file_as_a_write_does(void)
{
	struct stat st;

	begin();
	T_OK(file_write(src, 2 * MIB, "x", 1, &t_err));
	T_OK(run(FILE_COPY, 4096, 5 * 262144, 300000, true).res);
	T_EQ_U64(dst->size, 4096 + 300000);
	T_EQ_U64(fstat(file_posix_fd(dst), &st), 0);
	T_EQ_U64(st.st_size, 4096 + 300000);
	T_TRUE(shows(4096, data + 5 * 262144, 300000));
	end();
}

static uint64_t zeros_at(uint64_t off, uint64_t len)
{
	struct file_io io = run(FILE_SCAN, 0, off, len, false);

	T_OK(io.res);
	return io.res_zero_len;
}

static void a_scan_finds_the_first_data(void)
{
	begin();
	T_EQ_U64(zeros_at(0, LEN), 4096);
	T_EQ_U64(zeros_at(0, 1024), 1024);
	T_EQ_U64(zeros_at(8192, LEN), 0);
	memset(data + 4096, 0, LEN); /* zeros, but written ones */
	data[900000] = 1;
	T_OK(file_write(src, 0, data, 4096 + LEN, &t_err));
	T_EQ_U64(zeros_at(0, LEN), 900000 / 4096 * 4096);
	T_EQ_U64(zeros_at(512, LEN), (900000 - 512) / 4096 * 4096);
	T_EQ_U64(zeros_at(900001, 2 * MIB), 2 * MIB);
	T_OK(file_write(src, 40 * MIB, data + 900000, 1, &t_err)); /* a hole */
	T_EQ_U64(zeros_at(2 * MIB, 64 * MIB), 38 * MIB);
	T_EQ_U64(zeros_at(41 * MIB, 64 * MIB), 64 * MIB);
	end();
}

static int refused_errno;

static int refuse(int fd, const struct file_clone_range *r)
{
	(void)fd;
	(void)r;
	errno = refused_errno;
	return -1;
}

static void what_cannot_be_shared_is_copied(void)
{
	static const int why[] = { EXDEV, EINVAL, EOPNOTSUPP, ENOTTY, EPERM,
				   ENOSPC, EINTR, ETXTBSY, EIO };

	begin();
	short_io_clone(refuse);
	for (unsigned i = 0; i < ARRAY_LEN(why); i++) {
		refused_errno = why[i];
		T_OK(file_truncate(dst, 0, &t_err));
		T_OK(run(FILE_COPY, 0, 4096, LEN, true).res);
		T_TRUE(shows(0, data + 4096, LEN));
	}
	end();
}

static int share(int fd, const struct file_clone_range *r)
{
	cloned = *r;
	return ftruncate(fd, (off_t)(r->dest_offset + r->src_length));
}

static void what_can_be_shared_is_neither_read_nor_written(void)
{
	struct file_io io;

	begin();
	short_io_clone(share);
	io = run(FILE_COPY, MIB, 4096, MIB, true);
	T_OK(io.res);
	T_EQ_U64(io.res_copied_len, MIB);
	T_EQ_U64(cloned.src_fd, file_posix_fd(src));
	T_EQ_U64(cloned.src_offset, 4096);
	T_EQ_U64(cloned.src_length, MIB);
	T_EQ_U64(cloned.dest_offset, MIB);
	T_EQ_U64(dst->size, 2 * MIB);
	memset(data, 0, MIB);
	T_TRUE(shows(MIB, data, MIB)); /* share() has moved nothing */
	end();
}

static void a_full_host_is_told_as_the_targets_failure(void)
{
	struct file_io io;

	begin();
	short_io_fail_writes(2, ENOSPC);
	io = run(FILE_COPY, 0, 4096, LEN, true);
	T_FAILS(io.res, VHDX_E_NOSPC, "/dst: write at offset 262144");
	T_TRUE(!io.res_from_failed);
	end();
}

/* Its descriptor is open for writing only. */
static void a_source_that_cannot_be_read_is_told_as_such(void)
{
	char path[128];
	struct file_io io;

	begin();
	snprintf(path, sizeof(path), "%s/wo", t_tmpdir());
	file_close(src);
	T_OK(file_posix_new(loop, open(path, O_WRONLY | O_CREAT, 0600), "wo",
			    true, &src, &t_err));
	T_OK(file_write(src, 0, data + 4096, 8192, &t_err));
	io = run(FILE_COPY, 0, 4096, 4096, true);
	T_FAILS(io.res, VHDX_E_IO, "wo: read at offset 4096");
	T_TRUE(io.res_from_failed);
	io = run(FILE_SCAN, 0, 4096, 4096, false);
	T_FAILS(io.res, VHDX_E_IO, "wo: read at offset 4096");
	T_TRUE(io.res_from_failed);
	end();
}

static void from_a_file_without_bytes_at_hand_nothing_is_copied(void)
{
	struct file_ops none;
	struct file other;

	begin();
	none = *src->ops;
	none.fd = NULL;
	other = *src;
	other.ops = &none;
	T_TRUE(!file_can_copy(dst, &other));
	T_TRUE(file_can_copy(dst, src));
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_copy_is_what_the_source_holds),
	T_TEST(short_and_interrupted_calls_are_continued),
	T_TEST(behind_the_end_of_the_source_are_zeros),
	T_TEST(zeros_are_left_out_where_asked),
	T_TEST(a_copy_of_zeros_extends_the_file_as_a_write_does),
	T_TEST(a_scan_finds_the_first_data),
	T_TEST(what_cannot_be_shared_is_copied),
	T_TEST(what_can_be_shared_is_neither_read_nor_written),
	T_TEST(a_full_host_is_told_as_the_targets_failure),
	T_TEST(a_source_that_cannot_be_read_is_told_as_such),
	T_TEST(from_a_file_without_bytes_at_hand_nothing_is_copied),
	T_END,
};

const struct t_suite t_suite_file_copy = { "file_copy", tests };
