/* SPDX-License-Identifier: MIT */
/*
 * Real files and block devices, through the page cache. Each operation is one
 * job of the loop's workers and makes plain system calls there - but for small
 * reads that need not wait; what the caller sees of it changes on the loop
 * only.
 *
 * X1  Once a sync has failed, every later sync of this file fails too. The
 *     kernel reports a lost write to one fsync only and then calls the pages
 *     clean; a second sync would call lost data safe. Syncs take turns under
 *     sync_lock, so that one which runs beside the failing one fails as well.
 * X2  FILE_ZERO and FILE_PUNCH never change the size and never fail merely
 *     because the host lacks the call.
 * X3  `size` is what the operations completed so far have made of it. Whoever
 *     has a FILE_TRUNCATE in flight beside a write beyond the smaller of the
 *     two sizes gets either result.
 */
#include "file_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "file_copy.h"
#include "mem.h"
#include "workers.h"

#define IOV_BATCH 64
#define SCAN_LEN (64 * KIB) /* on a worker's stack */
#define AT_ONCE_MAX (64 * KIB) /* as long as a thread's wake-up, about */

struct file_posix {
	struct file file;
	struct workers *workers;
	char *path;
	int fd;
	bool is_device;
	unsigned in_flight;
	bool no_nowait; /* the host said so, once; the loop's */
	atomic_bool no_zero_range; /* the host said so, once */
	atomic_bool no_punch, no_reserve;
	pthread_mutex_t sync_lock;
	int sync_errno; /* X1 */
	/* What next_data() found last: some hosts look for the end of a long
	 * run page by page. Forgotten when a part may have become a hole. */
	uint64_t data_off, data_end;
};

static struct file_posix *posix_of(struct file *f)
{
	return container_of(f, struct file_posix, file);
}

static int io_failed(struct file_io *io, int en, const char *what)
{
	return err_sys(&io->err, en, "%s: %s at offset %llu, length %llu",
		       io->file->path, what, (unsigned long long)io->off,
		       (unsigned long long)io->len);
}

/* ---- on a worker ------------------------------------------------------- */

static void zero_rest(const struct file_io *io, uint64_t pos)
{
	while (pos < io->len) {
		struct iovec v;
		size_t n;

		file_iov_window(io, pos, &v, 1, &n);
		memset(v.iov_base, 0, n);
		pos += n;
	}
}

/*
 * How many bytes at the beginning are zeros, in whole pieces. Each piece is
 * looked at while it is in the cache of the processor that read it: that is
 * most of the price of looking. Whatever else comes up is for transfer().
 */
static uint64_t skip_zeros(const struct file_posix *p, const struct file_io *io)
{
	uint8_t b[SCAN_LEN];
	uint64_t pos = 0;

	while (pos < io->len) {
		size_t want = (size_t)u64_min(io->len - pos, sizeof(b));
		ssize_t n = pread(p->fd, b, want, (off_t)(io->off + pos));

		if (n <= 0 || !mem_is_zero(b, (size_t)n))
			break;
		pos += (uint64_t)n;
	}
	return pos;
}

static int transfer(const struct file_posix *p, struct file_io *io)
{
	bool read = io->op == FILE_READ;
	uint64_t pos = 0;

	if (read && io->skip_zeros)
		pos = io->res_zero_len = skip_zeros(p, io);
	while (pos < io->len) {
		struct iovec v[IOV_BATCH];
		size_t want;
		int cnt = file_iov_window(io, pos, v, IOV_BATCH, &want);
		off_t at = (off_t)(io->off + pos);
		ssize_t n = read ? preadv(p->fd, v, cnt, at)
				 : pwritev(p->fd, v, cnt, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_failed(io, errno, read ? "read" : "write");
		if (n == 0 && !read)
			return io_failed(io, EIO, "write of no byte");
		if (n == 0) {
			zero_rest(io, pos);
			return 0;
		}
		pos += (uint64_t)n;
	}
	return 0;
}

static int do_sync(struct file_posix *p, struct file_io *io)
{
	bool before;
	int en;

	pthread_mutex_lock(&p->sync_lock);
	before = p->sync_errno != 0;
	if (!before)
		while (fdatasync(p->fd) != 0) {
			if (errno == EINTR)
				continue;
			p->sync_errno = errno;
			break;
		}
	en = p->sync_errno;
	pthread_mutex_unlock(&p->sync_lock);
	if (en == 0)
		return 0;
	return err_sys(&io->err, en, "%s: %s", io->file->path,
		       before ? "an earlier sync failed, what it lost cannot "
				"be known" : "sync");
}

static int do_truncate(const struct file_posix *p, struct file_io *io)
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

static bool no_such_call(int en)
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
	if (no_such_call(errno))
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
			return io_failed(io, n ? errno : EIO, "write zeroes");
		pos += (uint64_t)n;
	}
	return 0;
}

static int current_size(const struct file_posix *p, uint64_t *size)
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
static int do_zero(struct file_posix *p, struct file_io *io)
{
	uint64_t size, len;
	int en = current_size(p, &size);

	if (en)
		return io_failed(io, en, "look up the size");
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

static int do_punch(struct file_posix *p, struct file_io *io)
{
	int en = try_fallocate(p, FALLOC_FL_PUNCH_HOLE, &p->no_punch, io->off,
			       io->len);

	io->res_punched = en == 0;
	if (en == 0 || no_such_call(en) || en == EINVAL)
		return 0;
	return io_failed(io, en, "punch hole");
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

static int do_reserve(struct file_posix *p, struct file_io *io)
{
	int rc = p->is_device ? 0 : check_free(p, io), en;

	if (rc)
		return rc;
	en = try_fallocate(p, 0, &p->no_reserve, io->off, io->len);
	if (en == 0 || no_such_call(en) || p->is_device)
		return 0;
	return io_failed(io, en, "reserve space");
}

static void posix_complete(struct loop_task *t);

static void posix_run(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);
	struct file_posix *p = posix_of(io->file);

	switch (io->op) {
	case FILE_READ:
	case FILE_WRITE:
		io->res = transfer(p, io);
		break;
	case FILE_SYNC:
		io->res = do_sync(p, io);
		break;
	case FILE_TRUNCATE:
		io->res = do_truncate(p, io);
		break;
	case FILE_ZERO:
		io->res = do_zero(p, io);
		break;
	case FILE_PUNCH:
		io->res = do_punch(p, io);
		break;
	case FILE_RESERVE:
		io->res = do_reserve(p, io);
		break;
	case FILE_COPY:
		io->res = file_copy_run(p->fd, io);
		break;
	case FILE_SCAN:
		io->res = file_copy_scan(io);
		break;
	}
	t->fn = posix_complete;
}

/* ---- on the loop ------------------------------------------------------- */

static void update_size(struct file_posix *p, const struct file_io *io)
{
	uint64_t size;

	if (p->is_device)
		return;
	if (io->res == 0 && (io->op == FILE_WRITE || io->op == FILE_COPY))
		p->file.size = u64_max(p->file.size, io->off + io->len);
	else if (io->res == 0 && io->op == FILE_TRUNCATE)
		p->file.size = io->off;
	else if (io->res != 0 && current_size(p, &size) == 0)
		p->file.size = size; /* a part of it may have been done */
}

static void posix_complete(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);
	struct file_posix *p = posix_of(io->file);

	p->in_flight--;
	if (io->op == FILE_TRUNCATE || io->op == FILE_ZERO ||
	    io->op == FILE_PUNCH || io->op == FILE_RESERVE)
		p->data_end = 0;
	update_size(p, io);
	io->done(io);
}

/*
 * A small read of what the page cache holds is a copy, for which another thread
 * would cost more than it takes. Only all of it counts: the end of the file,
 * and what must be waited for, are a worker's.
 */
static bool read_at_once(struct file_posix *p, struct file_io *io)
{
	struct iovec v[IOV_BATCH];
	size_t want;
	ssize_t n;
	int cnt;

	if (io->op != FILE_READ || io->len > AT_ONCE_MAX || io->skip_zeros ||
	    p->no_nowait)
		return false;
	cnt = file_iov_window(io, 0, v, IOV_BATCH, &want);
	if (want != io->len)
		return false;
	n = preadv2(p->fd, v, cnt, (off_t)io->off, RWF_NOWAIT);
	if (n < 0 && no_such_call(errno))
		p->no_nowait = true;
	if (n < 0 || (size_t)n != want)
		return false;
	io->res = 0;
	loop_task_init(&io->task, posix_complete);
	loop_defer(p->file.loop, &io->task);
	return true;
}

static void posix_submit(struct file *f, struct file_io *io)
{
	struct file_posix *p = posix_of(f);

	p->in_flight++;
	if (read_at_once(p, io))
		return;
	loop_task_init(&io->task, posix_run);
	workers_submit(p->workers, &io->task);
}

static int posix_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			   uint64_t *len, struct vhdx_err *e)
{
	struct file_posix *p = posix_of(f);
	off_t start, end;

	*data_off = off;
	*len = 0;
	if (off >= p->data_off && off < p->data_end) {
		*len = p->data_end - off;
		return 0;
	}
	start = lseek(p->fd, (off_t)off, SEEK_DATA);
	end = start < 0 ? -1 : lseek(p->fd, start, SEEK_HOLE);
	if (start >= 0 && end >= 0) {
		if ((uint64_t)start >= f->size)
			return 0;
		p->data_off = (uint64_t)start;
		p->data_end = u64_min((uint64_t)end, f->size);
		*data_off = p->data_off;
		*len = p->data_end - p->data_off;
		return 0;
	}
	if (errno == ENXIO)
		return 0;
	if (errno != EINVAL && !no_such_call(errno))
		return err_sys(e, errno, "%s: look for data at offset %llu",
			       f->path, (unsigned long long)off);
	*len = f->size - off;
	return 0;
}

static uint64_t posix_host_len(struct file *f)
{
	struct stat st;

	if (posix_of(f)->is_device || fstat(posix_of(f)->fd, &st) != 0)
		return f->size;
	return (uint64_t)st.st_blocks * 512;
}

static void posix_close(struct file *f)
{
	struct file_posix *p = posix_of(f);

	ASSERT(p->in_flight == 0);
	close(p->fd);
	pthread_mutex_destroy(&p->sync_lock);
	mem_free(p->path);
	mem_free(p);
}

int file_posix_fd(const struct file *f)
{
	return container_of(f, struct file_posix, file)->fd;
}

static const struct file_ops posix_ops = {
	.submit = posix_submit,
	.next_data = posix_next_data,
	.host_len = posix_host_len,
	.close = posix_close,
	.copies = true,
	.fd = file_posix_fd,
};

int file_posix_check_type(const struct stat *st, const char *path,
			  struct vhdx_err *e)
{
	const char *what = "a special file";

	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	if (S_ISDIR(st->st_mode))
		what = "a directory";
	else if (S_ISCHR(st->st_mode))
		what = "a character device";
	else if (S_ISFIFO(st->st_mode))
		what = "a named pipe";
	else if (S_ISSOCK(st->st_mode))
		what = "a socket";
	return err_set(e, VHDX_E_INVAL,
		       "%s: is %s, not a regular file or a block device", path,
		       what);
}

static int posix_init(struct file_posix *p, struct loop *l, const char *path,
		      struct vhdx_err *e)
{
	struct stat st;
	int en, rc;

	p->path = mem_strdup(path);
	if (!p->path)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	p->file.path = p->path;
	p->file.ops = &posix_ops;
	p->file.loop = l;
	if (fstat(p->fd, &st) != 0)
		return err_sys(e, errno, "%s: stat", path);
	rc = file_posix_check_type(&st, path, e);
	if (rc)
		return rc;
	p->is_device = S_ISBLK(st.st_mode);
	en = current_size(p, &p->file.size);
	if (en)
		return err_sys(e, en, "%s: look up the size", path);
	return loop_workers(l, &p->workers, e);
}

int file_posix_new(struct loop *l, int fd, const char *path, bool writable,
		   struct file **out, struct vhdx_err *e)
{
	struct file_posix *p = mem_zalloc(sizeof(*p));
	int rc;

	if (!p) {
		close(fd);
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	}
	p->fd = fd;
	p->file.writable = writable;
	pthread_mutex_init(&p->sync_lock, NULL);
	rc = posix_init(p, l, path, e);
	if (rc) {
		posix_close(&p->file);
		return rc;
	}
	*out = &p->file;
	return 0;
}
