/* SPDX-License-Identifier: MIT */
/* These definitions take precedence over the C library's. */
#include "short_io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static_assert(sizeof(long) == 8, "offsets are passed in one register");

static atomic_size_t limit;
static atomic_bool interrupts, no_fallocate;
static atomic_uint calls;

void short_io_set(size_t max_len, bool interrupt)
{
	atomic_store(&limit, max_len);
	atomic_store(&interrupts, interrupt);
}

static ssize_t transfer(long call, int fd, const struct iovec *v, int cnt,
			off_t off)
{
	size_t max = atomic_load(&limit);
	struct iovec one;

	if (atomic_load(&interrupts) && atomic_fetch_add(&calls, 1) % 2 == 0) {
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
	return syscall(call, fd, v, cnt, off, 0L);
}

ssize_t preadv(int fd, const struct iovec *v, int cnt, off_t off)
{
	return transfer(SYS_preadv, fd, v, cnt, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int cnt, off_t off)
{
	return transfer(SYS_pwritev, fd, v, cnt, off);
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
