/* SPDX-License-Identifier: MIT */
/* Replay (R1..R3) of logs built by hand, on files in memory. */
#include "file_mem.h"
#include "le.h"
#include "mem.h"
#include "replay.h"
#include "t.h"
#include "t_log.h"

#define LOG_OFF (2 * MIB)
#define LOG_LEN ((uint32_t)MIB)
#define HOME (8 * MIB) /* where the tests' pages live */

static struct loop *loop;
static struct file *f;
static struct t_log lg;
static struct replay_seq s;

static void make_len(uint32_t log_len)
{
	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "mem", NULL, &f, &t_err));
	T_OK(file_truncate(f, 16 * MIB, &t_err));
	t_log_init(&lg, f, LOG_OFF, log_len);
}

static void make(void)
{
	make_len(LOG_LEN);
}

static void drop(void)
{
	replay_free(&s);
	file_close(f);
	loop_free(loop);
}

static int scan(void)
{
	replay_free(&s);
	return replay_scan(f, &lg.hdr, &s, &t_err);
}

static void replay(void)
{
	T_OK(scan());
	T_OK(replay_apply(f, &s, &t_err));
}

/* The page at off is t_fill(fill); 0: zeros. */
static bool page_is(uint64_t off, uint64_t fill)
{
	uint8_t page[4096], want[4096] = { 0 };

	T_OK(file_read(f, off, page, sizeof(page), &t_err));
	if (fill)
		t_fill(want, sizeof(want), fill);
	return memcmp(page, want, sizeof(page)) == 0;
}

static void put_page(uint64_t off, uint64_t fill)
{
	uint8_t page[4096];

	t_fill(page, sizeof(page), fill);
	T_OK(file_write(f, off, page, sizeof(page), &t_err));
}

static void flip(uint64_t off, uint8_t mask)
{
	uint8_t b;

	T_OK(file_read(f, off, &b, 1, &t_err));
	b ^= mask;
	T_OK(file_write(f, off, &b, 1, &t_err));
}

/* ---- finding the sequence ------------------------------------------------ */

static void a_log_without_entries_is_corrupt(void)
{
	make();
	T_FAILS(scan(), VHDX_E_CORRUPT, "no complete sequence (valid "
		"entries: 0)");
	T_EQ_U64(t_err.off, LOG_OFF);
	drop();
}

static void an_entry_is_replayed(void)
{
	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 7 }, 1);
	replay();
	T_EQ_U64(s.entry_cnt, 1);
	T_EQ_U64(s.item_cnt, 1);
	T_TRUE(page_is(HOME, 7));
	T_EQ_U64(f->size, 16 * MIB);
	drop();
}

static void an_entry_without_descriptors_is_a_sequence(void)
{
	make();
	t_log_entry(&lg, NULL, 0);
	replay();
	T_EQ_U64(s.entry_cnt, 1);
	T_EQ_U64(s.item_cnt, 0);
	drop();
}

static void entries_are_applied_oldest_first(void)
{
	make();
	for (uint64_t i = 1; i <= 5; i++)
		t_log_entry(&lg, &(struct t_change){ HOME, 0, i }, 1);
	replay();
	T_EQ_U64(s.entry_cnt, 5);
	T_EQ_U64(s.first_seq, 1);
	T_EQ_U64(s.last_seq, 5);
	T_TRUE(page_is(HOME, 5));
	drop();
}

static void replay_starts_at_the_tail_that_the_head_names(void)
{
	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	lg.tail = t_log_entry(&lg, &(struct t_change){ HOME + 4096, 0, 2 }, 1);
	t_log_entry(&lg, &(struct t_change){ HOME + 8192, 0, 3 }, 1);
	put_page(HOME, 77); /* reused since the first entry went home */
	replay();
	T_EQ_U64(s.entry_cnt, 2);
	T_EQ_U64(s.tail_off, 8192);
	T_EQ_U64(s.first_seq, 2);
	T_TRUE(page_is(HOME, 77));
	T_TRUE(page_is(HOME + 4096, 2));
	T_TRUE(page_is(HOME + 8192, 3));
	drop();
}

static void the_sequence_with_the_newest_head_counts(void)
{
	make();
	t_log_alone(&lg, 0x1000, 500, &(struct t_change){ HOME, 0, 1 }, 1);
	t_log_alone(&lg, 0x8000, 501, &(struct t_change){ HOME, 0, 2 }, 1);
	t_log_alone(&lg, 0x20000, 499, &(struct t_change){ HOME, 0, 3 }, 1);
	replay();
	T_EQ_U64(s.head_off, 0x8000);
	T_TRUE(page_is(HOME, 2));
	drop();
}

static void entries_of_another_session_do_not_count(void)
{
	make();
	t_log_alone(&lg, 0, 5, &(struct t_change){ HOME, 0, 1 }, 1);
	lg.hdr.log.b[0] ^= 1;
	t_log_alone(&lg, 0x2000, 6, &(struct t_change){ HOME, 0, 2 }, 1);
	lg.hdr.log.b[0] ^= 1;
	replay();
	T_EQ_U64(s.last_seq, 5);
	T_TRUE(page_is(HOME, 1));
	drop();
}

static void a_gap_in_the_numbers_ends_a_sequence(void)
{
	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	lg.seq++;
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 2 }, 1);
	replay(); /* the second names the first as tail: not complete */
	T_EQ_U64(s.last_seq, 1);
	T_TRUE(page_is(HOME, 1));
	drop();
}

static void a_gap_between_entries_ends_a_sequence(void)
{
	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	lg.pos += 4096;
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 2 }, 1);
	replay();
	T_EQ_U64(s.last_seq, 1);
	T_TRUE(page_is(HOME, 1));
	drop();
}

static void a_sequence_without_its_tail_is_not_complete(void)
{
	make();
	lg.tail = 0x5000;
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 1");
	drop();
}

static void a_tail_must_be_the_beginning_of_an_entry(void)
{
	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	lg.tail = 0x1000;
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 2 }, 1);
	T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 2");
	drop();
}

static void sequence_numbers_have_64_bits(void)
{
	make();
	lg.seq = UINT64_C(0xfffffffe);
	for (uint64_t i = 1; i <= 4; i++)
		t_log_entry(&lg, &(struct t_change){ HOME, 0, i }, 1);
	replay();
	T_EQ_U64(s.entry_cnt, 4);
	T_EQ_U64(s.last_seq, UINT64_C(0x100000001));
	T_TRUE(page_is(HOME, 4));
	drop();
}

static void the_last_sequence_number_has_no_successor(void)
{
	make();
	t_log_alone(&lg, 0, UINT64_MAX, &(struct t_change){ HOME, 0, 1 }, 1);
	t_log_alone(&lg, 0x2000, 1, &(struct t_change){ HOME, 0, 2 }, 1);
	replay();
	T_EQ_U64(s.last_seq, UINT64_MAX);
	T_EQ_U64(s.entry_cnt, 1);
	T_TRUE(page_is(HOME, 1));
	drop();
}

/* ---- shapes of entries --------------------------------------------------- */

static void pages_entry(uint32_t cnt)
{
	struct t_change *c = calloc(cnt, sizeof(*c));

	for (uint32_t i = 0; i < cnt; i++)
		c[i] = (struct t_change){ HOME + 8192 * (uint64_t)i, 0,
					  1000 + i };
	t_log_entry(&lg, c, cnt);
	free(c);
}

static bool pages_are_home(uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (!page_is(HOME + 8192 * (uint64_t)i, 1000 + i))
			return false;
	return true;
}

static void descriptors_may_fill_their_sectors_exactly(void)
{
	static const uint32_t cnts[] = { 125, 126, 127, 128, 254, 255, 256,
					 382, 383 };

	for (size_t i = 0; i < ARRAY_LEN(cnts); i++) {
		make_len(2 * LOG_LEN);
		pages_entry(cnts[i]);
		replay();
		T_EQ_U64(s.item_cnt, cnts[i]);
		T_TRUE(pages_are_home(cnts[i]));
		drop();
	}
}

/* Header, descriptors and data in turn come to lie behind the ring's end. */
static void an_entry_may_cross_the_end_of_the_ring_anywhere(void)
{
	for (uint32_t back = 1; back <= 134; back += 7) {
		make();
		lg.pos = lg.tail = LOG_LEN - back * 4096;
		pages_entry(130); /* 2 + 130 sectors */
		pages_entry(10);
		replay();
		T_EQ_U64(s.entry_cnt, 2);
		T_TRUE(pages_are_home(130));
		drop();
	}
}

static void an_entry_may_end_exactly_at_the_end_of_the_ring(void)
{
	make();
	lg.pos = lg.tail = LOG_LEN - 11 * 4096;
	pages_entry(10);
	T_EQ_U64(lg.pos, 0);
	t_log_entry(&lg, &(struct t_change){ HOME + 4096, 0, 5 }, 1);
	replay();
	T_EQ_U64(s.entry_cnt, 2);
	T_TRUE(pages_are_home(10));
	T_TRUE(page_is(HOME + 4096, 5));
	drop();
}

static void an_entry_may_fill_the_whole_ring(void)
{
	make();
	lg.pos = lg.tail = 0x7000;
	pages_entry(254); /* 2 + 254 sectors, 256 in the ring */
	T_EQ_U64(lg.pos, 0x7000);
	replay();
	T_EQ_U64(s.entry_cnt, 1);
	T_EQ_U64(s.item_cnt, 254);
	T_TRUE(pages_are_home(254));
	drop();
}

static void a_full_ring_of_small_entries_is_one_sequence(void)
{
	make();
	lg.pos = lg.tail = 0x43000;
	for (uint64_t i = 0; i < 128; i++)
		t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 + i }, 1);
	T_EQ_U64(lg.pos, 0x43000);
	replay();
	T_EQ_U64(s.entry_cnt, 128);
	T_TRUE(page_is(HOME, 128));
	drop();
}

static void zero_descriptors_take_no_data_sector(void)
{
	const struct t_change c[] = {
		{ HOME, 0, 1 }, { HOME + 4096, 8192, 0 },
		{ HOME + 16384, 0, 2 },
	};

	make();
	for (unsigned i = 0; i < 5; i++)
		put_page(HOME + i * 4096, 50 + i);
	t_log_entry(&lg, c, 3);
	replay();
	T_TRUE(page_is(HOME, 1));
	T_TRUE(page_is(HOME + 4096, 0) && page_is(HOME + 8192, 0));
	T_TRUE(page_is(HOME + 12288, 53));
	T_TRUE(page_is(HOME + 16384, 2));
	drop();
}

static void zeroing_nothing_is_legal(void)
{
	uint8_t b[4096];
	struct fmt_log_desc d = { .zero = true, .file_off = HOME, .seq = 1 };

	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 4096, 0 }, 1);
	T_OK(file_read(f, LOG_OFF, b, sizeof(b), &t_err));
	log_desc_encode(&d, b + 64);
	log_entry_seal(b, sizeof(b));
	T_OK(file_write(f, LOG_OFF, b, sizeof(b), &t_err));
	put_page(HOME, 3);
	replay();
	T_EQ_U64(s.item_cnt, 0);
	T_TRUE(page_is(HOME, 3));
	drop();
}

static void later_changes_win_whatever_their_kind(void)
{
	const struct t_change c[] = {
		{ HOME, 0, 1 }, { HOME, 16384, 0 }, { HOME + 4096, 0, 2 },
		{ HOME + 8192, 0, 3 }, { HOME + 8192, 4096, 0 },
	};

	make();
	t_log_entry(&lg, c, 5);
	replay();
	T_TRUE(page_is(HOME, 0));
	T_TRUE(page_is(HOME + 4096, 2));
	T_TRUE(page_is(HOME + 8192, 0));
	drop();
}

/* ---- torn and damaged entries -------------------------------------------- */

static void an_entry_that_lacks_any_sector_does_not_count(void)
{
	uint8_t zeros[4096] = { 0 };
	struct memimg whole;

	make();
	t_log_alone(&lg, 0x1000, 4, &(struct t_change){ HOME, 0, 9 }, 1);
	lg.pos = lg.tail = 0x10000;
	pages_entry(130);
	memimg_clone(&whole, file_mem_img(f));
	for (uint64_t i = 0; i < 132; i++) {
		memimg_free(file_mem_img(f));
		memimg_clone(file_mem_img(f), &whole);
		T_OK(file_write(f, LOG_OFF + 0x10000 + i * 4096, zeros, 4096,
				&t_err));
		T_OK(scan());
		T_EQ_U64(s.last_seq, 4);
	}
	memimg_free(&whole);
	drop();
}

static void any_flipped_bit_of_an_entry_is_found(void)
{
	make();
	t_log_alone(&lg, 0x1000, 4, &(struct t_change){ HOME, 0, 9 }, 1);
	t_log_alone(&lg, 0x8000, 5, &(struct t_change){ HOME, 0, 1 }, 1);
	for (uint64_t bit = 0; bit < 8 * 8192; bit += 61) {
		uint64_t off = LOG_OFF + 0x8000 + bit / 8;

		flip(off, (uint8_t)(1u << bit % 8));
		T_OK(scan());
		T_EQ_U64(s.last_seq, 4);
		flip(off, (uint8_t)(1u << bit % 8));
	}
	T_OK(scan());
	T_EQ_U64(s.last_seq, 5);
	drop();
}

/* The checksum over bytes of another moment is right, the numbers are not. */
static void a_sealed_entry_with_a_stale_data_sector_does_not_count(void)
{
	static const uint16_t spots[] = { 4096, 4096 + 4, 8191, 64 + 24, 64 };
	uint8_t b[8192];

	make();
	t_log_alone(&lg, 0, 5, &(struct t_change){ HOME, 0, 1 }, 1);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		T_OK(file_read(f, LOG_OFF, b, sizeof(b), &t_err));
		b[spots[i]] ^= 1;
		log_entry_seal(b, sizeof(b));
		T_OK(file_write(f, LOG_OFF, b, sizeof(b), &t_err));
		T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 0");
		b[spots[i]] ^= 1;
		log_entry_seal(b, sizeof(b));
		T_OK(file_write(f, LOG_OFF, b, sizeof(b), &t_err));
		T_OK(scan());
	}
	drop();
}

/* Moves a sector of the log, leaving a hole. */
static void move_sector(uint32_t from, uint32_t to)
{
	uint8_t b[4096];

	T_OK(file_read(f, LOG_OFF + from, b, sizeof(b), &t_err));
	T_OK(file_zero(f, LOG_OFF + from, 4096, &t_err));
	T_OK(file_write(f, LOG_OFF + to, b, sizeof(b), &t_err));
}

static void an_entry_has_no_holes(void)
{
	static const uint32_t spots[] = { 0x8000, MIB - 4096 };

	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		uint32_t at = spots[i];

		make_len(4 * LOG_LEN);
		put_page(LOG_OFF, 3); /* so that the first MiB is read whole */
		t_log_alone(&lg, at, 5, &(struct t_change){ HOME, 0, 1 }, 1);
		move_sector(at + 0x1000, at + 0x2000); /* behind the hole */
		T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 0");
		move_sector(at + 0x2000, 0); /* all the rest is a hole */
		T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 0");
		move_sector(0, at + 0x1000);
		T_OK(scan());
		drop();
	}
}

static void entries_at_the_beginning_are_counted_once(void)
{
	make();
	t_log_alone(&lg, LOG_LEN - 4096, 9, &(struct t_change){ HOME, 0, 1 },
		    1); /* its data sector is overwritten by the next */
	lg.tail = 0x5000;
	lg.pos = 0;
	t_log_entry(&lg, NULL, 0);
	t_log_entry(&lg, NULL, 0);
	T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 2");
	drop();
}

static void an_entry_is_as_long_as_its_descriptors_say(void)
{
	uint8_t b[8192];

	make();
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	T_OK(file_read(f, LOG_OFF, b, sizeof(b), &t_err));
	put_le32(b + 8, 4096); /* the data sector is not part of it */
	log_entry_seal(b, 4096);
	T_OK(file_write(f, LOG_OFF, b, sizeof(b), &t_err));
	T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 0");
	put_le32(b + 8, 8192);
	put_le32(b + 24, 0); /* nothing says what the sector is for */
	log_entry_seal(b, 8192);
	T_OK(file_write(f, LOG_OFF, b, sizeof(b), &t_err));
	T_FAILS(scan(), VHDX_E_CORRUPT, "valid entries: 0");
	drop();
}

/* ---- file sizes ---------------------------------------------------------- */

static void a_truncated_file_is_refused(void)
{
	make();
	lg.flushed_len = 16 * MIB;
	t_log_entry(&lg, &(struct t_change){ HOME, 0, 1 }, 1);
	T_OK(scan());
	T_OK(file_truncate(f, 16 * MIB - 512, &t_err));
	T_FAILS(scan(), VHDX_E_CORRUPT, "has been truncated: it has 16776704");
	drop();
}

/* Shrinking logs the smaller size: entries before it do not count. */
static void only_the_head_says_how_large_the_file_was(void)
{
	make();
	lg.flushed_len = 64 * MIB;
	lg.last_len = 64 * MIB;
	t_log_entry(&lg, NULL, 0);
	lg.flushed_len = 16 * MIB;
	lg.last_len = 16 * MIB;
	t_log_entry(&lg, NULL, 0);
	replay();
	T_EQ_U64(f->size, 16 * MIB);
	drop();
}

static void the_file_grows_to_what_the_head_says(void)
{
	make();
	lg.last_len = 40 * MIB;
	t_log_entry(&lg, NULL, 0);
	replay();
	T_EQ_U64(f->size, 40 * MIB);
	drop();
}

static void targets_beyond_the_end_extend_the_file(void)
{
	const struct t_change c[] = { { 20 * MIB, 0, 3 },
				      { 30 * MIB, 8192, 0 } };

	make();
	t_log_entry(&lg, c, 2);
	replay();
	T_EQ_U64(f->size, 30 * MIB + 8192);
	T_TRUE(page_is(20 * MIB, 3));
	drop();
}

static void zeroing_200_terabytes_costs_nothing(void)
{
	const struct t_change c[] = {
		{ HOME + 4096, 0, 5 }, { 40 * TIB, 0, 6 },
		{ HOME, 200 * TIB - HOME, 0 }, { HOME, 0, 7 },
	};

	make();
	put_page(HOME + 8192, 8);
	t_log_entry(&lg, c, 4);
	replay();
	T_EQ_U64(f->size, 200 * TIB);
	T_TRUE(page_is(HOME, 7));
	T_TRUE(page_is(HOME + 4096, 0) && page_is(HOME + 8192, 0) &&
	       page_is(40 * TIB, 0));
	drop();
}

/* ---- R3 ------------------------------------------------------------------ */

static void nothing_below_the_region_tables_is_written(void)
{
	static const uint64_t bad[] = { 0, 65536, 131072, 192 * KIB - 4096 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		make();
		t_log_entry(&lg, &(struct t_change){ bad[i], 0, 1 }, 1);
		T_FAILS(scan(), VHDX_E_CORRUPT,
			"nothing below 196608 goes through the log");
		drop();
	}
	make();
	t_log_entry(&lg, &(struct t_change){ 192 * KIB, 0, 1 }, 1);
	replay();
	T_TRUE(page_is(192 * KIB, 1));
	drop();
}

static void the_log_does_not_write_to_itself(void)
{
	const struct t_change bad[] = { { LOG_OFF, 0, 1 },
		{ LOG_OFF + LOG_LEN - 4096, 0, 1 },
		{ LOG_OFF - 4096, 8192, 0 }, { MIB, TIB, 0 } };
	const struct t_change good[] = { { LOG_OFF - 4096, 0, 1 },
		{ LOG_OFF + LOG_LEN, 4096, 0 }, { LOG_OFF - 8192, 8192, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		make();
		t_log_entry(&lg, &bad[i], 1);
		T_FAILS(scan(), VHDX_E_CORRUPT, "into the log itself");
		drop();
	}
	make();
	t_log_entry(&lg, good, 3);
	T_OK(scan());
	drop();
}

/* ---- idempotence --------------------------------------------------------- */

static void random_log(uint64_t seed)
{
	lg.pos = lg.tail = (uint32_t)t_rand_below(&seed, 256) * 4096;
	for (unsigned i = 0; i < 64; i++)
		put_page(HOME + t_rand_below(&seed, 64) * 4096, 1 + i);
	for (unsigned i = 0; i < 6; i++) {
		struct t_change c[12];
		uint32_t cnt = (uint32_t)t_rand_below(&seed, 12);

		for (uint32_t k = 0; k < cnt; k++)
			c[k] = (struct t_change){
				HOME + t_rand_below(&seed, 64) * 4096,
				t_rand_below(&seed, 3) ? 0 :
				4096 * t_rand_below(&seed, 20),
				100 * i + k + 1 };
		lg.last_len = (8 + t_rand_below(&seed, 20)) * MIB;
		t_log_entry(&lg, c, cnt);
	}
}

static void replay_twice_equals_once(void)
{
	for (uint64_t seed = 1; seed < 30; seed++) {
		struct memimg once;

		make();
		random_log(seed);
		replay();
		memimg_clone(&once, file_mem_img(f));
		replay();
		T_TRUE(memimg_eq(&once, file_mem_img(f), NULL));
		memimg_free(&once);
		drop();
	}
}

static void an_interrupted_replay_is_simply_repeated(void)
{
	struct memimg before, once;

	make();
	random_log(5);
	memimg_clone(&before, file_mem_img(f));
	replay();
	memimg_clone(&once, file_mem_img(f));
	for (size_t cnt = 0; cnt < s.item_cnt; cnt++) {
		struct replay_seq part = s;

		memimg_free(file_mem_img(f));
		memimg_clone(file_mem_img(f), &before);
		f->size = before.size;
		part.item_cnt = cnt;
		T_OK(replay_apply(f, &part, &t_err));
		T_OK(replay_apply(f, &s, &t_err));
		T_TRUE(memimg_eq(&once, file_mem_img(f), NULL));
	}
	memimg_free(&before);
	memimg_free(&once);
	drop();
}

/* ---- bounds -------------------------------------------------------------- */

/* A file that counts what is read from it. */
static struct file counted;
static uint64_t read_cnt;

static void counted_submit(struct file *file, struct file_io *io)
{
	(void)file;
	read_cnt += io->len;
	file_submit(f, io);
}

static const struct file_ops counted_ops = { .submit = counted_submit };

static int scan_counted(void)
{
	counted = *f;
	counted.ops = &counted_ops;
	read_cnt = 0;
	replay_free(&s);
	return replay_scan(&counted, &lg.hdr, &s, &t_err);
}

/* Every sector says it begins an entry as long as the rest of the ring, and
 * every one of them looks right up to where the next begins. */
static void overlapping_claims_are_read_twice_at_most(void)
{
	struct fmt_log_entry n = { .seq = 5, .desc_cnt = 126 };
	struct fmt_log_desc d = { .zero = true, .file_off = HOME, .seq = 5 };
	uint8_t b[4096];
	uint32_t len = 16 * LOG_LEN;

	make_len(len);
	n.log = lg.hdr.log;
	for (unsigned i = 0; i < 126; i++)
		log_desc_encode(&d, b + 64 + 32 * i);
	for (uint32_t pos = 0; pos < len; pos += 4096) {
		n.len = len - pos;
		n.tail = pos;
		log_entry_encode(&n, b);
		T_OK(file_write(f, LOG_OFF + pos, b, sizeof(b), &t_err));
	}
	T_FAILS(scan_counted(), VHDX_E_CORRUPT, "valid entries");
	T_TRUE(read_cnt <= 2 * (uint64_t)len);
	drop();
}

/* A valid entry each, that chain up but never reach the tail they name. */
static void an_endless_incomplete_sequence_is_read_twice_at_most(void)
{
	uint32_t len = 16 * LOG_LEN;

	make_len(len);
	lg.tail = len - 4096;
	for (uint32_t i = 0; i < len / 4096 - 1; i++)
		t_log_entry(&lg, NULL, 0);
	T_FAILS(scan_counted(), VHDX_E_CORRUPT, "valid entries: 4095");
	T_TRUE(read_cnt <= 2 * (uint64_t)len);
	drop();
}

static void the_largest_log_of_holes_is_not_read(void)
{
	make_len(UINT32_C(0xfff00000));
	T_OK(file_truncate(f, 8 * GIB, &t_err));
	lg.pos = lg.tail = UINT32_C(0xfff00000) - 4096;
	t_log_entry(&lg, &(struct t_change){ 7 * GIB, 0, 1 }, 1);
	t_log_entry(&lg, &(struct t_change){ 7 * GIB + 4096, 0, 2 }, 1);
	replay();
	T_EQ_U64(s.entry_cnt, 2);
	T_EQ_U64(s.head_off, 4096);
	T_TRUE(page_is(7 * GIB, 1) && page_is(7 * GIB + 4096, 2));
	drop();
}

static void a_log_beyond_the_end_of_the_file_is_empty(void)
{
	make_len(UINT32_C(0xfff00000));
	T_OK(file_truncate(f, LOG_OFF + 512, &t_err));
	T_FAILS(scan_counted(), VHDX_E_CORRUPT, "valid entries: 0");
	T_TRUE(read_cnt <= 2 * MIB);
	drop();
}

static void a_million_descriptors_are_the_limit(void)
{
	struct t_change *c = calloc(REPLAY_ITEM_MAX, sizeof(*c));

	make_len(64 * LOG_LEN);
	for (uint32_t i = 0; i < REPLAY_ITEM_MAX; i++)
		c[i] = (struct t_change){ GIB, 4096, 0 };
	t_log_entry(&lg, c, REPLAY_ITEM_MAX);
	T_OK(scan());
	T_EQ_U64(s.item_cnt, REPLAY_ITEM_MAX);
	t_log_entry(&lg, c, 1);
	T_FAILS(scan(), VHDX_E_UNSUPPORTED, "more than 1048576 descriptors");
	free(c);
	drop();
}

static void running_out_of_memory_is_an_error_and_no_leak(void)
{
	uint64_t live = mem_live_cnt();

	make();
	random_log(3);
	for (uint64_t n = 1;; n++) {
		mem_fail_nth(n);
		int rc = replay_scan(f, &lg.hdr, &s, &t_err);
		if (mem_fail_nth(0) < n) {
			T_OK(rc);
			break;
		}
		T_EQ_U64(rc, VHDX_E_NOMEM);
	}
	drop();
	T_EQ_U64(mem_live_cnt(), live);
}

/* ---- telling ------------------------------------------------------------- */

static char told[256];

static int tell(void *arg, uint64_t off, const struct fmt_log_entry *n,
		const struct fmt_log_desc *d)
{
	size_t at = strlen(told);

	if (arg && n->seq == 3)
		return 42;
	if (!d)
		snprintf(told + at, sizeof(told) - at, "[%llx %llu]",
			 (unsigned long long)off, (unsigned long long)n->seq);
	else
		snprintf(told + at, sizeof(told) - at, "%c%llx ",
			 d->zero ? 'z' : 'd',
			 (unsigned long long)(d->file_off - HOME));
	return 0;
}

static void a_walk_tells_entries_and_their_descriptors(void)
{
	const struct t_change c[] = { { HOME, 0, 1 },
				      { HOME + 4096, 4096, 0 } };

	make();
	t_log_entry(&lg, c, 1);
	lg.tail = t_log_entry(&lg, c, 2);
	t_log_entry(&lg, NULL, 0);
	T_OK(scan());
	told[0] = 0;
	T_OK(replay_walk(f, &lg.hdr, &s, tell, NULL, &t_err));
	CU_ASSERT_STRING_EQUAL(told, "[2000 2]d0 z1000 [4000 3]");
	told[0] = 0;
	T_EQ_U64(replay_walk(f, &lg.hdr, &s, tell, told, &t_err), 42);
	CU_ASSERT_STRING_EQUAL(told, "[2000 2]d0 z1000 ");
	drop();
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
	T_TEST(a_truncated_file_is_refused),
	T_TEST(only_the_head_says_how_large_the_file_was),
	T_TEST(the_file_grows_to_what_the_head_says),
	T_TEST(targets_beyond_the_end_extend_the_file),
	T_TEST(zeroing_200_terabytes_costs_nothing),
	T_TEST(nothing_below_the_region_tables_is_written),
	T_TEST(the_log_does_not_write_to_itself),
	T_TEST(replay_twice_equals_once),
	T_TEST(an_interrupted_replay_is_simply_repeated),
	T_TEST(overlapping_claims_are_read_twice_at_most),
	T_TEST(an_endless_incomplete_sequence_is_read_twice_at_most),
	T_TEST(the_largest_log_of_holes_is_not_read),
	T_TEST(a_log_beyond_the_end_of_the_file_is_empty),
	T_TEST(a_million_descriptors_are_the_limit),
	T_TEST(running_out_of_memory_is_an_error_and_no_leak),
	T_TEST(a_walk_tells_entries_and_their_descriptors),
	T_END,
};
const struct t_suite t_suite_replay = { "replay", tests };
