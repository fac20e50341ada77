/* SPDX-License-Identifier: MIT */
/*
 * A read-only file that shows another one with its log replayed.
 *
 * The changes are kept as a sorted list of ranges that do not overlap, each
 * zeros or a reference to the data sector in the log: 40 bytes per page.
 * A read that touches none of them goes straight to the base file (io->file is
 * the base then). The others, reads of metadata, are served one after the
 * other by one small machine, so that nothing is allocated per request:
 *
 *	queue -> next_request() -> step(): zeros are filled in at once;
 *	gap -> read from the base into the caller's buffers -> gap_done() ->
 *		step
 *	page -> read its data sector into `page`, patch -> page_done() -> step
 *	all of it done -> complete() -> next_request()
 */
#include <string.h>

#include "mem.h"
#include "replay.h"

#define PAGE_LEN FMT_LOG_SECTOR
#define NOBODY UINT32_MAX

struct overlay {
	struct file file;
	struct file *base;
	struct replay_item *range; /* ascending, disjoint */
	size_t range_cnt;

	struct list queue;   /* file_io.task.node */
	bool busy;	     /* a request is in work or about to be */
	struct file_io *cur;
	uint64_t pos;	     /* bytes of cur that are done */
	struct loop_task task;
	struct file_io child;
	struct iovec iov;
	_Alignas(4096) uint8_t page[PAGE_LEN];
};

static struct overlay *overlay_of(struct file *f)
{
	return container_of(f, struct overlay, file);
}

/* ---- from items to disjoint ranges --------------------------------------- */

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* The file between the lowest and the highest end of an item, cut at every
 * end: pieces that belong to one item each. */
struct cuts {
	uint64_t *at;	 /* ascending; piece i is at[i] .. at[i + 1] */
	size_t cnt;	 /* of at */
	uint32_t *owner; /* of a piece: an item, or NOBODY */
	uint32_t *next;	 /* a piece at or after this one that may be free */
};

static size_t find_cut(const struct cuts *c, uint64_t off)
{
	size_t lo = 0, hi = c->cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->at[mid] < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int cut(struct cuts *c, const struct replay_seq *s)
{
	size_t n = 0;

	c->at = mem_array(2 * s->item_cnt + 1, sizeof(*c->at));
	c->owner = mem_array(2 * s->item_cnt + 1, sizeof(*c->owner));
	c->next = mem_array(2 * s->item_cnt + 1, sizeof(*c->next));
	if (!c->at || !c->owner || !c->next)
		return VHDX_E_NOMEM;
	for (size_t i = 0; i < s->item_cnt; i++) {
		c->at[2 * i] = s->items[i].file_off;
		c->at[2 * i + 1] = s->items[i].file_off + s->items[i].len;
	}
	qsort(c->at, 2 * s->item_cnt, sizeof(*c->at), cmp_u64);
	for (size_t i = 0; i < 2 * s->item_cnt; i++)
		if (n == 0 || c->at[n - 1] != c->at[i])
			c->at[n++] = c->at[i];
	c->cnt = n;
	for (size_t i = 0; i <= 2 * s->item_cnt; i++) {
		c->owner[i] = NOBODY;
		c->next[i] = (uint32_t)i;
	}
	return 0;
}

static uint32_t next_free(struct cuts *c, uint32_t i)
{
	while (c->next[i] != i) {
		c->next[i] = c->next[c->next[i]];
		i = c->next[i];
	}
	return i;
}

/* Backwards, so that whoever comes first is the last writer. Every piece is
 * taken once, so this is linear but for the searches. */
static void assign(struct cuts *c, const struct replay_seq *s)
{
	for (size_t i = s->item_cnt; i-- > 0;) {
		const struct replay_item *it = &s->items[i];
		uint32_t end = (uint32_t)find_cut(c, it->file_off + it->len);
		uint32_t k = next_free(c, (uint32_t)find_cut(c, it->file_off));

		for (; k < end; k = next_free(c, k + 1)) {
			c->owner[k] = (uint32_t)i;
			c->next[k] = k + 1;
		}
	}
}

/* A page is never cut in two: every end is a multiple of its length. */
static size_t collect(const struct cuts *c, const struct replay_seq *s,
		      struct replay_item *out)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < c->cnt; i++) {
		struct replay_item r;

		if (c->owner[i] == NOBODY)
			continue;
		r = s->items[c->owner[i]];
		r.file_off = c->at[i];
		r.len = c->at[i + 1] - c->at[i];
		if (n && !r.data_off && !out[n - 1].data_off &&
		    out[n - 1].file_off + out[n - 1].len == r.file_off)
			out[n - 1].len += r.len;
		else
			out[n++] = r;
	}
	return n;
}

static int build_ranges(struct overlay *o, const struct replay_seq *s,
			struct vhdx_err *e)
{
	struct cuts c = { 0 };
	int rc = cut(&c, s);

	if (!rc) {
		assign(&c, s);
		o->range = mem_array(c.cnt, sizeof(*o->range));
		if (!o->range)
			rc = VHDX_E_NOMEM;
		else
			o->range_cnt = collect(&c, s, o->range);
	}
	mem_free(c.at);
	mem_free(c.owner);
	mem_free(c.next);
	return rc ? err_set(e, rc, "no memory for the replayed log") : 0;
}

/* The first range that ends behind off, or NULL. */
static const struct replay_item *range_from(const struct overlay *o,
					    uint64_t off)
{
	size_t lo = 0, hi = o->range_cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (o->range[mid].file_off + o->range[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < o->range_cnt ? &o->range[lo] : NULL;
}

/* ---- reading ------------------------------------------------------------- */

/* The next len bytes of the request come from src, or are zeros. */
static void deliver(struct overlay *o, const uint8_t *src, uint64_t len)
{
	while (len) {
		struct iovec v;
		size_t n;

		file_iov_window(o->cur, o->pos, &v, 1, &n);
		n = (size_t)u64_min(n, len);
		if (src) {
			memcpy(v.iov_base, src, n);
			src += n;
		} else {
			memset(v.iov_base, 0, n);
		}
		o->pos += n;
		len -= n;
	}
}

static void next_request(struct overlay *o)
{
	o->busy = !list_empty(&o->queue);
	if (o->busy)
		loop_defer(o->file.loop, &o->task);
}

static void complete(struct overlay *o)
{
	struct file_io *io = o->cur;

	o->cur = NULL;
	next_request(o);
	io->done(io);
}

static bool child_failed(struct overlay *o)
{
	if (o->child.res == 0)
		return false;
	o->cur->res = err_copy(&o->cur->err, &o->child.err, o->child.res);
	complete(o);
	return true;
}

static void step(struct overlay *o);

static void gap_done(struct file_io *child)
{
	struct overlay *o = container_of(child, struct overlay, child);

	if (child_failed(o))
		return;
	o->pos += child->len;
	step(o);
}

static void page_done(struct file_io *child)
{
	struct overlay *o = container_of(child, struct overlay, child);
	const struct replay_item *r;
	uint64_t at;

	if (child_failed(o))
		return;
	at = o->cur->off + o->pos;
	r = range_from(o, at);
	replay_patch(r, o->page);
	deliver(o, o->page + (at - r->file_off),
		u64_min(r->file_off + r->len - at, o->cur->len - o->pos));
	step(o);
}

static void read_gap(struct overlay *o, uint64_t len)
{
	o->child = (struct file_io){
		.op = FILE_READ, .off = o->cur->off + o->pos, .len = len,
		.iov = o->cur->iov, .iov_cnt = o->cur->iov_cnt,
		.iov_skip = o->cur->iov_skip + o->pos, .done = gap_done,
	};
	file_submit(o->base, &o->child);
}

static void read_page(struct overlay *o, const struct replay_item *r)
{
	o->iov = (struct iovec){ o->page, PAGE_LEN };
	o->child = (struct file_io){
		.op = FILE_READ, .off = r->data_off, .len = PAGE_LEN,
		.iov = &o->iov, .iov_cnt = 1, .done = page_done,
	};
	file_submit(o->base, &o->child);
}

static void step(struct overlay *o)
{
	uint64_t end = o->cur->off + o->cur->len;

	while (o->pos < o->cur->len) {
		uint64_t at = o->cur->off + o->pos;
		const struct replay_item *r = range_from(o, at);

		if (!r || r->file_off > at) {
			uint64_t to = r ? u64_min(r->file_off, end) : end;

			read_gap(o, to - at);
			return;
		}
		if (r->data_off) {
			read_page(o, r);
			return;
		}
		deliver(o, NULL, u64_min(r->file_off + r->len, end) - at);
	}
	complete(o);
}

static void start(struct loop_task *t)
{
	struct overlay *o = container_of(t, struct overlay, task);
	struct file_io *io = container_of(o->queue.next, struct file_io,
					  task.node);

	list_del(&io->task.node);
	o->cur = io;
	o->pos = 0;
	io->res = 0;
	if (io->op == FILE_READ)
		step(o);
	else
		complete(o); /* a sync: there is nothing to make durable */
}

/* ---- the file ------------------------------------------------------------ */

/* Reads and syncs only: file_submit() lets nothing else through. */
static void overlay_submit(struct file *f, struct file_io *io)
{
	struct overlay *o = overlay_of(f);
	const struct replay_item *r = range_from(o, io->off);

	if (io->op == FILE_READ &&
	    (!r || r->file_off >= io->off + io->len)) {
		file_submit(o->base, io);
		return;
	}
	list_init(&io->task.node);
	list_add_tail(&o->queue, &io->task.node);
	if (!o->busy)
		next_request(o);
}

static int overlay_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			     uint64_t *len, struct vhdx_err *e)
{
	struct overlay *o = overlay_of(f);
	const struct replay_item *r = range_from(o, off);
	const struct replay_item *end = o->range + o->range_cnt;
	uint64_t start_off;
	int rc = file_next_data(o->base, off, data_off, len, e);

	while (r && r < end && !r->data_off)
		r++;
	if (rc || !r || r == end)
		return rc;
	start_off = u64_max(r->file_off, off);
	if (*len == 0 || start_off < *data_off) {
		*data_off = start_off;
		*len = r->file_off + r->len - start_off;
	}
	return 0;
}

static uint64_t overlay_host_len(struct file *f)
{
	return file_host_len(overlay_of(f)->base);
}

struct file *file_overlay_detach(struct file *overlay)
{
	struct overlay *o = overlay_of(overlay);
	struct file *base = o->base;

	ASSERT(!o->busy);
	mem_free(o->range);
	mem_free(o);
	return base;
}

static void overlay_close(struct file *f)
{
	file_close(file_overlay_detach(f));
}

static const struct file_ops overlay_ops = {
	.submit = overlay_submit,
	.next_data = overlay_next_data,
	.host_len = overlay_host_len,
	.close = overlay_close,
};

int file_overlay_new(struct file *f, struct replay_seq *s, struct file **out,
		     struct vhdx_err *e)
{
	struct overlay *o = mem_aligned(4096, sizeof(*o));
	int rc;

	if (!o)
		return err_set(e, VHDX_E_NOMEM,
			       "no memory for the replayed log");
	memset(o, 0, sizeof(*o));
	rc = build_ranges(o, s, e);
	if (rc) {
		mem_free(o);
		return rc;
	}
	o->file = (struct file){ .ops = &overlay_ops, .loop = f->loop,
				 .path = f->path,
				 .size = replay_file_len(f, s) };
	o->base = f;
	list_init(&o->queue);
	loop_task_init(&o->task, start);
	replay_free(s);
	*out = &o->file;
	return 0;
}
