/* SPDX-License-Identifier: MIT */
/* Rings: host to guest, and what is marked as written. */
#include <string.h>

#include "fake_hook.h"
#include "t.h"
#include "t_ring.h"

/* ---- host to guest: data ------------------------------------------------- */

static void packets_to_the_guest_wrap_around_at_every_offset(void)
{
	for (unsigned pages = 2; pages <= 4; pages++) {
		rg_begin_out(pages);
		for (uint32_t pos = 0; pos < rg.f.data_len; pos += 8) {
			rg_start_at(pos);
			for (uint32_t n = 16; n <= 64; n += 8)
				T_TRUE(rg_host_puts(n, pos + n));
			for (uint32_t n = 16; n <= 64; n += 8)
				rg_guest_takes(n, pos + n);
			T_TRUE(!fake_ring_take(&rg.f, rg.buf, &rg.len));
		}
		rg_end();
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

	rg_begin_out(2);
	memset(rg.page[1], 0xaa, RG_DATA);
	rg_start_at(RG_DATA - 8);
	T_EQ_U64(ring_put(&rg.r, want, 20, want + 20, 5, &rg.sig), RING_OK);
	fake_ring_peek(&rg.f, RG_DATA - 8, there, sizeof(there));
	T_TRUE(memcmp(there, want, sizeof(want)) == 0);
	T_EQ_U64(fake_load(&rg.f, FAKE_WRITE), 32);
	T_EQ_U64(rg.page[1][32], 0xaa);
	rg_end();
}

static void the_ring_is_never_filled_completely(void)
{
	rg_begin_out(2);
	for (uint32_t pos = 0; pos < RG_DATA; pos += 8) {
		rg_start_at(pos);
		T_TRUE(rg_host_puts(RG_DATA - 16 - 24, pos)); /* 32 are free */
		T_TRUE(!rg_host_puts(24, 1));
		T_TRUE(rg_host_puts(16, 1));
		T_TRUE(!rg_host_puts(16, 1));
		rg_guest_takes(RG_DATA - 16 - 24, pos);
		rg_guest_takes(16, 1);
		T_TRUE(!fake_ring_take(&rg.f, rg.buf, &rg.len));
	}
	rg_end();
}

static enum ring_result put_16(void)
{
	return ring_put(&rg.r, rg_packet(16, 1), 16, NULL, 0, &rg.sig);
}

static void a_packet_too_long_for_the_ring_breaks_it(void)
{
	rg_begin_out(2);
	T_TRUE(rg_host_puts(RG_DATA - 16, 1));
	rg_guest_takes(RG_DATA - 16, 1);
	T_EQ_U64(ring_put(&rg.r, rg_packet(16, 1), 16, rg_packet(RG_DATA, 1),
			  RG_DATA - 24, &rg.sig), RING_BROKEN);
	T_TRUE(strstr(rg.r.why, "4096"));
	T_EQ_U64(put_16(), RING_BROKEN);
	rg_end();
}

static void a_full_ring_is_left_as_it_was(void)
{
	static uint8_t was[RG_DATA];

	rg_begin_out(2);
	T_TRUE(rg_host_puts(RG_DATA - 16, 1));
	memcpy(was, rg.page[1], RG_DATA);
	T_TRUE(!rg_host_puts(16, 2) && !rg.sig);
	T_TRUE(memcmp(was, rg.page[1], RG_DATA) == 0);
	T_EQ_U64(fake_load(&rg.f, FAKE_WRITE), RG_DATA - 8);
	rg_end();
}

static void a_bad_read_index_breaks_the_ring(void)
{
	static const uint32_t bad[] = { 1, 4, RG_DATA, RG_DATA + 8,
					UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		rg_begin_out(2);
		fake_store(&rg.f, FAKE_READ, bad[i]);
		T_EQ_U64(put_16(), RING_BROKEN);
		T_TRUE(strstr(rg.r.why, "read index") && !rg.sig);
		fake_store(&rg.f, FAKE_READ, 0);
		T_EQ_U64(put_16(), RING_BROKEN);
		rg_end();
	}
}

static void our_write_index_is_not_read_back(void)
{
	rg_begin_out(2);
	T_TRUE(rg_host_puts(16, 1));
	fake_store(&rg.f, FAKE_WRITE, 0xffff);
	T_TRUE(rg_host_puts(16, 2));
	T_EQ_U64(fake_load(&rg.f, FAKE_WRITE), 48);
	rg_guest_takes(16, 1);
	rg_guest_takes(16, 2);
	rg_end();
}

/* ---- host to guest: signals ---------------------------------------------- */

static void the_guest_is_interrupted_when_its_ring_was_empty(void)
{
	rg_begin_out(2);
	T_TRUE(rg_host_puts(16, 1) && rg.sig);
	T_TRUE(rg_host_puts(16, 2) && !rg.sig);
	rg_guest_takes(16, 1);
	T_TRUE(rg_host_puts(16, 3) && !rg.sig);
	rg_guest_takes(16, 2);
	rg_guest_takes(16, 3);
	T_TRUE(rg_host_puts(16, 4) && rg.sig);
	rg_end();
}

static void a_masked_guest_is_not_interrupted(void)
{
	rg_begin_out(2);
	fake_store(&rg.f, FAKE_MASK, 1);
	T_TRUE(rg_host_puts(16, 1) && !rg.sig);
	rg_guest_takes(16, 1);
	fake_store(&rg.f, FAKE_MASK, 0);
	T_TRUE(rg_host_puts(16, 2) && rg.sig);
	rg_end();
}

#if FAKE_HOOKS
/* It has emptied the ring, shown itself, and seen nothing more. */
static void guest_goes_to_sleep(void)
{
	rg_guest_takes(16, 1);
	fake_store(&rg.f, FAKE_MASK, 0);
	T_TRUE(!fake_ring_take(&rg.f, rg.buf, &rg.len));
}

static void a_guest_that_just_fell_asleep_is_interrupted(void)
{
	rg_begin_out(2);
	T_TRUE(rg_host_puts(16, 1));
	fake_store(&rg.f, FAKE_MASK, 1);
	fake_before_store(rg.page[0], guest_goes_to_sleep);
	T_TRUE(rg_host_puts(16, 2));
	T_TRUE(fake_hook_ran());
	T_TRUE(rg.sig);
	rg_end();
}

#endif

static void a_full_ring_asks_for_room_until_it_has_it(void)
{
	rg_begin_out(2);
	T_EQ_U64(fake_load(&rg.f, FAKE_FEATURES) & 1, 1);
	T_TRUE(rg_host_puts(1000, 1) && rg_host_puts(RG_DATA - 16 - 1008, 2));
	T_EQ_U64(fake_load(&rg.f, FAKE_PENDING), 0);
	T_TRUE(!rg_host_puts(48, 3));
	T_EQ_U64(fake_load(&rg.f, FAKE_PENDING), 64); /* 56, and one step */
	T_TRUE(!rg_host_puts(RG_DATA - 24, 3));
	T_EQ_U64(fake_load(&rg.f, FAKE_PENDING), RG_DATA - 8);
	T_TRUE(!rg_host_puts(48, 3));
	rg_guest_takes(1000, 1);
	T_TRUE(rg.kick);
	T_TRUE(rg_host_puts(48, 3));
	T_EQ_U64(fake_load(&rg.f, FAKE_PENDING), 0);
	rg_end();
}

#if FAKE_HOOKS
static void guest_makes_room_unasked(void)
{
	rg_guest_takes(1000, 1);
	T_TRUE(!rg.kick);
}

static void room_made_before_the_wish_was_seen_is_used(void)
{
	rg_begin_out(2);
	T_TRUE(rg_host_puts(1000, 1) && rg_host_puts(RG_DATA - 16 - 1008, 2));
	fake_before_store(rg.page[0], guest_makes_room_unasked);
	T_TRUE(rg_host_puts(48, 3));
	T_TRUE(fake_hook_ran());
	T_EQ_U64(fake_load(&rg.f, FAKE_PENDING), 0);
	rg_end();
}

#endif

static uint32_t room(void)
{
	return RG_DATA - (rg.r.pos + RG_DATA - rg.f.pos) % RG_DATA;
}

/* Some guests signal at the pending size, Linux beyond it; both may give back
 * several places at once. */
static bool guest_signals(uint32_t was, uint32_t pending, bool strict)
{
	uint32_t now = room();

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

		if (rg_host_puts(n, 1))
			continue;
		do {
			was = room();
			for (uint64_t i = t_rand_below(&seed, 3); i < 3; i++)
				if (!fake_ring_take(&rg.f, rg.buf, &rg.len))
					break;
			fake_store(&rg.f, FAKE_READ, rg.f.shown = rg.f.pos);
			came = guest_signals(was,
					     fake_load(&rg.f, FAKE_PENDING),
					     strict);
		} while (!came && rg.f.pos != rg.r.pos);
		T_TRUE(came);
		woken += rg_host_puts(n, 1);
	}
}

static void a_host_that_waits_is_woken_by_any_kind_of_guest(void)
{
	rg_begin_out(2);
	a_host_that_waits_is_woken(true, 1);
	a_host_that_waits_is_woken(false, 2);
	rg_end();
}

/* ---- marks --------------------------------------------------------------- */

/* Bit i: page i of the ring is dirty. */
static unsigned dirty(unsigned page_cnt)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < page_cnt; i++)
		bits |= (unsigned)fake_is_dirty(&rg.g, rg.pfn[i]) << i;
	fake_clean(&rg.g);
	return bits;
}

static void every_page_the_host_writes_is_marked(void)
{
	rg_begin_out(4);
	T_EQ_U64(dirty(4), 1);
	rg_start_at(4096 - 8);
	T_TRUE(rg_host_puts(16, 1));
	T_EQ_U64(dirty(4), 1 | 2 | 4);
	T_TRUE(rg_host_puts(16, 1));
	T_EQ_U64(dirty(4), 1 | 4);
	rg_start_at(3 * 4096 - 16); /* the trailer is in the first page */
	T_TRUE(rg_host_puts(16, 1));
	T_EQ_U64(dirty(4), 1 | 8 | 2);
	rg_end();
}

static void reading_marks_the_header_only(void)
{
	rg_begin_in(3);
	T_EQ_U64(dirty(3), 1);
	T_TRUE(rg_guest_puts(16, 1));
	rg_host_takes(16, 1);
	T_EQ_U64(dirty(3), 1);
	T_EQ_U64(rg_take(), RING_EMPTY);
	T_EQ_U64(dirty(3), 0);
	ring_mask(&rg.r);
	T_EQ_U64(dirty(3), 1);
	T_TRUE(!ring_unmask(&rg.r));
	T_EQ_U64(dirty(3), 1);
	rg_end();
}

static void a_wish_for_room_is_marked(void)
{
	rg_begin_out(2);
	T_TRUE(rg_host_puts(RG_DATA - 16, 1));
	fake_clean(&rg.g);
	T_TRUE(!rg_host_puts(16, 2));
	T_EQ_U64(dirty(2), 1);
	rg_end();
}

static const struct t_test tests[] = {
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
#if FAKE_HOOKS
	T_TEST(a_guest_that_just_fell_asleep_is_interrupted),
	T_TEST(room_made_before_the_wish_was_seen_is_used),
#endif
	T_END,
};

const struct t_suite t_suite_vmbus_ring_out = { "vmbus_ring_out", tests };
