/* SPDX-License-Identifier: MIT */
/*
 * An open VMBus channel as a VSP sees it (upper half), and as the bus makes it
 * (lower half). A VSP knows nothing of KVM, SynIC, or the server.
 *
 * Threads: between vsp_ops.open and chan_up.closed the channel belongs to the
 * VSP's thread; the rest of its life to the bus.
 */
#ifndef CHAN_H
#define CHAN_H

#include "ring.h"

struct vmbus_chan;
struct vmbus_dev; /* an offered device; the bus's */
struct vhdx_err;

enum vmbus_packet_type {
	VMBUS_PKT_INBAND = 6,
	VMBUS_PKT_GPA_DIRECT = 9,
	VMBUS_PKT_COMPLETION = 11,
};

/* A packet taken from the ring: private memory of the channel, valid until the
 * next chan_recv(). Already checked: one of the types above, payload inside
 * the packet; GPA direct has exactly one range, of no more pages than its
 * range_len needs. */
struct vmbus_packet {
	enum vmbus_packet_type type;
	bool want_completion;
	uint64_t trans_id;
	const uint8_t *payload;
	uint32_t payload_len;
	const uint64_t *pfn; /* GPA direct, else NULL */
	unsigned pfn_cnt;
	uint32_t range_off, range_len; /* off: in the first page */
};

/* What a VSP may ask of the bus. [any thread], never blocking. */
struct chan_up {
	void (*opened)(struct vmbus_chan *c, bool ok);
	/* The VSP does not touch the channel nor its guest memory any more. */
	void (*closed)(struct vmbus_chan *c);
	/* Offer subchannels 1..cnt of the device. */
	void (*offer_subs)(struct vmbus_dev *d, unsigned cnt);
	/* The guest broke the rules: tell, once. The VSP stops using the rings
	 * and waits for close. */
	void (*failed)(struct vmbus_chan *c, const char *why);
	/* Interrupt the guest for this channel. */
	void (*signal)(struct vmbus_chan *c);
};

/* What the bus asks of a VSP: [bus thread], never blocking. Each is answered
 * once, by chan_up.opened or chan_up.closed, later and from any thread. A
 * channel that was refused is not closed. */
struct vsp_ops {
	void (*open)(void *vsp, struct vmbus_chan *c);
	void (*close)(void *vsp, struct vmbus_chan *c);
};

/* ---- for the VSP -------------------------------------------------------- */

unsigned chan_sub_index(const struct vmbus_chan *c); /* 0: the primary */
struct vmbus_dev *chan_dev(const struct vmbus_chan *c);
const struct chan_up *chan_up(const struct vmbus_chan *c);

/* For the VSP's own use between open and closed. */
void chan_set_priv(struct vmbus_chan *c, void *priv);
void *chan_priv(const struct vmbus_chan *c);

/* An eventfd, readable when the guest has signalled: read it, then receive
 * until RING_EMPTY. Borrowed. */
int chan_kick_fd(const struct vmbus_chan *c);

/* The next packet. RING_EMPTY: nothing there, and the guest will signal. After
 * RING_BROKEN the reason is in chan_why(). Signals the guest by itself where
 * the ring protocol demands it. */
enum ring_result chan_recv(struct vmbus_chan *c, struct vmbus_packet *p)
	must_check;

/* RING_FULL: not sent; the guest signals when there is room: try again then. */
enum ring_result chan_complete(struct vmbus_chan *c, uint64_t trans_id,
			       const void *payload, uint32_t len) must_check;
enum ring_result chan_send(struct vmbus_chan *c, uint64_t trans_id,
			   const void *payload, uint32_t len) must_check;

/* Several packets, one interrupt: between hold and release the guest is not
 * signalled; release does what is due. */
void chan_hold(struct vmbus_chan *c);
void chan_release(struct vmbus_chan *c);

const char *chan_why(const struct vmbus_chan *c);

/* The guest's memory behind a GPA direct packet, see gmem_iov(). */
int chan_iov(const struct vmbus_chan *c, const struct vmbus_packet *p,
	     struct iovec *iov, int iov_max) must_check;
/* The host has written there. */
void chan_dirty(const struct vmbus_chan *c, const struct iovec *iov, int cnt,
		uint64_t len);

/* ---- for the bus -------------------------------------------------------- */

struct chan_conf {
	const struct gmem *mem;
	const struct chan_up *up;
	struct vmbus_dev *dev;
	void *bus_priv; /* chan_bus_priv() */
	unsigned sub_index;
	const uint64_t *pfn; /* of the ring GPADL, in order; copied */
	unsigned pfn_cnt;
	unsigned to_host_cnt; /* the first of them; the others are to guest */
	int kick_fd;	      /* borrowed */
};

/* Refuses (INVAL) page counts below 2 each or beyond RING_PAGES_MAX + 1, and
 * pages that are not memory. Kicks once: what the guest put there before may
 * have been signalled to nobody. */
int chan_create(const struct chan_conf *conf, struct vmbus_chan **out,
		struct vhdx_err *e) must_check;
void chan_destroy(struct vmbus_chan *c); /* NULL allowed */
void *chan_bus_priv(const struct vmbus_chan *c);

#endif
