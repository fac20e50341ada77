/* SPDX-License-Identifier: MIT */
/*
 * What all implementations of struct file share: the checks on a request, the
 * blocking forms, and the window arithmetic over scattered buffers.
 *
 * An implementation sees only requests that make sense: end of range within
 * FILE_LEN_MAX, buffers that hold `len` bytes, length not zero, no change to a
 * file that is not writable.
 */
#include "file.h"

/* off_t's range; no host has larger files. */
#define FILE_LEN_MAX ((uint64_t)INT64_MAX)

static const char *op_name(enum file_op op)
{
	static const char *const names[] = {
		[FILE_READ] = "read",	      [FILE_WRITE] = "write",
		[FILE_SYNC] = "sync",	      [FILE_TRUNCATE] = "truncate",
		[FILE_ZERO] = "write zeroes", [FILE_PUNCH] = "punch hole",
		[FILE_RESERVE] = "reserve space", [FILE_COPY] = "copy",
		[FILE_SCAN] = "look for data",
	};

	return names[op];
}

static void complete_checked(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);

	io->done(io);
}

static bool has_range(const struct file_io *io)
{
	return io->op != FILE_SYNC && io->op != FILE_TRUNCATE;
}

static int check_io(const struct file *f, struct file_io *io)
{
	uint64_t len = has_range(io) ? io->len : 0, end;

	if (io->op == FILE_SYNC)
		return 0;
	if ((io->op == FILE_COPY || io->op == FILE_SCAN) &&
	    !file_can_copy(f, io->from))
		return err_set(&io->err, VHDX_E_UNSUPPORTED,
			       "%s: no way to copy from %s directly", f->path,
			       io->from->path);
	if (io->op != FILE_READ && io->op != FILE_SCAN && !f->writable)
		return err_set(&io->err, VHDX_E_READONLY,
			       "%s: %s: the file is open for reading only",
			       f->path, op_name(io->op));
	if (ckd_add(io->off, len, &end) || end > FILE_LEN_MAX)
		return err_set(&io->err, VHDX_E_RANGE,
			       "%s: %s at offset %llu, length %llu: beyond the "
			       "largest offset %llu", f->path, op_name(io->op),
			       (unsigned long long)io->off,
			       (unsigned long long)len,
			       (unsigned long long)FILE_LEN_MAX);
	return 0;
}

/* A caller whose buffers are too short is broken; stop before memory is. */
static void check_buffers(const struct file_io *io)
{
	uint64_t sum = 0;

	if (io->op != FILE_READ && io->op != FILE_WRITE)
		return;
	for (int i = 0; i < io->iov_cnt; i++)
		sum += io->iov[i].iov_len;
	ASSERT(sum >= io->iov_skip && sum - io->iov_skip >= io->len);
}

static bool changes(const struct file_io *io)
{
	return io->op != FILE_READ && io->op != FILE_SYNC &&
	       io->op != FILE_SCAN;
}

static void submit(struct file *f, struct file_io *io, bool skip_zeros)
{
	ASSERT(io->done);
	check_buffers(io);
	io->file = f;
	io->skip_zeros = skip_zeros;
	io->res_punched = false;
	io->res_zero_len = 0;
	io->res_copied_len = 0;
	io->res_from_failed = false;
	io->extends = io->op == FILE_COPY && io->off + io->len > f->size;
	f->change_cnt += changes(io);
	io->res = check_io(f, io);
	if (io->res == 0 && !(has_range(io) && io->len == 0) &&
	    !(io->op == FILE_SYNC && f->no_sync)) {
		f->ops->submit(f, io);
		return;
	}
	loop_task_init(&io->task, complete_checked);
	loop_defer(f->loop, &io->task);
}

void file_submit(struct file *f, struct file_io *io)
{
	submit(f, io, false);
}

void file_submit_skipping(struct file *f, struct file_io *io)
{
	submit(f, io, io->op == FILE_READ || io->op == FILE_COPY);
}

struct blocking_io {
	struct file_io io;
	bool finished;
};

static void blocking_done(struct file_io *io)
{
	container_of(io, struct blocking_io, io)->finished = true;
}

static int run_blocking(struct file *f, struct file_io io, struct vhdx_err *e)
{
	struct blocking_io b = { .io = io };

	b.io.done = blocking_done;
	file_submit(f, &b.io);
	while (!b.finished)
		(void)loop_turn(f->loop, -1);
	return b.io.res ? err_copy(e, &b.io.err, b.io.res) : 0;
}

int file_read(struct file *f, uint64_t off, void *buf, size_t len,
	      struct vhdx_err *e)
{
	struct iovec v = { buf, len };

	return run_blocking(f, (struct file_io){ .op = FILE_READ, .off = off,
						 .len = len, .iov = &v,
						 .iov_cnt = 1 }, e);
}

int file_write(struct file *f, uint64_t off, const void *buf, size_t len,
	       struct vhdx_err *e)
{
	/* iovec has no const; FILE_WRITE only reads through it. */
	struct iovec v = { (void *)(uintptr_t)buf, len };

	return run_blocking(f, (struct file_io){ .op = FILE_WRITE, .off = off,
						 .len = len, .iov = &v,
						 .iov_cnt = 1 }, e);
}

int file_sync(struct file *f, struct vhdx_err *e)
{
	return run_blocking(f, (struct file_io){ .op = FILE_SYNC }, e);
}

int file_truncate(struct file *f, uint64_t size, struct vhdx_err *e)
{
	return run_blocking(f, (struct file_io){ .op = FILE_TRUNCATE,
						 .off = size }, e);
}

int file_zero(struct file *f, uint64_t off, uint64_t len, struct vhdx_err *e)
{
	return run_blocking(f, (struct file_io){ .op = FILE_ZERO, .off = off,
						 .len = len }, e);
}

int file_punch(struct file *f, uint64_t off, uint64_t len, struct vhdx_err *e)
{
	return run_blocking(f, (struct file_io){ .op = FILE_PUNCH, .off = off,
						 .len = len }, e);
}

int file_blank(struct file *f, uint64_t off, uint64_t len, struct vhdx_err *e)
{
	uint64_t end = off + len, data_off, data_len;
	int rc = 0;

	while (!rc && off < end) {
		rc = file_next_data(f, off, &data_off, &data_len, e);
		if (rc || !data_len || data_off >= end)
			break;
		off = u64_min(end, data_off + data_len);
		rc = file_zero(f, data_off, off - data_off, e);
	}
	return rc;
}

int file_reserve(struct file *f, uint64_t off, uint64_t len,
		 struct vhdx_err *e)
{
	return run_blocking(f, (struct file_io){ .op = FILE_RESERVE,
						 .off = off, .len = len }, e);
}

bool file_can_copy(const struct file *f, const struct file *from)
{
	return f->ops->copies && (from->ops->fd || from->ops->peek);
}

int file_next_data(struct file *f, uint64_t off, uint64_t *data_off,
		   uint64_t *len, struct vhdx_err *e)
{
	*data_off = off;
	*len = 0;
	if (off >= f->size)
		return 0;
	if (f->ops->next_data)
		return f->ops->next_data(f, off, data_off, len, e);
	*len = f->size - off;
	return 0;
}

uint64_t file_host_len(struct file *f)
{
	return f->ops->host_len ? f->ops->host_len(f) : f->size;
}

void file_close(struct file *f)
{
	if (f)
		f->ops->close(f);
}

int file_iov_window(const struct file_io *io, uint64_t pos, struct iovec *out,
		    int max, size_t *bytes)
{
	uint64_t skip = io->iov_skip + pos, left = io->len - pos;
	int cnt = 0;

	*bytes = 0;
	for (int i = 0; i < io->iov_cnt && cnt < max && left > 0; i++) {
		uint64_t have = io->iov[i].iov_len, take;

		if (skip >= have) {
			skip -= have;
			continue;
		}
		take = u64_min(have - skip, left);
		out[cnt].iov_base = (char *)io->iov[i].iov_base + skip;
		out[cnt++].iov_len = (size_t)take;
		*bytes += (size_t)take;
		left -= take;
		skip = 0;
	}
	return cnt;
}
