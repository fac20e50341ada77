/* SPDX-License-Identifier: MIT */
#include "posix_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

int posix_io_failed(struct file_io *io, int en, const char *what)
{
	return err_sys(&io->err, en, "%s: %s at offset %llu, length %llu",
		       io->file->path, what, (unsigned long long)io->off,
		       (unsigned long long)io->len);
}

int posix_truncate(const struct file_posix *p, struct file_io *io)
{
	int rc;

	if (p->is_device)
		return err_set(&io->err, VHDX_E_UNSUPPORTED,
			       "%s: is a block device, its size cannot be set "
			       "to %llu bytes", io->file->path,
			       (unsigned long long)io->off);
	do
		rc = ftruncate(p->fd, (off_t)io->off);
	while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	return err_sys(&io->err, errno, "%s: set the size to %llu bytes",
		       io->file->path, (unsigned long long)io->off);
}

bool posix_no_such_call(int en)
{
	return en == EOPNOTSUPP || en == ENOSYS;
}

/* 0 or errno. `missing` remembers that the host does not have this mode. */
static int try_fallocate(const struct file_posix *p, int mode,
			 atomic_bool *missing, uint64_t off, uint64_t len)
{
	int rc;

	if (atomic_load(missing))
		return EOPNOTSUPP;
	do
		rc = fallocate(p->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)off,
			       (off_t)len);
	while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (posix_no_such_call(errno))
		atomic_store(missing, true);
	return errno;
}

static int write_zeros(const struct file_posix *p, struct file_io *io,
		       uint64_t len)
{
	static uint8_t zeros[64 * 1024]; /* never written */
	struct iovec v[16];
	uint64_t pos = 0;

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (struct iovec){ zeros, sizeof(zeros) };
	while (pos < len) {
		uint64_t left = len - pos;
		int cnt = (int)u64_min(left / sizeof(zeros), ARRAY_LEN(v));
		ssize_t n = cnt ? pwritev(p->fd, v, cnt, (off_t)(io->off + pos))
				: pwrite(p->fd, zeros, (size_t)left,
					 (off_t)(io->off + pos));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return posix_io_failed(io, n ? errno : EIO,
					       "write zeroes");
		pos += (uint64_t)n;
	}
	return 0;
}

int posix_current_size(const struct file_posix *p, uint64_t *size)
{
	struct stat st;

	if (p->is_device)
		return ioctl(p->fd, BLKGETSIZE64, size) ? errno : 0;
	if (fstat(p->fd, &st) != 0)
		return errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

/*
 * Best first: keep the blocks, free the blocks, write. Whatever the first two
 * are refused for - ENOSPC because a hole would have to be filled, EINVAL
 * because a device wants whole sectors - the next may still work.
 */
int posix_zero(struct file_posix *p, struct file_io *io)
{
	uint64_t size, len;
	int en = posix_current_size(p, &size);

	if (en)
		return posix_io_failed(io, en, "look up the size");
	if (io->off >= size)
		return 0; /* zeros already, and must not grow (X2) */
	len = u64_min(io->len, size - io->off);
	if (try_fallocate(p, FALLOC_FL_ZERO_RANGE, &p->no_zero_range, io->off,
			  len) == 0)
		return 0;
	if (try_fallocate(p, FALLOC_FL_PUNCH_HOLE, &p->no_punch, io->off,
			  len) == 0)
		return 0;
	return write_zeros(p, io, len);
}

int posix_punch(struct file_posix *p, struct file_io *io)
{
	int en = try_fallocate(p, FALLOC_FL_PUNCH_HOLE, &p->no_punch, io->off,
			       io->len);

	io->res_punched = en == 0;
	if (en == 0 || posix_no_such_call(en) || en == EINVAL)
		return 0;
	return posix_io_failed(io, en, "punch hole");
}

/* Asked for more than there is, hosts take all there is before they refuse,
 * and everybody else finds the disk full meanwhile. */
static int check_free(const struct file_posix *p, struct file_io *io)
{
	struct statvfs vfs;
	struct stat st;
	uint64_t have, avail;

	if (fstat(p->fd, &st) != 0 || fstatvfs(p->fd, &vfs) != 0)
		return 0; /* the call itself will tell */
	have = (uint64_t)st.st_blocks * 512;
	if (ckd_mul((uint64_t)vfs.f_bavail, (uint64_t)vfs.f_frsize, &avail) ||
	    io->len <= have || io->len - have <= avail)
		return 0;
	return err_set(&io->err, VHDX_E_NOSPC,
		       "%s: needs %llu bytes more, the host has %llu free",
		       io->file->path, (unsigned long long)(io->len - have),
		       (unsigned long long)avail);
}

int posix_reserve(struct file_posix *p, struct file_io *io)
{
	int rc = p->is_device ? 0 : check_free(p, io), en;

	if (rc)
		return rc;
	en = try_fallocate(p, 0, &p->no_reserve, io->off, io->len);
	if (en == 0 || posix_no_such_call(en) || p->is_device)
		return 0;
	return posix_io_failed(io, en, "reserve space");
}
