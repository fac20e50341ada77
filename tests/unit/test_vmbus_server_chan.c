/* SPDX-License-Identifier: MIT */
/* Channels: open, close, other processors, subchannels. */
#include "t_vmbus.h"

#include <string.h>

#include "server_priv.h"

static struct t_bus b;

#define OPEN(vp) guest_open(1, 7, 100, 2, (vp))
#define CLOSE guest_relid(GUEST_CLOSE, 1)
#define TEAR guest_pair(GUEST_TEARDOWN, 1, 100)
#define MODIFY(relid, vp) guest_pair(GUEST_MODIFY, (relid), (vp))

/* ---- open --------------------------------------------------------------- */

static void open_is_answered_when_the_vsp_has_answered(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(3), "OPEN 1/0 @3 2+2");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 1);
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 7 ok");
	t_bus_end(&b);
}

static void refused_open_is_answered_and_may_be_tried_again(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_opened(&b, 1, false);
	T_SAYS(&b, "result 1 7 no");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 7 ok");
	t_bus_end(&b);
}

static void open_with_what_is_no_pair_of_rings_is_refused(void)
{
	static const uint64_t two[] = { 4096, 7, 4096, 8 };
	static const uint64_t odd[] = { 8191, 7, 8 };
	static const uint64_t off[] = { UINT64_C(1) << 32 | 4096, 7, 8 };
	static const uint32_t to_host[] = { 0, 4, 5, UINT32_MAX };

	t_bus_ringed(&b);
	for (size_t i = 0; i < ARRAY_LEN(to_host); i++)
		T_MSG(&b, guest_open(1, 7, 100, to_host[i], 0),
		      "TELL; result 1 7 no");
	T_MSG(&b, guest_gpadl_raw(1, 1, 32, 2, two, 4), "created 1 1 ok");
	T_MSG(&b, guest_gpadl_raw(1, 2, 24, 1, odd, 3), "created 1 2 ok");
	T_MSG(&b, guest_gpadl_raw(1, 3, 24, 1, off, 3), "created 1 3 ok");
	T_MSG(&b, guest_gpadl(1, 4, 60, 0), "");
	for (uint32_t id = 1; id <= 5; id++) /* 5: there is none */
		T_MSG(&b, guest_open(1, 7, id, 1, 0), "TELL; result 1 7 no");
	t_bus_end(&b);
}

static void open_with_the_ring_of_another_channel_is_refused(void)
{
	t_bus_ringed(&b);
	T_EQ_U64(t_bus_offer(&b, 2), 2);
	T_SAYS(&b, "offer 2/0");
	T_MSG(&b, guest_open(2, 7, 100, 2, 0), "TELL; result 2 7 no");
	t_bus_end(&b);
}

static void open_at_no_processor_is_refused(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(4), "TELL; result 1 7 no");
	T_MSG(&b, OPEN(UINT32_MAX), "TELL; result 1 7 no");
	t_bus_end(&b);
}

static void open_of_no_channel_is_refused(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, guest_open(0, 7, 100, 2, 0), "TELL; result 0 7 no");
	T_MSG(&b, guest_open(2048, 7, 100, 2, 0), "TELL; result 2048 7 no");
	t_bus_end(&b);
}

static void open_of_an_open_channel_is_refused_and_changes_nothing(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	T_MSG(&b, guest_open(1, 8, 100, 1, 1), "TELL; result 1 8 no");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 7 ok");
	T_MSG(&b, guest_open(1, 8, 100, 1, 1), "TELL; result 1 8 no");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 1);
	t_bus_end(&b);
}

/* ---- close -------------------------------------------------------------- */

static void torn_down_is_said_only_after_the_vsp_has_closed(void)
{
	t_bus_open(&b);
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, TEAR, "");
	T_MSG(&b, TEAR, "TELL"); /* the answer is still to come */
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	t_bus_end(&b);
}

static void closed_channel_keeps_its_ring_until_teardown(void)
{
	t_bus_open(&b);
	T_MSG(&b, CLOSE, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	T_MSG(&b, OPEN(2), "OPEN 1/0 @2 2+2");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 7 ok");
	t_bus_end(&b);
}

static void close_of_a_closed_channel_is_told(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, CLOSE, "TELL");
	T_MSG(&b, guest_relid(GUEST_CLOSE, 2), "TELL");
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 7 ok");
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, CLOSE, "TELL");
	t_bus_end(&b);
}

static void close_before_the_answer_closes_what_gets_opened(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	T_MSG(&b, CLOSE, "");
	T_MSG(&b, TEAR, "");
	T_MSG(&b, guest_open(1, 8, 100, 2, 0), "TELL; result 1 8 no");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100");
	t_bus_end(&b);
}

static void close_before_a_refusal_closes_nothing(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	T_MSG(&b, CLOSE, "");
	T_MSG(&b, TEAR, "");
	t_bus_opened(&b, 1, false);
	T_SAYS(&b, "torn 100");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	t_bus_end(&b);
}

static void teardown_under_an_open_channel_closes_it_first(void)
{
	t_bus_open(&b);
	T_MSG(&b, TEAR, "TELL; CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100");
	t_bus_end(&b);
}

static void other_gpadls_go_while_their_channel_is_open(void)
{
	t_bus_open(&b);
	T_MSG(&b, guest_gpadl(1, 101, 9, 0), "created 1 101 ok");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 101), "torn 101");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 1);
	t_bus_end(&b);
}

/* ---- open again while it closes ----------------------------------------- */

static void open_while_closing_waits_for_the_close(void)
{
	t_bus_open(&b);
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, guest_open(1, 8, 100, 1, 3), "");
	T_MSG(&b, guest_open(1, 9, 100, 1, 3), "TELL; result 1 9 no");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "OPEN 1/0 @3 1+3");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 8 ok");
	t_bus_end(&b);
}

static void old_ring_goes_while_the_channel_opens_with_another(void)
{
	t_bus_open(&b);
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, guest_gpadl(1, 101, 6, 0x9000), "created 1 101 ok");
	T_MSG(&b, guest_open(1, 8, 101, 3, 0), "");
	T_MSG(&b, TEAR, "");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "OPEN 1/0 @0 3+3; torn 100");
	T_EQ_U64(b.pfn[5], 0x9005);
	t_bus_end(&b);
}

static void open_while_closing_is_withdrawn_by_close_or_teardown(void)
{
	t_bus_open(&b);
	T_MSG(&b, guest_gpadl(1, 101, 6, 0), "created 1 101 ok");
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, guest_open(1, 8, 101, 3, 0), "");
	T_MSG(&b, CLOSE, "");
	T_MSG(&b, guest_open(1, 8, 101, 3, 0), "");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 101), "TELL; torn 101");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	t_bus_end(&b);
}

static void same_ring_torn_down_while_reopening_waits_for_the_close(void)
{
	t_bus_open(&b);
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, guest_open(1, 8, 100, 2, 0), "");
	T_MSG(&b, TEAR, "TELL");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100");
	t_bus_end(&b);
}

/* ---- another processor -------------------------------------------------- */

static void channel_moves_before_the_guest_is_answered(void)
{
	t_bus_open(&b);
	T_MSG(&b, MODIFY(1, 3), "RETARGET 1 @3; modified 1 ok");
	t_bus_end(&b);
}

static void impossible_moves_are_refused_and_answered(void)
{
	t_bus_open(&b);
	T_MSG(&b, MODIFY(1, 4), "TELL; modified 1 no");
	T_MSG(&b, MODIFY(2, 1), "TELL; modified 2 no");
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, MODIFY(1, 1), "TELL; modified 1 no");
	t_bus_closed(&b, 1);
	T_MSG(&b, MODIFY(1, 1), "TELL; modified 1 no");
	t_bus_end(&b);
}

/* Opens channel 1 with this version. */
static void open_as(uint32_t version)
{
	t_bus_begin(&b);
	t_bus_offer(&b, 1);
	t_bus_msg(&b, guest_contact(version, 0));
	(void)t_bus_said(&b);
	T_MSG(&b, guest_bare(GUEST_REQUEST_OFFERS), "offer 1/0; offers done");
	t_bus_open_more(&b, 1, 100);
}

static void moves_are_answered_from_5_3_only(void)
{
	open_as(PROTO_V(5, 2));
	T_MSG(&b, MODIFY(1, 3), "RETARGET 1 @3");
	T_MSG(&b, MODIFY(1, 9), "TELL");
	t_bus_end(&b);
	open_as(PROTO_V(4, 1));
	T_MSG(&b, MODIFY(1, 3), "RETARGET 1 @3");
	t_bus_end(&b);
	open_as(PROTO_V(4, 0)); /* which has none */
	T_MSG(&b, MODIFY(1, 3), "TELL");
	t_bus_end(&b);
}

/* ---- subchannels -------------------------------------------------------- */

static void subchannels_are_offered_and_opened_like_channels(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 2);
	T_SAYS(&b, "offer 2/1; offer 3/2");
	T_MSG(&b, guest_gpadl(3, 200, 8, 0), "created 3 200 ok");
	T_MSG(&b, guest_open(3, 5, 200, 4, 1), "OPEN 3/2 @1 4+4");
	T_TRUE(b.dev == T_DEV(1) && b.conn_id == 0x1003);
	t_bus_opened(&b, 3, true);
	T_SAYS(&b, "result 3 5 ok");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 2);
	t_bus_end(&b);
}

static void subchannels_that_are_there_are_not_offered_again(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 2);
	T_SAYS(&b, "offer 2/1; offer 3/2");
	t_bus_subs(&b, 1, 3);
	T_SAYS(&b, "offer 4/3");
	t_bus_subs(&b, 1, 1);
	T_SAYS(&b, "");
	t_bus_end(&b);
}

static void subchannels_need_an_open_primary(void)
{
	t_bus_ringed(&b);
	t_bus_subs(&b, 1, 2);
	T_SAYS(&b, "");
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_subs(&b, 1, 2);
	t_bus_subs(&b, 99, 2); /* a device that has just gone */
	T_SAYS(&b, "");
	t_bus_end(&b);
}

static void subchannels_stop_where_relids_end(void)
{
	struct vmbus_action a;
	unsigned cnt = 0;

	t_bus_open(&b);
	vmbus_server_offer_subs(b.s, T_DEV(1), 5000);
	while (vmbus_server_next(b.s, &a))
		cnt++;
	T_EQ_U64(cnt, 2046);
	T_TRUE(b.s->by_relid[2047] != NULL);
	T_EQ_U64(b.s->by_relid[2047]->sub_index, 2046);
	t_bus_end(&b);
}

static void closed_primary_takes_its_subchannels_along(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 2);
	T_SAYS(&b, "offer 2/1; offer 3/2");
	t_bus_open_more(&b, 2, 200);
	T_MSG(&b, CLOSE, "CLOSE 2; rescind 2; rescind 3; CLOSE 1");
	/* The guest's own words come too late, and are not wrong. */
	T_MSG(&b, guest_relid(GUEST_CLOSE, 2), "");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 2, 200), "");
	t_bus_closed(&b, 2);
	T_SAYS(&b, "torn 200");
	T_MSG(&b, guest_relid(GUEST_RELEASED, 2), "");
	T_TRUE(!b.s->by_relid[2] && b.s->by_relid[3]);
	t_bus_end(&b);
}

static void subchannels_come_anew_when_the_primary_opens_again(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 1);
	T_SAYS(&b, "offer 2/1");
	T_MSG(&b, CLOSE, "rescind 2; CLOSE 1");
	t_bus_closed(&b, 1);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "result 1 7 ok");
	t_bus_subs(&b, 1, 1); /* 2 has not been released */
	T_SAYS(&b, "offer 3/1");
	t_bus_end(&b);
}

static void subchannel_closes_alone_and_opens_again(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 1);
	T_SAYS(&b, "offer 2/1");
	t_bus_open_more(&b, 2, 200);
	T_MSG(&b, guest_relid(GUEST_CLOSE, 2), "CLOSE 2");
	t_bus_closed(&b, 2);
	T_MSG(&b, guest_open(2, 9, 200, 2, 0), "OPEN 2/1 @0 2+2");
	t_bus_end(&b);
}

static const struct t_test tests[] = {
	T_TEST(open_is_answered_when_the_vsp_has_answered),
	T_TEST(refused_open_is_answered_and_may_be_tried_again),
	T_TEST(open_with_what_is_no_pair_of_rings_is_refused),
	T_TEST(open_with_the_ring_of_another_channel_is_refused),
	T_TEST(open_at_no_processor_is_refused),
	T_TEST(open_of_no_channel_is_refused),
	T_TEST(open_of_an_open_channel_is_refused_and_changes_nothing),
	T_TEST(torn_down_is_said_only_after_the_vsp_has_closed),
	T_TEST(closed_channel_keeps_its_ring_until_teardown),
	T_TEST(close_of_a_closed_channel_is_told),
	T_TEST(close_before_the_answer_closes_what_gets_opened),
	T_TEST(close_before_a_refusal_closes_nothing),
	T_TEST(teardown_under_an_open_channel_closes_it_first),
	T_TEST(other_gpadls_go_while_their_channel_is_open),
	T_TEST(open_while_closing_waits_for_the_close),
	T_TEST(old_ring_goes_while_the_channel_opens_with_another),
	T_TEST(open_while_closing_is_withdrawn_by_close_or_teardown),
	T_TEST(same_ring_torn_down_while_reopening_waits_for_the_close),
	T_TEST(channel_moves_before_the_guest_is_answered),
	T_TEST(impossible_moves_are_refused_and_answered),
	T_TEST(moves_are_answered_from_5_3_only),
	T_TEST(subchannels_are_offered_and_opened_like_channels),
	T_TEST(subchannels_that_are_there_are_not_offered_again),
	T_TEST(subchannels_need_an_open_primary),
	T_TEST(subchannels_stop_where_relids_end),
	T_TEST(closed_primary_takes_its_subchannels_along),
	T_TEST(subchannels_come_anew_when_the_primary_opens_again),
	T_TEST(subchannel_closes_alone_and_opens_again),
	T_END,
};

const struct t_suite t_suite_vmbus_server_chan = { "vmbus_server_chan",
						   tests };
