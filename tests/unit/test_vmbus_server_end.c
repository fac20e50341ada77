/* SPDX-License-Identifier: MIT */
/* How things end: rescind, release, unload, kexec, reset. */
#include "t_vmbus.h"

#include <string.h>

#include "mem.h"
#include "server_priv.h"

static struct t_bus b;

#define OPEN(vp) guest_open(1, 7, 100, 2, (vp))
#define CLOSE guest_relid(GUEST_CLOSE, 1)
#define TEAR guest_pair(GUEST_TEARDOWN, 1, 100)
#define RELEASE(relid) guest_relid(GUEST_RELEASED, (relid))
#define UNLOAD guest_bare(GUEST_UNLOAD)
#define REQUEST guest_bare(GUEST_REQUEST_OFFERS)
#define CONTACT guest_contact(V5_3, 0)

/* ---- rescind ------------------------------------------------------------ */

static void device_goes_when_the_guest_has_released_it(void)
{
	t_bus_open(&b);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, TEAR, "");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100");
	T_MSG(&b, RELEASE(1), "GONE 1");
	T_TRUE(!b.s->by_relid[1] && list_empty(&b.s->devs));
	t_bus_end(&b);
}

static void device_nobody_was_offered_goes_at_once(void)
{
	t_bus_begin(&b);
	t_bus_offer(&b, 1);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "GONE 1");
	T_MSG(&b, CONTACT, "version 5.3 4");
	t_bus_offer(&b, 2);
	t_bus_rescind(&b, 2);
	t_bus_rescind(&b, 2);
	T_SAYS(&b, "GONE 2");
	T_MSG(&b, REQUEST, "offers done");
	t_bus_end(&b);
}

static void offer_that_was_not_sent_is_taken_back_silently(void)
{
	t_bus_offered(&b);
	t_bus_offer(&b, 2);
	t_bus_rescind(&b, 2);
	T_SAYS(&b, "GONE 2");
	t_bus_end(&b);
}

static void relid_is_not_given_out_before_it_is_released(void)
{
	t_bus_offered(&b);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	b.s->last_relid = VMBUS_RELID_MAX; /* 1 is next */
	T_EQ_U64(t_bus_offer(&b, 2), 2);
	T_SAYS(&b, "offer 2/0");
	T_MSG(&b, RELEASE(1), "GONE 1");
	b.s->last_relid = VMBUS_RELID_MAX;
	T_EQ_U64(t_bus_offer(&b, 3), 1);
	t_bus_end(&b);
}

static void released_relid_of_an_open_channel_waits_for_its_vsp(void)
{
	t_bus_open(&b);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	T_MSG(&b, RELEASE(1), "CLOSE 1");
	b.s->last_relid = VMBUS_RELID_MAX;
	T_EQ_U64(t_bus_offer(&b, 2), 2);
	T_SAYS(&b, "offer 2/0");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "GONE 1");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

/* As Linux does when the rescind arrives while it waits for the result. */
static void rescind_while_opening_ends_without_a_close(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	T_MSG(&b, TEAR, "");
	T_MSG(&b, RELEASE(1), "");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100; GONE 1");
	t_bus_end(&b);
}

static void rescind_before_the_result_still_gives_the_result(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_rescind(&b, 1);
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "rescind 1; result 1 7 ok");
	T_MSG(&b, CLOSE, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_MSG(&b, RELEASE(1), "GONE 1");
	t_bus_end(&b);
}

static void rescinded_channel_opens_no_more_but_keeps_answering(void)
{
	t_bus_ringed(&b);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	T_MSG(&b, OPEN(0), "");
	T_MSG(&b, CLOSE, "");
	T_MSG(&b, guest_gpadl(1, 101, 4, 0), "created 1 101 ok");
	T_MSG(&b, TEAR, "torn 100");
	T_MSG(&b, RELEASE(1), "GONE 1");
	T_MSG(&b, guest_pair(GUEST_TEARDOWN, 1, 101), "TELL; torn 101");
	t_bus_end(&b);
}

static void ring_of_a_rescinded_channel_goes_without_a_word(void)
{
	t_bus_open(&b);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	T_MSG(&b, TEAR, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "torn 100");
	t_bus_end(&b);
}

static void subchannels_are_rescinded_before_their_primary(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 2);
	T_SAYS(&b, "offer 2/1; offer 3/2");
	t_bus_open_more(&b, 2, 200);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 2; rescind 3; rescind 1");
	T_MSG(&b, RELEASE(3), "");
	T_MSG(&b, CLOSE, "CLOSE 2; CLOSE 1");
	t_bus_closed(&b, 1);
	T_MSG(&b, RELEASE(1), "");
	t_bus_closed(&b, 2);
	T_MSG(&b, RELEASE(2), "GONE 1");
	t_bus_end(&b);
}

static void rescind_with_offers_under_way_takes_those_back(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 3);
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 1");
	T_TRUE(!b.s->by_relid[2] && !b.s->by_relid[4]);
	t_bus_end(&b);
}

/* Linux does so when it cannot make a device of an offer. */
static void offer_may_be_released_unasked(void)
{
	t_bus_open(&b);
	t_bus_offer(&b, 2);
	T_SAYS(&b, "offer 2/0");
	T_MSG(&b, RELEASE(2), "");
	T_MSG(&b, RELEASE(2), "TELL");
	T_MSG(&b, REQUEST, "offers done");
	t_bus_rescind(&b, 2);
	T_SAYS(&b, "GONE 2");
	t_bus_end(&b);
}

static void device_released_unasked_is_offered_to_the_next_guest(void)
{
	t_bus_offered(&b);
	T_MSG(&b, RELEASE(1), "");
	T_MSG(&b, UNLOAD, "unloaded");
	T_MSG(&b, CONTACT, "version 5.3 4");
	T_MSG(&b, REQUEST, "offer 1/0; offers done");
	t_bus_end(&b);
}

/* ---- unload ------------------------------------------------------------- */

static void unload_is_answered_when_every_channel_is_closed(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 1);
	T_SAYS(&b, "offer 2/1");
	t_bus_open_more(&b, 2, 200);
	T_MSG(&b, UNLOAD, "CLOSE 2; CLOSE 1");
	T_EQ_U64(vmbus_server_version(b.s), 0);
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 1);
	t_bus_closed(&b, 2);
	T_SAYS(&b, "unloaded");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

static void unload_waits_for_an_opening_channel(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	T_MSG(&b, UNLOAD, "");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "unloaded");
	t_bus_end(&b);
}

static void unload_waits_for_a_refusal(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	T_MSG(&b, UNLOAD, "");
	t_bus_opened(&b, 1, false);
	T_SAYS(&b, "unloaded");
	t_bus_end(&b);
}

static void unload_drops_what_was_to_be_answered(void)
{
	t_bus_open(&b);
	T_MSG(&b, guest_gpadl(1, 101, 60, 0), "");
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, guest_open(1, 8, 100, 2, 0), "");
	T_MSG(&b, TEAR, "TELL");
	T_MSG(&b, UNLOAD, "");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "unloaded"); /* no open, nothing torn */
	t_bus_end(&b);
}

static void teardown_overtaken_by_an_unload_is_not_answered(void)
{
	t_bus_open(&b);
	t_bus_offer(&b, 2);
	T_SAYS(&b, "offer 2/0");
	t_bus_open_more(&b, 2, 200);
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, TEAR, "");
	T_MSG(&b, UNLOAD, "CLOSE 2");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	t_bus_closed(&b, 2);
	T_SAYS(&b, "unloaded");
	t_bus_end(&b);
}

static void while_unloading_messages_are_told_only(void)
{
	t_bus_open(&b);
	T_MSG(&b, UNLOAD, "CLOSE 1");
	T_MSG(&b, TEAR, "TELL");
	T_MSG(&b, REQUEST, "TELL");
	T_MSG(&b, RELEASE(1), "TELL");
	T_MSG(&b, UNLOAD, "");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "unloaded");
	t_bus_end(&b);
}

static void unload_without_a_connection_is_answered(void)
{
	t_bus_begin(&b);
	T_MSG(&b, UNLOAD, "unloaded");
	T_MSG(&b, CONTACT, "version 5.3 4");
	T_MSG(&b, UNLOAD, "unloaded");
	T_MSG(&b, UNLOAD, "unloaded");
	t_bus_end(&b);
}

static void after_unload_everything_begins_anew(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, UNLOAD, "unloaded");
	T_MSG(&b, guest_contact(PROTO_V(4, 1), 0), "version 4.1 1");
	T_MSG(&b, guest_gpadl(1, 100, 4, 0), "TELL; created 1 100 no");
	T_MSG(&b, REQUEST, "offer 1/0; offers done");
	T_MSG(&b, guest_gpadl(1, 100, 4, 0), "created 1 100 ok");
	t_bus_end(&b);
}

static void rescinded_device_goes_with_the_guest(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 2);
	T_SAYS(&b, "offer 2/1; offer 3/2");
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "rescind 2; rescind 3; rescind 1");
	T_MSG(&b, UNLOAD, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "GONE 1; unloaded");
	t_bus_end(&b);
}

static void device_may_be_rescinded_while_the_guest_leaves(void)
{
	t_bus_open(&b);
	T_MSG(&b, UNLOAD, "CLOSE 1");
	t_bus_rescind(&b, 1);
	T_SAYS(&b, "");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "GONE 1; unloaded");
	t_bus_end(&b);
}

static void device_may_be_added_while_the_guest_leaves(void)
{
	t_bus_open(&b);
	T_MSG(&b, UNLOAD, "CLOSE 1");
	T_EQ_U64(t_bus_offer(&b, 2), 2);
	t_bus_subs(&b, 1, 2);
	t_bus_closed(&b, 1);
	T_SAYS(&b, "unloaded");
	T_MSG(&b, CONTACT, "version 5.3 4");
	T_MSG(&b, REQUEST, "offer 1/0; offer 2/0; offers done");
	t_bus_end(&b);
}

/* ---- kexec: a guest that does not say good-bye -------------------------- */

static void contact_over_open_channels_waits_for_their_close(void)
{
	t_bus_open(&b);
	T_MSG(&b, guest_contact(PROTO_V(5, 2), 2), "TELL; CLOSE 1");
	T_EQ_U64(vmbus_server_version(b.s), 0);
	t_bus_closed(&b, 1);
	T_SAYS(&b, "@2.2 version 5.2 4");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	T_MSG(&b, REQUEST, "@2.2 offer 1/0; @2.2 offers done");
	t_bus_end(&b);
}

static void contact_over_a_quiet_connection_is_answered_at_once(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, CONTACT, "version 5.3 4");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	T_MSG(&b, REQUEST, "offer 1/0; offers done");
	t_bus_end(&b);
}

static void latest_of_unload_and_contact_is_answered(void)
{
	t_bus_open(&b);
	T_MSG(&b, UNLOAD, "CLOSE 1");
	T_MSG(&b, guest_contact(PROTO_V(6, 0), 0), "TELL");
	T_MSG(&b, guest_contact(PROTO_V(5, 0), 0), "TELL");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "version 5.0 4");
	t_bus_end(&b);
	t_bus_open(&b);
	T_MSG(&b, CONTACT, "TELL; CLOSE 1");
	T_MSG(&b, UNLOAD, "");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "unloaded");
	t_bus_end(&b);
}

/* ---- reset -------------------------------------------------------------- */

static void reset_closes_and_says_nothing_to_the_guest(void)
{
	t_bus_open(&b);
	t_bus_subs(&b, 1, 1);
	T_SAYS(&b, "offer 2/1");
	t_bus_reset(&b);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	T_MSG(&b, CONTACT, "version 5.3 4");
	T_MSG(&b, REQUEST, "offer 1/0; offers done");
	t_bus_end(&b);
}

static void reset_takes_back_what_is_under_way(void)
{
	t_bus_ringed(&b);
	t_bus_msg(&b, OPEN(0)); /* the VSP has not heard of it */
	t_bus_offer(&b, 2);
	t_bus_reset(&b);
	T_SAYS(&b, "");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	T_MSG(&b, CONTACT, "version 5.3 4");
	t_bus_reset(&b);
	t_bus_msg(&b, CONTACT);
	t_bus_reset(&b);
	T_SAYS(&b, "");
	t_bus_end(&b);
}

static void reset_takes_back_answers(void)
{
	t_bus_open(&b);
	t_bus_msg(&b, guest_pair(GUEST_MODIFY, 1, 2));
	t_bus_reset(&b);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	t_bus_msg(&b, UNLOAD);
	t_bus_reset(&b);
	T_SAYS(&b, "");
	t_bus_end(&b);
}

static void reset_takes_back_a_teardown(void)
{
	t_bus_ringed(&b);
	t_bus_msg(&b, TEAR);
	t_bus_reset(&b);
	T_SAYS(&b, "");
	T_EQ_U64(b.s->gpadls.cnt, 0);
	t_bus_end(&b);
}

static void reset_while_opening_closes_what_gets_opened(void)
{
	t_bus_ringed(&b);
	T_MSG(&b, OPEN(0), "OPEN 1/0 @0 2+2");
	t_bus_reset(&b);
	T_SAYS(&b, "");
	t_bus_opened(&b, 1, true);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	t_bus_end(&b);
}

static void reset_forgets_an_opening_after_a_close(void)
{
	t_bus_open(&b);
	T_MSG(&b, CLOSE, "CLOSE 1");
	T_MSG(&b, OPEN(0), "");
	t_bus_reset(&b);
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	T_EQ_U64(vmbus_server_open_cnt(b.s), 0);
	t_bus_end(&b);
}

static void reset_while_unloading_answers_nothing(void)
{
	t_bus_open(&b);
	T_MSG(&b, UNLOAD, "CLOSE 1");
	t_bus_reset(&b);
	t_bus_closed(&b, 1);
	T_SAYS(&b, "");
	t_bus_end(&b);
}

static void new_guest_waits_for_the_close_of_the_old_ones_channels(void)
{
	t_bus_open(&b);
	t_bus_reset(&b);
	T_SAYS(&b, "CLOSE 1");
	T_MSG(&b, CONTACT, "TELL");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "version 5.3 4");
	t_bus_end(&b);
}

static void reset_forgets_where_the_guest_was(void)
{
	t_bus_begin(&b);
	T_MSG(&b, guest_contact(V5_3, 3), "@3.2 version 5.3 4");
	t_bus_reset(&b);
	T_MSG(&b, UNLOAD, "unloaded");
	t_bus_end(&b);
}

static void reset_lets_rescinded_devices_go(void)
{
	t_bus_open(&b);
	t_bus_rescind(&b, 1);
	t_bus_reset(&b);
	T_SAYS(&b, "CLOSE 1");
	t_bus_closed(&b, 1);
	T_SAYS(&b, "GONE 1");
	t_bus_end(&b);
}

static void reset_without_a_guest_changes_nothing(void)
{
	t_bus_begin(&b);
	t_bus_offer(&b, 1);
	t_bus_reset(&b);
	t_bus_reset(&b);
	T_SAYS(&b, "");
	T_MSG(&b, CONTACT, "version 5.3 4");
	T_MSG(&b, REQUEST, "offer 1/0; offers done");
	t_bus_end(&b);
}

static void many_lives_leave_nothing_behind(void)
{
	uint64_t live = mem_live_cnt();

	t_bus_open(&b);
	for (unsigned i = 0; i < 50; i++) {
		t_bus_subs(&b, 1, 5);
		(void)t_bus_said(&b);
		t_bus_msg(&b, i % 2 ? UNLOAD : CONTACT);
		(void)t_bus_said(&b);
		t_bus_closed(&b, 1);
		(void)t_bus_said(&b);
		t_bus_msg(&b, CONTACT);
		(void)t_bus_said(&b);
		T_MSG(&b, REQUEST, "offer 1/0; offers done");
		t_bus_open_more(&b, 1, i);
	}
	t_bus_end(&b);
	T_EQ_U64(mem_live_cnt(), live);
}

static const struct t_test tests[] = {
	T_TEST(device_goes_when_the_guest_has_released_it),
	T_TEST(device_nobody_was_offered_goes_at_once),
	T_TEST(offer_that_was_not_sent_is_taken_back_silently),
	T_TEST(relid_is_not_given_out_before_it_is_released),
	T_TEST(released_relid_of_an_open_channel_waits_for_its_vsp),
	T_TEST(rescind_while_opening_ends_without_a_close),
	T_TEST(rescind_before_the_result_still_gives_the_result),
	T_TEST(rescinded_channel_opens_no_more_but_keeps_answering),
	T_TEST(ring_of_a_rescinded_channel_goes_without_a_word),
	T_TEST(subchannels_are_rescinded_before_their_primary),
	T_TEST(rescind_with_offers_under_way_takes_those_back),
	T_TEST(offer_may_be_released_unasked),
	T_TEST(device_released_unasked_is_offered_to_the_next_guest),
	T_TEST(unload_is_answered_when_every_channel_is_closed),
	T_TEST(unload_waits_for_an_opening_channel),
	T_TEST(unload_waits_for_a_refusal),
	T_TEST(unload_drops_what_was_to_be_answered),
	T_TEST(teardown_overtaken_by_an_unload_is_not_answered),
	T_TEST(while_unloading_messages_are_told_only),
	T_TEST(unload_without_a_connection_is_answered),
	T_TEST(after_unload_everything_begins_anew),
	T_TEST(rescinded_device_goes_with_the_guest),
	T_TEST(device_may_be_rescinded_while_the_guest_leaves),
	T_TEST(device_may_be_added_while_the_guest_leaves),
	T_TEST(contact_over_open_channels_waits_for_their_close),
	T_TEST(contact_over_a_quiet_connection_is_answered_at_once),
	T_TEST(latest_of_unload_and_contact_is_answered),
	T_TEST(reset_closes_and_says_nothing_to_the_guest),
	T_TEST(reset_takes_back_what_is_under_way),
	T_TEST(reset_takes_back_answers),
	T_TEST(reset_takes_back_a_teardown),
	T_TEST(reset_while_opening_closes_what_gets_opened),
	T_TEST(reset_forgets_an_opening_after_a_close),
	T_TEST(reset_while_unloading_answers_nothing),
	T_TEST(new_guest_waits_for_the_close_of_the_old_ones_channels),
	T_TEST(reset_forgets_where_the_guest_was),
	T_TEST(reset_lets_rescinded_devices_go),
	T_TEST(reset_without_a_guest_changes_nothing),
	T_TEST(many_lives_leave_nothing_behind),
	T_END,
};

const struct t_suite t_suite_vmbus_server_end = { "vmbus_server_end", tests };
