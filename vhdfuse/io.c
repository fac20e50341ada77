/* SPDX-License-Identifier: MIT */
#include "io.h"

#include <errno.h>
#include <string.h>

#include "part.h"
#include "say.h"

static uint64_t down(uint64_t v, uint64_t unit)
{
	return v - v % unit;
}

static uint64_t up(uint64_t v, uint64_t unit)
{
	return down(v + unit - 1, unit);
}

/* ---- slots and the library's requests ----------------------------------- */

static struct slot *begin(struct mnt *m, fuse_req_t freq, struct node *n,
			  uint64_t off, uint64_t len)
{
	struct slot *s = m->incoming;
	m->incoming = NULL;
	if (++m->in_flight > m->in_flight_max)
		m->in_flight_max = m->in_flight;
	s->freq = freq;
	s->node = n;
	s->voff = n ? n->off + off : 0;
	s->len = len;
	s->head = s->tail = false;
	s->req.flags = 0;
	return s;
}

static void end(struct slot *s)
{
	struct mnt *m = s->m;
	m->in_flight--;
	pool_put(&m->pool, s);
}

static void completed(struct vhdx_req *req)
{
	struct slot *s = req->opaque;
	slots_add(&s->m->complete, s);
}

bool io_go_on(struct mnt *m)
{
	struct slot *s = slots_take(&m->complete);
	if (s)
		s->then(s);
	return s != NULL;
}

static void submit(struct slot *s, enum vhdx_op op, uint64_t voff, uint64_t len,
		   int iov_cnt, void (*then)(struct slot *))
{
	struct vhdx_req *r = &s->req;
	s->then = then;
	r->op = op;
	r->voff = voff;
	r->len = len;
	r->iov = s->iov;
	r->iov_cnt = iov_cnt;
	r->extent = &s->extent;
	r->err = &s->err;
	r->done = completed;
	r->opaque = s;
	vhdx_blk_submit(s->m->blk, r);
}

static void fail(struct slot *s, struct counts *counts)
{
	counts->errors++;
	fuse_reply_err(s->freq, say_errno(&s->err));
	end(s);
}

/* ---- reading ------------------------------------------------------------ */

static void read_done(struct slot *s)
{
	struct counts *c = &s->m->reads;
	uint64_t skip = s->voff % s->m->geo.sector_len;
	if (s->req.result) {
		fail(s, c);
		return;
	}
	c->requests++;
	c->bytes += s->len;
	fuse_reply_buf(s->freq, (char *)s->data + skip, s->len);
	end(s);
}

void io_read(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	     uint64_t len)
{
	uint64_t unit = m->geo.sector_len;
	if (off >= n->len || len == 0) {
		fuse_reply_buf(freq, NULL, 0);
		return;
	}
	if (len > n->len - off)
		len = n->len - off;
	if (len > POOL_DATA_LEN)
		len = POOL_DATA_LEN;
	struct slot *s = begin(m, freq, n, off, len);
	uint64_t start = down(s->voff, unit);
	uint64_t stop = up(s->voff + len, unit);
	s->iov[0] = (struct iovec){ s->data, stop - start };
	submit(s, VHDX_OP_READ, start, stop - start, 1, read_done);
}

/* ---- changing ----------------------------------------------------------- */

/* Other files that show the same bytes, and what the kernel has cached of
 * them. */
static void forget_elsewhere(struct mnt *m, const struct slot *s)
{
	uint64_t stop = s->voff + s->len;
	for (struct node *n = m->tree.first; n; n = n->next) {
		bool shows = n->kind == NODE_DISK || n->kind == NODE_PART;
		if (n == s->node || !shows || s->voff >= n->off + n->len ||
		    n->off >= stop)
			continue;
		uint64_t from = s->voff > n->off ? s->voff - n->off : 0;
		uint64_t to = stop - n->off < n->len ? stop - n->off : n->len;
		if (n->cached_opens)
			inval_range(m->inval, n, from, to - from);
		else
			n->stale = true;
	}
}

/* The table is at the start, and a GPT's backup at the end; the tables of
 * logical partitions are where they are, but then the first changes too, or
 * the disk is closed. */
static void note_table(struct mnt *m, const struct slot *s)
{
	uint64_t edge = 1024 * 1024;
	if (s->node->kind == NODE_DISK &&
	    (s->voff < edge || s->voff + s->len + edge > m->geo.size_len))
		part_touch(m);
}

static void tell_once(struct mnt *m, const struct vhdx_err *e)
{
	if (e->code == m->last_write_code)
		return;
	m->last_write_code = e->code;
	say_fail(0, m->dev.overlay ? m->dev.overlay : m->dev.image,
		 "writing failed: %s", e->text);
}

/* The end of a change: s->req is the last request of it. */
static void change_done(struct slot *s, struct counts *c)
{
	struct mnt *m = s->m;
	span_drop(&m->spans, &s->span);
	m->change_seq++; /* failed or not: some of it may be written */
	forget_elsewhere(m, s);
	note_table(m, s);
	clock_gettime(CLOCK_REALTIME_COARSE, &s->node->changed);
	if (s->req.result) {
		tell_once(m, &s->err);
		fail(s, c);
		return;
	}
	c->requests++;
	c->bytes += s->len;
}

static void write_done(struct slot *s)
{
	fuse_req_t freq = s->freq;
	uint64_t len = s->len;
	bool good = s->req.result == 0;
	change_done(s, &s->m->writes);
	if (!good)
		return;
	fuse_reply_write(freq, len);
	end(s);
}

static uint64_t head_at(const struct slot *s)
{
	return down(s->voff, s->m->geo.sector_len);
}

static uint64_t tail_at(const struct slot *s)
{
	return down(s->voff + s->len, s->m->geo.sector_len);
}

/* Bytes of the change in the sector of the head. */
static uint64_t head_part(const struct slot *s)
{
	uint64_t unit = s->m->geo.sector_len, skip = s->voff % unit;
	return s->len < unit - skip ? s->len : unit - skip;
}

static uint64_t tail_part(const struct slot *s)
{
	return (s->voff + s->len) % s->m->geo.sector_len;
}

/* The edges are read, if there are any: put the new bytes between. */
static void write_all(struct slot *s)
{
	uint64_t unit = s->m->geo.sector_len, pos = 0, len = 0;
	uint8_t *from = s->iov[2].iov_base; /* where the kernel's data is */
	uint64_t mid = s->len;
	int cnt = 0;
	if (s->head) {
		pos = head_part(s);
		memcpy(s->edge[0] + s->voff % unit, from, pos);
		mid -= pos;
		s->iov[cnt++] = (struct iovec){ s->edge[0], unit };
		len += unit;
	}
	if (s->tail) {
		memcpy(s->edge[1], from + s->len - tail_part(s), tail_part(s));
		mid -= tail_part(s);
	}
	if (mid) {
		s->iov[cnt++] = (struct iovec){ from + pos, mid };
		len += mid;
	}
	if (s->tail) {
		s->iov[cnt++] = (struct iovec){ s->edge[1], unit };
		len += unit;
	}
	submit(s, VHDX_OP_WRITE, head_at(s), len, cnt, write_done);
}

static void zero_done(struct slot *s)
{
	fuse_req_t freq = s->freq;
	bool good = s->req.result == 0;
	change_done(s, &s->m->zeroes);
	if (!good)
		return;
	fuse_reply_err(freq, 0);
	end(s);
}

static void zero_whole(struct slot *s)
{
	uint64_t unit = s->m->geo.sector_len;
	uint64_t start = up(s->voff, unit), stop = tail_at(s);
	if (s->req.result || start >= stop)
		zero_done(s);
	else
		submit(s, VHDX_OP_WRITE_ZEROES, start, stop - start, 0,
		       zero_done);
}

static void zero_tail(struct slot *s)
{
	if (s->req.result || !s->tail) {
		zero_whole(s);
		return;
	}
	memset(s->edge[1], 0, tail_part(s));
	s->iov[0] = (struct iovec){ s->edge[1], s->m->geo.sector_len };
	submit(s, VHDX_OP_WRITE, tail_at(s), s->m->geo.sector_len, 1,
	       zero_whole);
}

static void zero_head(struct slot *s)
{
	uint64_t unit = s->m->geo.sector_len;
	s->req.result = 0;
	if (!s->head) {
		zero_tail(s);
		return;
	}
	memset(s->edge[0] + s->voff % unit, 0, head_part(s));
	s->iov[0] = (struct iovec){ s->edge[0], unit };
	submit(s, VHDX_OP_WRITE, head_at(s), unit, 1, zero_tail);
}

static void edges_read(struct slot *s)
{
	bool zero = !s->iov[2].iov_base;
	if (s->req.result && zero)
		zero_done(s);
	else if (s->req.result)
		write_done(s);
	else if (zero)
		zero_head(s);
	else
		write_all(s);
}

static void read_tail(struct slot *s)
{
	if (s->req.result || !s->tail) {
		edges_read(s);
		return;
	}
	s->iov[0] = (struct iovec){ s->edge[1], s->m->geo.sector_len };
	submit(s, VHDX_OP_READ, tail_at(s), s->m->geo.sector_len, 1,
	       edges_read);
}

static void change_granted(struct span *sp)
{
	struct slot *s = (struct slot *)((char *)sp -
					 offsetof(struct slot, span));
	s->req.result = 0;
	if (!s->head) {
		read_tail(s);
		return;
	}
	s->iov[0] = (struct iovec){ s->edge[0], s->m->geo.sector_len };
	submit(s, VHDX_OP_READ, head_at(s), s->m->geo.sector_len, 1,
	       read_tail);
}

/* data: NULL for zeros. */
static void change(struct slot *s, void *data)
{
	uint64_t unit = s->m->geo.sector_len, stop = s->voff + s->len;
	s->iov[2] = (struct iovec){ data, s->len };
	s->head = s->voff % unit != 0 ||
		  (stop % unit != 0 && head_at(s) == tail_at(s));
	s->tail = stop % unit != 0 && head_at(s) != tail_at(s);
	s->span.start = head_at(s);
	s->span.end = up(stop, unit);
	s->span.alone = s->head || s->tail;
	s->span.granted = change_granted;
	if (span_take(&s->m->spans, &s->span))
		change_granted(&s->span);
}

void io_write(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	      const char *buf, uint64_t len, bool durable)
{
	if (len == 0) {
		fuse_reply_write(freq, 0);
		return;
	}
	if (off >= n->len) {
		fuse_reply_err(freq, ENOSPC); /* as a block device says it */
		return;
	}
	if (len > n->len - off)
		len = n->len - off;
	struct slot *s = begin(m, freq, n, off, len);
	s->req.flags = durable ? VHDX_REQ_FUA : 0;
	change(s, (void *)(uintptr_t)buf);
}

void io_zero(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	     uint64_t len)
{
	change(begin(m, freq, n, off, len), NULL);
}

/* ---- flushing ----------------------------------------------------------- */

static void flush_done(struct slot *s)
{
	struct mnt *m = s->m;
	if (s->req.result) {
		tell_once(m, &s->err);
		fail(s, &m->flushes);
		return;
	}
	m->flushes.requests++;
	m->last_write_code = 0;
	if (s->seq > m->flushed_seq)
		m->flushed_seq = s->seq;
	inval_then_reply(m->inval, s->freq, 0);
	end(s);
}

void io_flush(struct mnt *m, fuse_req_t freq)
{
	if (m->geo.read_only || m->flushed_seq == m->change_seq) {
		inval_then_reply(m->inval, freq, 0);
		return;
	}
	struct slot *s = begin(m, freq, NULL, 0, 0);
	s->seq = m->change_seq;
	submit(s, VHDX_OP_FLUSH, 0, 0, 0, flush_done);
}

/* ---- data and holes ----------------------------------------------------- */

static void seek_on(struct slot *s)
{
	const struct vhdx_extent *x = &s->extent;
	uint64_t stop = s->node->off + s->node->len;
	if (s->req.result) {
		fail(s, &s->m->reads);
		return;
	}
	bool data = x->kind == VHDX_EXTENT_DATA;
	uint64_t next = x->voff + x->len;
	if (data != s->whence_data && next < stop) {
		submit(s, VHDX_OP_MAP, next, up(stop - next,
		       s->m->geo.sector_len), 0, seek_on);
		return;
	}
	uint64_t at = x->voff > s->voff ? x->voff : s->voff;
	if (data != s->whence_data)
		at = stop;
	if (at == stop && s->whence_data)
		fuse_reply_err(s->freq, ENXIO);
	else
		fuse_reply_lseek(s->freq, (off_t)(at - s->node->off));
	end(s);
}

void io_seek(struct mnt *m, fuse_req_t freq, struct node *n, uint64_t off,
	     bool data)
{
	if (off >= n->len) {
		fuse_reply_err(freq, ENXIO);
		return;
	}
	struct slot *s = begin(m, freq, n, off, 0);
	uint64_t start = down(s->voff, m->geo.sector_len);
	s->whence_data = data;
	submit(s, VHDX_OP_MAP, start, n->off + n->len - start, 0, seek_on);
}
