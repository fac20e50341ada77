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
	uint32_t pending;  /* the room we asked the guest to signal; 0: none */
	bool broken;
	char why[120];
};

/* is_out: host to guest (ring_put), else guest to host. Both sides start at 0,
 * as at every opening of a channel. page_cnt: 2 .. RING_PAGES_MAX + 1. */
void ring_init(struct ring *r, const struct gmem *mem, uint8_t **page,
	       unsigned page_cnt, bool is_out);

/* Breaks the ring (the first reason stays), for what a packet turns out to be
 * only where it is understood. Returns RING_BROKEN. */
enum ring_result ring_break(struct ring *r, const char *fmt, ...)
	printf_like(2, 3);

/* Guest to host. Takes the next packet: copies it, without its trailer, to
 * buf (RING_PACKET_MAX bytes) and frees its place. Its descriptor was checked:
 * 16 <= payload offset <= *len. *signal: the guest waits for room, and there
 * is enough now. */
enum ring_result ring_take(struct ring *r, uint8_t *buf, uint32_t *len,
			   bool *signal);

/* While the host reads anyway, the guest need not signal. ring_unmask() returns
 * true when something came in between: take again. */
void ring_mask(struct ring *r);
bool ring_unmask(struct ring *r) must_check;

/* Host to guest. head and body follow each other; padding and trailer are
 * added. *signal: the guest has to be interrupted. A packet that even the empty
 * ring has no room for breaks it: the guest made it too small. */
enum ring_result ring_put(struct ring *r, const void *head, uint32_t head_len,
			  const void *body, uint32_t body_len, bool *signal);

#endif
