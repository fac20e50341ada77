/* SPDX-License-Identifier: MIT */
/* Choosing and updating the two headers, on a file in memory. */
#include "file_mem.h"
#include "header.h"
#include "t.h"

static struct loop *loop;
static struct file *f;
static struct header_pair p;
static struct fmt_header h;

/* Slots: a sequence number, or -1 for an unwritten one. */
static void make(int64_t seq0, int64_t seq1)
{
	uint8_t b[FMT_HEADER_LEN];
	const int64_t seq[2] = { seq0, seq1 };

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "mem", NULL, &f, &t_err));
	h = (struct fmt_header){ .version = 1, .log_len = MIB,
				 .log_off = MIB };
	for (int slot = 0; slot < 2; slot++) {
		if (seq[slot] < 0)
			continue;
		h.seq = (uint64_t)seq[slot];
		header_encode(&h, b);
		T_OK(file_write(f, FMT_HEADER_OFF(slot), b, sizeof(b),
				&t_err));
	}
}

static void put(int slot)
{
	uint8_t b[FMT_HEADER_LEN];

	header_encode(&h, b);
	T_OK(file_write(f, FMT_HEADER_OFF(slot), b, sizeof(b), &t_err));
}

static void drop(void)
{
	file_close(f);
	loop_free(loop);
}

static void the_larger_sequence_number_is_current(void)
{
	make(7, 6);
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur_slot, 0);
	drop();
	make(8, 9);
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur_slot, 1);
	T_EQ_U64(p.cur.seq, 9);
	T_TRUE(p.valid[0] && p.valid[1]);
	drop();
}

static void the_only_valid_header_is_current(void)
{
	make(7, -1);
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur_slot, 0);
	T_TRUE(!p.valid[1]);
	T_EQ_U64(p.why[1].off, FMT_HEADER_OFF(1));
	drop();
	make(-1, 0);
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur_slot, 1);
	T_TRUE(!p.valid[0]);
	drop();
}

static void two_bad_headers_are_corrupt(void)
{
	make(-1, -1);
	T_FAILS(header_load(f, &p, &t_err), VHDX_E_CORRUPT,
		"neither header is valid");
	drop();
}

static void equal_numbers_pass_only_on_identical_copies(void)
{
	make(3, 3);
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur_slot, 0);
	h.data_write.b[3] = 1;
	put(1);
	T_FAILS(header_load(f, &p, &t_err), VHDX_E_CORRUPT,
		"both headers have sequence number 3 but differ");
	drop();
}

/* Falling back would bring an older LogGuid back. */
static void a_newer_version_is_not_hidden_by_an_older_copy(void)
{
	make(5, 6);
	h.version = 2;
	put(1);
	T_FAILS(header_load(f, &p, &t_err), VHDX_E_UNSUPPORTED, "Version");
	h.version = 1;
	h.log_off = 4096;
	put(1);
	T_FAILS(header_load(f, &p, &t_err), VHDX_E_CORRUPT, "LogOffset");
	drop();
}

static void a_strange_older_copy_does_no_harm(void)
{
	make(5, 6);
	h.version = 9;
	h.seq = 5;
	put(0);
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur_slot, 1);
	drop();
}

static void an_update_writes_the_slot_that_is_not_current(void)
{
	uint8_t b[FMT_HEADER_LEN];
	uint64_t off;

	make(7, 6);
	T_OK(header_load(f, &p, &t_err));
	p.cur.log_len = 2 * MIB;
	T_OK(header_next(&p, b, &off, &t_err));
	T_EQ_U64(off, FMT_HEADER_OFF(1));
	T_OK(header_decode(b, 0, &h, &t_err));
	T_EQ_U64(h.seq, 8);
	T_EQ_U64(h.log_len, 2 * MIB);
	T_EQ_U64(p.cur_slot, 0);
	header_wrote(&p);
	T_EQ_U64(p.cur_slot, 1);
	T_EQ_U64(p.cur.seq, 8);
	T_OK(header_next(&p, b, &off, &t_err));
	T_EQ_U64(off, FMT_HEADER_OFF(0));
	drop();
}

static void a_failed_update_is_repeated_in_the_same_slot(void)
{
	uint8_t b[FMT_HEADER_LEN];
	uint64_t off;

	make(7, 6);
	T_OK(header_load(f, &p, &t_err));
	T_OK(header_next(&p, b, &off, &t_err));
	T_OK(header_next(&p, b, &off, &t_err));
	T_EQ_U64(off, FMT_HEADER_OFF(1));
	T_OK(header_decode(b, 0, &h, &t_err));
	T_EQ_U64(h.seq, 8);
	drop();
}

static void an_update_brings_both_copies_up_to_date(void)
{
	make(7, 6);
	T_OK(header_load(f, &p, &t_err));
	guid_random(&p.cur.file_write);
	h = p.cur;
	T_OK(header_update(f, &p, &t_err));
	T_OK(header_load(f, &p, &t_err));
	T_TRUE(p.valid[0] && p.valid[1]);
	T_EQ_U64(p.cur.seq, 9);
	T_EQ_U64(p.copy[1].seq, 8);
	T_TRUE(guid_eq(&p.copy[0].file_write, &h.file_write));
	T_TRUE(guid_eq(&p.copy[1].file_write, &h.file_write));
	drop();
}

static void a_disk2vhd_pair_can_be_updated(void)
{
	make(1, 1);
	T_OK(header_load(f, &p, &t_err));
	T_OK(header_update(f, &p, &t_err));
	T_OK(header_load(f, &p, &t_err));
	T_EQ_U64(p.cur.seq, 3);
	T_EQ_U64(p.cur_slot, 0);
	drop();
}

static void sequence_numbers_do_not_wrap(void)
{
	make(7, -1);
	h.seq = UINT64_MAX;
	put(1);
	T_OK(header_load(f, &p, &t_err));
	T_FAILS(header_update(f, &p, &t_err), VHDX_E_CORRUPT,
		"18446744073709551615 has no successor");
	drop();
}

static const struct t_test tests[] = {
	T_TEST(the_larger_sequence_number_is_current),
	T_TEST(the_only_valid_header_is_current),
	T_TEST(two_bad_headers_are_corrupt),
	T_TEST(equal_numbers_pass_only_on_identical_copies),
	T_TEST(a_newer_version_is_not_hidden_by_an_older_copy),
	T_TEST(a_strange_older_copy_does_no_harm),
	T_TEST(an_update_writes_the_slot_that_is_not_current),
	T_TEST(a_failed_update_is_repeated_in_the_same_slot),
	T_TEST(an_update_brings_both_copies_up_to_date),
	T_TEST(a_disk2vhd_pair_can_be_updated),
	T_TEST(sequence_numbers_do_not_wrap),
	T_END,
};
const struct t_suite t_suite_header = { "header", tests };
