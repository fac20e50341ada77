/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>

#include "fake_guest.h"
#include "fake_hook.h"
#include "le.h"

#define PAGES_MAX 10u
#define DATA 4096u /* of a ring of two pages */

static struct fake_guest g;
static uint64_t pfn[PAGES_MAX];
static uint8_t *page[PAGES_MAX];
static struct ring r;	   /* the host's side */
static struct fake_ring f; /* the guest's */
static uint8_t buf[RING_PACKET_MAX];
static uint32_t len;
static bool sig, kick;

static void begin(unsigned page_cnt, bool is_out)
{
	fake_guest_init(&g, 64);
	for (unsigned i = 0; i < page_cnt; i++) {
		pfn[i] = fake_page(&g);
		page[i] = fake_at(&g, pfn[i]);
	}
	fake_ring_init(&f, page, page_cnt);
	ring_init(&r, &g.mem, page, page_cnt, is_out);
}

static void begin_in(unsigned page_cnt)
{
	begin(page_cnt, false);
}

static void begin_out(unsigned page_cnt)
{
	begin(page_cnt, true);
}

static void end(void)
{
	fake_guest_fini(&g);
}

/* Empty, both sides at pos. */
static void start_at(uint32_t pos)
{
	r.pos = f.pos = f.shown = pos;
	fake_store(&f, FAKE_READ, pos);
	fake_store(&f, FAKE_WRITE, pos);
}

/* A packet of n bytes that `seed` tells from others. */
static const uint8_t *packet(uint32_t n, uint64_t seed)
{
	static uint8_t p[RING_PACKET_MAX];

	t_fill(p, n, seed);
	put_le16(p, VMBUS_PKT_INBAND);
	put_le16(p + 2, 2);
	put_le16(p + 4, (uint16_t)(n / 8));
	return p;
}

static bool guest_puts(uint32_t n, uint64_t seed)
{
	return fake_ring_put(&f, packet(n, seed), n, &kick);
}

static void host_takes(uint32_t n, uint64_t seed)
{
	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_OK);
	T_EQ_U64(len, n);
	T_TRUE(memcmp(buf, packet(n, seed), n) == 0);
}

static bool host_puts(uint32_t n, uint64_t seed)
{
	enum ring_result res = ring_put(&r, packet(n, seed), 16,
					packet(n, seed) + 16, n - 16, &sig);

	T_TRUE(res == RING_OK || res == RING_FULL);
	return res == RING_OK;
}

static void guest_takes(uint32_t n, uint64_t seed)
{
	T_TRUE(fake_ring_take(&f, buf, &len));
	T_EQ_U64(len, n);
	T_TRUE(memcmp(buf, packet(n, seed), n) == 0);
	fake_ring_show(&f, &kick);
}

/* ---- guest to host: data ------------------------------------------------ */

static void packets_to_the_host_wrap_around_at_every_offset(void)
{
	for (unsigned pages = 2; pages <= 4; pages++) {
		begin_in(pages);
		for (uint32_t pos = 0; pos < f.data_len; pos += 8) {
			start_at(pos);
			for (uint32_t n = 16; n <= 64; n += 8)
				T_TRUE(guest_puts(n, pos + n));
			for (uint32_t n = 16; n <= 64; n += 8)
				host_takes(n, pos + n);
			T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_EMPTY);
		}
		end();
	}
}

static void the_longest_packet_passes(void)
{
	begin_in(6);
	start_at(f.data_len - 5000);
	T_TRUE(guest_puts(RING_PACKET_MAX, 3));
	host_takes(RING_PACKET_MAX, 3);
	end();
}

static void a_ring_full_to_the_last_step_is_read(void)
{
	begin_in(2);
	for (uint32_t pos = 0; pos < DATA; pos += 8) {
		start_at(pos);
		T_TRUE(!guest_puts(DATA - 8, pos));
		T_TRUE(guest_puts(DATA - 16, pos));
		T_TRUE(!guest_puts(16, 0));
		host_takes(DATA - 16, pos);
	}
	end();
}

static void a_place_is_free_when_its_packet_was_taken(void)
{
	begin_in(2);
	T_TRUE(guest_puts(104, 1));
	T_TRUE(guest_puts(16, 2));
	host_takes(104, 1);
	T_EQ_U64(fake_load(&f, FAKE_READ), 112);
	host_takes(16, 2);
	T_EQ_U64(fake_load(&f, FAKE_READ), 136);
	end();
}

static void random_packets_to_the_host_come_in_order(void)
{
	uint64_t seed = 11, put = 0, taken = 0;
	uint32_t n[4096];

	begin_in(4);
	while (taken < 4000) {
		n[put % 4096] = 16 + 8 * (uint32_t)t_rand_below(&seed, 200);
		if (put < 4000 && t_rand_below(&seed, 2) &&
		    guest_puts(n[put % 4096], put))
			put++;
		if (t_rand_below(&seed, 2) && taken < put) {
			host_takes(n[taken % 4096], taken);
			taken++;
		}
	}
	end();
}

/* ---- guest to host: a guest that breaks the rules ------------------------ */

static void broken(const char *part)
{
	char why[sizeof(r.why)];

	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_BROKEN);
	T_TRUE(strstr(r.why, part) && !sig);
	memcpy(why, r.why, sizeof(why));
	start_at(0); /* for good */
	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_BROKEN);
	T_TRUE(strcmp(why, r.why) == 0);
}

static void a_bad_write_index_breaks_the_ring(void)
{
	static const uint32_t bad[] = {
		1, 4, 7, 25, DATA, DATA + 8, 0x80000000, UINT32_MAX - 7,
		UINT32_MAX,
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin_in(2);
		fake_store(&f, FAKE_WRITE, bad[i]);
		broken("write index");
		end();
	}
}

static void less_than_a_packet_breaks_the_ring(void)
{
	for (uint32_t pos = 0; pos < DATA; pos += 8)
		for (uint32_t n = 8; n <= 16; n += 8) {
			begin_in(2);
			start_at(pos);
			fake_store(&f, FAKE_WRITE, (pos + n) % DATA);
			broken("at least 24");
			end();
		}
}

/* A packet of 40 bytes whose field at `off` is something else. */
static enum ring_result with_field(unsigned off, uint16_t v)
{
	uint8_t le[2];

	T_TRUE(guest_puts(40, 1));
	put_le16(le, v);
	fake_ring_poke(&f, r.pos + off, le, 2);
	return ring_take(&r, buf, &len, &sig);
}

static void a_bad_length_breaks_the_ring(void)
{
	static const uint16_t bad[] = { 0, 1, 6, 7, 513, 2049, 0xffff };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin_in(6);
		T_EQ_U64(with_field(4, bad[i]), RING_BROKEN);
		broken("a packet has");
		end();
	}
}

/* With the trailer, 48 bytes are there. */
static void a_length_takes_no_more_than_is_there(void)
{
	for (uint16_t len8 = 2; len8 <= 7; len8++) {
		begin_in(2);
		T_EQ_U64(with_field(4, len8),
			 len8 <= 5 ? RING_OK : RING_BROKEN);
		end();
	}
}

static void a_packet_longer_than_the_buffer_breaks_the_ring(void)
{
	uint8_t le[2];

	begin_in(10);
	T_TRUE(guest_puts(RING_PACKET_MAX, 1));
	T_TRUE(guest_puts(RING_PACKET_MAX, 1));
	put_le16(le, RING_PACKET_MAX / 8 + 1);
	fake_ring_poke(&f, 4, le, 2);
	broken("16384");
	end();
}

static void a_payload_starts_inside_its_packet(void)
{
	for (uint16_t off8 = 0; off8 < 8; off8++) {
		begin_in(2);
		T_EQ_U64(with_field(2, off8), off8 >= 2 && off8 <= 5 ?
						      RING_OK :
						      RING_BROKEN);
		if (r.broken)
			broken("payload starts");
		end();
	}
}

/* The guest's read index is ours: it may change it, to nobody's harm. */
static void our_own_index_is_not_read_back(void)
{
	begin_in(2);
	T_TRUE(guest_puts(16, 1) && guest_puts(48, 2) && guest_puts(24, 3));
	host_takes(16, 1);
	fake_store(&f, FAKE_READ, 0);
	host_takes(48, 2);
	fake_store(&f, FAKE_READ, 0x12345677);
	host_takes(24, 3);
	T_EQ_U64(fake_load(&f, FAKE_READ), r.pos);
	end();
}

static void the_first_reason_stays(void)
{
	begin_in(2);
	T_EQ_U64(ring_break(&r, "first, at %u", 7), RING_BROKEN);
	T_EQ_U64(ring_break(&r, "second"), RING_BROKEN);
	T_TRUE(strcmp(r.why, "first, at 7") == 0);
	end();
}

#if FAKE_HOOKS
/* Type 6, payload at 400 * 8, length 511 * 8, but the ring shows 32 + 8. */
static void guest_changes_the_descriptor(void)
{
	static const uint64_t desc = UINT64_C(0x000001ff01900006);

	fake_ring_poke(&f, 0, &desc, sizeof(desc));
}

static void a_descriptor_that_changes_is_read_once(void)
{
	begin_in(2);
	T_TRUE(guest_puts(32, 1));
	fake_after_load(page[1], guest_changes_the_descriptor);
	host_takes(32, 1);
	T_TRUE(fake_hook_ran());
	T_EQ_U64(r.pos, 40);
	end();
}

static void guest_shows_more(void)
{
	fake_store(&f, FAKE_WRITE, DATA - 8);
}

static void an_index_that_changes_is_read_once(void)
{
	begin_in(2);
	T_TRUE(guest_puts(32, 1));
	fake_store(&f, FAKE_WRITE, 24);
	fake_after_load(page[0], guest_shows_more);
	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_BROKEN);
	T_TRUE(fake_hook_ran() && strstr(r.why, "shows 24"));
	end();
}
#endif

/* ---- guest to host: signals ---------------------------------------------- */

static void a_masked_ring_is_not_signalled(void)
{
	begin_in(2);
	ring_mask(&r);
	T_TRUE(guest_puts(16, 1) && !kick);
	T_TRUE(ring_unmask(&r));
	host_takes(16, 1);
	T_TRUE(!ring_unmask(&r));
	T_TRUE(guest_puts(16, 2) && kick);
	T_TRUE(guest_puts(16, 3) && !kick);
	end();
}

#if FAKE_HOOKS
static void guest_puts_behind_our_back(void)
{
	T_TRUE(guest_puts(16, 1) && !kick);
}

static void a_packet_that_comes_before_the_mask_falls_is_seen(void)
{
	begin_in(2);
	ring_mask(&r);
	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_EMPTY);
	fake_before_store(page[0], guest_puts_behind_our_back);
	T_TRUE(ring_unmask(&r));
	T_TRUE(fake_hook_ran());
	end();
}

#endif

/* All room but `room` bytes, in packets of 24. */
static void fill_to(uint32_t room)
{
	T_TRUE(guest_puts(DATA - room - 24 * 4 - 8, 1));
	for (unsigned i = 0; i < 4; i++)
		T_TRUE(guest_puts(16, i));
	host_takes(DATA - room - 24 * 4 - 8, 1);
	T_TRUE(guest_puts(DATA - room - 24 * 4 - 8, 1));
	T_EQ_U64(fake_load(&f, FAKE_WRITE),
		 (fake_load(&f, FAKE_READ) + DATA - room) % DATA);
}

/* 64 bytes are free, then 88. */
static void room_is_told_when_it_reaches_or_passes_the_wish(void)
{
	static const struct {
		uint32_t wish;
		bool told;
	} c[] = { { 0, false },	 { 8, false },	 { 56, false }, { 63, false },
		  { 64, true },	 { 65, true },	 { 72, true },	{ 88, true },
		  { 89, false }, { 96, false }, { UINT32_MAX, false } };

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		begin_in(2);
		fill_to(64);
		fake_store(&f, FAKE_PENDING, c[i].wish);
		host_takes(16, 0);
		T_EQ_U64(sig, c[i].told);
		end();
	}
}

static void without_the_feature_nobody_waits(void)
{
	begin_in(2);
	fill_to(64);
	fake_store(&f, FAKE_FEATURES, 0xfffffffe);
	fake_store(&f, FAKE_PENDING, 80);
	host_takes(16, 0);
	T_TRUE(!sig);
	end();
}

#if FAKE_HOOKS
static void guest_fills_up_and_asks(void)
{
	T_TRUE(guest_puts(32, 9)); /* of 64: 24 are left */
	T_TRUE(!guest_puts(32, 9));
	T_TRUE(!fake_ring_ask(&f, 40));
}

/* Before the place is free for the guest, but after the host has looked. */
static void a_wish_at_the_last_moment_is_seen(void)
{
	begin_in(2);
	fill_to(64);
	fake_before_store(page[0], guest_fills_up_and_asks);
	host_takes(16, 0);
	T_TRUE(fake_hook_ran());
	T_TRUE(sig);
	end();
}

static void guest_goes_mad(void)
{
	fake_store(&f, FAKE_WRITE, fake_load(&f, FAKE_WRITE) + 1);
}

/* It is looked at twice, for two decisions. */
static void a_packet_read_before_the_index_went_mad_counts(void)
{
	begin_in(2);
	fill_to(64);
	fake_store(&f, FAKE_PENDING, 80);
	fake_before_store(page[0], guest_goes_mad);
	host_takes(16, 0);
	T_TRUE(fake_hook_ran() && !sig);
	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_BROKEN);
	end();
}

static void guest_fills_the_place_at_once(void)
{
	fake_store(&f, FAKE_WRITE, fake_load(&f, FAKE_READ) + 8);
}

static void without_a_wish_nobody_waits(void)
{
	begin_in(2);
	T_TRUE(guest_puts(1000, 1));
	fake_before_store(page[0], guest_fills_the_place_at_once);
	host_takes(1000, 1);
	T_TRUE(fake_hook_ran() && !sig);
	end();
}
#endif

/* ---- host to guest: data ------------------------------------------------- */

static void packets_to_the_guest_wrap_around_at_every_offset(void)
{
	for (unsigned pages = 2; pages <= 4; pages++) {
		begin_out(pages);
		for (uint32_t pos = 0; pos < f.data_len; pos += 8) {
			start_at(pos);
			for (uint32_t n = 16; n <= 64; n += 8)
				T_TRUE(host_puts(n, pos + n));
			for (uint32_t n = 16; n <= 64; n += 8)
				guest_takes(n, pos + n);
			T_TRUE(!fake_ring_take(&f, buf, &len));
		}
		end();
	}
}

static void a_packet_is_padded_with_zeros_and_ends_with_its_start(void)
{
	/* head, body, padding, trailer: 4088 */
	static const uint8_t want[40] = "0123456789abcdef1234"
					"56789"
					"\0\0\0\0\0\0\0"
					"\0\0\0\0\xf8\x0f\0";
	uint8_t there[40];

	begin_out(2);
	memset(page[1], 0xaa, DATA);
	start_at(DATA - 8);
	T_EQ_U64(ring_put(&r, want, 20, want + 20, 5, &sig), RING_OK);
	fake_ring_peek(&f, DATA - 8, there, sizeof(there));
	T_TRUE(memcmp(there, want, sizeof(want)) == 0);
	T_EQ_U64(fake_load(&f, FAKE_WRITE), 32);
	T_EQ_U64(page[1][32], 0xaa);
	end();
}

static void the_ring_is_never_filled_completely(void)
{
	begin_out(2);
	for (uint32_t pos = 0; pos < DATA; pos += 8) {
		start_at(pos);
		T_TRUE(host_puts(DATA - 16 - 24, pos)); /* 32 are free */
		T_TRUE(!host_puts(24, 1));
		T_TRUE(host_puts(16, 1));
		T_TRUE(!host_puts(16, 1));
		guest_takes(DATA - 16 - 24, pos);
		guest_takes(16, 1);
		T_TRUE(!fake_ring_take(&f, buf, &len));
	}
	end();
}

static void a_packet_too_long_for_the_ring_breaks_it(void)
{
	begin_out(2);
	T_TRUE(host_puts(DATA - 16, 1));
	guest_takes(DATA - 16, 1);
	T_EQ_U64(ring_put(&r, packet(16, 1), 16, packet(DATA, 1), DATA - 24,
			  &sig), RING_BROKEN);
	T_TRUE(strstr(r.why, "4096"));
	T_EQ_U64(ring_put(&r, packet(16, 1), 16, NULL, 0, &sig), RING_BROKEN);
	end();
}

static void a_full_ring_is_left_as_it_was(void)
{
	static uint8_t was[DATA];

	begin_out(2);
	T_TRUE(host_puts(DATA - 16, 1));
	memcpy(was, page[1], DATA);
	T_TRUE(!host_puts(16, 2) && !sig);
	T_TRUE(memcmp(was, page[1], DATA) == 0);
	T_EQ_U64(fake_load(&f, FAKE_WRITE), DATA - 8);
	end();
}

static void a_bad_read_index_breaks_the_ring(void)
{
	static const uint32_t bad[] = { 1, 4, DATA, DATA + 8, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin_out(2);
		fake_store(&f, FAKE_READ, bad[i]);
		T_EQ_U64(ring_put(&r, packet(16, 1), 16, NULL, 0, &sig),
			 RING_BROKEN);
		T_TRUE(strstr(r.why, "read index") && !sig);
		fake_store(&f, FAKE_READ, 0);
		T_EQ_U64(ring_put(&r, packet(16, 1), 16, NULL, 0, &sig),
			 RING_BROKEN);
		end();
	}
}

static void our_write_index_is_not_read_back(void)
{
	begin_out(2);
	T_TRUE(host_puts(16, 1));
	fake_store(&f, FAKE_WRITE, 0xffff);
	T_TRUE(host_puts(16, 2));
	T_EQ_U64(fake_load(&f, FAKE_WRITE), 48);
	guest_takes(16, 1);
	guest_takes(16, 2);
	end();
}

/* ---- host to guest: signals ---------------------------------------------- */

static void the_guest_is_interrupted_when_its_ring_was_empty(void)
{
	begin_out(2);
	T_TRUE(host_puts(16, 1) && sig);
	T_TRUE(host_puts(16, 2) && !sig);
	guest_takes(16, 1);
	T_TRUE(host_puts(16, 3) && !sig);
	guest_takes(16, 2);
	guest_takes(16, 3);
	T_TRUE(host_puts(16, 4) && sig);
	end();
}

static void a_masked_guest_is_not_interrupted(void)
{
	begin_out(2);
	fake_store(&f, FAKE_MASK, 1);
	T_TRUE(host_puts(16, 1) && !sig);
	guest_takes(16, 1);
	fake_store(&f, FAKE_MASK, 0);
	T_TRUE(host_puts(16, 2) && sig);
	end();
}

#if FAKE_HOOKS
/* It has emptied the ring, shown itself, and seen nothing more. */
static void guest_goes_to_sleep(void)
{
	guest_takes(16, 1);
	fake_store(&f, FAKE_MASK, 0);
	T_TRUE(!fake_ring_take(&f, buf, &len));
}

static void a_guest_that_just_fell_asleep_is_interrupted(void)
{
	begin_out(2);
	T_TRUE(host_puts(16, 1));
	fake_store(&f, FAKE_MASK, 1);
	fake_before_store(page[0], guest_goes_to_sleep);
	T_TRUE(host_puts(16, 2));
	T_TRUE(fake_hook_ran());
	T_TRUE(sig);
	end();
}

#endif

static void a_full_ring_asks_for_room_until_it_has_it(void)
{
	begin_out(2);
	T_EQ_U64(fake_load(&f, FAKE_FEATURES) & 1, 1);
	T_TRUE(host_puts(1000, 1) && host_puts(DATA - 16 - 1008, 2));
	T_EQ_U64(fake_load(&f, FAKE_PENDING), 0);
	T_TRUE(!host_puts(48, 3));
	T_EQ_U64(fake_load(&f, FAKE_PENDING), 64); /* 56, and one step */
	T_TRUE(!host_puts(DATA - 24, 3));
	T_EQ_U64(fake_load(&f, FAKE_PENDING), DATA - 8);
	T_TRUE(!host_puts(48, 3));
	guest_takes(1000, 1);
	T_TRUE(kick);
	T_TRUE(host_puts(48, 3));
	T_EQ_U64(fake_load(&f, FAKE_PENDING), 0);
	end();
}

#if FAKE_HOOKS
static void guest_makes_room_unasked(void)
{
	guest_takes(1000, 1);
	T_TRUE(!kick);
}

static void room_made_before_the_wish_was_seen_is_used(void)
{
	begin_out(2);
	T_TRUE(host_puts(1000, 1) && host_puts(DATA - 16 - 1008, 2));
	fake_before_store(page[0], guest_makes_room_unasked);
	T_TRUE(host_puts(48, 3));
	T_TRUE(fake_hook_ran());
	T_EQ_U64(fake_load(&f, FAKE_PENDING), 0);
	end();
}

#endif

/* Some guests signal at the pending size, Linux beyond it; both may give back
 * several places at once. */
static bool guest_signals(uint32_t was, uint32_t pending, bool strict)
{
	uint32_t now = DATA - (r.pos + DATA - f.pos) % DATA;

	if (!pending)
		return false;
	return strict ? was <= pending && now > pending :
			was < pending && now >= pending;
}

static void a_host_that_waits_is_woken(bool strict, uint64_t seed)
{
	unsigned woken = 0;

	while (woken < 300) {
		uint32_t n = 16 + 8 * (uint32_t)t_rand_below(&seed, 509), was;
		bool came = false;

		if (host_puts(n, 1))
			continue;
		do {
			was = DATA - (r.pos + DATA - f.pos) % DATA;
			for (uint64_t i = t_rand_below(&seed, 3); i < 3; i++)
				if (!fake_ring_take(&f, buf, &len))
					break;
			fake_store(&f, FAKE_READ, f.shown = f.pos);
			came = guest_signals(was, fake_load(&f, FAKE_PENDING),
					     strict);
		} while (!came && f.pos != r.pos);
		T_TRUE(came);
		woken += host_puts(n, 1);
	}
}

static void a_host_that_waits_is_woken_by_any_kind_of_guest(void)
{
	begin_out(2);
	a_host_that_waits_is_woken(true, 1);
	a_host_that_waits_is_woken(false, 2);
	end();
}

/* ---- marks --------------------------------------------------------------- */

/* Bit i: page i of the ring is dirty. */
static unsigned dirty(unsigned page_cnt)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < page_cnt; i++)
		bits |= (unsigned)fake_is_dirty(&g, pfn[i]) << i;
	fake_clean(&g);
	return bits;
}

static void every_page_the_host_writes_is_marked(void)
{
	begin_out(4);
	T_EQ_U64(dirty(4), 1);
	start_at(4096 - 8);
	T_TRUE(host_puts(16, 1));
	T_EQ_U64(dirty(4), 1 | 2 | 4);
	T_TRUE(host_puts(16, 1));
	T_EQ_U64(dirty(4), 1 | 4);
	start_at(3 * 4096 - 16); /* the trailer is in the first page */
	T_TRUE(host_puts(16, 1));
	T_EQ_U64(dirty(4), 1 | 8 | 2);
	end();
}

static void reading_marks_the_header_only(void)
{
	begin_in(3);
	T_EQ_U64(dirty(3), 1);
	T_TRUE(guest_puts(16, 1));
	host_takes(16, 1);
	T_EQ_U64(dirty(3), 1);
	T_EQ_U64(ring_take(&r, buf, &len, &sig), RING_EMPTY);
	T_EQ_U64(dirty(3), 0);
	ring_mask(&r);
	T_EQ_U64(dirty(3), 1);
	T_TRUE(!ring_unmask(&r));
	T_EQ_U64(dirty(3), 1);
	end();
}

static void a_wish_for_room_is_marked(void)
{
	begin_out(2);
	T_TRUE(host_puts(DATA - 16, 1));
	fake_clean(&g);
	T_TRUE(!host_puts(16, 2));
	T_EQ_U64(dirty(2), 1);
	end();
}

static const struct t_test tests[] = {
	T_TEST(packets_to_the_host_wrap_around_at_every_offset),
	T_TEST(the_longest_packet_passes),
	T_TEST(a_ring_full_to_the_last_step_is_read),
	T_TEST(a_place_is_free_when_its_packet_was_taken),
	T_TEST(random_packets_to_the_host_come_in_order),
	T_TEST(a_bad_write_index_breaks_the_ring),
	T_TEST(less_than_a_packet_breaks_the_ring),
	T_TEST(a_bad_length_breaks_the_ring),
	T_TEST(a_length_takes_no_more_than_is_there),
	T_TEST(a_packet_longer_than_the_buffer_breaks_the_ring),
	T_TEST(a_payload_starts_inside_its_packet),
	T_TEST(our_own_index_is_not_read_back),
	T_TEST(a_masked_ring_is_not_signalled),
	T_TEST(room_is_told_when_it_reaches_or_passes_the_wish),
	T_TEST(without_the_feature_nobody_waits),
	T_TEST(packets_to_the_guest_wrap_around_at_every_offset),
	T_TEST(a_packet_is_padded_with_zeros_and_ends_with_its_start),
	T_TEST(the_ring_is_never_filled_completely),
	T_TEST(a_packet_too_long_for_the_ring_breaks_it),
	T_TEST(a_full_ring_is_left_as_it_was),
	T_TEST(a_bad_read_index_breaks_the_ring),
	T_TEST(our_write_index_is_not_read_back),
	T_TEST(the_guest_is_interrupted_when_its_ring_was_empty),
	T_TEST(a_masked_guest_is_not_interrupted),
	T_TEST(a_full_ring_asks_for_room_until_it_has_it),
	T_TEST(a_host_that_waits_is_woken_by_any_kind_of_guest),
	T_TEST(every_page_the_host_writes_is_marked),
	T_TEST(reading_marks_the_header_only),
	T_TEST(a_wish_for_room_is_marked),
	T_TEST(the_first_reason_stays),
#if FAKE_HOOKS
	T_TEST(a_descriptor_that_changes_is_read_once),
	T_TEST(an_index_that_changes_is_read_once),
	T_TEST(a_packet_that_comes_before_the_mask_falls_is_seen),
	T_TEST(a_wish_at_the_last_moment_is_seen),
	T_TEST(a_packet_read_before_the_index_went_mad_counts),
	T_TEST(a_guest_that_just_fell_asleep_is_interrupted),
	T_TEST(room_made_before_the_wish_was_seen_is_used),
	T_TEST(without_a_wish_nobody_waits),
#endif
	T_END,
};

const struct t_suite t_suite_vmbus_ring = { "vmbus_ring", tests };
