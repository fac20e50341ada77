/* SPDX-License-Identifier: MIT */
/*
 * Disks that come, go, are opened again, or have no space, while a guest works
 * with them.
 */
#include <string.h>

#include "err.h"
#include "le.h"
#include "storvsc.h"
#include "t.h"

#define DISK (4 * MIB)

static struct storvsc s;
static struct storvsc_chan *const c = &s.chan[0];
static struct gate *const gate = &s.disk[0].gate;
static struct storvsc_answer a;
static struct fake_buf b;

static void begin(void)
{
	storvsc_begin(&s);
	storvsc_disk(&s, 0, VHDX_FORMAT_RAW, DISK);
	storvsc_disk(&s, 1, VHDX_FORMAT_RAW, DISK);
	T_OK(storvsc_add(&s, 0, &t_err));
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	fake_buf_init(&b, &s.guest, 0, 4096);
}

static void end(void)
{
	fake_buf_fini(&b);
	T_OK(storvsc_end(&s, &t_err));
}

static void send_rw(uint64_t id, bool write, uint64_t lba)
{
	struct storvsc_srb srb = storvsc_rw(0, write, lba, &b, 512);
	T_TRUE(storvsc_srb(c, id, &srb));
}

static void recv_status(uint8_t srb_status)
{
	T_TRUE(storvsc_recv(c, &a));
	T_EQ_U64(a.srb_status, srb_status);
}

static uint8_t tur(uint8_t lun)
{
	struct storvsc_srb srb = { .lun = lun, .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(c, &srb, &a));
	return a.srb_status;
}

static uint32_t capacity(void)
{
	uint8_t p[8];
	struct fake_buf cap;
	fake_buf_init(&cap, &s.guest, 0, 8);
	struct storvsc_srb srb = { .dir = VSTOR_READ, .buf = &cap,
				   .cdb[0] = 0x25 };
	T_TRUE(storvsc_do(c, &srb, &a));
	fake_buf_read(&cap, 0, p, 8);
	fake_buf_fini(&cap);
	return get_be32(p) + 1;
}

/* Another thread that gives an order. */
static pthread_t other;
static int other_rc;
static struct vhdx_err other_err;

static void *remove_0(void *arg)
{
	(void)arg;
	other_rc = storvsp_remove(s.v, 0, &other_err);
	return NULL;
}

static void begin_other(void *(*fn)(void *arg))
{
	T_EQ_U64(pthread_create(&other, NULL, fn, NULL), 0);
}

static int end_other(void)
{
	pthread_join(other, NULL);
	return other_rc;
}

/* ---- add and remove ----------------------------------------------------- */

static void a_new_disk_is_told_of(void)
{
	begin();
	T_EQ_U64(tur(1), VSTOR_SRB_INVALID_LUN);
	T_EQ_U64(c->enumerate_cnt, 0);
	T_OK(storvsc_add(&s, 1, &t_err));
	T_TRUE(storvsc_wait_enumerate(c, 1));
	T_EQ_U64(tur(1), VSTOR_SRB_SUCCESS);
	end();
}

static void nobody_is_told_before_the_introduction(void)
{
	begin();
	storvsc_close_begin(&s, 0);
	storvsc_close_end(&s, 0);
	T_TRUE(storvsc_open(&s, 0));
	T_OK(storvsc_add(&s, 1, &t_err));
	T_EQ_U64(storvsc_call(c, VSTOR_BEGIN_INIT, NULL, 0, &a), 0);
	T_EQ_U64(c->enumerate_cnt, 0);
	end();
}

static void a_removed_disk_finishes_its_requests(void)
{
	struct storvsp_status st;
	begin();
	gate_shut(gate);
	for (unsigned i = 0; i < 4; i++)
		send_rw(1 + i, i % 2, 100 * i);
	T_TRUE(gate_wait_held(gate, 4));
	begin_other(remove_0);
	T_TRUE(storvsc_wait_enumerate(c, 1));
	T_EQ_U64(tur(0), VSTOR_SRB_INVALID_LUN);
	gate_open(gate);
	for (unsigned i = 0; i < 4; i++)
		recv_status(VSTOR_SRB_SUCCESS);
	T_OK(end_other());
	storvsp_status(s.v, 0, &st);
	T_TRUE(!st.there);
	T_TRUE(!gate->file);
	T_OK(storvsc_add(&s, 0, &t_err));
	T_EQ_U64(tur(0), VSTOR_SRB_SUCCESS);
	end();
}

static void what_is_not_there_cannot_be_removed(void)
{
	begin();
	T_FAILS(storvsp_remove(s.v, 1, &t_err), VHDX_E_NOTFOUND, "LUN 1");
	T_FAILS(storvsp_remove(s.v, 99, &t_err), VHDX_E_NOTFOUND, "LUN 99");
	T_FAILS(storvsp_reopen(s.v, 1, NULL, NULL, &t_err), VHDX_E_NOTFOUND,
		"LUN 1");
	storvsp_resume(s.v, 99);
	end();
}

static void a_failed_close_is_told_to_who_removes(void)
{
	begin();
	send_rw(1, true, 0);
	recv_status(VSTOR_SRB_SUCCESS);
	gate_set_sync_fails(gate, true);
	T_FAILS(storvsp_remove(s.v, 0, &t_err), VHDX_E_IO, "");
	end();
}

/* ---- reopen ------------------------------------------------------------- */

static int grow(void *arg, struct vhdx_err *e)
{
	(void)e;
	T_TRUE(!gate->file); /* it is closed */
	memimg_resize(&s.disk[0].img, *(uint64_t *)arg);
	return 0;
}

static void a_new_size_is_told(void)
{
	uint64_t size = 2 * DISK;
	struct storvsp_status st;
	begin();
	T_EQ_U64(capacity(), DISK / 512);
	T_OK(storvsp_reopen(s.v, 0, grow, &size, &t_err));
	T_TRUE(storvsc_wait_enumerate(c, 1)); /* a guest that asks nothing */
	T_EQ_U64(tur(0), VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.key, 6);
	T_EQ_U64(a.asc, 0x2a);
	T_EQ_U64(a.ascq, 9);
	T_EQ_U64(capacity(), 2 * DISK / 512);
	storvsp_status(s.v, 0, &st);
	T_EQ_U64(st.geometry.size_len, 2 * DISK);
	end();
}

static int other_image(void *arg, struct vhdx_err *e)
{
	(void)e;
	s.disk[0].format = VHDX_FORMAT_VHDX;
	s.disk[0].sector_len = *(uint32_t *)arg;
	memimg_resize(&s.disk[0].img, 0);
	return 0;
}

static void other_sectors_are_not_put_under_a_guest(void)
{
	uint32_t wrong = 4096, right = 512;
	begin();
	T_FAILS(storvsp_reopen(s.v, 0, other_image, &wrong, &t_err),
		VHDX_E_INVAL, "sectors of 4096 bytes now, the guest knows 512");
	T_TRUE(!gate->file);
	send_rw(1, true, 0);
	T_OK(storvsp_reopen(s.v, 0, other_image, &right, &t_err));
	recv_status(VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.key, 6); /* its blocks are others, and this is told */
	T_EQ_U64(tur(0), VSTOR_SRB_SUCCESS);
	end();
}

static void *reopen_0(void *arg)
{
	(void)arg;
	other_rc = storvsp_reopen(s.v, 0, NULL, NULL, &other_err);
	return NULL;
}

static void a_reopen_waits_for_what_is_in_flight(void)
{
	begin();
	gate_shut(gate);
	for (unsigned i = 0; i < 4; i++)
		send_rw(1 + i, true, 100 * i);
	T_TRUE(gate_wait_held(gate, 4));
	begin_other(reopen_0);
	for (unsigned i = 4; i < 8; i++)
		send_rw(1 + i, false, 100 * i);
	gate_open(gate);
	for (unsigned i = 0; i < 8; i++)
		recv_status(VSTOR_SRB_SUCCESS);
	T_OK(end_other());
	T_EQ_U64(s.disk[0].open_cnt, 2);
	end();
}

/* LUN 0 has stopped taking requests, and LUN 1 has not. */
static void wait_quiescing(void)
{
	struct storvsc_srb srb[2] = { { .dir = VSTOR_NO_DATA },
				      { .dir = VSTOR_NO_DATA, .lun = 1 } };
	do {
		if (!c->in_flight[50])
			T_TRUE(storvsc_srb(c, 50, &srb[0]));
		T_TRUE(storvsc_srb(c, 51, &srb[1]));
		T_TRUE(storvsc_recv(c, &a));
		if (a.trans_id == 50)
			T_TRUE(storvsc_recv(c, &a));
		T_EQ_U64(a.trans_id, 51);
	} while (!c->in_flight[50]);
}

static void the_other_disks_do_not_wait(void)
{
	begin();
	T_OK(storvsc_add(&s, 1, &t_err));
	gate_shut(gate);
	send_rw(1, true, 0);
	T_TRUE(gate_wait_held(gate, 1));
	begin_other(reopen_0);
	wait_quiescing();
	gate_open(gate);
	recv_status(VSTOR_SRB_SUCCESS);
	recv_status(VSTOR_SRB_SUCCESS);
	T_OK(end_other());
	end();
}

static int send_meanwhile(void *arg, struct vhdx_err *e)
{
	struct storvsp_status st;
	(void)arg;
	send_rw(1, true, 0);
	send_rw(2, false, 0);
	do
		storvsp_status(s.v, 0, &st);
	while (st.stats.in_flight < 2);
	T_FAILS(storvsp_remove(s.v, 0, &t_err), VHDX_E_BUSY, "opened again");
	return err_set(e, VHDX_E_NOSPC, "no change");
}

static void what_comes_meanwhile_waits(void)
{
	begin();
	T_FAILS(storvsp_reopen(s.v, 0, send_meanwhile, NULL, &t_err),
		VHDX_E_NOSPC, "no change"); /* and the disk is open again */
	recv_status(VSTOR_SRB_SUCCESS);
	recv_status(VSTOR_SRB_SUCCESS);
	end();
}

static int break_it(void *arg, struct vhdx_err *e)
{
	(void)arg;
	(void)e;
	s.disk[0].open_fails = VHDX_E_NOPARENT;
	send_rw(1, false, 0);
	return 0;
}

static void a_failed_reopen_can_be_tried_again(void)
{
	begin();
	T_FAILS(storvsp_reopen(s.v, 0, break_it, NULL, &t_err),
		VHDX_E_NOPARENT, "LUN 0 stays closed");
	send_rw(2, false, 0);
	T_FAILS(storvsp_reopen(s.v, 0, NULL, NULL, &t_err), VHDX_E_NOPARENT,
		"reopen it again");
	s.disk[0].open_fails = 0;
	T_OK(storvsp_reopen(s.v, 0, NULL, NULL, &t_err));
	recv_status(VSTOR_SRB_SUCCESS);
	recv_status(VSTOR_SRB_SUCCESS);
	end();
}

static void a_failed_reopen_keeps_nobody(void)
{
	begin();
	T_FAILS(storvsp_reopen(s.v, 0, break_it, NULL, &t_err),
		VHDX_E_NOPARENT, "");
	storvsp_pause(s.v);
	storvsp_continue(s.v);
	T_EQ_U64(storvsc_call(c, VSTOR_RESET_BUS, NULL, 0, &a),
		 STORVSC_NO_ANSWER); /* the request's comes first */
	T_EQ_U64(a.srb_status, VSTOR_SRB_ABORTED | VSTOR_SRB_AUTOSENSE);
	T_TRUE(storvsc_recv(c, &a));
	send_rw(1, false, 0);
	T_OK(storvsp_remove(s.v, 0, &t_err));
	T_TRUE(storvsc_recv(c, &a)); /* aborted, or no unit any more */
	T_TRUE(a.srb_status != VSTOR_SRB_SUCCESS);
	end();
}

static void a_failed_flush_keeps_the_disk_open(void)
{
	uint64_t size = 2 * DISK;
	begin();
	send_rw(1, true, 0);
	recv_status(VSTOR_SRB_SUCCESS);
	gate_set_sync_fails(gate, true);
	T_FAILS(storvsp_reopen(s.v, 0, grow, &size, &t_err), VHDX_E_IO, "");
	gate_set_sync_fails(gate, false);
	T_EQ_U64(s.disk[0].open_cnt, 1);
	struct storvsc_srb sync = { .dir = VSTOR_NO_DATA, .cdb[0] = 0x35 };
	T_TRUE(storvsc_do(c, &sync, &a)); /* it has not forgotten */
	T_EQ_U64(a.srb_status, VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
	send_rw(2, false, 0);
	recv_status(VSTOR_SRB_SUCCESS);
	T_FAILS(storvsp_remove(s.v, 0, &t_err), VHDX_E_FAILED, "");
	end();
}

/* ---- no space ----------------------------------------------------------- */

static void fill_up(void)
{
	gate_set_full(gate, true);
	send_rw(1, true, 0);
	T_TRUE(storvsc_wait_told(&s, "disk at LUN 0: no space left"));
}

static void a_write_without_space_waits_for_it(void)
{
	struct storvsp_status st;
	begin();
	fake_buf_write(&b, 0, "precious", 8);
	fill_up();
	storvsp_status(s.v, 0, &st);
	T_TRUE(st.stats.paused);
	T_EQ_U64(capacity(), DISK / 512); /* the others go on */
	gate_set_full(gate, false);
	storvsp_resume(s.v, 0);
	T_TRUE(storvsc_wait_told(&s, "disk at LUN 0: goes on"));
	recv_status(VSTOR_SRB_SUCCESS);
	T_EQ_U64(a.trans_id, 1);
	char back[8];
	T_OK(storvsp_remove(s.v, 0, &t_err));
	memimg_read(&s.disk[0].img, 0, back, 8);
	T_TRUE(memcmp(back, "precious", 8) == 0);
	end();
}

static void no_space_is_reported_where_that_is_wanted(void)
{
	begin();
	s.disk[1].disk.nospc = SCSI_NOSPC_REPORT;
	T_OK(storvsc_add(&s, 1, &t_err));
	gate_set_full(&s.disk[1].gate, true);
	struct storvsc_srb srb = storvsc_rw(1, true, 0, &b, 512);
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.key, 7);
	T_EQ_U64(a.asc, 0x27);
	end();
}

static void waiting_for_space_keeps_nobody(void)
{
	begin();
	fill_up();
	storvsp_pause(s.v);
	storvsp_continue(s.v);
	T_OK(storvsp_remove(s.v, 0, &t_err));
	recv_status(VSTOR_SRB_ABORTED | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.key, 0xb);
	gate_set_full(gate, false);
	T_OK(storvsc_add(&s, 0, &t_err));
	fill_up();
	storvsc_close_begin(&s, 0);
	storvsc_close_end(&s, 0);
	end();
}

static void *pause_it(void *arg)
{
	(void)arg;
	storvsp_pause(s.v);
	return NULL;
}

/* Until what is sent stays in the ring: that is with id 50. */
static void wait_pausing(void)
{
	struct storvsc_srb srb = { .dir = VSTOR_NO_DATA };
	struct storvsp_status st;
	for (;;) {
		T_TRUE(storvsc_srb(c, 50, &srb));
		storvsp_status(s.v, 0, &st);
		if (fake_load(&c->f->out, FAKE_READ) != c->f->out.pos)
			return;
		recv_status(VSTOR_SRB_SUCCESS);
	}
}

static void a_pause_waits_for_reads_beside_writes_without_space(void)
{
	struct fake_got got;
	begin();
	fill_up();
	gate_shut(gate);
	send_rw(2, false, 0);
	T_TRUE(gate_wait_held(gate, 1));
	begin_other(pause_it);
	wait_pausing();
	gate_open(gate);
	end_other();
	T_TRUE(fake_take(c->f, &got));
	T_EQ_U64(got.trans_id, 2);
	c->in_flight[2] = false;
	c->in_flight_cnt--;
	storvsp_continue(s.v);
	recv_status(VSTOR_SRB_SUCCESS);
	T_EQ_U64(a.trans_id, 50);
	gate_set_full(gate, false);
	storvsp_resume(s.v, 0);
	recv_status(VSTOR_SRB_SUCCESS);
	end();
}

static void a_reopen_can_bring_the_space(void)
{
	begin();
	fill_up();
	gate_set_full(gate, false);
	T_OK(storvsp_reopen(s.v, 0, NULL, NULL, &t_err));
	recv_status(VSTOR_SRB_SUCCESS);
	end();
}

static const struct t_test tests[] = {
	T_TEST(a_new_disk_is_told_of),
	T_TEST(nobody_is_told_before_the_introduction),
	T_TEST(a_removed_disk_finishes_its_requests),
	T_TEST(what_is_not_there_cannot_be_removed),
	T_TEST(a_failed_close_is_told_to_who_removes),
	T_TEST(a_new_size_is_told),
	T_TEST(other_sectors_are_not_put_under_a_guest),
	T_TEST(a_reopen_waits_for_what_is_in_flight),
	T_TEST(the_other_disks_do_not_wait),
	T_TEST(what_comes_meanwhile_waits),
	T_TEST(a_failed_reopen_can_be_tried_again),
	T_TEST(a_failed_reopen_keeps_nobody),
	T_TEST(a_failed_flush_keeps_the_disk_open),
	T_TEST(a_write_without_space_waits_for_it),
	T_TEST(no_space_is_reported_where_that_is_wanted),
	T_TEST(waiting_for_space_keeps_nobody),
	T_TEST(a_pause_waits_for_reads_beside_writes_without_space),
	T_TEST(a_reopen_can_bring_the_space),
	T_END,
};

const struct t_suite t_suite_storvsp_disks = { "storvsp_disks", tests };
