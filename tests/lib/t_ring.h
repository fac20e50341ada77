/* SPDX-License-Identifier: MIT */
/* A ring with a fake guest at its other end. */
#ifndef T_RING_H
#define T_RING_H

#include "fake_guest.h"

#define RG_PAGES 10u
#define RG_DATA 4096u /* of a ring of two pages */

extern struct t_ring {
	struct fake_guest g;
	uint64_t pfn[RG_PAGES];
	uint8_t *page[RG_PAGES];
	struct ring r;	     /* the host's side */
	struct fake_ring f;  /* the guest's */
	uint8_t buf[RING_PACKET_MAX];
	uint32_t len;
	bool sig, kick;
} rg;

void rg_begin_in(unsigned page_cnt); /* to the host */
void rg_begin_out(unsigned page_cnt);
void rg_end(void);

/* Empty, both sides at pos. */
void rg_start_at(uint32_t pos);
/* A packet of n bytes that `seed` tells from others. */
const uint8_t *rg_packet(uint32_t n, uint64_t seed);

/* False: there is no room. */
bool rg_guest_puts(uint32_t n, uint64_t seed);
bool rg_host_puts(uint32_t n, uint64_t seed);
enum ring_result rg_take(void);
/* It is the next one. */
void rg_host_takes(uint32_t n, uint64_t seed);
void rg_guest_takes(uint32_t n, uint64_t seed);

#endif
