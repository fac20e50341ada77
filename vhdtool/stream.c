/* SPDX-License-Identifier: MIT */
/*
 * A ring of slots. Reading: the next ones are ahead of the one being printed.
 * Writing: each is filled from stdin and left in flight until its turn comes
 * again. Every request is whole sectors; a first or last part of a sector is
 * read, changed and written back, with nothing else in flight there.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "intr.h"
#include "msg.h"
#include "opt.h"
#include "out.h"
#include "progress.h"
#include "stream.h"

#define SLOT_CNT 8
#define CHUNK_LEN (1024u * 1024u)

struct slot {
	struct vhdx_req req;
	struct iovec iov;
	struct vhdx_err err;
	uint8_t *buf;
	bool busy;
};

struct ring {
	const char *path;
	struct vhdx_blk *blk;
	uint32_t sector_len;
	struct slot slots[SLOT_CNT];
	uint8_t *bufs;
};

static bool ring_init(struct ring *r, const char *path, struct vhdx_blk *blk)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	memset(r, 0, sizeof(*r));
	r->path = path;
	r->blk = blk;
	r->sector_len = g.sector_len;
	r->bufs = aligned_alloc(4096, (size_t)SLOT_CNT * CHUNK_LEN);
	if (!r->bufs) {
		say_fail(STATUS_FAILED, NULL, "out of memory");
		return false;
	}
	for (int i = 0; i < SLOT_CNT; i++)
		r->slots[i].buf = r->bufs + (size_t)i * CHUNK_LEN;
	return true;
}

static void slot_done(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	s->busy = false;
}

static void submit(struct ring *r, struct slot *s, enum vhdx_op op,
		   uint64_t voff, uint64_t len)
{
	s->iov = (struct iovec){ s->buf, (size_t)len };
	s->req.op = op;
	s->req.flags = 0;
	s->req.voff = voff;
	s->req.len = len;
	s->req.iov = &s->iov;
	s->req.iov_cnt = 1;
	s->req.err = &s->err;
	s->req.done = slot_done;
	s->req.opaque = s;
	s->busy = true;
	vhdx_blk_submit(r->blk, &s->req);
}

/* Waits for the slot's request, if any; its result. */
static int wait_for(struct ring *r, struct slot *s)
{
	while (s->busy)
		vhdx_blk_turn(r->blk, -1);
	int code = s->req.result;
	s->req.result = 0;
	return code ? msg_err(r->path, &s->err) : STATUS_OK;
}

/* Nothing is in flight afterwards; the first failure. */
static int ring_close(struct ring *r, int status)
{
	for (int i = 0; i < SLOT_CNT; i++) {
		struct slot *s = &r->slots[i];
		while (s->busy)
			vhdx_blk_turn(r->blk, -1);
		if (s->req.result && status == STATUS_OK)
			status = msg_err(r->path, &s->err);
	}
	free(r->bufs);
	return status;
}

static uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- disk to stdout ------------------------------------------------------ */

int stream_out(const char *path, struct vhdx_blk *blk, uint64_t voff,
	       uint64_t len)
{
	struct ring r;
	if (!ring_init(&r, path, blk))
		return STATUS_FAILED;
	uint64_t end = voff + len;
	/* Whole sectors are read; only what was asked for is printed. */
	uint64_t first = voff - voff % r.sector_len;
	uint64_t last = end + (r.sector_len - end % r.sector_len) %
			      r.sector_len;
	uint64_t ahead = first;
	int status = STATUS_OK;
	unsigned in = 0, out = 0;
	while (voff < end && status == STATUS_OK) {
		while (ahead < last && in - out < SLOT_CNT) {
			uint64_t n = u64_min(CHUNK_LEN, last - ahead);
			submit(&r, &r.slots[in++ % SLOT_CNT], VHDX_OP_READ,
			       ahead, n);
			ahead += n;
		}
		struct slot *s = &r.slots[out++ % SLOT_CNT];
		status = wait_for(&r, s);
		if (status)
			break;
		uint64_t skip = voff - s->req.voff;
		uint64_t n = u64_min(s->req.len - skip, end - voff);
		if (!out_bytes(s->buf + skip, (size_t)n))
			status = STATUS_FAILED;
		voff += n;
		progress_update(voff);
	}
	return ring_close(&r, status);
}

/* ---- stdin to disk ------------------------------------------------------- */

/* Reads up to len bytes, fewer only at the end of the input. False after a
 * message, or when interrupted. */
static bool read_input(uint8_t *buf, uint64_t len, uint64_t *got)
{
	*got = 0;
	while (*got < len) {
		struct pollfd fds[2] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = intr_fd(), .events = POLLIN },
		};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (intr_caught()) {
			say_fail(STATUS_FAILED, NULL, "interrupted");
			return false;
		}
		ssize_t n = read(STDIN_FILENO, buf + *got,
				 (size_t)(len - *got));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			say_fail(STATUS_FAILED, "standard input", "%s",
				 strerror(errno));
			return false;
		}
		if (n == 0)
			break;
		*got += (uint64_t)n;
	}
	return true;
}

/* Writes less than whole sectors: n bytes of data at voff, in the sectors
 * from first to the end of the last one touched. */
static int patch(struct ring *r, const uint8_t *data, uint64_t voff,
		 uint64_t n)
{
	uint8_t buf[2 * 4096];
	struct vhdx_err err;
	uint64_t first = voff - voff % r->sector_len;
	uint64_t len = (voff - first + n + r->sector_len - 1) / r->sector_len *
		       r->sector_len;
	if (vhdx_blk_read(r->blk, first, buf, len, &err))
		return msg_err(r->path, &err);
	memcpy(buf + (voff - first), data, (size_t)n);
	if (vhdx_blk_write(r->blk, first, buf, len, &err))
		return msg_err(r->path, &err);
	return STATUS_OK;
}

/* The n bytes in s->buf go to voff: whole sectors in the background, the rest
 * at once. Only the last piece of the input ends within a sector. */
static int write_piece(struct ring *r, struct slot *s, uint64_t voff,
		       uint64_t n)
{
	uint64_t tail = n % r->sector_len;
	if (tail) {
		int status = patch(r, s->buf + n - tail, voff + n - tail, tail);
		if (status)
			return status;
	}
	if (n > tail)
		submit(r, s, VHDX_OP_WRITE, voff, n - tail);
	return STATUS_OK;
}

/* The first bytes, up to a sector's boundary. */
static int write_head(struct ring *r, uint64_t voff, uint64_t len,
		      uint64_t *done_len)
{
	uint64_t head = (r->sector_len - voff % r->sector_len) % r->sector_len;
	uint8_t *buf = r->slots[0].buf;
	if (!read_input(buf, u64_min(head, len), done_len))
		return STATUS_FAILED;
	return *done_len ? patch(r, buf, voff, *done_len) : STATUS_OK;
}

static bool input_ended(void)
{
	uint8_t byte;
	uint64_t got;
	return read_input(&byte, 1, &got) && got == 0;
}

int stream_in(const char *path, struct vhdx_blk *blk, uint64_t voff,
	      uint64_t len, uint64_t *done_len)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	*done_len = 0;
	bool to_eof = len == OPT_NOT_GIVEN;
	uint64_t room = to_eof ? g.size_len - voff : len;
	struct ring r;
	if (!ring_init(&r, path, blk))
		return STATUS_FAILED;
	int status = write_head(&r, voff, room, done_len);
	bool ended = false;
	unsigned i = 0;
	while (status == STATUS_OK && !ended && *done_len < room) {
		struct slot *s = &r.slots[i++ % SLOT_CNT];
		status = wait_for(&r, s);
		if (status)
			break;
		uint64_t want = u64_min(CHUNK_LEN, room - *done_len), got;
		if (!read_input(s->buf, want, &got)) {
			status = STATUS_FAILED;
			break;
		}
		ended = got < want;
		status = write_piece(&r, s, voff + *done_len, got);
		*done_len += got;
		progress_update(*done_len);
	}
	status = ring_close(&r, status);
	if (status == STATUS_OK && to_eof && !ended && !input_ended())
		return say_fail(STATUS_FAILED, path,
				"the input is longer than the disk: the %ju "
				"bytes up to its end were written",
				(uintmax_t)*done_len);
	if (status == STATUS_OK && !to_eof && *done_len < len)
		return say_fail(STATUS_FAILED, path,
				"the input ended after %ju of %ju bytes",
				(uintmax_t)*done_len, (uintmax_t)len);
	return status;
}
