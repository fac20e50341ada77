/* SPDX-License-Identifier: MIT */
/* Rings: guest to host. */
#include <string.h>

#include "fake_hook.h"
#include "le.h"
#include "t.h"
#include "t_ring.h"

/* ---- guest to host: data ------------------------------------------------ */

static void packets_to_the_host_wrap_around_at_every_offset(void)
{
	for (unsigned pages = 2; pages <= 4; pages++) {
		rg_begin_in(pages);
		for (uint32_t pos = 0; pos < rg.f.data_len; pos += 8) {
			rg_start_at(pos);
			for (uint32_t n = 16; n <= 64; n += 8)
				T_TRUE(rg_guest_puts(n, pos + n));
			for (uint32_t n = 16; n <= 64; n += 8)
				rg_host_takes(n, pos + n);
			T_EQ_U64(rg_take(), RING_EMPTY);
		}
		rg_end();
	}
}

static void the_longest_packet_passes(void)
{
	rg_begin_in(6);
	rg_start_at(rg.f.data_len - 5000);
	T_TRUE(rg_guest_puts(RING_PACKET_MAX, 3));
	rg_host_takes(RING_PACKET_MAX, 3);
	rg_end();
}

static void a_ring_full_to_the_last_step_is_read(void)
{
	rg_begin_in(2);
	for (uint32_t pos = 0; pos < RG_DATA; pos += 8) {
		rg_start_at(pos);
		T_TRUE(!rg_guest_puts(RG_DATA - 8, pos));
		T_TRUE(rg_guest_puts(RG_DATA - 16, pos));
		T_TRUE(!rg_guest_puts(16, 0));
		rg_host_takes(RG_DATA - 16, pos);
	}
	rg_end();
}

static void a_place_is_free_when_its_packet_was_taken(void)
{
	rg_begin_in(2);
	T_TRUE(rg_guest_puts(104, 1));
	T_TRUE(rg_guest_puts(16, 2));
	rg_host_takes(104, 1);
	T_EQ_U64(fake_load(&rg.f, FAKE_READ), 112);
	rg_host_takes(16, 2);
	T_EQ_U64(fake_load(&rg.f, FAKE_READ), 136);
	rg_end();
}

static void random_packets_to_the_host_come_in_order(void)
{
	uint64_t seed = 11, put = 0, taken = 0;
	uint32_t n[4096];

	rg_begin_in(4);
	while (taken < 4000) {
		n[put % 4096] = 16 + 8 * (uint32_t)t_rand_below(&seed, 200);
		if (put < 4000 && t_rand_below(&seed, 2) &&
		    rg_guest_puts(n[put % 4096], put))
			put++;
		if (t_rand_below(&seed, 2) && taken < put) {
			rg_host_takes(n[taken % 4096], taken);
			taken++;
		}
	}
	rg_end();
}

/* ---- guest to host: a guest that breaks the rules ------------------------ */

static void broken(const char *part)
{
	char why[sizeof(rg.r.why)];

	T_EQ_U64(rg_take(), RING_BROKEN);
	T_TRUE(strstr(rg.r.why, part) && !rg.sig);
	memcpy(why, rg.r.why, sizeof(why));
	rg_start_at(0); /* for good */
	T_EQ_U64(rg_take(), RING_BROKEN);
	T_TRUE(strcmp(why, rg.r.why) == 0);
}

static void a_bad_write_index_breaks_the_ring(void)
{
	static const uint32_t bad[] = {
		1, 4, 7, 25, RG_DATA, RG_DATA + 8, 0x80000000, UINT32_MAX - 7,
		UINT32_MAX,
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		rg_begin_in(2);
		fake_store(&rg.f, FAKE_WRITE, bad[i]);
		broken("write index");
		rg_end();
	}
}

static void less_than_a_packet_breaks_the_ring(void)
{
	for (uint32_t pos = 0; pos < RG_DATA; pos += 8)
		for (uint32_t n = 8; n <= 16; n += 8) {
			rg_begin_in(2);
			rg_start_at(pos);
			fake_store(&rg.f, FAKE_WRITE, (pos + n) % RG_DATA);
			broken("at least 24");
			rg_end();
		}
}

/* A packet of 40 bytes whose field at `off` is something else. */
static enum ring_result with_field(unsigned off, uint16_t v)
{
	uint8_t le[2];

	T_TRUE(rg_guest_puts(40, 1));
	put_le16(le, v);
	fake_ring_poke(&rg.f, rg.r.pos + off, le, 2);
	return rg_take();
}

static void a_bad_length_breaks_the_ring(void)
{
	static const uint16_t bad[] = { 0, 1, 6, 7, 513, 2049, 0xffff };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		rg_begin_in(6);
		T_EQ_U64(with_field(4, bad[i]), RING_BROKEN);
		broken("a packet has");
		rg_end();
	}
}

/* With the trailer, 48 bytes are there. */
static void a_length_takes_no_more_than_is_there(void)
{
	for (uint16_t len8 = 2; len8 <= 7; len8++) {
		rg_begin_in(2);
		T_EQ_U64(with_field(4, len8),
			 len8 <= 5 ? RING_OK : RING_BROKEN);
		rg_end();
	}
}

static void a_packet_longer_than_the_buffer_breaks_the_ring(void)
{
	uint8_t le[2];

	rg_begin_in(10);
	T_TRUE(rg_guest_puts(RING_PACKET_MAX, 1));
	T_TRUE(rg_guest_puts(RING_PACKET_MAX, 1));
	put_le16(le, RING_PACKET_MAX / 8 + 1);
	fake_ring_poke(&rg.f, 4, le, 2);
	broken("16384");
	rg_end();
}

static void a_payload_starts_inside_its_packet(void)
{
	for (uint16_t off8 = 0; off8 < 8; off8++) {
		rg_begin_in(2);
		T_EQ_U64(with_field(2, off8), off8 >= 2 && off8 <= 5 ?
						      RING_OK :
						      RING_BROKEN);
		if (rg.r.broken)
			broken("payload starts");
		rg_end();
	}
}

/* The guest's read index is ours: it may change it, to nobody's harm. */
static void our_own_index_is_not_read_back(void)
{
	rg_begin_in(2);
	T_TRUE(rg_guest_puts(16, 1) && rg_guest_puts(48, 2) &&
	       rg_guest_puts(24, 3));
	rg_host_takes(16, 1);
	fake_store(&rg.f, FAKE_READ, 0);
	rg_host_takes(48, 2);
	fake_store(&rg.f, FAKE_READ, 0x12345677);
	rg_host_takes(24, 3);
	T_EQ_U64(fake_load(&rg.f, FAKE_READ), rg.r.pos);
	rg_end();
}

static void the_first_reason_stays(void)
{
	rg_begin_in(2);
	T_EQ_U64(ring_break(&rg.r, "first, at %u", 7), RING_BROKEN);
	T_EQ_U64(ring_break(&rg.r, "second"), RING_BROKEN);
	T_TRUE(strcmp(rg.r.why, "first, at 7") == 0);
	rg_end();
}

#if FAKE_HOOKS
/* Type 6, payload at 400 * 8, length 511 * 8, but the ring shows 32 + 8. */
static void guest_changes_the_descriptor(void)
{
	static const uint64_t desc = UINT64_C(0x000001ff01900006);

	fake_ring_poke(&rg.f, 0, &desc, sizeof(desc));
}

static void a_descriptor_that_changes_is_read_once(void)
{
	rg_begin_in(2);
	T_TRUE(rg_guest_puts(32, 1));
	fake_after_load(rg.page[1], guest_changes_the_descriptor);
	rg_host_takes(32, 1);
	T_TRUE(fake_hook_ran());
	T_EQ_U64(rg.r.pos, 40);
	rg_end();
}

static void guest_shows_more(void)
{
	fake_store(&rg.f, FAKE_WRITE, RG_DATA - 8);
}

static void an_index_that_changes_is_read_once(void)
{
	rg_begin_in(2);
	T_TRUE(rg_guest_puts(32, 1));
	fake_store(&rg.f, FAKE_WRITE, 24);
	fake_after_load(rg.page[0], guest_shows_more);
	T_EQ_U64(rg_take(), RING_BROKEN);
	T_TRUE(fake_hook_ran() && strstr(rg.r.why, "shows 24"));
	rg_end();
}
#endif

/* ---- guest to host: signals ---------------------------------------------- */

static void a_masked_ring_is_not_signalled(void)
{
	rg_begin_in(2);
	ring_mask(&rg.r);
	T_TRUE(rg_guest_puts(16, 1) && !rg.kick);
	T_TRUE(ring_unmask(&rg.r));
	rg_host_takes(16, 1);
	T_TRUE(!ring_unmask(&rg.r));
	T_TRUE(rg_guest_puts(16, 2) && rg.kick);
	T_TRUE(rg_guest_puts(16, 3) && !rg.kick);
	rg_end();
}

#if FAKE_HOOKS
static void guest_puts_behind_our_back(void)
{
	T_TRUE(rg_guest_puts(16, 1) && !rg.kick);
}

static void a_packet_that_comes_before_the_mask_falls_is_seen(void)
{
	rg_begin_in(2);
	ring_mask(&rg.r);
	T_EQ_U64(rg_take(), RING_EMPTY);
	fake_before_store(rg.page[0], guest_puts_behind_our_back);
	T_TRUE(ring_unmask(&rg.r));
	T_TRUE(fake_hook_ran());
	rg_end();
}

#endif

/* All room but `room` bytes, in packets of 24. */
static void fill_to(uint32_t room)
{
	T_TRUE(rg_guest_puts(RG_DATA - room - 24 * 4 - 8, 1));
	for (unsigned i = 0; i < 4; i++)
		T_TRUE(rg_guest_puts(16, i));
	rg_host_takes(RG_DATA - room - 24 * 4 - 8, 1);
	T_TRUE(rg_guest_puts(RG_DATA - room - 24 * 4 - 8, 1));
	T_EQ_U64(fake_load(&rg.f, FAKE_WRITE),
		 (fake_load(&rg.f, FAKE_READ) + RG_DATA - room) % RG_DATA);
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
		rg_begin_in(2);
		fill_to(64);
		fake_store(&rg.f, FAKE_PENDING, c[i].wish);
		rg_host_takes(16, 0);
		T_EQ_U64(rg.sig, c[i].told);
		rg_end();
	}
}

static void without_the_feature_nobody_waits(void)
{
	rg_begin_in(2);
	fill_to(64);
	fake_store(&rg.f, FAKE_FEATURES, 0xfffffffe);
	fake_store(&rg.f, FAKE_PENDING, 80);
	rg_host_takes(16, 0);
	T_TRUE(!rg.sig);
	rg_end();
}

#if FAKE_HOOKS
static void guest_fills_up_and_asks(void)
{
	T_TRUE(rg_guest_puts(32, 9)); /* of 64: 24 are left */
	T_TRUE(!rg_guest_puts(32, 9));
	T_TRUE(!fake_ring_ask(&rg.f, 40));
}

/* Before the place is free for the guest, but after the host has looked. */
static void a_wish_at_the_last_moment_is_seen(void)
{
	rg_begin_in(2);
	fill_to(64);
	fake_before_store(rg.page[0], guest_fills_up_and_asks);
	rg_host_takes(16, 0);
	T_TRUE(fake_hook_ran());
	T_TRUE(rg.sig);
	rg_end();
}

static void guest_goes_mad(void)
{
	fake_store(&rg.f, FAKE_WRITE, fake_load(&rg.f, FAKE_WRITE) + 1);
}

/* It is looked at twice, for two decisions. */
static void a_packet_read_before_the_index_went_mad_counts(void)
{
	rg_begin_in(2);
	fill_to(64);
	fake_store(&rg.f, FAKE_PENDING, 80);
	fake_before_store(rg.page[0], guest_goes_mad);
	rg_host_takes(16, 0);
	T_TRUE(fake_hook_ran() && !rg.sig);
	T_EQ_U64(rg_take(), RING_BROKEN);
	rg_end();
}

static void guest_fills_the_place_at_once(void)
{
	fake_store(&rg.f, FAKE_WRITE, fake_load(&rg.f, FAKE_READ) + 8);
}

static void without_a_wish_nobody_waits(void)
{
	rg_begin_in(2);
	T_TRUE(rg_guest_puts(1000, 1));
	fake_before_store(rg.page[0], guest_fills_the_place_at_once);
	rg_host_takes(1000, 1);
	T_TRUE(fake_hook_ran() && !rg.sig);
	rg_end();
}
#endif

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
	T_TEST(the_first_reason_stays),
#if FAKE_HOOKS
	T_TEST(a_descriptor_that_changes_is_read_once),
	T_TEST(an_index_that_changes_is_read_once),
	T_TEST(a_packet_that_comes_before_the_mask_falls_is_seen),
	T_TEST(a_wish_at_the_last_moment_is_seen),
	T_TEST(a_packet_read_before_the_index_went_mad_counts),
	T_TEST(without_a_wish_nobody_waits),
#endif
	T_END,
};

const struct t_suite t_suite_vmbus_ring = { "vmbus_ring", tests };
