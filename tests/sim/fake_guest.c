/* SPDX-License-Identifier: MIT */
/*
 * Memory, rings, and channels of the fake guest. The order of stores and loads
 * is that of ring.c, R3, seen from the other side.
 */
#include "fake_guest.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "le.h"

#define HIGH_GPA (4 * GIB)

static void *alloc(size_t cnt, size_t len)
{
	void *p = calloc(cnt ? cnt : 1, len);

	ASSERT(p);
	return p;
}

/* ---- memory ------------------------------------------------------------- */

void fake_guest_init(struct fake_guest *g, unsigned page_cnt)
{
	unsigned half = page_cnt / 2;
	uint64_t len = half * GMEM_PAGE;

	ASSERT(half && page_cnt % 2 == 0);
	*g = (struct fake_guest){ .page_cnt = page_cnt,
				  .free_cnt = page_cnt };
	g->ram = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(g->ram != MAP_FAILED);
	g->mem.cnt = 2;
	for (unsigned i = 0; i < 2; i++) {
		g->mem.region[i] = (struct gmem_region){
			.gpa = i * HIGH_GPA,
			.len = len,
			.hva = g->ram + i * len,
			.dirty = alloc(div_up(half, 64), sizeof(uint64_t)),
		};
	}
	g->free_pfn = alloc(page_cnt, sizeof(*g->free_pfn));
	/* A stride that has no factor in common with the number of pages
	 * visits each once. */
	for (unsigned i = 0, at = 1, step = 7919; i < page_cnt; i++) {
		while (page_cnt % step == 0)
			step += 2;
		at = (at + step) % page_cnt;
		g->free_pfn[i] = at < half ? at :
					     at - half + HIGH_GPA / GMEM_PAGE;
	}
}

void fake_guest_fini(struct fake_guest *g)
{
	munmap(g->ram, g->page_cnt * GMEM_PAGE);
	for (unsigned i = 0; i < g->mem.cnt; i++)
		free((void *)g->mem.region[i].dirty);
	free(g->free_pfn);
}

uint8_t *fake_at(const struct fake_guest *g, uint64_t pfn)
{
	uint8_t *p = gmem_page(&g->mem, pfn * GMEM_PAGE);

	ASSERT(p);
	return p;
}

uint64_t fake_page(struct fake_guest *g)
{
	uint64_t pfn;

	ASSERT(g->free_cnt);
	pfn = g->free_pfn[--g->free_cnt];
	memset(fake_at(g, pfn), 0, GMEM_PAGE);
	return pfn;
}

void fake_page_free(struct fake_guest *g, uint64_t pfn)
{
	ASSERT(g->free_cnt < g->page_cnt);
	g->free_pfn[g->free_cnt++] = pfn;
}

bool fake_is_dirty(const struct fake_guest *g, uint64_t pfn)
{
	unsigned high = pfn >= HIGH_GPA / GMEM_PAGE;
	uint64_t bit = pfn - high * (HIGH_GPA / GMEM_PAGE);

	return atomic_load(&g->mem.region[high].dirty[bit / 64]) >>
		       (bit % 64) & 1;
}

void fake_clean(struct fake_guest *g)
{
	for (unsigned i = 0; i < g->mem.cnt; i++)
		for (unsigned k = 0; k < div_up(g->page_cnt / 2, 64); k++)
			atomic_store(&g->mem.region[i].dirty[k], 0);
}

void fake_buf_init(struct fake_buf *b, struct fake_guest *g, uint32_t off,
		   uint32_t len)
{
	ASSERT(off < GMEM_PAGE);
	*b = (struct fake_buf){ .guest = g, .off = off, .len = len };
	if (len)
		b->pfn_cnt = (unsigned)div_up((uint64_t)off + len, GMEM_PAGE);
	b->pfn = alloc(b->pfn_cnt, sizeof(*b->pfn));
	for (unsigned i = 0; i < b->pfn_cnt; i++)
		b->pfn[i] = fake_page(g);
}

void fake_buf_fini(struct fake_buf *b)
{
	for (unsigned i = 0; i < b->pfn_cnt; i++)
		fake_page_free(b->guest, b->pfn[i]);
	free(b->pfn);
}

/* The bytes at pos of the buffer: up to *len of them. */
static uint8_t *buf_at(const struct fake_buf *b, uint32_t pos, uint32_t *len)
{
	uint64_t at = (uint64_t)b->off + pos;

	*len = (uint32_t)u64_min(*len, GMEM_PAGE - at % GMEM_PAGE);
	return fake_at(b->guest, b->pfn[at / GMEM_PAGE]) + at % GMEM_PAGE;
}

void fake_buf_write(struct fake_buf *b, uint32_t pos, const void *from,
		    uint32_t len)
{
	const uint8_t *p = from;

	ASSERT(pos <= b->len && len <= b->len - pos);
	while (len) {
		uint32_t part = len;
		uint8_t *to = buf_at(b, pos, &part);

		memcpy(to, p, part);
		p += part;
		pos += part;
		len -= part;
	}
}

void fake_buf_read(const struct fake_buf *b, uint32_t pos, void *to,
		   uint32_t len)
{
	uint8_t *p = to;

	ASSERT(pos <= b->len && len <= b->len - pos);
	while (len) {
		uint32_t part = len;
		const uint8_t *from = buf_at(b, pos, &part);

		memcpy(p, from, part);
		p += part;
		pos += part;
		len -= part;
	}
}

/* ---- rings -------------------------------------------------------------- */

static uint32_t *word(const struct fake_ring *r, enum fake_word w)
{
	return (uint32_t *)(void *)(r->page[0] + w);
}

uint32_t fake_load(const struct fake_ring *r, enum fake_word w)
{
	return __atomic_load_n(word(r, w), __ATOMIC_SEQ_CST);
}

void fake_store(struct fake_ring *r, enum fake_word w, uint32_t v)
{
	__atomic_store_n(word(r, w), v, __ATOMIC_SEQ_CST);
}

void fake_ring_init(struct fake_ring *r, uint8_t **page, unsigned page_cnt)
{
	*r = (struct fake_ring){
		.page = page,
		.page_cnt = page_cnt,
		.data_len = (page_cnt - 1) * (uint32_t)GMEM_PAGE,
	};
	memset(page[0], 0, GMEM_PAGE);
	fake_store(r, FAKE_FEATURES, 1);
}

static uint32_t ahead(const struct fake_ring *r, uint32_t pos, uint32_t len)
{
	return (pos + len) % r->data_len;
}

static uint32_t distance(const struct fake_ring *r, uint32_t a, uint32_t b)
{
	return (b + r->data_len - a) % r->data_len;
}

static uint8_t *data_at(const struct fake_ring *r, uint32_t pos, uint32_t *len)
{
	uint32_t in_page = pos % (uint32_t)GMEM_PAGE;

	*len = (uint32_t)u64_min(*len, GMEM_PAGE - in_page);
	return r->page[1 + pos / GMEM_PAGE] + in_page;
}

void fake_ring_poke(struct fake_ring *r, uint32_t pos, const void *from,
		    uint32_t len)
{
	const uint8_t *p = from;

	while (len) {
		uint32_t part = len;
		uint8_t *to = data_at(r, pos, &part);

		memcpy(to, p, part);
		p += part;
		len -= part;
		pos = ahead(r, pos, part);
	}
}

void fake_ring_peek(const struct fake_ring *r, uint32_t pos, void *to,
		    uint32_t len)
{
	uint8_t *p = to;

	while (len) {
		uint32_t part = len;
		const uint8_t *from = data_at(r, pos, &part);

		memcpy(p, from, part);
		p += part;
		len -= part;
		pos = ahead(r, pos, part);
	}
}

static uint32_t free_len(const struct fake_ring *r, uint32_t read,
			 uint32_t write)
{
	return r->data_len - distance(r, read, write);
}

bool fake_ring_put(struct fake_ring *r, const void *packet, uint32_t len,
		   bool *kick)
{
	uint32_t old = r->pos, trailer[2] = { 0, old };

	*kick = false;
	if (free_len(r, fake_load(r, FAKE_READ), old) <= len + sizeof(trailer))
		return false;
	fake_ring_poke(r, old, packet, len);
	fake_ring_poke(r, ahead(r, old, len), trailer, sizeof(trailer));
	r->pos = ahead(r, old, len + (uint32_t)sizeof(trailer));
	fake_store(r, FAKE_WRITE, r->pos);
	*kick = !fake_load(r, FAKE_MASK) && fake_load(r, FAKE_READ) == old;
	return true;
}

bool fake_ring_ask(struct fake_ring *r, uint32_t need)
{
	fake_store(r, FAKE_PENDING, need);
	return free_len(r, fake_load(r, FAKE_READ), r->pos) > need;
}

bool fake_ring_take(struct fake_ring *r, uint8_t *packet, uint32_t *len)
{
	uint32_t there = distance(r, r->pos, fake_load(r, FAKE_WRITE));

	if (!there)
		return false;
	ASSERT(there >= 24);
	fake_ring_peek(r, r->pos, packet, 16);
	*len = get_le16(packet + 4) * 8u;
	ASSERT(*len >= 16 && *len <= RING_PACKET_MAX && *len + 8 <= there);
	fake_ring_peek(r, r->pos, packet, *len);
	r->pos = ahead(r, r->pos, *len + 8);
	return true;
}

void fake_ring_show(struct fake_ring *r, bool *kick)
{
	uint32_t freed = distance(r, r->shown, r->pos), pending, room;

	*kick = false;
	if (!freed)
		return;
	r->shown = r->pos;
	fake_store(r, FAKE_READ, r->pos);
	if (!(fake_load(r, FAKE_FEATURES) & 1))
		return;
	pending = fake_load(r, FAKE_PENDING);
	if (!pending)
		return;
	room = free_len(r, r->pos, fake_load(r, FAKE_WRITE));
	*kick = room - freed <= pending && room > pending;
}

/* ---- channels: what the VSP asks ---------------------------------------- */

static struct fake_chan *of(struct vmbus_chan *c)
{
	return chan_bus_priv(c);
}

static void up_opened(struct vmbus_chan *c, bool ok)
{
	struct fake_chan *f = of(c);

	pthread_mutex_lock(&f->lock);
	f->opened_cnt++;
	f->open_ok = ok;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static void up_closed(struct vmbus_chan *c)
{
	struct fake_chan *f = of(c);

	pthread_mutex_lock(&f->lock);
	f->closed_cnt++;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static void up_offer_subs(struct vmbus_dev *d, unsigned cnt)
{
	atomic_store(&d->subs, cnt);
}

static void up_failed(struct vmbus_chan *c, const char *why)
{
	struct fake_chan *f = of(c);

	pthread_mutex_lock(&f->lock);
	f->failed_cnt++;
	snprintf(f->why, sizeof(f->why), "%s", why);
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static void up_signal(struct vmbus_chan *c)
{
	struct fake_chan *f = of(c);

	pthread_mutex_lock(&f->lock);
	f->signal_cnt++;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

const struct chan_up fake_up = {
	.opened = up_opened,
	.closed = up_closed,
	.offer_subs = up_offer_subs,
	.failed = up_failed,
	.signal = up_signal,
};

/* Until *cnt is more than `seen`. */
static bool wait_for(struct fake_chan *c, const unsigned *cnt, unsigned seen)
{
	struct timespec end;
	int rc = 0;
	bool came;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += FAKE_PATIENCE;
	pthread_mutex_lock(&c->lock);
	while (*cnt <= seen && rc == 0)
		rc = pthread_cond_timedwait(&c->cond, &c->lock, &end);
	came = *cnt > seen;
	pthread_mutex_unlock(&c->lock);
	return came;
}

bool fake_wait_opened(struct fake_chan *c)
{
	return wait_for(c, &c->opened_cnt, 0) && c->open_ok;
}

bool fake_wait_closed(struct fake_chan *c)
{
	return wait_for(c, &c->closed_cnt, 0);
}

bool fake_wait_failed(struct fake_chan *c)
{
	return wait_for(c, &c->failed_cnt, 0);
}

bool fake_wait_signal(struct fake_chan *c)
{
	bool came = wait_for(c, &c->signal_cnt, c->seen_cnt);

	c->seen_cnt = fake_signal_cnt(c);
	return came;
}

unsigned fake_signal_cnt(struct fake_chan *c)
{
	unsigned cnt;

	pthread_mutex_lock(&c->lock);
	cnt = c->signal_cnt;
	pthread_mutex_unlock(&c->lock);
	return cnt;
}

/* ---- channels: the guest's side ----------------------------------------- */

struct fake_chan *fake_chan_new(struct fake_guest *g, struct vmbus_dev *dev,
				unsigned sub_index, unsigned to_host_pages,
				unsigned to_guest_pages)
{
	struct fake_chan *c = alloc(1, sizeof(*c));
	struct chan_conf conf;
	int rc;

	c->guest = g;
	c->pfn_cnt = to_host_pages + to_guest_pages;
	c->pfn = alloc(c->pfn_cnt, sizeof(*c->pfn));
	c->page = alloc(c->pfn_cnt, sizeof(*c->page));
	for (unsigned i = 0; i < c->pfn_cnt; i++) {
		c->pfn[i] = fake_page(g);
		c->page[i] = fake_at(g, c->pfn[i]);
	}
	fake_ring_init(&c->out, c->page, to_host_pages);
	fake_ring_init(&c->in, c->page + to_host_pages, to_guest_pages);
	c->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT(c->kick_fd >= 0);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	conf = (struct chan_conf){
		.mem = &g->mem, .up = &fake_up, .dev = dev, .bus_priv = c,
		.sub_index = sub_index, .pfn = c->pfn, .pfn_cnt = c->pfn_cnt,
		.to_host_cnt = to_host_pages, .kick_fd = c->kick_fd,
	};
	rc = chan_create(&conf, &c->chan, NULL);
	ASSERT(rc == 0);
	return c;
}

void fake_chan_free(struct fake_chan *c)
{
	if (!c)
		return;
	chan_destroy(c->chan);
	for (unsigned i = 0; i < c->pfn_cnt; i++)
		fake_page_free(c->guest, c->pfn[i]);
	close(c->kick_fd);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->cond);
	free(c->pfn);
	free(c->page);
	free(c);
}

void fake_kick(struct fake_chan *c)
{
	uint64_t one = 1;
	ssize_t n = write(c->kick_fd, &one, sizeof(one));

	ASSERT(n == (ssize_t)sizeof(one));
	c->kick_cnt++;
}

bool fake_put(struct fake_chan *c, const void *packet, uint32_t len)
{
	bool kick, done = fake_ring_put(&c->out, packet, len, &kick);

	if (kick)
		fake_kick(c);
	return done;
}

/* A descriptor for a payload of `len` bytes at `off`. */
static uint32_t describe(uint8_t *packet, enum vmbus_packet_type type,
			 uint64_t trans_id, uint32_t off, const void *payload,
			 uint32_t len)
{
	uint32_t all = (uint32_t)align_up(off + len, 8);

	ASSERT(all <= 8 * UINT16_MAX);
	put_le16(packet, (uint16_t)type);
	put_le16(packet + 2, (uint16_t)(off / 8));
	put_le16(packet + 4, (uint16_t)(all / 8));
	put_le16(packet + 6, 1);
	put_le64(packet + 8, trans_id);
	if (len)
		memcpy(packet + off, payload, len);
	return all;
}

bool fake_inband(struct fake_chan *c, uint64_t trans_id, const void *payload,
		 uint32_t len)
{
	uint8_t *packet = alloc(1, 16 + align_up(len, 8));
	uint32_t all = describe(packet, VMBUS_PKT_INBAND, trans_id, 16, payload,
				len);
	bool done = fake_put(c, packet, all);

	free(packet);
	return done;
}

bool fake_gpa(struct fake_chan *c, uint64_t trans_id, const void *payload,
	      uint32_t len, const struct fake_buf *b, unsigned slot_cnt)
{
	uint32_t off = 32 + 8 * (slot_cnt ? slot_cnt : b->pfn_cnt);
	uint8_t *packet = alloc(1, off + align_up(len, 8));
	uint32_t all = describe(packet, VMBUS_PKT_GPA_DIRECT, trans_id, off,
				payload, len);
	bool done;

	ASSERT(!slot_cnt || slot_cnt >= b->pfn_cnt);
	memset(packet + 32, 0xee, off - 32); /* what is not used is garbage */
	put_le32(packet + 16, 0xdeadbeef);   /* reserved */
	put_le32(packet + 20, 1);
	put_le32(packet + 24, b->len);
	put_le32(packet + 28, b->off);
	for (unsigned i = 0; i < b->pfn_cnt; i++)
		put_le64(packet + 32 + 8 * i, b->pfn[i]);
	done = fake_put(c, packet, all);
	free(packet);
	return done;
}

static void show(struct fake_chan *c)
{
	bool kick;

	fake_ring_show(&c->in, &kick);
	if (kick)
		fake_kick(c);
}

bool fake_take(struct fake_chan *c, struct fake_got *p)
{
	uint8_t packet[RING_PACKET_MAX];
	uint32_t all, off;
	bool there = fake_ring_take(&c->in, packet, &all);

	if (!there || !c->batch)
		show(c);
	if (!there)
		return false;
	off = get_le16(packet + 2) * 8u;
	ASSERT(off >= 16 && off <= all);
	p->type = get_le16(packet);
	p->flags = get_le16(packet + 6);
	p->trans_id = get_le64(packet + 8);
	p->len = all - off;
	memcpy(p->payload, packet + off, p->len);
	return true;
}

bool fake_recv(struct fake_chan *c, struct fake_got *p)
{
	for (;;) {
		fake_store(&c->in, FAKE_MASK, 1);
		if (fake_take(c, p))
			break;
		fake_store(&c->in, FAKE_MASK, 0);
		if (fake_load(&c->in, FAKE_WRITE) != c->in.pos)
			continue;
		if (!fake_wait_signal(c))
			return false;
	}
	return true;
}
