/* SPDX-License-Identifier: MIT */
/* These definitions take precedence over the C library's. */
#include "short_io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static_assert(sizeof(long) == 8, "offsets are passed in one register");

static atomic_size_t limit;
static atomic_bool interrupts, no_fallocate;
static atomic_uint calls, now_calls, ring_ops, eintr_calls, reads;
static _Atomic int64_t fail_at = -1;
static atomic_int now_how;

void short_io_set(size_t max_len, bool interrupt)
{
	atomic_store(&limit, max_len);
	atomic_store(&interrupts, interrupt);
}

void short_io_fail_at(int64_t off)
{
	atomic_store(&fail_at, off);
}

void short_io_now(int how)
{
	atomic_store(&now_how, how);
}

struct short_io_calls short_io_count(void)
{
	return (struct short_io_calls){ atomic_exchange(&calls, 0),
					atomic_exchange(&now_calls, 0),
					atomic_exchange(&ring_ops, 0) };
}

static bool is_hit(const struct iovec *v, int cnt, off_t off)
{
	int64_t at = atomic_load(&fail_at);
	size_t len = 0;

	for (int i = 0; i < cnt; i++)
		len += v[i].iov_len;
	return at >= off && at < off + (int64_t)len;
}

static ssize_t transfer(long call, int fd, const struct iovec *v, int cnt,
			off_t off, int flags)
{
	size_t max = atomic_load(&limit);
	struct iovec one;

	if (is_hit(v, cnt, off)) {
		errno = EIO;
		return -1;
	}
	if (atomic_load(&interrupts) &&
	    atomic_fetch_add(&eintr_calls, 1) % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	if (max > 0 && cnt > 0) {
		one = v[0];
		if (one.iov_len > max)
			one.iov_len = max;
		v = &one;
		cnt = 1;
	}
	return syscall(call, fd, v, cnt, off, 0L, flags);
}

ssize_t preadv(int fd, const struct iovec *v, int cnt, off_t off)
{
	atomic_fetch_add(&reads, 1);
	atomic_fetch_add(&calls, 1);
	return transfer(SYS_preadv, fd, v, cnt, off, 0);
}

ssize_t preadv2(int fd, const struct iovec *v, int cnt, off_t off, int flags)
{
	int how = atomic_load(&now_how);

	atomic_fetch_add(&now_calls, 1);
	if (how == SHORT_IO_CACHED)
		flags = 0;
	if (how > 0) {
		errno = how;
		return -1;
	}
	return transfer(SYS_preadv2, fd, v, cnt, off, flags);
}

unsigned short_io_reads(void)
{
	return atomic_load(&reads);
}

static atomic_uint write_nth;
static atomic_int write_errno;

void short_io_fail_writes(unsigned nth, int en)
{
	atomic_store(&write_errno, en);
	atomic_store(&write_nth, nth);
}

static bool write_fails(void)
{
	unsigned n = atomic_load(&write_nth);

	if (n > 1)
		atomic_store(&write_nth, n - 1);
	return n == 1;
}

ssize_t pwritev(int fd, const struct iovec *v, int cnt, off_t off)
{
	atomic_fetch_add(&calls, 1);
	if (write_fails()) {
		errno = atomic_load(&write_errno);
		return -1;
	}
	return transfer(SYS_pwritev, fd, v, cnt, off, 0);
}

static bool ring_op_is_hit(const struct iocb *cb)
{
	struct iovec one = { cb->u.c.buf, cb->u.c.nbytes };

	if (cb->aio_lio_opcode == IO_CMD_PREADV ||
	    cb->aio_lio_opcode == IO_CMD_PWRITEV)
		return is_hit(cb->u.c.buf, (int)cb->u.c.nbytes,
			      cb->u.c.offset);
	return is_hit(&one, 1, cb->u.c.offset);
}

int io_submit(io_context_t ctx, long cnt, struct iocb *ops[])
{
	long good = 0, n;

	while (good < cnt && !ring_op_is_hit(ops[good]))
		good++;
	if (cnt && !good)
		return -EIO;
	n = syscall(SYS_io_submit, ctx, good, ops);
	if (n < 0)
		return -errno;
	atomic_fetch_add(&ring_ops, (unsigned)n);
	return (int)n;
}

void short_io_no_fallocate(bool on)
{
	atomic_store(&no_fallocate, on);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	if (atomic_load(&no_fallocate)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, off, len);
}

static _Atomic(short_io_clone_fn *) clone_fn;

void short_io_clone(short_io_clone_fn *fn)
{
	atomic_store(&clone_fn, fn);
}

int ioctl(int fd, unsigned long request, ...)
{
	short_io_clone_fn *fn = atomic_load(&clone_fn);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fn && request == FICLONERANGE)
		return fn(fd, arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
