/* SPDX-License-Identifier: MIT */
/*
 * What an operation needs decides its way:
 *
 *	transfer, all aligned		the ring, no copy
 *	transfer, memory not aligned	the ring, through a buffer of the pool
 *	transfer, offset or length not	the inner file, alone
 *	zeroing, punching, not pages	the inner file, alone
 *	anything else			the inner file
 *
 * D1  While an operation is alone no other is in flight: it starts when all
 *     before it are done, and all behind it wait for it. The inner file goes
 *     through the page cache there, by whole pages; a direct transfer beside
 *     it, to another sector of such a page, would be lost or not seen. With
 *     nothing beside it the kernel keeps the two descriptors coherent.
 * D2  A sync goes to the inode: it covers what the ring has completed.
 * D3  The inner file does not see the ring extend the file, so of the size it
 *     says only what a truncate has set; else the larger one is true.
 *
 * Transfers without a copy that lie side by side in the file become one
 * operation of the ring as long as the first of them is not under way; if that
 * does not move all, each goes its own way again, and has its own result.
 *
 * The ring moves a request in steps, one after the other: as many pieces of
 * the caller's memory as are aligned and fit in the vector, or a buffer full.
 * A request that waits for a buffer counts as in flight (D1). Nothing is
 * allocated.
 */
#include "file_direct.h"

#include <string.h>
#include <unistd.h>

#include "mem.h"

/* Of the page cache, at most, on the hosts that there are. */
#define PAGE_MAX (64 * KIB)
#define MERGE_LEN_MAX (128 * KIB)

struct file_direct {
	struct file file;
	struct file *inner; /* owned */
	struct aio *aio;
	int fd;
	uint32_t mem_align, off_align; /* bytes */
	unsigned in_flight;
	bool alone;	     /* the one that is in flight is to stay alone */
	struct list waiting; /* file_io, in order */
	/* The last that went to the ring in one step without a copy; NULL: it
	 * is done. */
	struct file_io *last;
	int last_cnt; /* of its pieces of memory */
};

static struct file_direct *direct_of(struct file *f)
{
	return container_of(f, struct file_direct, file);
}

static bool is_transfer(const struct file_io *io)
{
	return io->op == FILE_READ || io->op == FILE_WRITE;
}

static bool is_aligned_range(const struct file_io *io, uint64_t to)
{
	return is_aligned(io->off, to) && is_aligned(io->len, to);
}

static bool wants_alone(const struct file_direct *d, const struct file_io *io)
{
	if (is_transfer(io))
		return !is_aligned_range(io, d->off_align);
	if (io->op == FILE_ZERO || io->op == FILE_PUNCH)
		return !is_aligned_range(io, PAGE_MAX);
	return false;
}

/* ---- the end of an operation -------------------------------------------- */

static void start_waiting(struct file_direct *d);

static void finish(struct file_io *io)
{
	struct file_direct *d = direct_of(io->file);

	d->in_flight--;
	d->alone = false;
	start_waiting(d);
	io->done(io); /* and both may be gone */
}

/* ---- by the inner file --------------------------------------------------- */

static void inner_done(struct file_io *io)
{
	struct file_direct *d = io->direct.outer;

	d->file.size = io->op == FILE_TRUNCATE ?
			       d->inner->size :
			       u64_max(d->file.size, d->inner->size); /* D3 */
	io->file = &d->file;
	io->done = io->direct.done;
	finish(io);
}

static void start_inner(struct file_direct *d, struct file_io *io)
{
	/* It does not see the ring extend the file. */
	d->inner->size = d->file.size;
	io->direct.outer = d;
	io->direct.done = io->done;
	io->done = inner_done;
	file_submit(d->inner, io);
}

/* ---- by the ring --------------------------------------------------------- */

/* Copies between the buffer and the caller's, of which the step is a part. */
static void copy_step(const struct file_io *io, bool to_caller)
{
	uint8_t *b = io->direct.bounce;

	for (uint64_t done = 0; done < io->direct.step_len;) {
		struct iovec v;
		size_t n;

		file_iov_window(io, io->direct.pos + done, &v, 1, &n);
		n = (size_t)u64_min(n, io->direct.step_len - done);
		if (to_caller)
			memcpy(v.iov_base, b + done, n);
		else
			memcpy(b + done, v.iov_base, n);
		done += n;
	}
}

static void put_bounce(struct file_direct *d, struct file_io *io)
{
	uint8_t *b = io->direct.bounce;

	io->direct.bounce = NULL;
	if (b)
		bufpool_put(aio_bufs(d->aio), b);
}

static void ring_done(struct loop_task *t);

/* The step's memory is in vec. */
static void prepare_step(const struct file_direct *d, struct file_io *io,
			 int cnt)
{
	struct iocb *cb = &io->aio.cb;
	long long off = (long long)(io->off + io->direct.pos);
	bool read = io->op == FILE_READ;

	if (cnt > 1 && read)
		io_prep_preadv(cb, d->fd, io->direct.vec, cnt, off);
	else if (cnt > 1)
		io_prep_pwritev(cb, d->fd, io->direct.vec, cnt, off);
	else if (read)
		io_prep_pread(cb, d->fd, io->direct.vec[0].iov_base,
			      io->direct.vec[0].iov_len, off);
	else
		io_prep_pwrite(cb, d->fd, io->direct.vec[0].iov_base,
			       io->direct.vec[0].iov_len, off);
}

static void submit_step(struct file_direct *d, struct file_io *io, int cnt)
{
	prepare_step(d, io, cnt);
	loop_task_init(&io->aio.task, ring_done);
	aio_submit(d->aio, &io->aio);
}

/* io, whose pieces are in its vec, goes along with the last one. */
static bool joins_last(struct file_direct *d, struct file_io *io, int cnt)
{
	struct file_io *last = d->last;

	if (!last || list_empty(&last->aio.node) || last->op != io->op ||
	    last->off + last->direct.step_len != io->off ||
	    last->direct.step_len + io->len > MERGE_LEN_MAX ||
	    d->last_cnt + cnt > FILE_DIRECT_VEC)
		return false;
	memcpy(last->direct.vec + d->last_cnt, io->direct.vec,
	       (size_t)cnt * sizeof(struct iovec));
	d->last_cnt += cnt;
	last->direct.step_len += io->len;
	loop_task_init(&io->task, NULL);
	list_add_tail(&last->merged, &io->task.node);
	prepare_step(d, last, d->last_cnt);
	return true;
}

static void step_by_copy(struct file_direct *d, struct file_io *io)
{
	io->direct.step_len = u64_min(io->len - io->direct.pos, BUFPOOL_LEN);
	io->direct.vec[0].iov_base = io->direct.bounce;
	io->direct.vec[0].iov_len = (size_t)io->direct.step_len;
	if (io->op == FILE_WRITE)
		copy_step(io, false);
	submit_step(d, io, 1);
}

static void bounce_granted(struct bufpool_wait *w, uint8_t *buf)
{
	struct file_io *io = container_of(w, struct file_io, direct.wait);

	io->direct.bounce = buf;
	step_by_copy(direct_of(io->file), io);
}

/* How many pieces from here on the host takes as they are. */
static int aligned_pieces(const struct file_direct *d, struct file_io *io)
{
	struct iovec *v = io->direct.vec;
	size_t bytes;
	int cnt = file_iov_window(io, io->direct.pos, v, FILE_DIRECT_VEC,
				  &bytes);
	int i = 0;

	io->direct.step_len = 0;
	while (i < cnt && is_aligned((uintptr_t)v[i].iov_base, d->mem_align) &&
	       is_aligned(v[i].iov_len, d->off_align))
		io->direct.step_len += v[i++].iov_len;
	return i;
}

static void next_step(struct file_direct *d, struct file_io *io)
{
	int cnt = aligned_pieces(d, io);

	if (cnt) {
		submit_step(d, io, cnt);
		return;
	}
	if (!io->direct.bounce) {
		io->direct.wait.granted = bounce_granted;
		io->direct.bounce = bufpool_get(aio_bufs(d->aio),
						&io->direct.wait);
	}
	if (io->direct.bounce)
		step_by_copy(d, io);
}

static void start_ring(struct file_direct *d, struct file_io *io)
{
	int cnt;

	io->direct.pos = 0;
	io->direct.bounce = NULL;
	list_init(&io->merged);
	cnt = aligned_pieces(d, io);
	if (io->direct.step_len != io->len) {
		next_step(d, io);
		return;
	}
	if (joins_last(d, io, cnt))
		return;
	submit_step(d, io, cnt);
	d->last = io;
	d->last_cnt = cnt;
}

static bool step_was_by_copy(const struct file_io *io)
{
	return io->direct.bounce &&
	       io->direct.vec[0].iov_base == io->direct.bounce;
}

/* Short (the end of the file, or of the disk), refused or failed: once more,
 * all of it, by the file that goes on after short transfers and knows how to
 * report. Not to be mixed with a write of its page: */
static void try_cached(struct file_direct *d, struct file_io *io)
{
	put_bounce(d, io);
	d->in_flight--;
	io->direct.cached = true;
	list_add_head(&d->waiting, &io->direct.node);
	start_waiting(d);
}

static void moved(struct file_io *io)
{
	struct file_direct *d = direct_of(io->file);

	put_bounce(d, io);
	io->res = 0;
	if (io->op == FILE_WRITE)
		d->file.size = u64_max(d->file.size, io->off + io->len);
	finish(io);
}

static void moved_along(struct loop_task *t)
{
	moved(container_of(t, struct file_io, task));
}

/* Of those that went along with io. */
static struct file_io *take_merged(struct file_io *io)
{
	struct list *first = io->merged.next;

	if (list_empty(&io->merged))
		return NULL;
	list_del(first);
	return list_entry(first, struct file_io, task.node);
}

static void ring_done(struct loop_task *t)
{
	struct aio_op *op = container_of(t, struct aio_op, task);
	struct file_io *io = container_of(op, struct file_io, aio), *other;
	struct file_direct *d = direct_of(io->file);

	if (d->last == io)
		d->last = NULL;
	if (op->res != (long)io->direct.step_len) {
		while ((other = take_merged(io)))
			try_cached(d, other);
		try_cached(d, io);
		return;
	}
	while ((other = take_merged(io))) {
		other->task.fn = moved_along;
		loop_defer(d->file.loop, &other->task);
	}
	if (io->op == FILE_READ && step_was_by_copy(io))
		copy_step(io, true);
	io->direct.pos += io->direct.step_len;
	if (io->direct.pos < io->len)
		next_step(d, io);
	else
		moved(io);
}

/* ---- the start of an operation ------------------------------------------ */

static void start(struct file_direct *d, struct file_io *io)
{
	d->in_flight++;
	d->alone = io->direct.cached;
	if (io->direct.cached || !is_transfer(io))
		start_inner(d, io);
	else
		start_ring(d, io);
}

/* One that is to be alone, or waits for one that is, keeps those behind it
 * waiting. */
static bool may_start(const struct file_direct *d, const struct file_io *io)
{
	return !d->alone && !(io->direct.cached && d->in_flight);
}

static void start_waiting(struct file_direct *d)
{
	while (!list_empty(&d->waiting)) {
		struct file_io *io = list_first(&d->waiting, struct file_io,
						direct.node);

		if (!may_start(d, io))
			return;
		list_del(&io->direct.node);
		start(d, io);
	}
}

static void direct_submit(struct file *f, struct file_io *io)
{
	struct file_direct *d = direct_of(f);

	io->direct.cached = wants_alone(d, io);
	if (list_empty(&d->waiting) && may_start(d, io))
		start(d, io);
	else
		list_add_tail(&d->waiting, &io->direct.node);
}

static int direct_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			    uint64_t *len, struct vhdx_err *e)
{
	struct file_direct *d = direct_of(f);

	d->inner->size = f->size;
	return file_next_data(d->inner, off, data_off, len, e);
}

static uint64_t direct_host_len(struct file *f)
{
	return file_host_len(direct_of(f)->inner);
}

static void direct_close(struct file *f)
{
	struct file_direct *d = direct_of(f);

	ASSERT(d->in_flight == 0 && list_empty(&d->waiting) && !d->last);
	close(d->fd);
	file_close(d->inner);
	mem_free(d);
}

static const struct file_ops direct_ops = {
	.submit = direct_submit,
	.next_data = direct_next_data,
	.host_len = direct_host_len,
	.close = direct_close,
};

bool file_direct_align_for_tests(struct file *f, uint32_t mem_align,
				 uint32_t off_align)
{
	if (f->ops != &direct_ops)
		return false;
	if (mem_align)
		direct_of(f)->mem_align = mem_align;
	if (off_align)
		direct_of(f)->off_align = off_align;
	return true;
}

int file_direct_new(struct file *inner, int fd, struct file **out,
		    struct vhdx_err *e)
{
	struct file_direct *d = mem_zalloc(sizeof(*d));
	int rc;

	if (!d) {
		close(fd);
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory",
			       inner->path);
	}
	d->fd = fd;
	d->file = *inner;
	d->file.ops = &direct_ops;
	list_init(&d->waiting);
	dioalign_find(fd, &d->mem_align, &d->off_align);
	rc = loop_aio(inner->loop, &d->aio, e);
	if (rc) {
		close(fd);
		mem_free(d);
		return rc;
	}
	d->inner = inner;
	*out = &d->file;
	return 0;
}
