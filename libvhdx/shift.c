/* SPDX-License-Identifier: MIT */
/*
 *	        +------------------------------------------+
 *	        v                                          |
 *  start -> next --hole--> (zeros) -> next              |
 *	        |  data                                    |
 *	        v                                          |
 *	       READ -> runs: zeros, later  PUNCH or ZERO --+
 *	                     data          WRITE ----------+
 *
 * Until the first data is met reads may leave zeros out (file.h), so that those
 * who read look at them too, side by side and while they are in the cache.
 *
 * Zeros are put off until data follows: where an empty source goes, one without
 * data leaves the destination alone. Else the destination gets its zeros at the
 * end: something may have been there before.
 */
#include "shift.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

static void next(struct shift *s);

static void finish(struct shift *s, const struct file_io *io)
{
	s->res = io ? io->res : s->res;
	if (io && io->res)
		s->err = io->err;
	s->done(s);
}

static void submit(struct shift *s, enum file_op op, uint64_t off,
		   uint64_t len, void (*done)(struct file_io *))
{
	s->io.op = op;
	s->io.off = off;
	s->io.len = len;
	s->io.iov = &s->iov;
	s->io.iov_cnt = 1;
	s->io.iov_skip = 0;
	s->io.done = done;
	/* Behind the first data more is to be expected. */
	if (op == FILE_READ && s->empty)
		file_submit_skipping(s->file, &s->io);
	else
		file_submit(s->file, &s->io);
}

static void advance(struct shift *s, uint64_t len)
{
	s->pos += len;
	*s->work_len += len;
}

/* Where the destination is brought up to: [zeros_from, pos) lacks its zeros. */
static void zeroed(struct file_io *io)
{
	struct shift *s = container_of(io, struct shift, io);

	if (io->op == FILE_PUNCH && (io->res || !io->res_punched)) {
		submit(s, FILE_ZERO, io->off, io->len, zeroed);
		return;
	}
	if (io->res) {
		finish(s, io);
		return;
	}
	s->zeros_from = s->pos;
	next(s);
}

static void written(struct file_io *io)
{
	struct shift *s = container_of(io, struct shift, io);

	if (io->res) {
		finish(s, io);
		return;
	}
	advance(s, io->len);
	s->zeros_from = s->pos;
	next(s);
}

static uint64_t grain_len(const struct shift *s, uint64_t pos)
{
	return u64_min(SHIFT_GRAIN - pos % SHIFT_GRAIN,
		       s->buf_pos + s->buf_len - pos);
}

/* Nobody misses these bytes. */
static bool of_no_use(const struct shift *s, uint64_t pos, uint64_t len)
{
	if (pos >= s->look_len)
		return true;
	return s->useless &&
	       s->useless(s, pos, u64_min(len, s->look_len - pos));
}

/* The grains from pos on, in the buffer, that are alike. */
static uint64_t run_at(struct shift *s, bool *zero)
{
	uint64_t at = s->pos, end = s->buf_pos + s->buf_len;

	*zero = mem_is_zero(s->buf + (at - s->buf_pos), grain_len(s, at));
	while (at < end) {
		uint64_t len = grain_len(s, at);

		if (mem_is_zero(s->buf + (at - s->buf_pos), len) != *zero)
			break;
		if (!*zero && at < s->look_len)
			s->nonzero = true;
		if (!*zero && !of_no_use(s, at, len))
			s->empty = false;
		at += len;
	}
	return at - s->pos;
}

/* One step with what is in the buffer; false: go on at once. */
static bool step_buffer(struct shift *s)
{
	bool zero;
	uint64_t len = run_at(s, &zero);

	if (s->dst_off == SHIFT_NOWHERE && !s->empty)
		len = s->len - s->pos; /* that is all he wants to know */
	if (zero || s->dst_off == SHIFT_NOWHERE) {
		advance(s, len);
		return false;
	}
	if (s->zeros_from < s->pos) {
		submit(s, FILE_PUNCH, s->dst_off + s->zeros_from,
		       s->pos - s->zeros_from, zeroed);
		return true;
	}
	s->iov = (struct iovec){ s->buf + (s->pos - s->buf_pos), len };
	submit(s, FILE_WRITE, s->dst_off + s->pos, len, written);
	return true;
}

/* The first len bytes are zeros, and not in the buffer. Of the grain that goes
 * on in the buffer they become part. */
static void skip_zeros(struct shift *s, uint64_t len)
{
	uint64_t end = s->pos + len, to = end;

	if (len < s->buf_len)
		to = u64_max(s->pos, align_down(end, SHIFT_GRAIN));
	memset(s->buf + (to - s->pos), 0, end - to);
	advance(s, to - s->pos);
}

static void have_read(struct file_io *io)
{
	struct shift *s = container_of(io, struct shift, io);

	if (io->res) {
		finish(s, io);
		return;
	}
	s->buf_pos = s->pos;
	s->buf_len = io->len;
	skip_zeros(s, io->res_zero_len);
	next(s);
}

/* The source at pos is not in the buffer. */
static bool step_source(struct shift *s)
{
	uint64_t at = s->src_off + s->pos, off, len;

	if (at >= s->data_end) {
		s->res = file_next_data(s->file, at, &off, &len, &s->err);
		if (s->res) {
			s->done(s);
			return true;
		}
		if (!len || off >= s->src_off + s->len) {
			advance(s, s->len - s->pos);
			return false;
		}
		s->data_end = off + len;
		advance(s, off - at);
	}
	at = s->src_off + s->pos;
	len = u64_min(s->len - s->pos, s->data_end - at);
	/* Grains lie as they lie in the source. */
	len = u64_min(len, SHIFT_BUF_LEN - s->pos % SHIFT_GRAIN);
	/* Most of what is there shows at once. */
	if (s->dst_off == SHIFT_NOWHERE && s->pos == 0)
		len = u64_min(len, SHIFT_GRAIN);
	s->iov = (struct iovec){ s->buf, len };
	submit(s, FILE_READ, at, len, have_read);
	return true;
}

/* The end of the source: what is left to be zeroed, unless there is nothing to
 * go with it. */
static void end(struct shift *s)
{
	bool goes = s->empty && (s->empty_goes || MUTATED(SHIFT_ZEROS));

	if (s->dst_off == SHIFT_NOWHERE || goes || s->zeros_from == s->pos)
		finish(s, NULL);
	else
		submit(s, FILE_PUNCH, s->dst_off + s->zeros_from,
		       s->pos - s->zeros_from, zeroed);
}

static void next(struct shift *s)
{
	for (;;) {
		if (s->pos == s->len) {
			end(s);
			return;
		}
		if (s->pos >= s->buf_pos && s->pos < s->buf_pos + s->buf_len) {
			if (step_buffer(s))
				return;
		} else if (step_source(s)) {
			return;
		}
	}
}

static void begin(struct loop_task *t)
{
	next(container_of(t, struct shift, task));
}

void shift_start(struct shift *s)
{
	ASSERT(s->len && s->look_len <= s->len);
	s->res = 0;
	s->empty = true;
	s->nonzero = false;
	s->pos = s->zeros_from = s->data_end = 0;
	s->buf_pos = s->buf_len = 0;
	loop_task_init(&s->io.task, NULL);
	loop_task_init(&s->task, begin);
	loop_defer(s->file->loop, &s->task);
}
