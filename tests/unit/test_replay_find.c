/* SPDX-License-Identifier: MIT */
/*
 * Which entries of a log are the sequence that counts: order, shapes, and
 * damage, in logs built by hand.
 */
#include <string.h>

#include "file_mem.h"
#include "le.h"
#include "t.h"
#include "t_replay.h"

#define LOG_OFF TR_LOG_OFF
#define LOG_LEN TR_LOG_LEN
#define HOME TR_HOME

static void flip(uint64_t off, uint8_t mask)
{
	uint8_t b;

	T_OK(file_read(tr.f, off, &b, 1, &t_err));
	b ^= mask;
	T_OK(file_write(tr.f, off, &b, 1, &t_err));
}

/* ---- finding the sequence ------------------------------------------------ */

static void a_log_without_entries_is_corrupt(void)
{
	tr_make();
	T_FAILS(tr_scan(), VHDX_E_CORRUPT, "no complete sequence (valid "
		"entries: 0)");
	T_EQ_U64(t_err.off, LOG_OFF);
	tr_drop();
}

static void an_entry_is_replayed(void)
{
	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 7 }, 1);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 1);
	T_EQ_U64(tr.s.item_cnt, 1);
	T_TRUE(tr_page_is(HOME, 7));
	T_EQ_U64(tr.f->size, 16 * MIB);
	tr_drop();
}

static void an_entry_without_descriptors_is_a_sequence(void)
{
	tr_make();
	t_log_entry(&tr.lg, NULL, 0);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 1);
	T_EQ_U64(tr.s.item_cnt, 0);
	tr_drop();
}

static void entries_are_applied_oldest_first(void)
{
	tr_make();
	for (uint64_t i = 1; i <= 5; i++)
		t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, i }, 1);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 5);
	T_EQ_U64(tr.s.first_seq, 1);
	T_EQ_U64(tr.s.last_seq, 5);
	T_TRUE(tr_page_is(HOME, 5));
	tr_drop();
}

static void replay_starts_at_the_tail_that_the_head_names(void)
{
	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	tr.lg.tail = t_log_entry(&tr.lg,
				 &(struct t_change){ HOME + 4096, 0, 2 }, 1);
	t_log_entry(&tr.lg, &(struct t_change){ HOME + 8192, 0, 3 }, 1);
	tr_put_page(HOME, 77); /* reused since the first entry went home */
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 2);
	T_EQ_U64(tr.s.tail_off, 8192);
	T_EQ_U64(tr.s.first_seq, 2);
	T_TRUE(tr_page_is(HOME, 77));
	T_TRUE(tr_page_is(HOME + 4096, 2));
	T_TRUE(tr_page_is(HOME + 8192, 3));
	tr_drop();
}

static void the_sequence_with_the_newest_head_counts(void)
{
	tr_make();
	t_log_alone(&tr.lg, 0x1000, 500, &(struct t_change){ HOME, 0, 1 }, 1);
	t_log_alone(&tr.lg, 0x8000, 501, &(struct t_change){ HOME, 0, 2 }, 1);
	t_log_alone(&tr.lg, 0x20000, 499, &(struct t_change){ HOME, 0, 3 }, 1);
	tr_replay();
	T_EQ_U64(tr.s.head_off, 0x8000);
	T_TRUE(tr_page_is(HOME, 2));
	tr_drop();
}

static void entries_of_another_session_do_not_count(void)
{
	tr_make();
	t_log_alone(&tr.lg, 0, 5, &(struct t_change){ HOME, 0, 1 }, 1);
	tr.lg.hdr.log.b[0] ^= 1;
	t_log_alone(&tr.lg, 0x2000, 6, &(struct t_change){ HOME, 0, 2 }, 1);
	tr.lg.hdr.log.b[0] ^= 1;
	tr_replay();
	T_EQ_U64(tr.s.last_seq, 5);
	T_TRUE(tr_page_is(HOME, 1));
	tr_drop();
}

static void a_gap_in_the_numbers_ends_a_sequence(void)
{
	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	tr.lg.seq++;
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 2 }, 1);
	tr_replay(); /* the second names the first as tail: not complete */
	T_EQ_U64(tr.s.last_seq, 1);
	T_TRUE(tr_page_is(HOME, 1));
	tr_drop();
}

static void a_gap_between_entries_ends_a_sequence(void)
{
	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	tr.lg.pos += 4096;
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 2 }, 1);
	tr_replay();
	T_EQ_U64(tr.s.last_seq, 1);
	T_TRUE(tr_page_is(HOME, 1));
	tr_drop();
}

static void a_sequence_without_its_tail_is_not_complete(void)
{
	tr_make();
	tr.lg.tail = 0x5000;
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 1");
	tr_drop();
}

static void a_tail_must_be_the_beginning_of_an_entry(void)
{
	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	tr.lg.tail = 0x1000;
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 2 }, 1);
	T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 2");
	tr_drop();
}

static void sequence_numbers_have_64_bits(void)
{
	tr_make();
	tr.lg.seq = UINT64_C(0xfffffffe);
	for (uint64_t i = 1; i <= 4; i++)
		t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, i }, 1);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 4);
	T_EQ_U64(tr.s.last_seq, UINT64_C(0x100000001));
	T_TRUE(tr_page_is(HOME, 4));
	tr_drop();
}

static void the_last_sequence_number_has_no_successor(void)
{
	tr_make();
	t_log_alone(&tr.lg, 0, UINT64_MAX, &(struct t_change){ HOME, 0, 1 }, 1);
	t_log_alone(&tr.lg, 0x2000, 1, &(struct t_change){ HOME, 0, 2 }, 1);
	tr_replay();
	T_EQ_U64(tr.s.last_seq, UINT64_MAX);
	T_EQ_U64(tr.s.entry_cnt, 1);
	T_TRUE(tr_page_is(HOME, 1));
	tr_drop();
}

/* ---- shapes of entries --------------------------------------------------- */

static void pages_entry(uint32_t cnt)
{
	struct t_change *c = calloc(cnt, sizeof(*c));

	for (uint32_t i = 0; i < cnt; i++)
		c[i] = (struct t_change){ HOME + 8192 * (uint64_t)i, 0,
					  1000 + i };
	t_log_entry(&tr.lg, c, cnt);
	free(c);
}

static bool pages_are_home(uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (!tr_page_is(HOME + 8192 * (uint64_t)i, 1000 + i))
			return false;
	return true;
}

static void descriptors_may_fill_their_sectors_exactly(void)
{
	static const uint32_t cnts[] = { 125, 126, 127, 128, 254, 255, 256,
					 382, 383 };

	for (size_t i = 0; i < ARRAY_LEN(cnts); i++) {
		tr_make_len(2 * LOG_LEN);
		pages_entry(cnts[i]);
		tr_replay();
		T_EQ_U64(tr.s.item_cnt, cnts[i]);
		T_TRUE(pages_are_home(cnts[i]));
		tr_drop();
	}
}

/* Header, descriptors and data in turn come to lie behind the ring's end. */
static void an_entry_may_cross_the_end_of_the_ring_anywhere(void)
{
	for (uint32_t back = 1; back <= 134; back += 7) {
		tr_make();
		tr.lg.pos = tr.lg.tail = LOG_LEN - back * 4096;
		pages_entry(130); /* 2 + 130 sectors */
		pages_entry(10);
		tr_replay();
		T_EQ_U64(tr.s.entry_cnt, 2);
		T_TRUE(pages_are_home(130));
		tr_drop();
	}
}

static void an_entry_may_end_exactly_at_the_end_of_the_ring(void)
{
	tr_make();
	tr.lg.pos = tr.lg.tail = LOG_LEN - 11 * 4096;
	pages_entry(10);
	T_EQ_U64(tr.lg.pos, 0);
	t_log_entry(&tr.lg, &(struct t_change){ HOME + 4096, 0, 5 }, 1);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 2);
	T_TRUE(pages_are_home(10));
	T_TRUE(tr_page_is(HOME + 4096, 5));
	tr_drop();
}

static void an_entry_may_fill_the_whole_ring(void)
{
	tr_make();
	tr.lg.pos = tr.lg.tail = 0x7000;
	pages_entry(254); /* 2 + 254 sectors, 256 in the ring */
	T_EQ_U64(tr.lg.pos, 0x7000);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 1);
	T_EQ_U64(tr.s.item_cnt, 254);
	T_TRUE(pages_are_home(254));
	tr_drop();
}

static void a_full_ring_of_small_entries_is_one_sequence(void)
{
	tr_make();
	tr.lg.pos = tr.lg.tail = 0x43000;
	for (uint64_t i = 0; i < 128; i++)
		t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 + i }, 1);
	T_EQ_U64(tr.lg.pos, 0x43000);
	tr_replay();
	T_EQ_U64(tr.s.entry_cnt, 128);
	T_TRUE(tr_page_is(HOME, 128));
	tr_drop();
}

static void zero_descriptors_take_no_data_sector(void)
{
	const struct t_change c[] = {
		{ HOME, 0, 1 }, { HOME + 4096, 8192, 0 },
		{ HOME + 16384, 0, 2 },
	};

	tr_make();
	for (unsigned i = 0; i < 5; i++)
		tr_put_page(HOME + i * 4096, 50 + i);
	t_log_entry(&tr.lg, c, 3);
	tr_replay();
	T_TRUE(tr_page_is(HOME, 1));
	T_TRUE(tr_page_is(HOME + 4096, 0) && tr_page_is(HOME + 8192, 0));
	T_TRUE(tr_page_is(HOME + 12288, 53));
	T_TRUE(tr_page_is(HOME + 16384, 2));
	tr_drop();
}

static void zeroing_nothing_is_legal(void)
{
	uint8_t b[4096];
	struct fmt_log_desc d = { .zero = true, .file_off = HOME, .seq = 1 };

	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 4096, 0 }, 1);
	T_OK(file_read(tr.f, LOG_OFF, b, sizeof(b), &t_err));
	log_desc_encode(&d, b + 64);
	log_entry_seal(b, sizeof(b));
	T_OK(file_write(tr.f, LOG_OFF, b, sizeof(b), &t_err));
	tr_put_page(HOME, 3);
	tr_replay();
	T_EQ_U64(tr.s.item_cnt, 0);
	T_TRUE(tr_page_is(HOME, 3));
	tr_drop();
}

static void later_changes_win_whatever_their_kind(void)
{
	const struct t_change c[] = {
		{ HOME, 0, 1 }, { HOME, 16384, 0 }, { HOME + 4096, 0, 2 },
		{ HOME + 8192, 0, 3 }, { HOME + 8192, 4096, 0 },
	};

	tr_make();
	t_log_entry(&tr.lg, c, 5);
	tr_replay();
	T_TRUE(tr_page_is(HOME, 0));
	T_TRUE(tr_page_is(HOME + 4096, 2));
	T_TRUE(tr_page_is(HOME + 8192, 0));
	tr_drop();
}

/* ---- torn and damaged entries -------------------------------------------- */

static void an_entry_that_lacks_any_sector_does_not_count(void)
{
	uint8_t zeros[4096] = { 0 };
	struct memimg whole;

	tr_make();
	t_log_alone(&tr.lg, 0x1000, 4, &(struct t_change){ HOME, 0, 9 }, 1);
	tr.lg.pos = tr.lg.tail = 0x10000;
	pages_entry(130);
	memimg_clone(&whole, file_mem_img(tr.f));
	for (uint64_t i = 0; i < 132; i++) {
		memimg_free(file_mem_img(tr.f));
		memimg_clone(file_mem_img(tr.f), &whole);
		T_OK(file_write(tr.f, LOG_OFF + 0x10000 + i * 4096, zeros, 4096,
				&t_err));
		T_OK(tr_scan());
		T_EQ_U64(tr.s.last_seq, 4);
	}
	memimg_free(&whole);
	tr_drop();
}

static void any_flipped_bit_of_an_entry_is_found(void)
{
	tr_make();
	t_log_alone(&tr.lg, 0x1000, 4, &(struct t_change){ HOME, 0, 9 }, 1);
	t_log_alone(&tr.lg, 0x8000, 5, &(struct t_change){ HOME, 0, 1 }, 1);
	for (uint64_t bit = 0; bit < 8 * 8192; bit += 61) {
		uint64_t off = LOG_OFF + 0x8000 + bit / 8;

		flip(off, (uint8_t)(1u << bit % 8));
		T_OK(tr_scan());
		T_EQ_U64(tr.s.last_seq, 4);
		flip(off, (uint8_t)(1u << bit % 8));
	}
	T_OK(tr_scan());
	T_EQ_U64(tr.s.last_seq, 5);
	tr_drop();
}

/* The checksum over bytes of another moment is right, the numbers are not. */
static void a_sealed_entry_with_a_stale_data_sector_does_not_count(void)
{
	static const uint16_t spots[] = { 4096, 4096 + 4, 8191, 64 + 24, 64 };
	uint8_t b[8192];

	tr_make();
	t_log_alone(&tr.lg, 0, 5, &(struct t_change){ HOME, 0, 1 }, 1);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		T_OK(file_read(tr.f, LOG_OFF, b, sizeof(b), &t_err));
		b[spots[i]] ^= 1;
		log_entry_seal(b, sizeof(b));
		T_OK(file_write(tr.f, LOG_OFF, b, sizeof(b), &t_err));
		T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 0");
		b[spots[i]] ^= 1;
		log_entry_seal(b, sizeof(b));
		T_OK(file_write(tr.f, LOG_OFF, b, sizeof(b), &t_err));
		T_OK(tr_scan());
	}
	tr_drop();
}

/* Moves a sector of the log, leaving a hole. */
static void move_sector(uint32_t from, uint32_t to)
{
	uint8_t b[4096];

	T_OK(file_read(tr.f, LOG_OFF + from, b, sizeof(b), &t_err));
	T_OK(file_zero(tr.f, LOG_OFF + from, 4096, &t_err));
	T_OK(file_write(tr.f, LOG_OFF + to, b, sizeof(b), &t_err));
}

static void an_entry_has_no_holes(void)
{
	static const uint32_t spots[] = { 0x8000, MIB - 4096 };

	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		uint32_t at = spots[i];

		tr_make_len(4 * LOG_LEN);
		/* So that the first MiB is read as a whole. */
		tr_put_page(LOG_OFF, 3);
		t_log_alone(&tr.lg, at, 5, &(struct t_change){ HOME, 0, 1 }, 1);
		move_sector(at + 0x1000, at + 0x2000); /* behind the hole */
		T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 0");
		move_sector(at + 0x2000, 0); /* all the rest is a hole */
		T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 0");
		move_sector(0, at + 0x1000);
		T_OK(tr_scan());
		tr_drop();
	}
}

static void entries_at_the_beginning_are_counted_once(void)
{
	tr_make();
	t_log_alone(&tr.lg, LOG_LEN - 4096, 9, &(struct t_change){ HOME, 0, 1 },
		    1); /* its data sector is overwritten by the next */
	tr.lg.tail = 0x5000;
	tr.lg.pos = 0;
	t_log_entry(&tr.lg, NULL, 0);
	t_log_entry(&tr.lg, NULL, 0);
	T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 2");
	tr_drop();
}

static void an_entry_is_as_long_as_its_descriptors_say(void)
{
	uint8_t b[8192];

	tr_make();
	t_log_entry(&tr.lg, &(struct t_change){ HOME, 0, 1 }, 1);
	T_OK(file_read(tr.f, LOG_OFF, b, sizeof(b), &t_err));
	put_le32(b + 8, 4096); /* the data sector is not part of it */
	log_entry_seal(b, 4096);
	T_OK(file_write(tr.f, LOG_OFF, b, sizeof(b), &t_err));
	T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 0");
	put_le32(b + 8, 8192);
	put_le32(b + 24, 0); /* nothing says what the sector is for */
	log_entry_seal(b, 8192);
	T_OK(file_write(tr.f, LOG_OFF, b, sizeof(b), &t_err));
	T_FAILS(tr_scan(), VHDX_E_CORRUPT, "valid entries: 0");
	tr_drop();
}

static const struct t_test tests[] = {
	T_TEST(a_log_without_entries_is_corrupt),
	T_TEST(an_entry_is_replayed),
	T_TEST(an_entry_without_descriptors_is_a_sequence),
	T_TEST(entries_are_applied_oldest_first),
	T_TEST(replay_starts_at_the_tail_that_the_head_names),
	T_TEST(the_sequence_with_the_newest_head_counts),
	T_TEST(entries_of_another_session_do_not_count),
	T_TEST(a_gap_in_the_numbers_ends_a_sequence),
	T_TEST(a_gap_between_entries_ends_a_sequence),
	T_TEST(a_sequence_without_its_tail_is_not_complete),
	T_TEST(a_tail_must_be_the_beginning_of_an_entry),
	T_TEST(sequence_numbers_have_64_bits),
	T_TEST(the_last_sequence_number_has_no_successor),
	T_TEST(descriptors_may_fill_their_sectors_exactly),
	T_TEST(an_entry_may_cross_the_end_of_the_ring_anywhere),
	T_TEST(an_entry_may_end_exactly_at_the_end_of_the_ring),
	T_TEST(an_entry_may_fill_the_whole_ring),
	T_TEST(a_full_ring_of_small_entries_is_one_sequence),
	T_TEST(zero_descriptors_take_no_data_sector),
	T_TEST(zeroing_nothing_is_legal),
	T_TEST(later_changes_win_whatever_their_kind),
	T_TEST(an_entry_that_lacks_any_sector_does_not_count),
	T_TEST(any_flipped_bit_of_an_entry_is_found),
	T_TEST(a_sealed_entry_with_a_stale_data_sector_does_not_count),
	T_TEST(an_entry_has_no_holes),
	T_TEST(entries_at_the_beginning_are_counted_once),
	T_TEST(an_entry_is_as_long_as_its_descriptors_say),
	T_END,
};

const struct t_suite t_suite_replay_find = { "replay_find", tests };
