/* SPDX-License-Identifier: MIT */
/*
 * An open channel: its two rings, its packets, and when the guest is told.
 *
 * Invariants:
 *  C1  What a VSP sees of a packet is in private memory and was checked there.
 *  C2  While the VSP reads, the guest is asked not to signal; it is asked to
 *      again before RING_EMPTY is said, and then looked once more.
 *  C3  An interrupt that is due is given, at once or at release: never
 *      dropped, never given twice.
 *  C4  A broken ring breaks the channel, both ways.
 */
#include "chan.h"

#include <string.h>
#include <unistd.h>

#include "err.h"
#include "le.h"
#include "mem.h"

#define DESC_LEN 16u
#define RANGE_OFF 16u /* of GPA direct: reserved, range count, range */
#define PFN_OFF 32u
#define FLAG_COMPLETION 1u

struct vmbus_chan {
	struct gmem const *mem;
	const struct chan_up *up;
	struct vmbus_dev *dev;
	void *bus_priv, *priv;
	unsigned sub_index;
	int kick_fd;
	struct ring to_host, to_guest;
	uint8_t **page; /* of both rings */
	bool masked;	/* the guest was asked not to signal */
	bool held, due;
	_Alignas(8) uint8_t buf[RING_PACKET_MAX];
};

/* ---- life --------------------------------------------------------------- */

static int find_pages(struct vmbus_chan *c, const struct chan_conf *conf,
		      struct vhdx_err *e)
{
	for (unsigned i = 0; i < conf->pfn_cnt; i++) {
		uint64_t gpa;

		if (!ckd_mul(conf->pfn[i], GMEM_PAGE, &gpa))
			c->page[i] = gmem_page(conf->mem, gpa);
		if (!c->page[i])
			return err_set(e, VHDX_E_INVAL,
				       "page %u of the channel's rings is at "
				       "guest frame 0x%llx, where there is no "
				       "memory", i,
				       (unsigned long long)conf->pfn[i]);
	}
	return 0;
}

static bool is_ring(unsigned page_cnt)
{
	return page_cnt >= 2 && page_cnt - 1 <= RING_PAGES_MAX;
}

/* What the guest has put into the ring before may have been signalled to
 * nobody. */
static void first_kick(const struct vmbus_chan *c)
{
	static const uint64_t one = 1;
	ssize_t n = write(c->kick_fd, &one, sizeof(one));

	ASSERT(n == (ssize_t)sizeof(one));
}

int chan_create(const struct chan_conf *conf, struct vmbus_chan **out,
		struct vhdx_err *e)
{
	unsigned in_cnt = conf->to_host_cnt;
	struct vmbus_chan *c;
	int rc;

	if (in_cnt > conf->pfn_cnt || !is_ring(in_cnt) ||
	    !is_ring(conf->pfn_cnt - in_cnt))
		return err_set(e, VHDX_E_INVAL,
			       "the channel's rings have %u pages, %u of them "
			       "to the host; each needs 2 to %u",
			       conf->pfn_cnt, in_cnt, RING_PAGES_MAX + 1);
	c = mem_zalloc(sizeof(*c));
	if (c)
		c->page = mem_array(conf->pfn_cnt, sizeof(*c->page));
	rc = c && c->page ? find_pages(c, conf, e) :
			    err_set(e, VHDX_E_NOMEM, "no memory for a channel");
	if (rc) {
		chan_destroy(c);
		return rc;
	}
	c->mem = conf->mem;
	c->up = conf->up;
	c->dev = conf->dev;
	c->bus_priv = conf->bus_priv;
	c->sub_index = conf->sub_index;
	c->kick_fd = conf->kick_fd;
	ring_init(&c->to_host, c->mem, c->page, in_cnt, false);
	ring_init(&c->to_guest, c->mem, c->page + in_cnt,
		  conf->pfn_cnt - in_cnt, true);
	first_kick(c);
	*out = c;
	return 0;
}

void chan_destroy(struct vmbus_chan *c)
{
	if (!c)
		return;
	mem_free(c->page);
	mem_free(c);
}

void *chan_bus_priv(const struct vmbus_chan *c)
{
	return c->bus_priv;
}

unsigned chan_sub_index(const struct vmbus_chan *c)
{
	return c->sub_index;
}

struct vmbus_dev *chan_dev(const struct vmbus_chan *c)
{
	return c->dev;
}

const struct chan_up *chan_up(const struct vmbus_chan *c)
{
	return c->up;
}

void chan_set_priv(struct vmbus_chan *c, void *priv)
{
	c->priv = priv;
}

void *chan_priv(const struct vmbus_chan *c)
{
	return c->priv;
}

int chan_kick_fd(const struct vmbus_chan *c)
{
	return c->kick_fd;
}

/* ---- telling the guest -------------------------------------------------- */

static void tell(struct vmbus_chan *c, bool due)
{
	if (!due)
		return;
	if (c->held)
		c->due = true;
	else
		c->up->signal(c);
}

void chan_hold(struct vmbus_chan *c)
{
	ASSERT(!c->held);
	c->held = true;
}

void chan_release(struct vmbus_chan *c)
{
	bool due = c->due;

	ASSERT(c->held);
	c->held = false;
	c->due = false;
	tell(c, due);
}

static bool is_broken(const struct vmbus_chan *c)
{
	return c->to_host.broken || c->to_guest.broken;
}

const char *chan_why(const struct vmbus_chan *c)
{
	return c->to_guest.broken ? c->to_guest.why : c->to_host.why;
}

/* ---- packets from the guest --------------------------------------------- */

/* One range and its pages. There may be more room for pages than the range
 * needs: guests send their whole array. */
static enum ring_result decode_range(struct vmbus_chan *c,
				     struct vmbus_packet *p, uint32_t end)
{
	uint32_t range_cnt, slot_cnt;
	uint64_t need;

	if (end < PFN_OFF)
		return ring_break(&c->to_host, "a GPA direct packet has its "
				  "payload at %u, before the end of its range",
				  end);
	range_cnt = get_le32(c->buf + RANGE_OFF + 4);
	if (range_cnt != 1)
		return ring_break(&c->to_host, "a GPA direct packet has %u "
				  "ranges, not 1", range_cnt);
	p->range_len = get_le32(c->buf + RANGE_OFF + 8);
	p->range_off = get_le32(c->buf + RANGE_OFF + 12);
	if (p->range_off >= GMEM_PAGE)
		return ring_break(&c->to_host, "a GPA direct range starts at "
				  "%u, beyond its first page", p->range_off);
	need = p->range_len ? div_up((uint64_t)p->range_off + p->range_len,
				     GMEM_PAGE) : 0;
	slot_cnt = (end - PFN_OFF) / 8;
	if (need > slot_cnt)
		return ring_break(&c->to_host, "a GPA direct range of %u bytes "
				  "needs %llu pages, the packet has %u",
				  p->range_len, (unsigned long long)need,
				  slot_cnt);
	p->pfn = (const uint64_t *)(const void *)(c->buf + PFN_OFF);
	p->pfn_cnt = (unsigned)need;
	return RING_OK;
}

static enum ring_result decode(struct vmbus_chan *c, struct vmbus_packet *p,
			       uint32_t len)
{
	unsigned type = get_le16(c->buf);
	uint32_t payload_off = get_le16(c->buf + 2) * 8u;

	*p = (struct vmbus_packet){
		.type = (enum vmbus_packet_type)type,
		.want_completion = get_le16(c->buf + 6) & FLAG_COMPLETION,
		.trans_id = get_le64(c->buf + 8),
		.payload = c->buf + payload_off,
		.payload_len = len - payload_off,
	};
	switch (type) {
	case VMBUS_PKT_INBAND:
	case VMBUS_PKT_COMPLETION:
		return RING_OK;
	case VMBUS_PKT_GPA_DIRECT:
		return decode_range(c, p, payload_off);
	}
	return ring_break(&c->to_host, "a packet has type %u, which is not "
			  "used on this channel (6, 9, 11 are)", type);
}

enum ring_result chan_recv(struct vmbus_chan *c, struct vmbus_packet *p)
{
	enum ring_result res;
	uint32_t len;
	bool due;

	if (is_broken(c))
		return RING_BROKEN;
	do {
		if (!c->masked)
			ring_mask(&c->to_host);
		c->masked = true;
		res = ring_take(&c->to_host, c->buf, &len, &due);
		if (res != RING_EMPTY)
			break;
		c->masked = false;
	} while (ring_unmask(&c->to_host));
	if (res != RING_OK)
		return res;
	tell(c, due);
	return decode(c, p, len);
}

/* ---- packets to the guest ----------------------------------------------- */

static enum ring_result put(struct vmbus_chan *c, unsigned type,
			    uint64_t trans_id, const void *payload,
			    uint32_t len)
{
	uint8_t desc[DESC_LEN] = { 0 };
	enum ring_result res;
	bool due;

	ASSERT(len <= RING_PACKET_MAX - DESC_LEN);
	if (is_broken(c))
		return RING_BROKEN;
	put_le16(desc, (uint16_t)type);
	put_le16(desc + 2, DESC_LEN / 8);
	put_le16(desc + 4, (uint16_t)div_up(DESC_LEN + len, 8));
	put_le64(desc + 8, trans_id);
	res = ring_put(&c->to_guest, desc, DESC_LEN, payload, len, &due);
	tell(c, due);
	return res;
}

enum ring_result chan_complete(struct vmbus_chan *c, uint64_t trans_id,
			       const void *payload, uint32_t len)
{
	return put(c, VMBUS_PKT_COMPLETION, trans_id, payload, len);
}

enum ring_result chan_send(struct vmbus_chan *c, uint64_t trans_id,
			   const void *payload, uint32_t len)
{
	return put(c, VMBUS_PKT_INBAND, trans_id, payload, len);
}

/* ---- the memory behind a packet ----------------------------------------- */

int chan_iov(const struct vmbus_chan *c, const struct vmbus_packet *p,
	     struct iovec *iov, int iov_max)
{
	return gmem_iov(c->mem, p->pfn, p->pfn_cnt, p->range_off, p->range_len,
			iov, iov_max);
}

void chan_dirty(const struct vmbus_chan *c, const struct iovec *iov, int cnt,
		uint64_t len)
{
	for (int i = 0; i < cnt && len; i++) {
		uint64_t part = u64_min(len, iov[i].iov_len);

		gmem_dirty(c->mem, iov[i].iov_base, part);
		len -= part;
	}
}
