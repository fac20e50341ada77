/* SPDX-License-Identifier: MIT */
/*
 * Data through the storage VSP: a guest's pages and channels at one end, the
 * real engine at the other.
 */
#include <string.h>

#include "le.h"
#include "storvsc.h"
#include "t.h"

#define DISK (4 * MIB)

static struct storvsc s;
static struct storvsc_chan *const c = &s.chan[0];
static struct storvsc_answer a;
static struct fake_buf b;
static uint8_t data[DISK], back[DISK];

static void begin(enum vhdx_format format, unsigned chans)
{
	storvsc_begin(&s);
	storvsc_disk(&s, 0, format, DISK);
	T_OK(storvsc_add(&s, 0, &t_err));
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	for (unsigned i = 1; i < chans; i++)
		T_TRUE(storvsc_open(&s, i));
}

static void end(void)
{
	T_OK(storvsc_end(&s, &t_err));
}

static void move(bool write, uint64_t lba)
{
	struct storvsc_srb srb = storvsc_rw(0, write, lba, &b, 512);
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	T_EQ_U64(a.scsi_status, 0);
	T_EQ_U64(a.nt, 0);
	T_EQ_U64(a.data_len, b.len);
}

static void simple(uint8_t op)
{
	struct storvsc_srb srb = { .dir = VSTOR_NO_DATA, .cdb[0] = op };
	T_TRUE(storvsc_do(c, &srb, &a));
}

static void what_is_written_is_read(void)
{
	begin(VHDX_FORMAT_VHDX, 1);
	t_fill(data, 3 * MIB, 1);
	for (uint32_t off = 0; off < 4096; off += 1536) {
		fake_buf_init(&b, &s.guest, off, 300 * 512);
		fake_buf_write(&b, 0, data, b.len);
		move(true, 2000 + off);
		fake_buf_fini(&b);
		fake_buf_init(&b, &s.guest, 512, 300 * 512);
		move(false, 2000 + off);
		fake_buf_read(&b, 0, back, b.len);
		T_TRUE(memcmp(back, data, b.len) == 0);
		fake_buf_fini(&b);
	}
	end();
}

static void reads_mark_their_pages_and_writes_do_not(void)
{
	begin(VHDX_FORMAT_RAW, 1);
	fake_buf_init(&b, &s.guest, 2048, 8192);
	fake_clean(&s.guest);
	move(true, 0);
	for (unsigned i = 0; i < 3; i++)
		T_TRUE(!fake_is_dirty(&s.guest, b.pfn[i]));
	move(false, 0);
	for (unsigned i = 0; i < 3; i++)
		T_TRUE(fake_is_dirty(&s.guest, b.pfn[i]));
	fake_buf_fini(&b);
	end();
}

static void a_flush_is_a_flush(void)
{
	struct storvsp_status st;
	begin(VHDX_FORMAT_VHDX, 1);
	fake_buf_init(&b, &s.guest, 0, 4096);
	move(true, 0);
	gate_set_sync_fails(&s.disk[0].gate, true);
	simple(0x35);
	T_EQ_U64(a.srb_status, VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.scsi_status, SCSI_CHECK_CONDITION);
	T_EQ_U64(a.sense_len, SCSI_SENSE_LEN);
	T_TRUE(a.key != 0);
	storvsp_status(s.v, 0, &st);
	T_EQ_U64(st.stats.flush_cnt, 0);
	fake_buf_fini(&b);
	T_TRUE(storvsc_end(&s, &t_err) != 0);
}

static void a_good_flush_is_counted(void)
{
	struct storvsp_status st;
	begin(VHDX_FORMAT_VHDX, 1);
	simple(0x35);
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	storvsp_status(s.v, 0, &st);
	T_TRUE(st.there);
	T_EQ_U64(st.stats.flush_cnt, 1);
	T_EQ_U64(st.geometry.size_len, DISK);
	storvsp_status(s.v, 1, &st);
	T_TRUE(!st.there);
	end();
}

static void what_is_unmapped_reads_as_zeros(void)
{
	struct fake_buf list;
	uint8_t p[24] = { 0, 22, 0, 16 };
	begin(VHDX_FORMAT_VHDX, 1);
	fake_buf_init(&b, &s.guest, 0, MIB);
	t_fill(data, MIB, 2);
	fake_buf_write(&b, 0, data, MIB);
	move(true, 2048);
	put_be64(p + 8, 2048);
	put_be32(p + 16, 2048);
	fake_buf_init(&list, &s.guest, 100, 24);
	fake_buf_write(&list, 0, p, 24);
	struct storvsc_srb srb = { .dir = VSTOR_WRITE, .buf = &list,
				   .cdb = { 0x42, [8] = 24 } };
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	move(false, 2048);
	fake_buf_read(&b, 0, back, MIB);
	for (unsigned i = 0; i < MIB; i++)
		T_EQ_U64(back[i], 0);
	fake_buf_fini(&b);
	fake_buf_fini(&list);
	end();
}

static void errors_come_with_sense_data(void)
{
	begin(VHDX_FORMAT_RAW, 1);
	fake_buf_init(&b, &s.guest, 0, 1024);
	struct storvsc_srb srb = storvsc_rw(0, false, DISK / 512 - 1, &b, 512);
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.scsi_status, SCSI_CHECK_CONDITION);
	T_EQ_U64(a.key, 5);
	T_EQ_U64(a.asc, 0x21);
	T_EQ_U64(a.data_len, 0);
	T_EQ_U64(a.nt, 0);
	fake_buf_fini(&b);
	end();
}

static void less_data_than_pages_is_all_that_moves(void)
{
	uint8_t want[1024];
	begin(VHDX_FORMAT_RAW, 1);
	fake_buf_init(&b, &s.guest, 0, 4096);
	memset(want, 0xcc, sizeof(want));
	fake_buf_write(&b, 512, want, 1024);
	/* An SRB over 512 bytes of a range of 4096. */
	uint8_t p[VSTOR_LEN] = { VSTOR_EXECUTE_SRB, [4] = 1, [20] = 10,
				 [22] = VSTOR_READ, [25] = 2, [28] = 0x28,
				 [36] = 1 };
	T_TRUE(fake_gpa(c->f, 5, p, VSTOR_LEN, &b, 0));
	c->in_flight[5] = true;
	c->in_flight_cnt++;
	T_TRUE(storvsc_recv(c, &a));
	T_EQ_U64(a.data_len, 512);
	fake_buf_read(&b, 512, back, 1024);
	T_TRUE(memcmp(back, want, 1024) == 0);
	fake_buf_fini(&b);
	end();
}

/* ---- many --------------------------------------------------------------- */

/* n reads of a sector, trans_ids from 1. */
static void send_reads(struct storvsc_chan *to, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct storvsc_srb srb = storvsc_rw(0, false, 3 * i, &b, 512);
		T_TRUE(storvsc_srb(to, 1 + i, &srb));
	}
}

static void recv_good(struct storvsc_chan *from, unsigned n)
{
	while (n--) {
		T_TRUE(storvsc_recv(from, &a));
		T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	}
	T_EQ_U64(from->in_flight_cnt, 0);
}

static void more_than_the_pool_waits_in_the_ring(void)
{
	struct storvsp_status st;
	begin(VHDX_FORMAT_RAW, 1);
	gate_shut(&s.disk[0].gate);
	fake_buf_init(&b, &s.guest, 0, 512);
	send_reads(c, 500);
	do /* it takes them in portions */
		storvsp_status(s.v, 0, &st);
	while (st.stats.in_flight < 256);
	storvsp_status(s.v, 0, &st);
	T_EQ_U64(st.stats.in_flight, 256);
	gate_open(&s.disk[0].gate);
	recv_good(c, 500);
	fake_buf_fini(&b);
	end();
}

static void a_full_ring_loses_no_answer(void)
{
	storvsc_begin(&s);
	s.to_guest_pages = 2; /* 46 answers */
	storvsc_disk(&s, 0, VHDX_FORMAT_RAW, DISK);
	T_OK(storvsc_add(&s, 0, &t_err));
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	fake_buf_init(&b, &s.guest, 0, 512);
	for (unsigned batch = 0; batch < 2; batch++) {
		c->f->batch = batch;
		send_reads(c, 500);
		storvsp_pause(s.v); /* all that could be taken is done */
		storvsc_disk(&s, 1 + batch, VHDX_FORMAT_RAW, MIB);
		T_OK(storvsc_add(&s, 1 + batch, &t_err));
		storvsp_continue(s.v);
		recv_good(c, 500);
		T_TRUE(storvsc_wait_enumerate(c, 1 + batch));
	}
	fake_buf_fini(&b);
	end();
}

static void a_channel_gets_its_own_answers(void)
{
	begin(VHDX_FORMAT_RAW, 4);
	gate_shut(&s.disk[0].gate);
	fake_buf_init(&b, &s.guest, 0, 512);
	for (unsigned i = 0; i < 4; i++)
		send_reads(&s.chan[i], 10 * i + 10);
	T_TRUE(gate_wait_held(&s.disk[0].gate, 1));
	gate_open(&s.disk[0].gate);
	for (unsigned i = 4; i--;)
		recv_good(&s.chan[i], 10 * i + 10);
	fake_buf_fini(&b);
	end();
}

static void controllers_are_strangers(void)
{
	static struct storvsc other;
	begin(VHDX_FORMAT_RAW, 1);
	gate_shut(&s.disk[0].gate);
	fake_buf_init(&b, &s.guest, 0, 512);
	send_reads(c, 1);
	storvsc_begin(&other);
	T_TRUE(storvsc_connect(&other, VSTOR_V6_0));
	storvsc_disk(&other, 0, VHDX_FORMAT_RAW, MIB);
	T_OK(storvsc_add(&other, 0, &t_err));
	struct storvsc_srb tur = { .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(&other.chan[0], &tur, &a));
	T_OK(storvsc_end(&other, &t_err));
	gate_open(&s.disk[0].gate);
	recv_good(c, 1);
	fake_buf_fini(&b);
	end();
}

/* ---- a model ------------------------------------------------------------ */

#define DEPTH 24u
#define ROUNDS 1500u
#define CHANS 3u
#define PART (DISK / 512 / CHANS / DEPTH) /* sectors of a slot */

/* Each slot of a channel has a part of the disk to itself. */
static struct slot {
	struct fake_buf buf;
	bool busy, write;
	uint64_t lba;
} slots[CHANS][DEPTH];

static void slot_begin(unsigned chan, unsigned n, uint64_t *seed)
{
	struct slot *x = &slots[chan][n];
	uint32_t cnt = 1 + (uint32_t)t_rand_below(seed, PART);
	x->lba = (chan * DEPTH + n) * PART + t_rand_below(seed, PART - cnt + 1);
	x->write = t_rand_below(seed, 2);
	x->busy = true;
	fake_buf_init(&x->buf, &s.guest, (uint32_t)t_rand_below(seed, 8) * 512,
		      cnt * 512);
	if (x->write) {
		t_fill(data + x->lba * 512, x->buf.len, t_rand(seed));
		fake_buf_write(&x->buf, 0, data + x->lba * 512, x->buf.len);
	}
	struct storvsc_srb srb = storvsc_rw(0, x->write, x->lba, &x->buf, 512);
	T_TRUE(storvsc_srb(&s.chan[chan], 1 + n, &srb));
}

static void slot_end(unsigned chan)
{
	T_TRUE(storvsc_recv(&s.chan[chan], &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	struct slot *x = &slots[chan][a.trans_id - 1];
	T_EQ_U64(a.data_len, x->buf.len);
	fake_buf_read(&x->buf, 0, back, x->buf.len);
	T_TRUE(memcmp(back, data + x->lba * 512, x->buf.len) == 0);
	fake_buf_fini(&x->buf);
	x->busy = false;
}

static void random_requests_agree_with_a_model(void)
{
	uint64_t seed = 6;
	memset(data, 0, sizeof(data));
	begin(VHDX_FORMAT_VHDX, CHANS);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned chan = (unsigned)t_rand_below(&seed, CHANS);
		unsigned n = (unsigned)t_rand_below(&seed, DEPTH);
		while (slots[chan][n].busy)
			slot_end(chan);
		slot_begin(chan, n, &seed);
	}
	for (unsigned chan = 0; chan < CHANS; chan++)
		while (s.chan[chan].in_flight_cnt)
			slot_end(chan);
	end();
}

static const struct t_test tests[] = {
	T_TEST(what_is_written_is_read),
	T_TEST(reads_mark_their_pages_and_writes_do_not),
	T_TEST(a_flush_is_a_flush),
	T_TEST(a_good_flush_is_counted),
	T_TEST(what_is_unmapped_reads_as_zeros),
	T_TEST(errors_come_with_sense_data),
	T_TEST(less_data_than_pages_is_all_that_moves),
	T_TEST(more_than_the_pool_waits_in_the_ring),
	T_TEST(a_full_ring_loses_no_answer),
	T_TEST(a_channel_gets_its_own_answers),
	T_TEST(controllers_are_strangers),
	T_TEST(random_requests_agree_with_a_model),
	T_END,
};

const struct t_suite t_suite_storvsp_io = { "storvsp_io", tests };
