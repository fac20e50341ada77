/* SPDX-License-Identifier: MIT */
/*
 *   start -> WRITE copy -> SYNC -> WRITE other copy -> SYNC -> done
 */
#include "hdrwrite.h"

#include "mutation.h"

static void write_done(struct file_io *io);
static void sync_done(struct file_io *io);

static void write_copy(struct hdr_write *w)
{
	/* Cannot fail: hdr_write_start() saw room for both numbers. */
	ASSERT(header_next(w->pair, w->buf, &w->io.off, NULL) == 0);
	w->io.op = FILE_WRITE;
	w->iov = (struct iovec){ w->buf, FMT_HEADER_LEN };
	w->io.iov = &w->iov;
	w->io.iov_cnt = 1;
	w->io.iov_skip = 0;
	w->io.len = FMT_HEADER_LEN;
	w->io.done = write_done;
	file_submit(w->file, &w->io);
}

static void sync_copy(struct hdr_write *w)
{
	w->io.op = FILE_SYNC;
	w->io.done = sync_done;
	file_submit(w->file, &w->io);
}

static void sync_done(struct file_io *io)
{
	struct hdr_write *w = container_of(io, struct hdr_write, io);

	if (io->res) {
		w->done(w);
		return;
	}
	header_wrote(w->pair);
	if (--w->left)
		write_copy(w);
	else
		w->done(w);
}

static void write_done(struct file_io *io)
{
	struct hdr_write *w = container_of(io, struct hdr_write, io);

	if (io->res)
		w->done(w);
	else if (MUTATED(HEADER_SYNC))
		sync_done(io);
	else
		sync_copy(w);
}

int hdr_write_start(struct hdr_write *w, struct vhdx_err *e)
{
	if (w->pair->cur.seq > UINT64_MAX - 2)
		return err_corrupt(e, VHDX_OBJ_HEADER,
				   FMT_HEADER_OFF(w->pair->cur_slot), "2.2.2",
				   "header sequence number %llu leaves no room "
				   "for an update",
				   (unsigned long long)w->pair->cur.seq);
	w->left = MUTATED(HEADER_BOTH) ? 1 : 2;
	write_copy(w);
	return 0;
}
