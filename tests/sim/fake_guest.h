/* SPDX-License-Identifier: MIT */
/*
 * A guest without a CPU: memory, the guest's ends of rings, and a loopback of
 * what a VSP asks of the bus. It follows the rules of Linux 6.1
 * (drivers/hv/ring_buffer.c) for when to signal, and waits for signals as a
 * driver would: one that the host forgets makes fake_recv() return false,
 * after FAKE_PATIENCE seconds.
 *
 * Where a test wants to break the rules, rings and pages are plain memory.
 * The guest's side of a channel is used by one thread; the host's may be
 * another's. What goes wrong in the set-up aborts.
 */
#ifndef FAKE_GUEST_H
#define FAKE_GUEST_H

#include <pthread.h>

#include "chan.h"

#define FAKE_PATIENCE 20

/* ---- memory ------------------------------------------------------------- */

/* Half of the pages from 0 on, half from 4 GiB on. */
struct fake_guest {
	struct gmem mem;
	uint8_t *ram;
	uint64_t *free_pfn; /* in no order */
	unsigned free_cnt, page_cnt;
};

void fake_guest_init(struct fake_guest *g, unsigned page_cnt);
void fake_guest_fini(struct fake_guest *g);

/* A page nobody uses, zeroed: its frame number. Neighbours are rare. */
uint64_t fake_page(struct fake_guest *g);
void fake_page_free(struct fake_guest *g, uint64_t pfn);
uint8_t *fake_at(const struct fake_guest *g, uint64_t pfn);

bool fake_is_dirty(const struct fake_guest *g, uint64_t pfn);
void fake_clean(struct fake_guest *g); /* no page is dirty */

/* A buffer in scattered pages, as a GPA direct packet describes it. */
struct fake_buf {
	struct fake_guest *guest;
	uint64_t *pfn;
	unsigned pfn_cnt;
	uint32_t off, len; /* off: in the first page */
};

void fake_buf_init(struct fake_buf *b, struct fake_guest *g, uint32_t off,
		   uint32_t len);
void fake_buf_fini(struct fake_buf *b);
void fake_buf_write(struct fake_buf *b, uint32_t pos, const void *from,
		    uint32_t len);
void fake_buf_read(const struct fake_buf *b, uint32_t pos, void *to,
		   uint32_t len);

/* ---- rings -------------------------------------------------------------- */

enum fake_word {
	FAKE_WRITE = 0,
	FAKE_READ = 4,
	FAKE_MASK = 8,
	FAKE_PENDING = 12,
	FAKE_FEATURES = 64,
};

struct fake_ring {
	uint8_t **page; /* the header, then data */
	unsigned page_cnt;
	uint32_t data_len;
	uint32_t pos;	 /* the guest's next index */
	uint32_t shown;	 /* to the host: behind pos in a batch */
};

/* As Linux does it: zeros, and the feature bit. */
void fake_ring_init(struct fake_ring *r, uint8_t **page, unsigned page_cnt);
uint32_t fake_load(const struct fake_ring *r, enum fake_word w);
void fake_store(struct fake_ring *r, enum fake_word w, uint32_t v);
/* The data bytes at pos, which may wrap around. */
void fake_ring_poke(struct fake_ring *r, uint32_t pos, const void *from,
		    uint32_t len);
void fake_ring_peek(const struct fake_ring *r, uint32_t pos, void *to,
		    uint32_t len);

/* packet: descriptor and all, len a multiple of 8. False: no room. *kick: the
 * host is to be signalled. */
bool fake_ring_put(struct fake_ring *r, const void *packet, uint32_t len,
		   bool *kick);
/* Asks the host to signal when there is more room than `need`. True: there is
 * already. */
bool fake_ring_ask(struct fake_ring *r, uint32_t need);

/* packet: RING_PACKET_MAX bytes. False: empty. Its place is given back by
 * fake_ring_show(), which may wait for several. *kick as above. */
bool fake_ring_take(struct fake_ring *r, uint8_t *packet, uint32_t *len);
void fake_ring_show(struct fake_ring *r, bool *kick);

/* ---- channels ----------------------------------------------------------- */

/* What the loopback knows of a device. */
struct vmbus_dev {
	_Atomic unsigned subs; /* the last chan_up.offer_subs */
};

struct fake_chan {
	struct fake_guest *guest;
	struct vmbus_chan *chan; /* the host's side: give it to vsp_ops.open */
	struct fake_ring out, in; /* to host, to guest */
	uint64_t *pfn;
	unsigned pfn_cnt;
	uint8_t **page;
	int kick_fd;
	unsigned kick_cnt; /* how often the guest has signalled */
	bool batch; /* take all there is before a place is given back */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t cond;
	unsigned opened_cnt, closed_cnt, failed_cnt;
	bool open_ok;
	char why[160];	     /* of `failed` */
	unsigned signal_cnt; /* interrupts */
	unsigned seen_cnt;   /* of them, by the guest */
};

/* Records, and interrupts; chan_bus_priv() is the fake_chan. */
extern const struct chan_up fake_up;

/* dev: borrowed, NULL allowed. The kick of chan_create() is in kick_fd. */
struct fake_chan *fake_chan_new(struct fake_guest *g, struct vmbus_dev *dev,
				unsigned sub_index, unsigned to_host_pages,
				unsigned to_guest_pages);
void fake_chan_free(struct fake_chan *c); /* NULL allowed */

/* False: it did not happen. fake_wait_opened() also when it was refused. */
bool fake_wait_opened(struct fake_chan *c) must_check;
bool fake_wait_closed(struct fake_chan *c) must_check;
bool fake_wait_failed(struct fake_chan *c) must_check;
/* An interrupt that the guest has not seen yet. */
bool fake_wait_signal(struct fake_chan *c) must_check;
unsigned fake_signal_cnt(struct fake_chan *c);

/* Signals the host, due or not. */
void fake_kick(struct fake_chan *c);

/* Send a packet, completion asked for, and kick when that is due. False: no
 * room now. `slot_cnt`: pages the packet has room for (0: as many as the
 * buffer has; Linux sends at least 32). */
bool fake_put(struct fake_chan *c, const void *packet, uint32_t len) must_check;
bool fake_inband(struct fake_chan *c, uint64_t trans_id, const void *payload,
		 uint32_t len) must_check;
bool fake_gpa(struct fake_chan *c, uint64_t trans_id, const void *payload,
	      uint32_t len, const struct fake_buf *b, unsigned slot_cnt)
	must_check;

struct fake_got {
	unsigned type, flags;
	uint64_t trans_id;
	uint32_t len; /* of the payload */
	uint8_t payload[RING_PACKET_MAX];
};

/* A packet from the host; false: there is none. */
bool fake_take(struct fake_chan *c, struct fake_got *p) must_check;
/* Waits for one as a driver does: masked while it reads, looking once more
 * after, then for an interrupt. False: none came. When it has got one it leaves
 * the host masked: it expects to be called until it waits. */
bool fake_recv(struct fake_chan *c, struct fake_got *p) must_check;

#endif
