/* SPDX-License-Identifier: MIT */
/*
 * The two rings of a channel, seen from the host: no system calls, no trust.
 * The guest owns the memory and changes it at will; every index and descriptor
 * is read once, into private memory, and checked there. What does not hold
 * breaks the ring for good (RING_BROKEN): the channel fails, never the VMM.
 *
 * One thread at a time uses a ring. Layout and signalling rules: docs and
 * vmbus/ring.c.
 */
#ifndef RING_H
#define RING_H

#include "gmem.h"

#define RING_PACKET_MAX 16384u /* bytes of one packet; longer breaks the ring */
#define RING_PAGES_MAX 1024u   /* data pages of one ring */

enum ring_result {
	RING_OK,
	RING_EMPTY,  /* nothing to read */
	RING_FULL,   /* no room to write: the guest was asked to signal */
	RING_BROKEN, /* the guest broke the rules; `why` says which */
};

/* Header page, then data pages. */
struct ring {
	const struct gmem *mem;
	uint8_t **page; /* page[0] is the header; the caller's */
	uint32_t data_len; /* bytes of data: (page_cnt - 1) * 4096 */
	uint32_t pos;	   /* our own index: where we read or write next */
	bool broken;
	char why[120];
};

void ring_init(struct ring *r, const struct gmem *mem, uint8_t **page,
	       unsigned page_cnt, bool is_out);

/* Guest to host. Takes the next packet: copies it, without its trailer, to
 * buf (RING_PACKET_MAX bytes) and frees its place. *signal: the guest waits for
 * room, and there is enough now. */
enum ring_result ring_take(struct ring *r, uint8_t *buf, uint32_t *len,
			   bool *signal);

/* While the host reads anyway, the guest need not signal. ring_unmask() returns
 * true when something came in between: take again. */
void ring_mask(struct ring *r);
bool ring_unmask(struct ring *r) must_check;

/* Host to guest. head and body follow each other; padding and trailer are
 * added. *signal: the guest has to be interrupted. */
enum ring_result ring_put(struct ring *r, const void *head, uint32_t head_len,
			  const void *body, uint32_t body_len, bool *signal);

#endif
