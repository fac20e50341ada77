/* SPDX-License-Identifier: MIT */
/*
 * A page is in one of these states:
 *
 *   free --get--> loading --read done--> pinned <--put/get--> idle (LRU)
 *                                          |  mcache_dirty
 *                                          v
 *                                        dirty --mcache_take--> pinned
 *
 * Only idle pages are recycled, least recently used first. Dirty pages are on
 * the dirty list whether pinned or not, in the order of their first change.
 */
#include "mcache.h"

#include <string.h>

#include "mem.h"

#define BUCKETS 1024u

struct mcache {
	struct file *file;
	struct list buckets[BUCKETS];
	struct list idle;  /* clean, unpinned; head is the oldest */
	struct list dirty; /* head is the longest dirty */
	struct list hungry; /* mcache_wait, for want of a free page */
	unsigned page_cnt, dirty_cnt;
	unsigned changing_cnt; /* claimed or dirty */
	unsigned claim_max;
	bool feeding;
	bool failed;
	struct vhdx_err err; /* when failed */
	uint64_t seq;
	void (*starved)(void *arg);
	void *arg;
	struct mpage *pages;
	uint8_t *data;
};

static struct list *bucket_of(struct mcache *mc, uint64_t off)
{
	uint64_t h = (off / MPAGE_LEN) * UINT64_C(0x9e3779b97f4a7c15);

	return &mc->buckets[(h >> 32) % BUCKETS];
}

int mcache_new(struct file *f, unsigned page_cnt, void (*starved)(void *arg),
	       void *arg, struct mcache **out, struct vhdx_err *e)
{
	struct mcache *mc = mem_zalloc(sizeof(*mc));

	*out = NULL;
	if (!mc)
		return err_set(e, VHDX_E_NOMEM, "no memory for a page cache");
	mc->pages = mem_zalloc(page_cnt * sizeof(*mc->pages));
	mc->data = mem_alloc((size_t)page_cnt * MPAGE_LEN);
	if (!mc->pages || !mc->data) {
		mcache_free(mc);
		return err_set(e, VHDX_E_NOMEM,
			       "no memory for %u metadata pages", page_cnt);
	}
	mc->file = f;
	mc->page_cnt = page_cnt;
	mc->starved = starved;
	mc->arg = arg;
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&mc->buckets[i]);
	list_init(&mc->idle);
	list_init(&mc->dirty);
	list_init(&mc->hungry);
	for (unsigned i = 0; i < page_cnt; i++) {
		struct mpage *p = &mc->pages[i];

		p->mc = mc;
		p->data = mc->data + (size_t)i * MPAGE_LEN;
		p->dirty_seq = MCACHE_CLEAN;
		list_init(&p->hash);
		list_init(&p->waiters);
		loop_task_init(&p->io.task, NULL);
		list_add_tail(&mc->idle, &p->link);
	}
	*out = mc;
	return 0;
}

void mcache_free(struct mcache *mc)
{
	if (!mc)
		return;
	mem_free(mc->pages);
	mem_free(mc->data);
	mem_free(mc);
}

static struct mpage *lookup(struct mcache *mc, uint64_t off)
{
	struct list *b = bucket_of(mc, off), *it;

	list_for_each(it, b) {
		struct mpage *p = list_entry(it, struct mpage, hash);

		if (p->off == off)
			return p;
	}
	return NULL;
}

/* An idle page, taken out of the cache and pinned once for `off`. */
static struct mpage *recycle(struct mcache *mc, uint64_t off)
{
	if (list_empty(&mc->idle))
		return NULL;

	struct mpage *p = list_first(&mc->idle, struct mpage, link);

	list_del(&p->link);
	list_del(&p->hash);
	p->off = off;
	p->pins = 1;
	list_add_head(bucket_of(mc, off), &p->hash);
	return p;
}

static void load_done(struct file_io *io)
{
	struct mpage *p = container_of(io, struct mpage, io);
	struct mcache *mc = p->mc;
	struct list waiters;

	p->loading = false;
	list_init(&waiters);
	list_splice(&waiters, &p->waiters);
	if (io->res)
		list_del(&p->hash); /* the next caller tries again */
	while (!list_empty(&waiters)) {
		struct mcache_wait *w =
			list_first(&waiters, struct mcache_wait, node);

		list_del(&w->node);
		w->res = io->res;
		w->err = &io->err;
		w->page = io->res ? NULL : p;
		if (!io->res)
			p->pins++;
		w->fn(w);
	}
	mcache_put(mc, p); /* the loader's own pin */
}

static void load(struct mcache *mc, struct mpage *p, struct mcache_wait *w)
{
	p->loading = true;
	p->iov = (struct iovec){ p->data, MPAGE_LEN };
	p->io.op = FILE_READ;
	p->io.off = p->off;
	p->io.len = MPAGE_LEN;
	p->io.iov = &p->iov;
	p->io.iov_cnt = 1;
	p->io.iov_skip = 0;
	p->io.done = load_done;
	list_add_tail(&p->waiters, &w->node);
	file_submit(mc->file, &p->io);
}

bool mcache_get(struct mcache *mc, uint64_t off, struct mcache_wait *w)
{
	struct mpage *p = lookup(mc, off);

	w->off = off;
	w->page = NULL;
	w->res = 0;
	list_init(&w->node);
	if (p && p->loading) {
		list_add_tail(&p->waiters, &w->node);
		return false;
	}
	if (p) {
		if (p->pins++ == 0 && p->dirty_seq == MCACHE_CLEAN)
			list_del(&p->link); /* off the LRU */
		w->page = p;
		return true;
	}
	p = recycle(mc, off);
	if (p) {
		load(mc, p, w);
		return false;
	}
	if (mc->failed) {
		w->res = mc->err.code;
		w->err = &mc->err;
		return true;
	}
	list_add_tail(&mc->hungry, &w->node);
	mc->starved(mc->arg);
	return false;
}

/* A page became idle: whoever waits for one goes on. The wanted page may have
 * been loaded for somebody else meanwhile. A waiter's fn may put pages itself:
 * the outermost call serves everybody, so that the stack stays flat. */
static void feed_hungry(struct mcache *mc)
{
	if (mc->feeding)
		return;
	mc->feeding = true;
	while (!list_empty(&mc->hungry) && !list_empty(&mc->idle)) {
		struct mcache_wait *w =
			list_first(&mc->hungry, struct mcache_wait, node);

		list_del(&w->node);
		if (mcache_get(mc, w->off, w))
			w->fn(w);
	}
	mc->feeding = false;
	if (!list_empty(&mc->hungry))
		mc->starved(mc->arg);
}

void mcache_fail(struct mcache *mc, const struct vhdx_err *err)
{
	mc->failed = true;
	mc->err = *err;
	while (!list_empty(&mc->hungry)) {
		struct mcache_wait *w =
			list_first(&mc->hungry, struct mcache_wait, node);

		list_del(&w->node);
		w->res = mc->err.code;
		w->err = &mc->err;
		w->fn(w);
	}
}

void mcache_put(struct mcache *mc, struct mpage *p)
{
	ASSERT(p->pins > 0);
	if (--p->pins || p->dirty_seq != MCACHE_CLEAN)
		return;
	if (list_empty(&p->hash)) /* its load failed: nothing to keep */
		list_add_head(&mc->idle, &p->link);
	else
		list_add_tail(&mc->idle, &p->link);
	feed_hungry(mc);
}

void mcache_set_claim_max(struct mcache *mc, unsigned max)
{
	mc->claim_max = max;
}

static bool is_changing(const struct mpage *p)
{
	return p->claims || p->dirty_seq != MCACHE_CLEAN;
}

bool mcache_claim(struct mcache *mc, struct mpage *p)
{
	ASSERT(p->pins > 0 && !p->loading);
	if (!is_changing(p)) {
		if (mc->changing_cnt >= mc->claim_max)
			return false;
		mc->changing_cnt++;
	}
	p->claims++;
	return true;
}

void mcache_unclaim(struct mcache *mc, struct mpage *p)
{
	ASSERT(p->claims > 0);
	p->claims--;
	if (!is_changing(p))
		mc->changing_cnt--;
}

void mcache_dirty(struct mcache *mc, struct mpage *p)
{
	ASSERT(p->claims > 0);
	mc->seq++;
	if (p->dirty_seq != MCACHE_CLEAN)
		return;
	p->dirty_seq = mc->seq;
	mc->dirty_cnt++;
	list_add_tail(&mc->dirty, &p->link);
}

bool mcache_fill(struct mcache *mc, uint64_t off, const uint8_t *data)
{
	struct mpage *p;

	ASSERT(!lookup(mc, off));
	p = recycle(mc, off);
	if (!p)
		return false;
	memcpy(p->data, data, MPAGE_LEN);
	if (!mcache_claim(mc, p)) {
		list_del(&p->hash); /* nobody may see what the file has not */
		mcache_put(mc, p);
		return false;
	}
	mcache_dirty(mc, p);
	mcache_unclaim(mc, p);
	mcache_put(mc, p);
	return true;
}

static void drop(struct mcache *mc, struct mpage *p)
{
	ASSERT(!p->pins && p->dirty_seq == MCACHE_CLEAN && !p->loading);
	list_del(&p->hash);
	list_del(&p->link);
	list_add_head(&mc->idle, &p->link);
}

void mcache_drop(struct mcache *mc, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	struct mpage *p;

	if (len / MPAGE_LEN > mc->page_cnt) {
		for (unsigned i = 0; i < mc->page_cnt; i++) {
			p = &mc->pages[i];
			if (!list_empty(&p->hash) && p->off >= off &&
			    p->off < end)
				drop(mc, p);
		}
		return;
	}
	for (off = align_down(off, MPAGE_LEN); off < end; off += MPAGE_LEN) {
		p = lookup(mc, off);
		if (p)
			drop(mc, p);
	}
}

unsigned mcache_dirty_cnt(const struct mcache *mc)
{
	return mc->dirty_cnt;
}

uint64_t mcache_seq(const struct mcache *mc)
{
	return mc->seq;
}

uint64_t mcache_oldest_dirty(const struct mcache *mc)
{
	if (list_empty(&mc->dirty))
		return MCACHE_CLEAN;
	return list_first(&mc->dirty, struct mpage, link)->dirty_seq;
}

struct mpage *mcache_take(struct mcache *mc)
{
	if (list_empty(&mc->dirty))
		return NULL;

	struct mpage *p = list_first(&mc->dirty, struct mpage, link);

	list_del(&p->link);
	p->dirty_seq = MCACHE_CLEAN;
	p->pins++;
	mc->dirty_cnt--;
	if (!is_changing(p))
		mc->changing_cnt--;
	return p;
}
