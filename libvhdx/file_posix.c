/* SPDX-License-Identifier: MIT */
/*
 * Real files and block devices, through the page cache.
 *
 *	short read, in the page cache	at once, if the host can be asked not
 *					to wait for the device (RWF_NOWAIT)
 *	write				a job of the loop's workers; of the
 *					short ones, and of the long ones, one at
 *					a time: the host locks the inode. Not so
 *					long ones to a device
 *	all else			a job of the workers, which make plain
 *					system calls
 *
 * Transfers of one round of the workers that lie side by side in the file are
 * one job and one system call; if that does not move all, each is done again by
 * itself, so that each has its own result. What the caller sees of an operation
 * changes on the loop only.
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
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_copy.h"
#include "mem.h"
#include "mutation.h"
#include "posix_file.h"

#define IOV_BATCH 64
#define SCAN_LEN (64 * KIB) /* on a worker's stack */
/* Above these the threads gain more by copying side by side than a call, or a
 * hand-over, costs. */
#define MERGE_LEN_MAX (128 * KIB) /* of all, each of them a quarter at most */
#define NOW_LEN_MAX (16 * KIB)
#define NOW_LEN_MAX_ALONE (64 * KIB)
#define NOW_SKIP_MAX 63u
#define SHORT_LEN_MAX (64 * KIB)
#define SHORT_RUN 8u
#define PAGE 4096u

static struct file_posix *posix_of(struct file *f)
{
	return container_of(f, struct file_posix, file);
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
			return posix_io_failed(io, errno,
					       read ? "read" : "write");
		if (n == 0 && !read)
			return posix_io_failed(io, EIO, "write of no byte");
		if (n == 0) {
			zero_rest(io, pos);
			return 0;
		}
		pos += (uint64_t)n;
	}
	return 0;
}

/* All of a job's operations with one call. False: something of it is not as it
 * should be. */
static bool transfer_together(const struct file_posix *p, struct file_io *io)
{
	struct iovec v[IOV_BATCH];
	size_t bytes, total;
	struct list *it;
	ssize_t n;
	int cnt = file_iov_window(io, 0, v, IOV_BATCH, &total);

	list_for_each(it, &io->merged) {
		cnt += file_iov_window(list_entry(it, struct file_io,
						  task.node), 0, v + cnt,
				       IOV_BATCH - cnt, &bytes);
		total += bytes;
	}
	if (io->op == FILE_READ)
		n = preadv(p->fd, v, cnt, (off_t)io->off);
	else
		n = pwritev(p->fd, v, cnt, (off_t)io->off);
	return n == (ssize_t)total;
}

static int transfer_all(const struct file_posix *p, struct file_io *io)
{
	struct list *it;

	if (list_empty(&io->merged))
		return transfer(p, io);
	if (transfer_together(p, io) || MUTATED(MERGED_GO_AGAIN))
		return 0; /* like the others, which say so already */
	list_for_each(it, &io->merged) {
		struct file_io *one = list_entry(it, struct file_io, task.node);

		one->res = transfer(p, one);
	}
	return transfer(p, io);
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

static void posix_complete(struct loop_task *t);

static void posix_run(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);
	struct file_posix *p = posix_of(io->file);

	switch (io->op) {
	case FILE_READ:
	case FILE_WRITE:
		io->res = transfer_all(p, io);
		break;
	case FILE_SYNC:
		io->res = do_sync(p, io);
		break;
	case FILE_TRUNCATE:
		io->res = posix_truncate(p, io);
		break;
	case FILE_ZERO:
		io->res = posix_zero(p, io);
		break;
	case FILE_PUNCH:
		io->res = posix_punch(p, io);
		break;
	case FILE_RESERVE:
		io->res = posix_reserve(p, io);
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

/* A failed transfer may have written a part of what it was to write, and no
 * more: the size that the host tells may be that of a truncation beside it,
 * which is not complete yet (X3). */
static void update_size(struct file_posix *p, const struct file_io *io)
{
	bool writes = io->op == FILE_WRITE || io->op == FILE_COPY;
	uint64_t size, end = io->off + io->len;

	if (p->is_device || !(writes || io->op == FILE_TRUNCATE))
		return;
	if (io->res && posix_current_size(p, &size))
		return;
	if (writes)
		p->file.size = u64_max(p->file.size,
				       io->res ? u64_min(size, end) : end);
	else
		p->file.size = io->res ? size : io->off;
}

static void posix_complete(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);
	struct file_posix *p = posix_of(io->file);

	while (!list_empty(&io->merged)) {
		struct loop_task *one = list_first(&io->merged,
						   struct loop_task, node);

		list_del(&one->node);
		one->fn = posix_complete;
		loop_defer(p->file.loop, one);
	}
	p->in_flight--;
	if (io->op == FILE_TRUNCATE || io->op == FILE_ZERO ||
	    io->op == FILE_PUNCH || io->op == FILE_RESERVE)
		p->data_end = 0;
	update_size(p, io);
	io->done(io);
}

/* Looks into the page cache. False: not all of it is there, or the host does
 * not say. */
static bool read_now(struct file_posix *p, struct file_io *io)
{
	struct iovec v[IOV_BATCH];
	size_t want;
	ssize_t n;
	int cnt;

	if (p->no_now || io->skip_zeros ||
	    io->len > (p->in_flight > 1 ? NOW_LEN_MAX : NOW_LEN_MAX_ALONE))
		return false;
	if (p->now_skip) {
		p->now_skip--;
		return false;
	}
	cnt = file_iov_window(io, 0, v, IOV_BATCH, &want);
	n = preadv2(p->fd, v, cnt, (off_t)io->off, RWF_NOWAIT);
	if (n == (ssize_t)io->len) {
		p->now_miss = 0;
		return true;
	}
	p->no_now = n < 0 && posix_no_such_call(errno);
	/* A disk that is not in the cache is asked less and less. */
	p->now_miss = p->now_miss < NOW_SKIP_MAX ? p->now_miss * 2 + 1
						 : NOW_SKIP_MAX;
	p->now_skip = p->now_miss;
	return false;
}

static int piece_cnt(const struct file_io *io)
{
	struct iovec v[IOV_BATCH];
	size_t bytes;
	int cnt = file_iov_window(io, 0, v, IOV_BATCH, &bytes);

	return bytes == io->len ? cnt : IOV_BATCH;
}

/* Becomes a part of the last job, if that has not been handed over and ends
 * where io begins; else io may be the start of another one. */
static bool joins_last(struct file_posix *p, struct file_io *io)
{
	uint64_t round = workers_round(p->workers);
	bool alone = io->skip_zeros || io->len > MERGE_LEN_MAX / 4;
	int cnt = alone ? IOV_BATCH : piece_cnt(io);

	if (p->last && p->last_round == round && p->last->op == io->op &&
	    p->last_end == io->off && p->last_len + io->len <= MERGE_LEN_MAX &&
	    p->last_cnt + cnt <= IOV_BATCH) {
		list_add_tail(&p->last->merged, &io->task.node);
		p->last_end += io->len;
		p->last_len += io->len;
		p->last_cnt += cnt;
		return true;
	}
	p->last = io;
	p->last_round = round;
	p->last_end = io->off + io->len;
	p->last_len = io->len;
	p->last_cnt = cnt;
	return false;
}

/* Whole pages go into the page cache without being read first. */
static bool is_short(const struct file_io *io)
{
	return io->op == FILE_WRITE && io->len <= SHORT_LEN_MAX &&
	       is_aligned(io->off, PAGE) && is_aligned(io->len, PAGE);
}

static void posix_submit(struct file *f, struct file_io *io)
{
	struct file_posix *p = posix_of(f);

	p->in_flight++;
	list_init(&io->merged);
	loop_task_init(&io->task, posix_run);
	if (io->op == FILE_READ && read_now(p, io)) {
		io->task.fn = posix_complete;
		loop_defer(f->loop, &io->task);
		return;
	}
	if ((io->op == FILE_READ || io->op == FILE_WRITE) && joins_last(p, io))
		return;
	if (is_short(io))
		workers_submit_to_lane(p->workers, &p->short_writes,
				       &io->task);
	else if (io->op == FILE_WRITE && !p->is_device)
		workers_submit_to_lane(p->workers, &p->writes, &io->task);
	else
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
	if (errno != EINVAL && !posix_no_such_call(errno))
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
	en = posix_current_size(p, &p->file.size);
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
	workers_lane_init(&p->writes, 1);
	workers_lane_init(&p->short_writes, SHORT_RUN);
	pthread_mutex_init(&p->sync_lock, NULL);
	rc = posix_init(p, l, path, e);
	if (rc) {
		posix_close(&p->file);
		return rc;
	}
	*out = &p->file;
	return 0;
}
