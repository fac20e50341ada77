/* SPDX-License-Identifier: MIT */
/*
 * From host file to host file, on one thread at a time:
 *
 *	clone		the range is shared with the source, if the host can
 *	read, write	through a buffer that stays in the processor's cache;
 *			zeros are looked for there, where that costs nothing
 *
 * Whatever a clone is refused for - another file system, a range that is not
 * whole host blocks, no such call - reading and writing does the same; and if
 * that fails too it tells why. So no refusal needs to be understood.
 *
 * copy_file_range() is not used: where files share nothing it copies page by
 * page, more slowly than this, and it cannot leave out zeros.
 *
 * What is copied in large pieces is new and about to be synced as a whole: the
 * host is told to begin at once, so that it writes while the copy goes on.
 * That orders nothing and promises nothing; if it fails, the sync tells.
 */
#include "file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mem.h"

#define BUF_LEN (256 * KIB) /* on a thread's stack */
#define GRAIN (4 * KIB)	    /* zeros are found in units of this */
#define EARLY_LEN MIB

/* ---- reading ------------------------------------------------------------- */

static int from_fd(const struct file_io *io)
{
	return io->from->ops->fd ? io->from->ops->fd(io->from) : -1;
}

static int peek_failed(struct file_io *io, int en, uint64_t off, size_t len)
{
	io->res_from_failed = true;
	return err_sys(&io->err, en, "%s: read at offset %llu, length %zu",
		       io->from->path, (unsigned long long)off, len);
}

int file_copy_peek(struct file_io *io, uint64_t pos, void *buf, size_t len)
{
	uint64_t off = io->from_off + pos;
	int fd = from_fd(io);
	size_t got = 0;

	if (fd < 0) {
		io->from->ops->peek(io->from, off, buf, len);
		return 0;
	}
	while (got < len) {
		struct iovec v = { (char *)buf + got, len - got };
		ssize_t n = preadv(fd, &v, 1, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return peek_failed(io, errno, off, len);
		if (n == 0)
			break;
		got += (size_t)n;
	}
	memset((char *)buf + got, 0, len - got);
	return 0;
}

/* pos, or behind the hole that it lies in; in whole grains from pos, so that
 * what follows stays aligned as the beginning is. */
static uint64_t skip_hole(const struct file_io *io, uint64_t pos)
{
	uint64_t at = io->from_off + pos;
	int fd = from_fd(io);
	off_t data;

	if (fd < 0 || pos >= io->len)
		return pos;
	data = lseek(fd, (off_t)at, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? io->len : pos;
	return u64_min(io->len, pos + align_down((uint64_t)data - at, GRAIN));
}

/* How many of the len bytes are zeros from `at` on, or are not, in grains. */
static size_t run_len(const uint8_t *b, size_t at, size_t len, bool zero)
{
	size_t pos = at;

	while (pos < len) {
		size_t n = (size_t)u64_min(GRAIN, len - pos);

		if (mem_is_zero(b + pos, n) != zero)
			break;
		pos += n;
	}
	return pos - at;
}

/* Data is mostly found in the first bytes, so that they come alone. */
int file_copy_scan(struct file_io *io)
{
	uint8_t b[BUF_LEN];
	size_t want = GRAIN;
	uint64_t pos = skip_hole(io, 0);

	while (pos < io->len) {
		size_t n = (size_t)u64_min(want, io->len - pos), zeros;
		int rc = file_copy_peek(io, pos, b, n);

		if (rc)
			return rc;
		zeros = run_len(b, 0, n, true);
		pos += zeros;
		if (zeros < n)
			break;
		pos = skip_hole(io, pos);
		want = (size_t)u64_min(2 * want, BUF_LEN);
	}
	io->res_zero_len = pos;
	return 0;
}

/* ---- writing ------------------------------------------------------------- */

static bool clone(int fd, const struct file_io *io)
{
	struct file_clone_range r = {
		.src_fd = from_fd(io),
		.src_offset = io->from_off,
		.src_length = io->len,
		.dest_offset = io->off,
	};

	if (r.src_fd < 0)
		return false;
	return ioctl(fd, FICLONERANGE, &r) == 0;
}

static int write_all(int fd, struct file_io *io, uint64_t pos, uint8_t *b,
		     size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint64_t off = io->off + pos + done;
		struct iovec v = { b + done, len - done };
		ssize_t n = pwritev(fd, &v, 1, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(&io->err, n ? errno : EIO, "%s: write "
				       "at offset %llu, length %zu",
				       io->file->path, (unsigned long long)off,
				       len - done);
		done += (size_t)n;
	}
	io->res_copied_len += len;
	return 0;
}

/* A copy extends the file as a write does, so its last grain is written there,
 * zeros or not. */
static int write_data(int fd, struct file_io *io, uint64_t pos, uint8_t *b,
		      size_t len)
{
	bool last = io->extends && pos + len == io->len;
	size_t at = 0, n;
	int rc = 0;

	while (!rc && at < len) {
		at += run_len(b, at, len, true);
		if (at == len && last)
			at -= (len - 1) % GRAIN + 1;
		n = run_len(b, at, len, false);
		if (!n && at < len)
			n = len - at;
		if (n)
			rc = write_all(fd, io, pos + at, b + at, n);
		at += n;
	}
	return rc;
}

int file_copy_run(int fd, struct file_io *io)
{
	uint8_t b[BUF_LEN];
	uint64_t pos = 0;
	int rc = 0;

	if (clone(fd, io)) {
		io->res_copied_len = io->len;
		return 0;
	}
	while (!rc && pos < io->len) {
		size_t n = (size_t)u64_min(sizeof(b), io->len - pos);

		rc = file_copy_peek(io, pos, b, n);
		if (!rc && io->skip_zeros)
			rc = write_data(fd, io, pos, b, n);
		else if (!rc)
			rc = write_all(fd, io, pos, b, n);
		pos += n;
	}
	if (!rc && !io->file->no_sync && io->len >= EARLY_LEN)
		(void)sync_file_range(fd, (off_t)io->off, (off_t)io->len,
				      SYNC_FILE_RANGE_WRITE);
	return rc;
}
