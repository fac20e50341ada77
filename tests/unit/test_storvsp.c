/* SPDX-License-Identifier: MIT */
/*
 * The storage VSP as a guest meets it: introduction, addresses, hostile
 * packets.
 */
#include <string.h>

#include "storvsc.h"
#include "t.h"

static struct storvsc s;
static struct storvsc_chan *const c = &s.chan[0];
static struct storvsc_answer a;

static void begin(void)
{
	storvsc_begin(&s);
}

static void begin_with_disks(unsigned first, unsigned cnt)
{
	begin();
	for (unsigned n = first; n < first + cnt; n++) {
		storvsc_disk(&s, n, VHDX_FORMAT_RAW, 4 * MIB);
		T_OK(storvsc_add(&s, n, &t_err));
	}
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
}

static void end(void)
{
	T_OK(storvsc_end(&s, &t_err));
}

/* ---- introduction ------------------------------------------------------- */

static void every_version_introduces_itself(void)
{
	static const uint16_t versions[] = { VSTOR_V5_1, VSTOR_V6_0,
					     VSTOR_V6_2 };
	for (unsigned i = 0; i < 3; i++) {
		begin();
		T_TRUE(storvsc_connect(&s, versions[i]));
		end();
	}
}

static void an_unknown_version_leaves_room_for_another(void)
{
	begin();
	T_TRUE(storvsc_open(&s, 0));
	T_EQ_U64(storvsc_call(c, VSTOR_BEGIN_INIT, NULL, 0, &a), 0);
	T_EQ_U64(storvsc_call(c, VSTOR_QUERY_VERSION, "\x03\x06", 2, &a),
		 VSTOR_NT_REVISION);
	T_EQ_U64(storvsc_call(c, VSTOR_QUERY_PROPERTIES, NULL, 0, &a),
		 VSTOR_NT_WRONG_STATE);
	T_EQ_U64(storvsc_call(c, VSTOR_QUERY_VERSION, "\x00\x06", 2, &a), 0);
	T_EQ_U64(storvsc_call(c, VSTOR_QUERY_PROPERTIES, NULL, 0, &a), 0);
	end();
}

static void steps_out_of_order_are_refused(void)
{
	begin();
	T_TRUE(storvsc_open(&s, 0));
	for (uint32_t op = VSTOR_EXECUTE_SRB; op <= VSTOR_QUERY_PROPERTIES;
	     op++)
		if (op != VSTOR_BEGIN_INIT)
			T_EQ_U64(storvsc_call(c, op, NULL, 0, &a),
				 VSTOR_NT_WRONG_STATE);
	end();
	begin();
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	T_EQ_U64(storvsc_call(c, VSTOR_BEGIN_INIT, NULL, 0, &a),
		 VSTOR_NT_WRONG_STATE);
	end();
}

static void properties_tell_what_is_possible(void)
{
	begin();
	T_TRUE(storvsc_open(&s, 0));
	T_EQ_U64(storvsc_call(c, VSTOR_BEGIN_INIT, NULL, 0, &a), 0);
	T_EQ_U64(storvsc_call(c, VSTOR_QUERY_VERSION, "\x02\x06", 2, &a), 0);
	T_EQ_U64(storvsc_call(c, VSTOR_QUERY_PROPERTIES, NULL, 0, &a), 0);
	T_EQ_U64(a.payload[16], STORVSC_CHANS - 1);
	T_EQ_U64(a.payload[20], 1);
	T_EQ_U64(a.payload[26], SCSI_TRANSFER_MAX >> 16);
	end();
}

static void version_5_1_has_no_subchannels(void)
{
	begin();
	T_TRUE(storvsc_connect(&s, VSTOR_V5_1));
	T_EQ_U64(storvsc_call(c, VSTOR_CREATE_SUB_CHANNELS, "\x01", 2, &a),
		 VSTOR_NT_INVALID);
	T_EQ_U64(s.dev.subs, 0);
	end();
}

static void subchannels_are_offered_as_asked(void)
{
	begin();
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	T_EQ_U64(storvsc_call(c, VSTOR_CREATE_SUB_CHANNELS, "\x04", 2, &a),
		 VSTOR_NT_INVALID);
	T_EQ_U64(s.dev.subs, 0);
	T_EQ_U64(storvsc_call(c, VSTOR_CREATE_SUB_CHANNELS, "\x02", 2, &a), 0);
	T_TRUE(storvsc_open(&s, 1)); /* later than the offer */
	T_EQ_U64(s.dev.subs, 2);
	end();
}

static void a_subchannel_needs_an_introduced_primary(void)
{
	begin();
	T_TRUE(!storvsc_open(&s, 1));
	T_TRUE(storvsc_open(&s, 0));
	T_TRUE(!storvsc_open(&s, 1));
	end();
}

static void a_subchannel_introduces_nothing(void)
{
	begin_with_disks(0, 1);
	T_TRUE(storvsc_open(&s, 1));
	T_EQ_U64(storvsc_call(&s.chan[1], VSTOR_CREATE_SUB_CHANNELS, "\x01", 2,
			      &a), VSTOR_NT_WRONG_STATE);
	struct storvsc_srb tur = { .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(&s.chan[1], &tur, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	end();
}

static void after_a_close_it_begins_anew(void)
{
	begin_with_disks(0, 1);
	storvsc_close_begin(&s, 0);
	storvsc_close_end(&s, 0);
	T_TRUE(storvsc_open(&s, 0));
	T_EQ_U64(storvsc_call(c, VSTOR_RESET_BUS, NULL, 0, &a),
		 VSTOR_NT_WRONG_STATE);
	T_EQ_U64(storvsc_call(c, VSTOR_BEGIN_INIT, NULL, 0, &a), 0);
	end();
}

/* ---- addresses ---------------------------------------------------------- */

static uint8_t tur_at(uint8_t path, uint8_t target, uint8_t lun)
{
	struct storvsc_srb srb = { .path = path, .target = target, .lun = lun,
				   .dir = VSTOR_NO_DATA };
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.data_len, 0);
	return a.srb_status;
}

static void only_units_that_are_there_answer(void)
{
	begin_with_disks(1, 2);
	T_EQ_U64(tur_at(0, 0, 1), VSTOR_SRB_SUCCESS);
	T_EQ_U64(tur_at(0, 0, 2), VSTOR_SRB_SUCCESS);
	T_EQ_U64(tur_at(0, 0, 0), VSTOR_SRB_INVALID_LUN);
	T_EQ_U64(tur_at(0, 0, 3), VSTOR_SRB_INVALID_LUN);
	T_EQ_U64(tur_at(0, 0, 255), VSTOR_SRB_INVALID_LUN);
	T_EQ_U64(tur_at(1, 0, 1), VSTOR_SRB_INVALID_LUN);
	T_EQ_U64(tur_at(0, 1, 1), VSTOR_SRB_INVALID_LUN);
	T_EQ_U64(a.nt, VSTOR_NT_NO_DEVICE);
	end();
}

static void report_luns(uint8_t lun, uint8_t *to, uint32_t len)
{
	struct fake_buf b;
	fake_buf_init(&b, &s.guest, 0, len);
	struct storvsc_srb srb = { .lun = lun, .dir = VSTOR_READ, .buf = &b,
				   .cdb = { 0xa0, [9] = (uint8_t)len } };
	T_TRUE(storvsc_do(c, &srb, &a));
	fake_buf_read(&b, 0, to, len);
	fake_buf_fini(&b);
}

static void report_luns_names_them_with_and_without_lun_0(void)
{
	uint8_t luns[64];
	begin_with_disks(1, 2);
	report_luns(0, luns, 64);
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	T_EQ_U64(luns[3] / 8, 2 + (luns[9] == 0)); /* LUN 0 may be named */
	report_luns(1, luns, 64);
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	T_EQ_U64(luns[luns[3] + 8 - 16 + 1], 1);
	T_EQ_U64(luns[luns[3] + 8 - 8 + 1], 2);
	report_luns(3, luns, 64);
	T_EQ_U64(a.srb_status, VSTOR_SRB_INVALID_LUN);
	end();
}

static void inquiry_is_answered_where_no_disk_is(void)
{
	static const uint8_t where[][3] = { { 0, 0, 0 }, { 0, 0, 3 },
		{ 0, 1, 1 }, { 7, 0, 1 } };
	uint8_t data[36];
	begin_with_disks(1, 1);
	for (unsigned i = 0; i < ARRAY_LEN(where); i++) {
		struct fake_buf b;
		fake_buf_init(&b, &s.guest, 0, 36);
		struct storvsc_srb srb = { where[i][0], where[i][1],
					   where[i][2], VSTOR_READ, &b,
					   { 0x12, [4] = 36 } };
		T_TRUE(storvsc_do(c, &srb, &a));
		T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
		fake_buf_read(&b, 0, data, 36);
		T_EQ_U64(data[0], 0x7f);
		T_TRUE(fake_is_dirty(&s.guest, b.pfn[0]));
		fake_buf_fini(&b);
	}
	end();
}

static void a_lun_is_taken_once(void)
{
	begin_with_disks(0, 1);
	T_FAILS(storvsc_add(&s, 0, &t_err), VHDX_E_EXISTS, "LUN 0 is taken");
	s.disk[1].disk.lun = STORVSP_LUNS;
	T_FAILS(storvsc_add(&s, 1, &t_err), VHDX_E_INVAL, "0 to 63");
	end();
}

static void a_disk_that_does_not_open_is_not_there(void)
{
	begin_with_disks(0, 1);
	storvsc_disk(&s, 1, VHDX_FORMAT_RAW, MIB)->open_fails = VHDX_E_BUSY;
	T_FAILS(storvsc_add(&s, 1, &t_err), VHDX_E_BUSY, "cannot be opened");
	T_EQ_U64(tur_at(0, 0, 1), VSTOR_SRB_INVALID_LUN);
	s.disk[1].open_fails = 0;
	T_OK(storvsc_add(&s, 1, &t_err));
	T_EQ_U64(tur_at(0, 0, 1), VSTOR_SRB_SUCCESS);
	end();
}

/* ---- hostile packets ---------------------------------------------------- */

static void unknown_operations_are_refused(void)
{
	static const uint32_t ops[] = { 0, VSTOR_COMPLETE_IO,
					VSTOR_REMOVE_DEVICE,
					VSTOR_ENUMERATE_BUS, VSTOR_FCHBA, 14,
					0xffffffff };
	begin_with_disks(0, 1);
	for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
		T_EQ_U64(storvsc_call(c, ops[i], NULL, 0, &a),
			 VSTOR_NT_UNKNOWN_OP);
	T_EQ_U64(tur_at(0, 0, 0), VSTOR_SRB_SUCCESS);
	end();
}

static void packets_too_short_are_answered(void)
{
	struct fake_got got;
	begin_with_disks(0, 1);
	for (uint32_t len = 0; len < 48; len += 8) {
		uint8_t p[48] = { VSTOR_EXECUTE_SRB };
		T_TRUE(fake_inband(c->f, 9, p, len));
		T_TRUE(fake_recv(c->f, &got));
		T_EQ_U64(got.trans_id, 9);
		T_EQ_U64(got.len, VSTOR_LEN);
		T_EQ_U64(got.payload[8], VSTOR_NT_INVALID & 0xff);
		T_EQ_U64(got.payload[11], VSTOR_NT_INVALID >> 24);
	}
	T_EQ_U64(tur_at(0, 0, 0), VSTOR_SRB_SUCCESS);
	end();
}

/* In the words of SCSI as well: older guests know no such SRB status. */
static void check_invalid(void)
{
	T_EQ_U64(a.srb_status, VSTOR_SRB_INVALID_REQUEST | VSTOR_SRB_AUTOSENSE);
	T_EQ_U64(a.scsi_status, SCSI_CHECK_CONDITION);
	T_EQ_U64(a.key, 5);
	T_EQ_U64(a.asc, 0x24);
}

static void data_without_pages_is_refused(void)
{
	begin_with_disks(0, 1);
	uint8_t body[36] = { [8] = 16, [10] = VSTOR_READ, [13] = 2,
			     [16] = 0x28, [24] = 1 };
	T_EQ_U64(storvsc_call(c, VSTOR_EXECUTE_SRB, body, 36, &a),
		 VSTOR_NT_INVALID);
	check_invalid();
	T_EQ_U64(a.data_len, 0);
	end();
}

static void more_data_than_its_range_is_refused(void)
{
	struct fake_buf b;
	begin_with_disks(0, 1);
	fake_buf_init(&b, &s.guest, 0, 512);
	uint8_t p[VSTOR_LEN] = { VSTOR_EXECUTE_SRB, [4] = 1, [20] = 10,
				 [22] = VSTOR_READ, [25] = 4, [28] = 0x28,
				 [36] = 2 };
	T_TRUE(fake_gpa(c->f, 5, p, VSTOR_LEN, &b, 0));
	c->in_flight[5] = true;
	c->in_flight_cnt++;
	T_TRUE(storvsc_recv(c, &a));
	check_invalid();
	fake_buf_fini(&b);
	end();
}

static void pages_that_are_no_memory_are_refused(void)
{
	struct fake_buf b;
	begin_with_disks(0, 1);
	fake_buf_init(&b, &s.guest, 0, 8192);
	uint64_t pfn = b.pfn[1];
	b.pfn[1] = UINT64_MAX / 4096;
	struct storvsc_srb srb = storvsc_rw(0, false, 0, &b, 512);
	T_TRUE(storvsc_do(c, &srb, &a));
	check_invalid();
	b.pfn[1] = pfn;
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	fake_buf_fini(&b);
	end();
}

static void more_data_than_a_transfer_may_have_is_refused(void)
{
	struct fake_buf b;
	begin();
	s.to_host_pages = 33;
	storvsc_disk(&s, 0, VHDX_FORMAT_RAW, 4 * MIB);
	T_OK(storvsc_add(&s, 0, &t_err));
	T_TRUE(storvsc_connect(&s, VSTOR_V6_2));
	fake_buf_init(&b, &s.guest, 512, SCSI_TRANSFER_MAX + 512);
	struct storvsc_srb srb = storvsc_rw(0, false, 0, &b, 512);
	T_TRUE(storvsc_do(c, &srb, &a));
	check_invalid();
	b.len = SCSI_TRANSFER_MAX;
	srb = storvsc_rw(0, false, 0, &b, 512);
	T_TRUE(storvsc_do(c, &srb, &a));
	T_EQ_U64(a.srb_status, VSTOR_SRB_SUCCESS);
	T_EQ_U64(a.data_len, SCSI_TRANSFER_MAX);
	fake_buf_fini(&b);
	end();
}

static void a_completion_of_the_guest_is_ignored(void)
{
	uint8_t p[80] = { VMBUS_PKT_COMPLETION, 0, 2, 0, 10 };
	begin_with_disks(0, 1);
	for (unsigned i = 0; i < 2 * 256; i++) /* the pool does not leak */
		while (!fake_put(c->f, p, sizeof(p)))
			T_EQ_U64(tur_at(0, 0, 0), VSTOR_SRB_SUCCESS);
	T_EQ_U64(tur_at(0, 0, 0), VSTOR_SRB_SUCCESS);
	end();
}

static void what_wants_no_completion_gets_none(void)
{
	uint8_t p[80] = { VMBUS_PKT_INBAND, 0, 2, 0, 10, [8] = 7,
			  [16] = VSTOR_EXECUTE_SRB, [38] = VSTOR_NO_DATA };
	begin_with_disks(0, 1);
	T_TRUE(fake_put(c->f, p, sizeof(p)));
	T_EQ_U64(tur_at(0, 0, 0), VSTOR_SRB_SUCCESS); /* 7 would abort */
	end();
}

static const struct t_test tests[] = {
	T_TEST(every_version_introduces_itself),
	T_TEST(an_unknown_version_leaves_room_for_another),
	T_TEST(steps_out_of_order_are_refused),
	T_TEST(properties_tell_what_is_possible),
	T_TEST(version_5_1_has_no_subchannels),
	T_TEST(subchannels_are_offered_as_asked),
	T_TEST(a_subchannel_needs_an_introduced_primary),
	T_TEST(a_subchannel_introduces_nothing),
	T_TEST(after_a_close_it_begins_anew),
	T_TEST(only_units_that_are_there_answer),
	T_TEST(report_luns_names_them_with_and_without_lun_0),
	T_TEST(inquiry_is_answered_where_no_disk_is),
	T_TEST(a_lun_is_taken_once),
	T_TEST(a_disk_that_does_not_open_is_not_there),
	T_TEST(unknown_operations_are_refused),
	T_TEST(packets_too_short_are_answered),
	T_TEST(data_without_pages_is_refused),
	T_TEST(more_data_than_its_range_is_refused),
	T_TEST(pages_that_are_no_memory_are_refused),
	T_TEST(more_data_than_a_transfer_may_have_is_refused),
	T_TEST(a_completion_of_the_guest_is_ignored),
	T_TEST(what_wants_no_completion_gets_none),
	T_END,
};

const struct t_suite t_suite_storvsp = { "storvsp", tests };
