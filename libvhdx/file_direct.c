/* SPDX-License-Identifier: MIT */
/*
 * What an operation needs decides its way:
 *
 *	transfer, all aligned		the ring, no copy
 *	transfer, memory not aligned	the ring, through a buffer
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
 */
#include "file_direct.h"

#include <string.h>
#include <unistd.h>

#include "mem.h"

/* Of the page cache, at most, on the hosts that there are. */
#define PAGE_MAX (64 * KIB)

struct file_direct {
	struct file file;
	struct file *inner; /* owned */
	struct aio *aio;
	int fd;
	uint32_t mem_align, off_align; /* bytes */
	unsigned in_flight;
	bool alone;	     /* the one that is in flight is to stay alone */
	struct list waiting; /* file_io, in order */
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

	d->file.size = io->op == FILE_WRITE ?
			       u64_max(d->file.size, d->inner->size) :
			       d->inner->size;
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

/* Copies between the caller's buffers and the first len bytes of b. */
static void copy_buffers(const struct file_io *io, uint8_t *b, uint64_t len,
			 bool to_caller)
{
	for (uint64_t pos = 0; pos < len;) {
		struct iovec v;
		size_t n;

		file_iov_window(io, pos, &v, 1, &n);
		n = (size_t)u64_min(n, len - pos);
		if (to_caller)
			memcpy(v.iov_base, b + pos, n);
		else
			memcpy(b + pos, v.iov_base, n);
		pos += n;
	}
}

static void ring_finish(struct file_io *io)
{
	struct file_direct *d = direct_of(io->file);

	if (io->direct.bounce && io->op == FILE_READ)
		copy_buffers(io, io->direct.bounce, io->len, true);
	mem_free(io->direct.bounce);
	io->res = 0;
	if (io->op == FILE_WRITE)
		d->file.size = u64_max(d->file.size, io->off + io->len);
	finish(io);
}

static void ring_done(struct loop_task *t)
{
	struct aio_op *op = container_of(t, struct aio_op, task);
	struct file_io *io = container_of(op, struct file_io, aio);
	struct file_direct *d = direct_of(io->file);

	if (op->res == (long)io->len) {
		ring_finish(io);
		return;
	}
	/* Short (the end of the file, or of the disk), refused or failed: once
	 * more, all of it, by the file that goes on after short transfers and
	 * knows how to report. Not to be mixed with a write of its page: */
	mem_free(io->direct.bounce);
	io->direct.bounce = NULL;
	d->in_flight--;
	io->direct.cached = true;
	list_add_head(&d->waiting, &io->direct.node);
	start_waiting(d);
}

/* The caller's memory as one aligned piece, or NULL. */
static uint8_t *one_piece(const struct file_direct *d,
			  const struct file_io *io)
{
	struct iovec v;
	size_t n;

	file_iov_window(io, 0, &v, 1, &n);
	if (n < io->len || !is_aligned((uintptr_t)v.iov_base, d->mem_align))
		return NULL;
	return v.iov_base;
}

static bool start_ring(struct file_direct *d, struct file_io *io)
{
	uint8_t *b = one_piece(d, io);

	io->direct.bounce = NULL;
	if (!b) {
		b = mem_aligned(4096, io->len);
		if (!b)
			return false;
		io->direct.bounce = b;
		if (io->op == FILE_WRITE)
			copy_buffers(io, b, io->len, false);
	}
	if (io->op == FILE_READ)
		io_prep_pread(&io->aio.cb, d->fd, b, io->len,
			      (long long)io->off);
	else
		io_prep_pwrite(&io->aio.cb, d->fd, b, io->len,
			       (long long)io->off);
	loop_task_init(&io->aio.task, ring_done);
	aio_submit(d->aio, &io->aio);
	return true;
}

/* ---- the start of an operation ------------------------------------------ */

static void start(struct file_direct *d, struct file_io *io)
{
	d->in_flight++;
	d->alone = io->direct.cached;
	if (io->direct.cached || !is_transfer(io) || !start_ring(d, io))
		start_inner(d, io);
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

	ASSERT(d->in_flight == 0 && list_empty(&d->waiting));
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
