/* SPDX-License-Identifier: MIT */
/*
 * A channel whose guest breaks every rule: packets with any content, bytes and
 * indices changed between calls and in the middle of them, GPAs from anywhere.
 *
 * Oracles: a packet that is accepted lies in private memory and means what
 * chan.h says; nothing works by a bad index; what is broken stays so, with a
 * reason; the host writes nothing but its rings, and marks what it writes;
 * nothing is signalled while held; a full ring has asked for room; gmem gives
 * what a model says is memory.
 */
#include <string.h>

#include "fake_guest.h"
#include "fake_hook.h"
#include "fuzz.h"
#include "le.h"

#define RAM_PAGES 32u
#define CANARY 0xc5

static struct {
	struct fake_guest guest;
	struct fake_chan *chan;
	struct fuzz_in *in;
	bool held, broken;
	uint8_t was[RAM_PAGES][GMEM_PAGE]; /* the rings, before a call */
} z;

static struct vmbus_chan *host(void)
{
	return z.chan->chan;
}

/* ---- the guest ---------------------------------------------------------- */

/* Any page of the rings, its header more often. */
static uint8_t *some_page(void)
{
	uint8_t n = fuzz_u8(z.in);
	unsigned headers[] = { 0, z.chan->out.page_cnt };

	return z.chan->page[n & 1 ? headers[n >> 1 & 1] :
				    (n >> 1) % z.chan->pfn_cnt];
}

static void change_bytes(void)
{
	uint8_t *p = some_page();
	unsigned off = fuzz_u16(z.in) % GMEM_PAGE, len = fuzz_u8(z.in) % 32;

	for (; len && off < GMEM_PAGE; len--)
		p[off++] = fuzz_u8(z.in);
}

static struct fake_ring *some_ring(uint8_t n)
{
	return n & 1 ? &z.chan->in : &z.chan->out;
}

static void change_word(void)
{
	static const enum fake_word words[] = { FAKE_WRITE, FAKE_READ,
						FAKE_MASK, FAKE_PENDING,
						FAKE_FEATURES };
	uint8_t n = fuzz_u8(z.in);
	struct fake_ring *r = some_ring(n);
	enum fake_word w = words[(n >> 1) % ARRAY_LEN(words)];

	if (n & 0x80)
		fake_store(r, w, fuzz_u32(z.in));
	else
		fake_store(r, w, fuzz_u16(z.in) * 8u % r->data_len);
}

/* The descriptor is right but for what the input says. */
static void send(bool gpa)
{
	uint8_t p[1024] = { 0 };
	uint32_t len = 16 + fuzz_u8(z.in) % 64 * 8u, off = gpa ? 32 : 16;
	bool kick;

	for (uint32_t i = off; i < len && z.in->len; i++)
		p[i] = fuzz_u8(z.in);
	put_le16(p, gpa ? VMBUS_PKT_GPA_DIRECT : VMBUS_PKT_INBAND);
	put_le16(p + 2, (uint16_t)(off / 8 + fuzz_u8(z.in) % 8));
	put_le16(p + 4, (uint16_t)(len / 8));
	put_le32(p + 20, 1);
	put_le32(p + 24, fuzz_u16(z.in));
	put_le32(p + 28, fuzz_u16(z.in) % 4100);
	for (unsigned n = fuzz_u8(z.in) % 4; n; n--)
		p[fuzz_u8(z.in) % 40] = fuzz_u8(z.in);
	z.chan->out.pos = z.chan->out.pos % z.chan->out.data_len & ~7u;
	fake_ring_put(&z.chan->out, p, len, &kick);
}

static void take_all(void)
{
	fake_store(&z.chan->in, FAKE_READ, fake_load(&z.chan->in, FAKE_WRITE));
}

static void in_between(void)
{
	if (fuzz_u8(z.in) & 1)
		change_bytes();
	else
		change_word();
}

/* ---- the host ----------------------------------------------------------- */

static void begin_host(void)
{
	for (unsigned i = 0; i < z.chan->pfn_cnt; i++)
		memcpy(z.was[i], z.chan->page[i], GMEM_PAGE);
	fake_clean(&z.guest);
}

static void end_host(enum ring_result res, unsigned signal_cnt, bool hooked)
{
	for (unsigned i = 0; i < z.chan->pfn_cnt && !hooked; i++)
		if (memcmp(z.was[i], z.chan->page[i], GMEM_PAGE) != 0)
			ASSERT(fake_is_dirty(&z.guest, z.chan->pfn[i]));
	if (z.held)
		ASSERT(fake_signal_cnt(z.chan) == signal_cnt);
	if (z.broken)
		ASSERT(res == RING_BROKEN);
	z.broken = res == RING_BROKEN;
	ASSERT(z.broken == (chan_why(host())[0] != 0));
	ASSERT(strlen(chan_why(host())) < sizeof(((struct ring *)0)->why));
}

static void look_at_memory(const struct vmbus_packet *p)
{
	struct iovec v[16];
	int max = fuzz_u8(z.in) % 16, cnt = chan_iov(host(), p, v, max);
	uint64_t sum = 0;

	ASSERT(cnt >= -1 && cnt <= max);
	for (int i = 0; i < cnt; i++) {
		uint8_t *base = v[i].iov_base;

		ASSERT(base >= z.guest.ram && v[i].iov_len &&
		       v[i].iov_len <= sizeof(z.was) &&
		       base - z.guest.ram <=
			       (ptrdiff_t)(sizeof(z.was) - v[i].iov_len));
		sum += v[i].iov_len;
	}
	ASSERT(cnt < 0 || sum == p->range_len);
	if (cnt > 0)
		chan_dirty(host(), v, cnt, fuzz_u16(z.in));
}

static void look_at(const struct vmbus_packet *p)
{
	static uint8_t copy[RING_PACKET_MAX];

	ASSERT(p->type == VMBUS_PKT_INBAND || p->type == VMBUS_PKT_COMPLETION ||
	       p->type == VMBUS_PKT_GPA_DIRECT);
	ASSERT(p->payload_len <= RING_PACKET_MAX - 16);
	memcpy(copy, p->payload, p->payload_len);
	ASSERT((p->pfn != NULL) == (p->type == VMBUS_PKT_GPA_DIRECT));
	if (!p->pfn)
		return;
	ASSERT(p->range_off < GMEM_PAGE);
	ASSERT(p->pfn_cnt == (p->range_len ? div_up((uint64_t)p->range_off +
					      p->range_len, GMEM_PAGE) : 0));
	ASSERT((const uint8_t *)(p->pfn + p->pfn_cnt) <= p->payload);
	look_at_memory(p);
}

static enum ring_result receive(void)
{
	struct vmbus_packet p;
	enum ring_result res = chan_recv(host(), &p);

	ASSERT(res != RING_FULL);
	if (res == RING_OK)
		look_at(&p);
	return res;
}

static enum ring_result send_back(bool hooked)
{
	static const uint8_t data[RING_PACKET_MAX];
	uint32_t len = fuzz_u16(z.in) % (fuzz_u8(z.in) & 1 ? 64u : 8192u);
	enum ring_result res =
		fuzz_u8(z.in) & 1 ? chan_send(host(), 1, data, len) :
				    chan_complete(host(), 2, data, len);

	ASSERT(res != RING_EMPTY);
	if (res == RING_FULL && !hooked)
		ASSERT(fake_load(&z.chan->in, FAKE_PENDING) >= len + 24);
	return res;
}

static bool is_index(const struct fake_ring *r, enum fake_word w)
{
	return fake_load(r, w) % 8 == 0 && fake_load(r, w) < r->data_len;
}

/* One call of the host, in the middle of which the guest may act. */
static void call(bool receives)
{
	unsigned signal_cnt = fake_signal_cnt(z.chan);
	uint8_t hook = fuzz_u8(z.in);
	bool hooked = FAKE_HOOKS && hook % 8 == 0;
	enum ring_result res;

	begin_host();
	if (hooked)
		(hook & 8 ? fake_before_store : fake_after_load)(some_page(),
								 in_between);
	res = receives ? receive() : send_back(hooked);
	if (hooked)
		hooked = fake_hook_ran() || hooked;
	end_host(res, signal_cnt, hooked);
	if (!hooked && res != RING_BROKEN)
		ASSERT(receives ? is_index(&z.chan->out, FAKE_WRITE) :
				  is_index(&z.chan->in, FAKE_READ));
}

static void hold_or_release(void)
{
	if (z.held)
		chan_release(host());
	else
		chan_hold(host());
	z.held = !z.held;
}

/* ---- gmem --------------------------------------------------------------- */

static bool is_ram(uint64_t gpa, uint64_t len)
{
	uint64_t half = RAM_PAGES / 2 * GMEM_PAGE;
	uint64_t base = gpa < 4 * GIB ? 0 : 4 * GIB;

	return !len || (gpa - base <= half && len <= half - (gpa - base));
}

static void use_gmem(void)
{
	static uint8_t buf[65536];
	uint64_t gpa = fuzz_value(z.in, fuzz_u8(z.in) & 1 ? 4 * GIB : 0);
	uint32_t len = fuzz_u16(z.in);
	uint64_t pfn[2] = { gpa / GMEM_PAGE, fuzz_u64(z.in) };
	struct iovec v[2];

	ASSERT(gmem_read(&z.guest.mem, gpa, buf, len) == is_ram(gpa, len));
	ASSERT((gmem_page(&z.guest.mem, gpa) != NULL) ==
	       (gpa % GMEM_PAGE == 0 && is_ram(gpa, 1)));
	if (gmem_iov(&z.guest.mem, pfn, 2, len / 8, len % 8192, v, 2) >= 0)
		ASSERT(len / 8 + len % 8192 <= 8192);
}

/* Pages that are not of the rings, and nobody has a reason to write to. */
static void paint(void)
{
	for (unsigned i = 0; i < z.guest.free_cnt; i++)
		memset(fake_at(&z.guest, z.guest.free_pfn[i]), CANARY,
		       GMEM_PAGE);
}

static void check_paint(void)
{
	for (unsigned i = 0; i < z.guest.free_cnt; i++) {
		const uint8_t *p = fake_at(&z.guest, z.guest.free_pfn[i]);

		ASSERT(p[0] == CANARY && memcmp(p, p + 1, GMEM_PAGE - 1) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint8_t pages = fuzz_u8(&in);

	z.in = &in;
	z.held = z.broken = false;
	fake_guest_init(&z.guest, RAM_PAGES);
	z.chan = fake_chan_new(&z.guest, NULL, 0, 2 + pages % 8,
			       2 + pages / 8 % 4);
	paint();
	for (unsigned n = 0; in.len && n < 200; n++) {
		switch (fuzz_u8(&in) % 10) {
		case 0: send(false); break;
		case 1: send(true); break;
		case 2: change_bytes(); break;
		case 3: change_word(); break;
		case 4: take_all(); break;
		case 5: hold_or_release(); break;
		case 6: use_gmem(); break;
		case 7: call(false); break;
		default: call(true); break;
		}
	}
	check_paint();
	fake_chan_free(z.chan);
	fake_guest_fini(&z.guest);
	return 0;
}
