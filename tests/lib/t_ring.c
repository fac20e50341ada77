/* SPDX-License-Identifier: MIT */
#include "t_ring.h"

#include <string.h>

#include "le.h"
#include "t.h"

struct t_ring rg;

static void begin(unsigned page_cnt, bool is_out)
{
	fake_guest_init(&rg.g, 64);
	for (unsigned i = 0; i < page_cnt; i++) {
		rg.pfn[i] = fake_page(&rg.g);
		rg.page[i] = fake_at(&rg.g, rg.pfn[i]);
	}
	fake_ring_init(&rg.f, rg.page, page_cnt);
	ring_init(&rg.r, &rg.g.mem, rg.page, page_cnt, is_out);
}

void rg_begin_in(unsigned page_cnt)
{
	begin(page_cnt, false);
}

void rg_begin_out(unsigned page_cnt)
{
	begin(page_cnt, true);
}

void rg_end(void)
{
	fake_guest_fini(&rg.g);
}

void rg_start_at(uint32_t pos)
{
	rg.r.pos = rg.f.pos = rg.f.shown = pos;
	fake_store(&rg.f, FAKE_READ, pos);
	fake_store(&rg.f, FAKE_WRITE, pos);
}

const uint8_t *rg_packet(uint32_t n, uint64_t seed)
{
	static uint8_t p[RING_PACKET_MAX];

	t_fill(p, n, seed);
	put_le16(p, VMBUS_PKT_INBAND);
	put_le16(p + 2, 2);
	put_le16(p + 4, (uint16_t)(n / 8));
	return p;
}

bool rg_guest_puts(uint32_t n, uint64_t seed)
{
	return fake_ring_put(&rg.f, rg_packet(n, seed), n, &rg.kick);
}

enum ring_result rg_take(void)
{
	return ring_take(&rg.r, rg.buf, &rg.len, &rg.sig);
}

void rg_host_takes(uint32_t n, uint64_t seed)
{
	T_EQ_U64(rg_take(), RING_OK);
	T_EQ_U64(rg.len, n);
	T_TRUE(memcmp(rg.buf, rg_packet(n, seed), n) == 0);
}

bool rg_host_puts(uint32_t n, uint64_t seed)
{
	const uint8_t *p = rg_packet(n, seed);
	enum ring_result res = ring_put(&rg.r, p, 16, p + 16, n - 16, &rg.sig);

	T_TRUE(res == RING_OK || res == RING_FULL);
	return res == RING_OK;
}

void rg_guest_takes(uint32_t n, uint64_t seed)
{
	T_TRUE(fake_ring_take(&rg.f, rg.buf, &rg.len));
	T_EQ_U64(rg.len, n);
	T_TRUE(memcmp(rg.buf, rg_packet(n, seed), n) == 0);
	fake_ring_show(&rg.f, &rg.kick);
}
