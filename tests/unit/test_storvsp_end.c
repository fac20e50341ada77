/* SPDX-License-Identifier: MIT */
/*
 * Ends: resets, closed channels, broken rings, pauses, each with requests in
 * flight. The driver (sim/storvsc.c) aborts when an answer comes twice.
 */
#include <string.h>

#include "storvsc.h"
#include "t.h"

#define DISK (4 * MIB)
#define RESET_ID 1000

static struct storvsc s;
static struct storvsc_chan *const c = &s.chan[0];
static struct gate *const gate = &s.disk[0].gate;
static struct storvsc_answer a;
static struct fake_buf b;

static void begin(unsigned chans)
{
	storvsc_begin(&s);
	for (unsigned n = 0; n < 3; n++)
		storvsc_disk(&s, n, VHDX_FORMAT_RAW, DISK);
	T_OK(storvsc_add(&s, 0, &t_err));
	T_OK(storvsc_add(&s, 1, &t_err));
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	for (unsigned i = 1; i < chans; i++)
		T_TRUE(storvsc_open(&s, i));
	fake_buf_init(&b, &s.guest, 0, 4096);
}

static void end(void)
{
	fake_buf_fini(&b);
	T_OK(storvsc_end(&s, &t_err));
}

/* cnt reads that the disk holds, trans_ids from `id`. */
static void hold_reads(struct storvsc_chan *to, uint8_t lun, unsigned cnt,
		       uint64_t id)
{
	gate_shut(&s.disk[lun].gate);
	unsigned held = s.disk[lun].gate.held_cnt;
	for (unsigned i = 0; i < cnt; i++) {
		struct storvsc_srb srb = storvsc_rw(lun, false, 16 * i, &b,
						    512);
		T_TRUE(storvsc_srb(to, id + i, &srb));
	}
	T_TRUE(gate_wait_held(&s.disk[lun].gate, held + cnt));
}

/* Until the controller has taken all that was sent. */
static void wait_taken(struct storvsc_chan *of)
{
	struct storvsp_status st;
	do
		storvsp_status(s.v, 0, &st);
	while (fake_load(&of->f->out, FAKE_READ) != of->f->out.pos);
}

/* ---- resets ------------------------------------------------------------- */


static void a_reset_is_answered_last(void)
{
	static const uint32_t ops[] = { VSTOR_RESET_BUS, VSTOR_RESET_ADAPTER };
	for (unsigned n = 0; n < 2; n++) {
		begin(1);
		hold_reads(c, 0, 5, 1);
		hold_reads(c, 1, 3, 10);
		T_TRUE(storvsc_send(c, RESET_ID, ops[n], NULL, 0));
		gate_open(&s.disk[1].gate);
		gate_open(gate);
		for (unsigned i = 0; i < 8; i++) {
			T_TRUE(storvsc_recv(c, &a));
			T_TRUE(a.trans_id != RESET_ID);
		}
		T_TRUE(storvsc_recv(c, &a));
		T_EQ_U64(a.trans_id, RESET_ID);
		T_EQ_U64(a.nt, 0);
		end();
	}
}

static unsigned recv_aborted(struct storvsc_chan *from)
{
	unsigned cnt = 0;
	while (from->in_flight_cnt) {
		T_TRUE(storvsc_recv(from, &a));
		if (a.trans_id == RESET_ID || a.srb_status == VSTOR_SRB_SUCCESS)
			continue;
		T_EQ_U64(a.srb_status, VSTOR_SRB_ABORTED | VSTOR_SRB_AUTOSENSE);
		T_EQ_U64(a.scsi_status, SCSI_CHECK_CONDITION);
		T_EQ_U64(a.key, 0xb);
		T_EQ_U64(a.nt, VSTOR_NT_CANCELLED);
		cnt++;
	}
	return cnt;
}

/* More than the host is given at a time. */
static void what_a_reset_gives_up_says_so(void)
{
	begin(2);
	hold_reads(c, 0, 200, 1);
	hold_reads(&s.chan[1], 0, 50, 1);
	for (unsigned i = 0; i < 150; i++) {
		struct storvsc_srb srb = storvsc_rw(0, i % 2, 0, &b, 512);
		T_TRUE(storvsc_srb(&s.chan[1], 300 + i, &srb));
	}
	wait_taken(&s.chan[1]);
	T_TRUE(storvsc_send(c, RESET_ID, VSTOR_RESET_BUS, NULL, 0));
	wait_taken(c);
	gate_open(gate);
	unsigned cnt = recv_aborted(&s.chan[1]);
	T_TRUE(cnt >= 100);
	recv_aborted(c);
	T_EQ_U64(a.trans_id, RESET_ID);
	end();
}

static void a_reset_of_a_unit_waits_for_that_unit(void)
{
	uint8_t body[36] = { [7] = 1 };
	begin(1);
	hold_reads(c, 0, 2, 1);
	hold_reads(c, 1, 2, 10);
	T_TRUE(storvsc_send(c, RESET_ID, VSTOR_RESET_LUN, body, 36));
	gate_open(&s.disk[1].gate);
	for (unsigned i = 0; i < 2; i++) {
		T_TRUE(storvsc_recv(c, &a));
		T_TRUE(a.trans_id >= 10 && a.trans_id < 12);
	}
	T_TRUE(storvsc_recv(c, &a));
	T_EQ_U64(a.trans_id, RESET_ID);
	gate_open(gate);
	for (unsigned i = 0; i < 2; i++) {
		T_TRUE(storvsc_recv(c, &a));
		T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	}
	end();
}

static void a_reset_of_nothing_is_answered(void)
{
	uint8_t body[36] = { [7] = 7 };
	begin(1);
	T_EQ_U64(storvsc_call(c, VSTOR_RESET_BUS, NULL, 0, &a), 0);
	T_EQ_U64(storvsc_call(c, VSTOR_RESET_LUN, body, 36, &a), 0);
	body[7] = 64;
	T_EQ_U64(storvsc_call(c, VSTOR_RESET_LUN, body, 36, &a),
		 VSTOR_NT_INVALID);
	end();
}

static void what_comes_behind_a_reset_is_done_after_it(void)
{
	begin(2);
	hold_reads(c, 0, 2, 1);
	T_TRUE(storvsc_send(c, RESET_ID, VSTOR_RESET_BUS, NULL, 0));
	wait_taken(c);
	struct storvsc_srb srb = storvsc_rw(0, true, 0, &b, 512);
	T_TRUE(storvsc_srb(c, 20, &srb));
	T_TRUE(storvsc_srb(&s.chan[1], 20, &srb));
	gate_open(gate);
	for (unsigned i = 0; i < 3; i++)
		T_TRUE(storvsc_recv(c, &a));
	T_EQ_U64(a.trans_id, RESET_ID);
	for (unsigned i = 0; i < 2; i++) {
		T_TRUE(storvsc_recv(&s.chan[i], &a));
		T_EQ_U64(a.trans_id, 20);
		T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	}
	end();
}

/* ---- close -------------------------------------------------------------- */

static unsigned closed_cnt(const struct storvsc_chan *of)
{
	pthread_mutex_lock(&of->f->lock);
	unsigned cnt = of->f->closed_cnt;
	pthread_mutex_unlock(&of->f->lock);
	return cnt;
}

static void forget(struct storvsc_chan *of)
{
	memset(of->in_flight, 0, sizeof(of->in_flight));
	of->in_flight_cnt = 0;
}

static void a_close_waits_for_the_guests_pages(void)
{
	struct storvsp_status st;
	begin(2);
	hold_reads(&s.chan[1], 0, 3, 1);
	storvsc_close_begin(&s, 1);
	storvsp_status(s.v, 0, &st); /* the close has begun */
	T_EQ_U64(st.stats.in_flight, 3);
	T_EQ_U64(closed_cnt(&s.chan[1]), 0);
	struct storvsc_srb tur = { .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(c, &tur, &a)); /* the primary goes on */
	gate_open(gate);
	storvsc_close_end(&s, 1);
	end();
}

/* More than the host is given at a time. */
static void what_a_closed_channel_has_asked_for_is_given_up(void)
{
	struct storvsp_status st;
	begin(2);
	hold_reads(c, 0, 200, 1);
	hold_reads(&s.chan[1], 0, 50, 1);
	for (unsigned i = 0; i < 150; i++) {
		struct storvsc_srb srb = storvsc_rw(0, false, 0, &b, 512);
		T_TRUE(storvsc_srb(&s.chan[1], 300 + i, &srb));
	}
	wait_taken(&s.chan[1]);
	storvsc_close_begin(&s, 1);
	storvsp_status(s.v, 0, &st); /* the close has begun */
	gate_open(gate);
	for (unsigned i = 0; i < 200; i++) { /* the others go on */
		T_TRUE(storvsc_recv(c, &a));
		T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	}
	forget(&s.chan[1]);
	storvsc_close_end(&s, 1);
	storvsp_status(s.v, 0, &st);
	T_TRUE(st.stats.read_cnt <= 300);
	end();
}

static void a_closed_channel_sends_nothing(void)
{
	uint8_t before[8192], after[8192];
	struct storvsp_status st;
	begin(2);
	hold_reads(&s.chan[1], 0, 3, 1);
	struct fake_chan *f = s.chan[1].f;
	storvsc_close_begin(&s, 1);
	storvsp_status(s.v, 0, &st);
	memcpy(before, f->in.page[0], 4096);
	memcpy(before + 4096, f->in.page[1], 4096);
	gate_open(gate);
	T_TRUE(fake_wait_closed(f));
	memcpy(after, f->in.page[0], 4096);
	memcpy(after + 4096, f->in.page[1], 4096);
	T_TRUE(memcmp(before, after, sizeof(before)) == 0);
	storvsc_close_end(&s, 1);
	end();
}

static void a_close_drops_a_reset(void)
{
	begin(2);
	hold_reads(c, 0, 2, 1);
	T_TRUE(storvsc_send(&s.chan[1], RESET_ID, VSTOR_RESET_BUS, NULL, 0));
	wait_taken(&s.chan[1]);
	storvsc_close_begin(&s, 1);
	forget(&s.chan[1]);
	storvsc_close_end(&s, 1);
	struct storvsc_srb tur = { .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(c, &tur, &a)); /* rings are read again */
	gate_open(gate);
	T_TRUE(storvsc_recv(c, &a));
	T_TRUE(storvsc_recv(c, &a));
	end();
}

static void channels_open_again_and_again(void)
{
	begin(1);
	for (unsigned i = 0; i < 20; i++) {
		gate_open(gate);
		T_TRUE(storvsc_open(&s, 1));
		hold_reads(&s.chan[1], 0, 2, 1);
		gate_open(gate);
		storvsc_close_begin(&s, 1);
		forget(&s.chan[1]);
		storvsc_close_end(&s, 1);
	}
	end();
}

/* ---- broken rings ------------------------------------------------------- */

static void break_ring(struct fake_ring *r, enum fake_word w)
{
	fake_store(r, w, 0x7ffffff1);
	fake_kick(c->f);
	T_TRUE(fake_wait_failed(c->f));
}

static void a_broken_ring_ends_the_channel_not_the_others(void)
{
	begin(2);
	break_ring(&c->f->out, FAKE_WRITE);
	T_TRUE(strlen(c->f->why) > 10);
	struct storvsc_srb tur = { .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(&s.chan[1], &tur, &a));
	fake_kick(c->f);
	T_TRUE(storvsc_do(&s.chan[1], &tur, &a));
	T_EQ_U64(c->f->failed_cnt, 1);
	end();
}

static void a_failed_channel_is_left_alone(void)
{
	static uint8_t before[17 * 4096], after[17 * 4096];
	struct storvsp_status st;
	begin(2);
	hold_reads(c, 0, 5, 1);
	break_ring(&c->f->out, FAKE_WRITE);
	for (unsigned i = 0; i < 17; i++)
		memcpy(before + i * 4096, c->f->in.page[i], 4096);
	unsigned signals = fake_signal_cnt(c->f);
	gate_open(gate);
	do
		storvsp_status(s.v, 0, &st);
	while (st.stats.in_flight);
	T_OK(storvsc_add(&s, 2, &t_err)); /* nobody to tell */
	for (unsigned i = 0; i < 17; i++)
		memcpy(after + i * 4096, c->f->in.page[i], 4096);
	T_TRUE(memcmp(before, after, sizeof(before)) == 0);
	T_EQ_U64(fake_signal_cnt(c->f), signals);
	end();
}

static void a_broken_answer_ring_ends_it_too(void)
{
	begin(1);
	hold_reads(c, 0, 5, 1);
	fake_store(&c->f->in, FAKE_READ, 0x7ffffff1);
	gate_open(gate);
	T_TRUE(fake_wait_failed(c->f));
	T_OK(storvsp_remove(s.v, 0, &t_err));
	T_EQ_U64(c->f->failed_cnt, 1);
	end();
}

/* ---- pause -------------------------------------------------------------- */

static void *pause_it(void *arg)
{
	(void)arg;
	storvsp_pause(s.v);
	return NULL;
}

static void after_a_pause_the_answers_are_there(void)
{
	pthread_t other;
	struct fake_got got;
	begin(1);
	hold_reads(c, 0, 5, 1);
	T_EQ_U64(pthread_create(&other, NULL, pause_it, NULL), 0);
	gate_open(gate);
	pthread_join(other, NULL);
	for (unsigned i = 0; i < 5; i++)
		T_TRUE(fake_take(c->f, &got));
	T_TRUE(!fake_take(c->f, &got));
	storvsp_continue(s.v);
	forget(c);
	end();
}

static void nothing_is_taken_during_a_pause(void)
{
	struct storvsp_status st;
	begin(2);
	storvsp_pause(s.v);
	uint32_t at = fake_load(&c->f->out, FAKE_READ);
	for (unsigned i = 0; i < 4; i++) {
		struct storvsc_srb srb = storvsc_rw(0, i % 2, 0, &b, 512);
		T_TRUE(storvsc_srb(&s.chan[i / 2], 1 + i, &srb));
	}
	storvsp_status(s.v, 0, &st);
	storvsp_status(s.v, 0, &st);
	T_EQ_U64(st.stats.in_flight, 0);
	T_EQ_U64(st.stats.read_cnt, 0);
	T_EQ_U64(fake_load(&c->f->out, FAKE_READ), at);
	storvsp_continue(s.v);
	for (unsigned i = 0; i < 4; i++) {
		T_TRUE(storvsc_recv(&s.chan[i / 2], &a));
		T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	}
	end();
}

static void a_paused_controller_takes_orders(void)
{
	begin(1);
	storvsp_pause(s.v);
	T_OK(storvsc_add(&s, 2, &t_err));
	T_OK(storvsp_reopen(s.v, 0, NULL, NULL, &t_err));
	T_OK(storvsp_remove(s.v, 1, &t_err));
	T_TRUE(storvsc_open(&s, 1));
	storvsc_close_begin(&s, 1);
	storvsc_close_end(&s, 1);
	storvsp_pause(s.v);
	storvsp_continue(s.v);
	struct storvsc_srb tur = { .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(c, &tur, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_reset_is_answered_last),
	T_TEST(what_a_reset_gives_up_says_so),
	T_TEST(a_reset_of_a_unit_waits_for_that_unit),
	T_TEST(a_reset_of_nothing_is_answered),
	T_TEST(what_comes_behind_a_reset_is_done_after_it),
	T_TEST(a_close_waits_for_the_guests_pages),
	T_TEST(what_a_closed_channel_has_asked_for_is_given_up),
	T_TEST(a_closed_channel_sends_nothing),
	T_TEST(a_close_drops_a_reset),
	T_TEST(channels_open_again_and_again),
	T_TEST(a_broken_ring_ends_the_channel_not_the_others),
	T_TEST(a_failed_channel_is_left_alone),
	T_TEST(a_broken_answer_ring_ends_it_too),
	T_TEST(after_a_pause_the_answers_are_there),
	T_TEST(nothing_is_taken_during_a_pause),
	T_TEST(a_paused_controller_takes_orders),
	T_END,
};

const struct t_suite t_suite_storvsp_end = { "storvsp_end", tests };
