/* SPDX-License-Identifier: MIT */
/* The connection: contact, versions, offers, unload, reset. */
#include "t_vmbus.h"

#include <string.h>

#include "le.h"
#include "mem.h"
#include "server_priv.h"

#define V(major, minor) PROTO_V(major, minor)

static struct t_bus b;

/* ---- contact ------------------------------------------------------------ */

static void versions_from_4_0_to_5_3_are_spoken(void)
{
	static const uint32_t v[] = { V(4, 0), V(4, 1), V(5, 0), V(5, 1),
				      V(5, 2), V(5, 3) };
	char want[32];

	t_bus_begin(&b);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		snprintf(want, sizeof(want), "version %u.%u %u", v[i] >> 16,
			 v[i] & 0xffff, v[i] < V(5, 0) ? 1 : 4);
		T_MSG(&b, guest_contact(v[i], 0), want);
		T_EQ_U64(vmbus_server_version(b.s), v[i]);
	}
	t_bus_end(&b);
}

static void other_versions_are_refused_and_the_next_may_be_tried(void)
{
	static const uint32_t v[] = { 0, V(0, 13), V(1, 1), V(2, 4), V(3, 0),
				      V(4, 2), V(5, 4), V(6, 0), UINT32_MAX };

	t_bus_begin(&b);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		T_MSG(&b, guest_contact(v[i], 0),
		      v[i] < V(5, 0) ? "version no 1" : "version no 4");
		T_EQ_U64(b.msg_len, 16);
		T_EQ_U64(vmbus_server_version(b.s), 0);
	}
	T_MSG(&b, guest_contact(V(5, 0), 0), "version 5.0 4");
	t_bus_end(&b);
}

static void refused_contact_ends_the_connection_before(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_contact(V(6, 0), 0), "version no 4");
	T_EQ_U64(vmbus_server_version(b.s), 0);
	T_MSG(&b, guest_bare(GUEST_REQUEST_OFFERS), "TELL");
	t_bus_end(&b);
}

static void answers_go_where_the_contact_says(void)
{
	struct guest_msg m = guest_contact(V5_3, 3);

	t_bus_begin(&b);
	m.p[16] = 5;
	T_MSG(&b, m, "@3.5 version 5.3 4");
	T_MSG(&b, guest_bare(GUEST_REQUEST_OFFERS), "@3.5 offers done");
	T_MSG(&b, guest_bare(GUEST_UNLOAD), "@3.5 unloaded");
	/* Before 5.0 there is an address in the place of the SINT. */
	T_MSG(&b, guest_contact(V(4, 1), 1), "@1.2 version 4.1 1");
	t_bus_end(&b);
}

static void contact_to_no_processor_is_told_and_changes_nothing(void)
{
	struct guest_msg m = guest_contact(V5_3, 0);

	t_bus_offered(&b);
	T_MSG(&b, guest_contact(V5_3, 4), "TELL");
	T_TRUE(strstr(b.told, "processor 4") != NULL);
	m.p[16] = 16;
	T_MSG(&b, m, "TELL");
	T_EQ_U64(vmbus_server_version(b.s), V5_3);
	T_MSG(&b, guest_gpadl(1, 100, 4, 1), "created 1 100 ok");
	t_bus_end(&b);
}

static void other_trust_levels_are_refused(void)
{
	struct guest_msg m = guest_contact(V5_3, 0);

	t_bus_begin(&b);
	m.p[17] = 2;
	T_MSG(&b, m, "version no 4");
	t_bus_end(&b);
}

static void features_are_answered_with_none_from_5_3(void)
{
	struct guest_msg m = guest_contact(V5_3, 0);

	t_bus_begin(&b);
	put_le32(m.p + 20, 0x2a);
	T_MSG(&b, m, "version 5.3 4");
	T_EQ_U64(b.msg_len, 20);
	T_EQ_U64(get_le32(b.msg + 16), 0);
	m = guest_contact(V(5, 2), 0);
	put_le32(m.p + 20, 0x2a);
	T_MSG(&b, m, "version 5.2 4");
	T_EQ_U64(b.msg_len, 16);
	t_bus_end(&b);
}

static void both_connections_are_listened_to_and_no_other(void)
{
	struct guest_msg m = guest_contact(V5_3, 0);

	t_bus_begin(&b);
	b.version = V5_3;
	vmbus_server_message(b.s, VMBUS_CONN_OLD, m.p, m.len);
	T_SAYS(&b, "version 5.3 4");
	vmbus_server_message(b.s, 2, m.p, m.len);
	T_SAYS(&b, "TELL");
	t_bus_end(&b);
}

/* ---- malformed ---------------------------------------------------------- */

static void short_messages_are_told_and_change_nothing(void)
{
	struct guest_msg m[] = {
		guest_bare(GUEST_REQUEST_OFFERS), guest_bare(GUEST_UNLOAD),
		guest_relid(GUEST_CLOSE, 1), guest_relid(GUEST_RELEASED, 1),
		guest_pair(GUEST_TEARDOWN, 1, 100),
		guest_pair(GUEST_MODIFY, 1, 1), guest_contact(V(5, 1), 0),
		guest_open(1, 1, 100, 2, 0), guest_tl_connect(1),
		guest_gpadl_raw(1, 101, 8, 1, NULL, 0),
		guest_gpadl_body(100, 0, 0, 0),
	};

	t_bus_open(&b);
	b.s->tells_left = 1000;
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		while (m[i].len--)
			T_MSG(&b, m[i], "TELL");
	T_EQ_U64(vmbus_server_version(b.s), V5_3);
	T_EQ_U64(vmbus_server_open_cnt(b.s), 1);
	t_bus_end(&b);
}

static void longer_messages_are_as_good(void)
{
	struct guest_msg m = guest_relid(GUEST_CLOSE, 1);

	t_bus_open(&b);
	m.len = 240;
	T_MSG(&b, m, "CLOSE 1");
	t_bus_closed(&b, 1);
	t_bus_end(&b);
}

static void message_beyond_240_bytes_is_told(void)
{
	static uint8_t p[VMBUS_MESSAGE_MAX + 1] = { GUEST_UNLOAD };

	t_bus_begin(&b);
	vmbus_server_message(b.s, VMBUS_CONN_NEW, p, sizeof(p));
	T_SAYS(&b, "TELL");
	vmbus_server_message(b.s, VMBUS_CONN_NEW, p, sizeof(p) - 1);
	T_SAYS(&b, "unloaded");
	t_bus_end(&b);
}

static void types_of_no_guest_are_told(void)
{
	static const uint32_t types[] = { 0, 1, 2, 4, 6, 10, 12, 15, 17, 18, 19,
					  20, 23, 24, 25, 26, UINT32_MAX };

	t_bus_offered(&b);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct guest_msg m = { .len = 240 };

		put_le32(m.p, types[i]);
		T_MSG(&b, m, "TELL");
		T_TRUE(strstr(b.told, "no guest sends") != NULL);
	}
	t_bus_end(&b);
}

static void without_a_connection_messages_are_told(void)
{
	struct guest_msg m[] = {
		guest_bare(GUEST_REQUEST_OFFERS), guest_relid(GUEST_CLOSE, 1),
		guest_relid(GUEST_RELEASED, 1),
		guest_pair(GUEST_TEARDOWN, 1, 1),
		guest_pair(GUEST_MODIFY, 1, 1), guest_open(1, 1, 100, 2, 0),
		guest_tl_connect(1), guest_gpadl(1, 1, 4, 0),
		guest_gpadl_body(1, 4, 0, 0),
	};

	t_bus_begin(&b);
	t_bus_offer(&b, 1);
	for (size_t i = 0; i < ARRAY_LEN(m); i++) {
		T_MSG(&b, m[i], "TELL");
		T_TRUE(strstr(b.told, "without a connection") != NULL);
	}
	t_bus_end(&b);
}

static void telling_ends_and_begins_again_with_a_reset(void)
{
	unsigned cnt = 0;

	t_bus_begin(&b);
	for (unsigned i = 0; i < 3 * SERVER_TELLS; i++) {
		t_bus_msg(&b, guest_relid(GUEST_CLOSE, 1));
		cnt += !strcmp(t_bus_said(&b), "TELL");
	}
	T_EQ_U64(cnt, SERVER_TELLS);
	T_TRUE(strstr(b.told, "no more of this") != NULL);
	t_bus_reset(&b);
	T_MSG(&b, guest_relid(GUEST_CLOSE, 1), "TELL");
	t_bus_end(&b);
}

/* ---- offers ------------------------------------------------------------- */

static void offers_come_in_order_and_then_their_end(void)
{
	t_bus_begin(&b);
	for (unsigned i = 1; i <= 3; i++)
		T_EQ_U64(t_bus_offer(&b, i), i);
	T_SAYS(&b, "");
	T_MSG(&b, guest_contact(V5_3, 0), "version 5.3 4");
	T_MSG(&b, guest_bare(GUEST_REQUEST_OFFERS),
	      "offer 1/0; offer 2/0; offer 3/0; offers done");
	t_bus_end(&b);
}

static void offer_says_what_the_device_is(void)
{
	uint8_t want[196] = { 1 };
	struct vmbus_action a;

	t_bus_begin(&b);
	t_bus_offer(&b, 9);
	T_MSG(&b, guest_contact(V5_3, 0), "version 5.3 4");
	t_bus_msg(&b, guest_bare(GUEST_REQUEST_OFFERS));
	T_TRUE(vmbus_server_next(b.s, &a));
	memset(want + 8, 0xa0, 16);
	memset(want + 24, 9, 16);
	put_le16(want + 56, 0x100);
	memset(want + 60, 0xd0, 120);
	put_le32(want + 184, 1);
	put_le16(want + 190, 1);
	put_le32(want + 192, 0x1001);
	T_TRUE(a.msg_len == 196 && !memcmp(a.msg, want, sizeof(want)));
	t_bus_end(&b);
}

static void device_added_later_is_offered_at_once(void)
{
	t_bus_offered(&b);
	T_EQ_U64(t_bus_offer(&b, 2), 2);
	T_SAYS(&b, "offer 2/0");
	t_bus_end(&b);
}

static void device_added_before_the_request_waits_for_it(void)
{
	t_bus_begin(&b);
	T_MSG(&b, guest_contact(V5_3, 0), "version 5.3 4");
	t_bus_offer(&b, 1);
	T_SAYS(&b, "");
	T_MSG(&b, guest_bare(GUEST_REQUEST_OFFERS), "offer 1/0; offers done");
	t_bus_end(&b);
}

static void second_request_offers_nothing_twice(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_bare(GUEST_REQUEST_OFFERS), "offers done");
	t_bus_end(&b);
}

static void server_is_not_ready_until_it_has_said_everything(void)
{
	struct vmbus_action a;

	t_bus_begin(&b);
	t_bus_offer(&b, 1);
	T_MSG(&b, guest_contact(V5_3, 0), "version 5.3 4");
	t_bus_msg(&b, guest_bare(GUEST_REQUEST_OFFERS));
	T_TRUE(!vmbus_server_ready(b.s) && vmbus_server_next(b.s, &a));
	T_TRUE(!vmbus_server_ready(b.s) && vmbus_server_next(b.s, &a));
	T_TRUE(vmbus_server_ready(b.s) && !vmbus_server_next(b.s, &a));
	t_bus_end(&b);
}

static void all_relids_can_be_used_and_no_more(void)
{
	struct vmbus_offer o = { .dev = T_DEV(5000) };
	uint32_t relid;

	T_OK(vmbus_server_create(1, &b.s, &t_err));
	for (uint32_t i = 1; i <= VMBUS_RELID_MAX; i++) {
		o.dev = T_DEV(i);
		T_OK(vmbus_server_offer(b.s, &o, &relid, &t_err));
		T_EQ_U64(relid, i);
	}
	o.dev = T_DEV(5000);
	T_FAILS(vmbus_server_offer(b.s, &o, &relid, &t_err), VHDX_E_NOSPC,
		"2047");
	vmbus_server_rescind(b.s, T_DEV(77));
	T_SAYS(&b, "GONE 77");
	T_OK(vmbus_server_offer(b.s, &o, &relid, &t_err));
	T_EQ_U64(relid, 77);
	t_bus_end(&b);
}

static void socket_connections_are_refused_by_both_names(void)
{
	t_bus_offered(&b);
	T_MSG(&b, guest_tl_connect(0x5e), "tl refused");
	T_EQ_U64(b.msg_len, 44);
	for (unsigned i = 8; i < 40; i++)
		T_EQ_U64(b.msg[i], 0x5e);
	T_EQ_U64(get_le32(b.msg + 40), 0xC0000236u);
	t_bus_end(&b);
}

/* ---- memory ------------------------------------------------------------- */

static void no_memory_is_an_error_and_nothing_is_left(void)
{
	uint64_t live = mem_live_cnt();
	struct vmbus_offer o = { .dev = T_DEV(1) };
	uint32_t relid;

	mem_fail_nth(1);
	T_FAILS(vmbus_server_create(1, &b.s, &t_err), VHDX_E_NOMEM, "");
	t_bus_begin(&b);
	mem_fail_nth(1);
	T_FAILS(vmbus_server_offer(b.s, &o, &relid, &t_err), VHDX_E_NOMEM, "");
	server_audit(b.s);
	mem_fail_nth(0);
	t_bus_end(&b);
	T_EQ_U64(mem_live_cnt(), live);
	vmbus_server_destroy(NULL);
}

static void destroying_frees_everything_in_the_middle_of_it(void)
{
	uint64_t live = mem_live_cnt();

	t_bus_open(&b);
	t_bus_subs(&b, 1, 3);
	t_bus_offer(&b, 2);
	t_bus_rescind(&b, 1);
	T_TRUE(!vmbus_server_ready(b.s));
	t_bus_end(&b);
	T_EQ_U64(mem_live_cnt(), live);
}

static const struct t_test tests[] = {
	T_TEST(versions_from_4_0_to_5_3_are_spoken),
	T_TEST(other_versions_are_refused_and_the_next_may_be_tried),
	T_TEST(refused_contact_ends_the_connection_before),
	T_TEST(answers_go_where_the_contact_says),
	T_TEST(contact_to_no_processor_is_told_and_changes_nothing),
	T_TEST(other_trust_levels_are_refused),
	T_TEST(features_are_answered_with_none_from_5_3),
	T_TEST(both_connections_are_listened_to_and_no_other),
	T_TEST(short_messages_are_told_and_change_nothing),
	T_TEST(longer_messages_are_as_good),
	T_TEST(message_beyond_240_bytes_is_told),
	T_TEST(types_of_no_guest_are_told),
	T_TEST(without_a_connection_messages_are_told),
	T_TEST(telling_ends_and_begins_again_with_a_reset),
	T_TEST(offers_come_in_order_and_then_their_end),
	T_TEST(offer_says_what_the_device_is),
	T_TEST(device_added_later_is_offered_at_once),
	T_TEST(device_added_before_the_request_waits_for_it),
	T_TEST(second_request_offers_nothing_twice),
	T_TEST(server_is_not_ready_until_it_has_said_everything),
	T_TEST(all_relids_can_be_used_and_no_more),
	T_TEST(socket_connections_are_refused_by_both_names),
	T_TEST(no_memory_is_an_error_and_nothing_is_left),
	T_TEST(destroying_frees_everything_in_the_middle_of_it),
	T_END,
};

const struct t_suite t_suite_vmbus_server = { "vmbus_server", tests };
