/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fake_guest.h"
#include "fake_hook.h"
#include "le.h"
#include "mem.h"

static struct fake_guest g;
static struct fake_chan *f;
static struct vmbus_packet p;
static struct fake_got got;

static void begin(unsigned to_host_pages, unsigned to_guest_pages)
{
	fake_guest_init(&g, 128);
	f = fake_chan_new(&g, NULL, 0, to_host_pages, to_guest_pages);
}

static void end(void)
{
	fake_chan_free(f);
	fake_guest_fini(&g);
}

/* ---- packets ------------------------------------------------------------ */

static void an_inband_packet_arrives_as_sent(void)
{
	begin(3, 2);
	T_TRUE(fake_inband(f, UINT64_C(0x123456789abcdef0), "hello", 6));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(p.type, VMBUS_PKT_INBAND);
	T_TRUE(p.want_completion);
	T_EQ_U64(p.trans_id, UINT64_C(0x123456789abcdef0));
	T_EQ_U64(p.payload_len, 8);
	T_TRUE(memcmp(p.payload, "hello", 6) == 0);
	T_TRUE(!p.pfn && p.pfn_cnt == 0);
	T_EQ_U64(chan_recv(f->chan, &p), RING_EMPTY);
	end();
}

/* The host's copy of the packet the guest sends next has `v` at `off`. */
static void poke16(unsigned off, uint16_t v, uint32_t pos)
{
	uint8_t le[2];

	put_le16(le, v);
	fake_ring_poke(&f->out, pos + off, le, sizeof(le));
}

static void poke32(unsigned off, uint32_t v, uint32_t pos)
{
	uint8_t le[4];

	put_le32(le, v);
	fake_ring_poke(&f->out, pos + off, le, sizeof(le));
}

static void only_the_flag_asks_for_a_completion(void)
{
	begin(2, 2);
	T_TRUE(fake_inband(f, 1, "x", 1));
	poke16(6, 0xfffe, 0);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_TRUE(!p.want_completion);
	end();
}

static void a_completion_of_the_guest_arrives(void)
{
	begin(2, 2);
	T_TRUE(fake_inband(f, 9, "x", 1));
	poke16(0, VMBUS_PKT_COMPLETION, 0);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(p.type, VMBUS_PKT_COMPLETION);
	T_EQ_U64(p.trans_id, 9);
	end();
}

static void a_packet_stays_when_the_guest_changes_the_ring(void)
{
	begin(2, 2);
	T_TRUE(fake_inband(f, 9, "precious", 8));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	memset(f->page[1], 0xff, GMEM_PAGE);
	T_TRUE(memcmp(p.payload, "precious", 8) == 0);
	end();
}

static void a_gpa_packet_leads_to_its_memory(void)
{
	struct iovec v[8];
	struct fake_buf b;
	uint64_t sum = 0;
	int cnt;

	begin(3, 2);
	fake_buf_init(&b, &g, 1000, 9000);
	T_TRUE(fake_gpa(f, 5, "cdb", 4, &b, 32));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(p.type, VMBUS_PKT_GPA_DIRECT);
	T_TRUE(memcmp(p.payload, "cdb", 4) == 0);
	T_EQ_U64(p.pfn_cnt, 3);
	T_TRUE(memcmp(p.pfn, b.pfn, 3 * sizeof(*b.pfn)) == 0);
	cnt = chan_iov(f->chan, &p, v, 8);
	T_TRUE(cnt > 0);
	T_TRUE(v[0].iov_base == fake_at(&g, b.pfn[0]) + 1000);
	for (int i = 0; i < cnt; i++)
		sum += v[i].iov_len;
	T_EQ_U64(sum, 9000);
	fake_buf_fini(&b);
	end();
}

static void a_gpa_packet_to_where_no_memory_is_has_no_iov(void)
{
	struct fake_buf b;
	struct iovec v[2];

	begin(2, 2);
	fake_buf_init(&b, &g, 0, 4096);
	b.pfn[0] += 64; /* of 64 in each half */
	T_TRUE(fake_gpa(f, 5, NULL, 0, &b, 0));
	b.pfn[0] -= 64;
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_TRUE(chan_iov(f->chan, &p, v, 2) == -1);
	fake_buf_fini(&b);
	end();
}

/* A range of two pages in three slots, one field of which is something else. */
static enum ring_result gpa_with(unsigned off, uint32_t v)
{
	struct fake_buf b;
	uint32_t pos = f->out.pos;

	fake_buf_init(&b, &g, 100, 8000);
	T_TRUE(fake_gpa(f, 5, "12345678", 8, &b, 3));
	fake_buf_fini(&b);
	if (off == 2)
		poke16(off, (uint16_t)v, pos);
	else
		poke32(off, v, pos);
	return chan_recv(f->chan, &p);
}

enum { OFF8 = 2, RANGE_CNT = 20, RANGE_LEN = 24, RANGE_START = 28 };

static void a_gpa_range_needs_no_more_pages_than_it_has(void)
{
	static const struct {
		unsigned off;
		uint32_t v;
		unsigned pages;
	} c[] = {
		{ RANGE_LEN, 0, 0 },	 { RANGE_LEN, 1, 1 },
		{ RANGE_LEN, 3996, 1 },	 { RANGE_LEN, 3997, 2 },
		{ RANGE_LEN, 12188, 3 }, { RANGE_START, 0, 2 },
		{ RANGE_START, 192, 2 }, { RANGE_START, 193, 3 },
		{ RANGE_START, 4095, 3 }, { OFF8, 6, 2 },
	};

	begin(2, 2);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		T_EQ_U64(gpa_with(c[i].off, c[i].v), RING_OK);
		T_EQ_U64(p.pfn_cnt, c[i].pages);
	}
	end();
}

static void a_gpa_range_beyond_its_pages_breaks_the_channel(void)
{
	static const struct {
		unsigned off;
		uint32_t v;
		const char *why;
	} c[] = {
		{ RANGE_LEN, 12189, "needs 4 pages" },
		{ RANGE_LEN, UINT32_MAX, "needs 1048577 pages" },
		{ RANGE_START, 4096, "first page" },
		{ RANGE_START, UINT32_MAX, "first page" },
		{ RANGE_CNT, 0, "0 ranges" },
		{ RANGE_CNT, 2, "2 ranges" },
		{ RANGE_CNT, UINT32_MAX, "4294967295 ranges" },
		{ OFF8, 2, "before the end" },
		{ OFF8, 3, "before the end" },
		{ OFF8, 4, "needs 2 pages" },
		{ OFF8, 5, "needs 2 pages" },
	};

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		begin(2, 2);
		T_EQ_U64(gpa_with(c[i].off, c[i].v), RING_BROKEN);
		T_TRUE(strstr(chan_why(f->chan), c[i].why));
		end();
	}
}

static void unknown_packet_types_break_the_channel(void)
{
	static const uint16_t bad[] = { 0, 1, 5, 7, 8, 10, 12, 13, 0xffff };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin(2, 2);
		T_TRUE(fake_inband(f, 1, "x", 1));
		poke16(0, bad[i], 0);
		T_EQ_U64(chan_recv(f->chan, &p), RING_BROKEN);
		T_TRUE(strstr(chan_why(f->chan), "type"));
		end();
	}
}

static void what_is_broken_stays_so_both_ways(void)
{
	begin(2, 2);
	T_TRUE(fake_inband(f, 1, "x", 1));
	poke16(0, 99, 0);
	T_EQ_U64(chan_recv(f->chan, &p), RING_BROKEN);
	T_TRUE(fake_inband(f, 2, "x", 1));
	T_EQ_U64(chan_recv(f->chan, &p), RING_BROKEN);
	T_EQ_U64(chan_complete(f->chan, 1, "x", 1), RING_BROKEN);
	T_EQ_U64(fake_signal_cnt(f), 0);
	T_TRUE(strstr(chan_why(f->chan), "type 99"));
	end();
}

static void a_bad_read_index_breaks_reading_too(void)
{
	begin(2, 2);
	fake_store(&f->in, FAKE_READ, 4);
	T_EQ_U64(chan_send(f->chan, 1, "x", 1), RING_BROKEN);
	T_TRUE(strstr(chan_why(f->chan), "read index is 4"));
	T_TRUE(fake_inband(f, 1, "x", 1));
	T_EQ_U64(chan_recv(f->chan, &p), RING_BROKEN);
	T_TRUE(strstr(chan_why(f->chan), "read index is 4"));
	end();
}

static void packets_reach_the_guest_as_sent(void)
{
	begin(2, 2);
	T_EQ_U64(chan_complete(f->chan, 77, "done", 4), RING_OK);
	T_EQ_U64(chan_send(f->chan, UINT64_MAX, NULL, 0), RING_OK);
	T_TRUE(fake_take(f, &got));
	T_EQ_U64(got.type, VMBUS_PKT_COMPLETION);
	T_EQ_U64(got.flags, 0);
	T_EQ_U64(got.trans_id, 77);
	T_EQ_U64(got.len, 8);
	T_TRUE(memcmp(got.payload, "done\0\0\0\0", 8) == 0);
	T_TRUE(fake_take(f, &got));
	T_EQ_U64(got.type, VMBUS_PKT_INBAND);
	T_EQ_U64(got.trans_id, UINT64_MAX);
	T_EQ_U64(got.len, 0);
	T_TRUE(!fake_take(f, &got));
	end();
}

/* ---- signals ------------------------------------------------------------ */

static void a_new_channel_has_been_kicked(void)
{
	uint64_t cnt = 0;

	begin(2, 2);
	T_TRUE(read(chan_kick_fd(f->chan), &cnt, sizeof(cnt)) == sizeof(cnt));
	T_EQ_U64(cnt, 1);
	end();
}

static void the_guest_signals_once_for_what_is_read_together(void)
{
	begin(2, 2);
	T_TRUE(fake_inband(f, 1, "x", 1) && fake_inband(f, 2, "x", 1));
	T_EQ_U64(f->kick_cnt, 1);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_TRUE(fake_inband(f, 3, "x", 1)); /* empty, but being read */
	T_EQ_U64(f->kick_cnt, 1);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(chan_recv(f->chan, &p), RING_EMPTY);
	T_TRUE(fake_inband(f, 4, "x", 1));
	T_EQ_U64(f->kick_cnt, 2);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_TRUE(fake_inband(f, 5, "x", 1)); /* and again */
	T_EQ_U64(f->kick_cnt, 2);
	end();
}

#if FAKE_HOOKS
static void guest_sends_unheard(void)
{
	unsigned cnt = f->kick_cnt;

	T_TRUE(fake_inband(f, 2, "x", 1));
	T_EQ_U64(f->kick_cnt, cnt);
}

static void a_packet_that_comes_after_the_last_look_is_read(void)
{
	begin(2, 2);
	T_TRUE(fake_inband(f, 1, "x", 1));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	fake_before_store(f->page[0], guest_sends_unheard);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_TRUE(fake_hook_ran());
	T_EQ_U64(p.trans_id, 2);
	end();
}
#endif

static void the_guest_is_interrupted_once_for_what_it_takes_together(void)
{
	begin(2, 2);
	for (unsigned i = 0; i < 3; i++)
		T_EQ_U64(chan_complete(f->chan, i, "x", 1), RING_OK);
	T_EQ_U64(fake_signal_cnt(f), 1);
	for (unsigned i = 0; i < 3; i++)
		T_TRUE(fake_take(f, &got));
	T_EQ_U64(chan_complete(f->chan, 4, "x", 1), RING_OK);
	T_EQ_U64(fake_signal_cnt(f), 2);
	end();
}

static void what_is_held_is_signalled_once_at_release(void)
{
	begin(2, 2);
	chan_hold(f->chan);
	for (unsigned i = 0; i < 3; i++) {
		T_EQ_U64(chan_complete(f->chan, i, "x", 1), RING_OK);
		T_TRUE(fake_take(f, &got)); /* each is due an interrupt */
	}
	T_EQ_U64(fake_signal_cnt(f), 0);
	chan_release(f->chan);
	T_EQ_U64(fake_signal_cnt(f), 1);
	chan_hold(f->chan);
	chan_release(f->chan);
	T_EQ_U64(fake_signal_cnt(f), 1);
	end();
}

static void holding_invents_no_interrupt(void)
{
	begin(2, 2);
	fake_store(&f->in, FAKE_MASK, 1);
	chan_hold(f->chan);
	T_EQ_U64(chan_complete(f->chan, 1, "x", 1), RING_OK);
	chan_release(f->chan);
	T_EQ_U64(fake_signal_cnt(f), 0);
	end();
}

static void room_the_guest_waits_for_is_signalled_when_it_is_read(void)
{
	static const uint8_t big[1000];

	begin(2, 2);
	while (fake_inband(f, 1, big, sizeof(big)))
		;
	T_TRUE(!fake_ring_ask(&f->out, 1024));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(fake_signal_cnt(f), 1);
	T_TRUE(fake_ring_ask(&f->out, 0));
	T_TRUE(fake_inband(f, 1, big, sizeof(big)));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	T_EQ_U64(fake_signal_cnt(f), 1);
	end();
}

static void a_full_ring_to_the_guest_kicks_when_there_is_room(void)
{
	static const uint8_t big[1000];
	unsigned sent = 0;

	begin(2, 2);
	while (chan_send(f->chan, sent, big, sizeof(big)) == RING_OK)
		sent++;
	T_EQ_U64(sent, 3);
	T_EQ_U64(chan_send(f->chan, sent, big, sizeof(big)), RING_FULL);
	T_EQ_U64(f->kick_cnt, 0);
	T_TRUE(fake_take(f, &got));
	T_EQ_U64(f->kick_cnt, 1);
	T_EQ_U64(chan_send(f->chan, sent, big, sizeof(big)), RING_OK);
	T_TRUE(fake_take(f, &got));
	T_EQ_U64(f->kick_cnt, 1);
	end();
}

/* ---- life --------------------------------------------------------------- */

static int create(unsigned to_host, unsigned to_guest, uint64_t last_pfn,
		  struct vmbus_chan **out)
{
	static uint64_t pfn[2 * RING_PAGES_MAX + 4];
	struct chan_conf conf = {
		.mem = &g.mem, .up = &fake_up, .pfn = pfn,
		.pfn_cnt = to_host + to_guest, .to_host_cnt = to_host,
		.kick_fd = f->kick_fd,
	};

	T_TRUE(conf.pfn_cnt && conf.pfn_cnt <= ARRAY_LEN(pfn));
	for (unsigned i = 0; i < conf.pfn_cnt; i++)
		pfn[i] = i % 64;
	pfn[conf.pfn_cnt - 1] = last_pfn;
	return chan_create(&conf, out, &t_err);
}

static void rings_without_data_or_too_long_are_refused(void)
{
	struct vmbus_chan *c;

	begin(2, 2);
	T_FAILS(create(1, 2, 0, &c), VHDX_E_INVAL, "1 of them");
	T_FAILS(create(2, 1, 0, &c), VHDX_E_INVAL, "2 to 1025");
	T_FAILS(create(2, 0, 0, &c), VHDX_E_INVAL, "");
	T_FAILS(create(1026, 2, 0, &c), VHDX_E_INVAL, "1028 pages");
	T_FAILS(create(2, 1026, 0, &c), VHDX_E_INVAL, "");
	T_OK(create(1025, 1025, 0, &c));
	chan_destroy(c);
	end();
}

static void a_ring_of_more_pages_than_the_list_is_refused(void)
{
	static const uint64_t pfn[4] = { 0, 1, 2, 3 };
	struct chan_conf conf = { .pfn = pfn, .pfn_cnt = 4, .to_host_cnt = 6 };
	struct vmbus_chan *c;

	T_FAILS(chan_create(&conf, &c, &t_err), VHDX_E_INVAL, "6 of them");
}

static void rings_where_no_memory_is_are_refused(void)
{
	static const uint64_t bad[] = { 64, GIB / 4096, UINT64_C(1) << 52,
					UINT64_MAX };
	struct vmbus_chan *c;
	uint64_t live;

	begin(2, 2);
	live = mem_live_cnt();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		T_FAILS(create(2, 2, bad[i], &c), VHDX_E_INVAL, "page 3");
	T_EQ_U64(mem_live_cnt(), live);
	end();
}

static void without_memory_no_channel_is_made(void)
{
	struct vmbus_chan *c;
	uint64_t live;

	begin(2, 2);
	live = mem_live_cnt();
	for (unsigned n = 1; n <= 2; n++) {
		mem_fail_nth(n);
		T_FAILS(create(2, 2, 0, &c), VHDX_E_NOMEM, "");
		T_EQ_U64(mem_live_cnt(), live);
	}
	T_EQ_U64(mem_fail_nth(0), 2);
	T_OK(create(2, 2, 0, &c));
	chan_destroy(c);
	chan_destroy(NULL);
	end();
}

static void a_channel_knows_whose_it_is(void)
{
	struct vmbus_dev dev = { 0 };
	int mine;

	fake_guest_init(&g, 128);
	f = fake_chan_new(&g, &dev, 3, 2, 2);
	T_TRUE(chan_dev(f->chan) == &dev);
	T_TRUE(chan_bus_priv(f->chan) == f);
	T_TRUE(chan_up(f->chan) == &fake_up);
	T_EQ_U64(chan_sub_index(f->chan), 3);
	T_TRUE(!chan_priv(f->chan));
	chan_set_priv(f->chan, &mine);
	T_TRUE(chan_priv(f->chan) == &mine);
	end();
}

static void what_the_host_wrote_is_marked_no_further(void)
{
	struct fake_buf b;
	struct iovec v[4];

	begin(2, 2);
	fake_buf_init(&b, &g, 4000, 4 * 4096 - 4000);
	T_TRUE(fake_gpa(f, 5, NULL, 0, &b, 0));
	T_EQ_U64(chan_recv(f->chan, &p), RING_OK);
	fake_clean(&g);
	chan_dirty(f->chan, v, chan_iov(f->chan, &p, v, 4), 96 + 4096 + 1);
	for (unsigned i = 0; i < 4; i++)
		T_EQ_U64(fake_is_dirty(&g, b.pfn[i]), i < 3);
	fake_clean(&g);
	chan_dirty(f->chan, v, chan_iov(f->chan, &p, v, 4), 96 + 4096);
	T_TRUE(fake_is_dirty(&g, b.pfn[1]) && !fake_is_dirty(&g, b.pfn[2]));
	fake_buf_fini(&b);
	end();
}

/* ---- two threads -------------------------------------------------------- */

#define TALK_CNT 20000u

static uint32_t talk_len(uint64_t id)
{
	return (uint32_t)(id * 2654435761u % 120) * 8;
}

/* Echoes; when the guest's ring is full it keeps the packet and waits. */
static void *echo(void *arg)
{
	struct pollfd fd = { .fd = chan_kick_fd(f->chan), .events = POLLIN };
	enum ring_result res = RING_EMPTY;
	struct vmbus_packet q;
	uint64_t cnt;

	(void)arg;
	for (unsigned done = 0; done < TALK_CNT;) {
		if (poll(&fd, 1, FAKE_PATIENCE * 1000) != 1 ||
		    read(fd.fd, &cnt, sizeof(cnt)) != sizeof(cnt))
			return "no kick came";
		chan_hold(f->chan);
		while (res == RING_FULL ||
		       (res = chan_recv(f->chan, &q)) == RING_OK) {
			res = chan_complete(f->chan, q.trans_id, q.payload,
					    q.payload_len);
			if (res != RING_OK)
				break;
			done++;
		}
		chan_release(f->chan);
		if (res == RING_BROKEN)
			return "broken";
	}
	return NULL;
}

/* False: nothing came that the guest had to be told. */
static bool sleep_as_a_guest(bool wants_room)
{
	bool came = true;

	if (wants_room && fake_ring_ask(&f->out, 1000))
		return true;
	fake_store(&f->in, FAKE_MASK, 0);
	if (fake_load(&f->in, FAKE_WRITE) == f->in.pos)
		came = fake_wait_signal(f);
	fake_store(&f->in, FAKE_MASK, 1);
	return came;
}

static bool talk(void)
{
	static const uint8_t data[1000];
	uint64_t sent = 0, back = 0, was;

	while (back < TALK_CNT) {
		was = sent + back;
		while (sent < TALK_CNT &&
		       fake_inband(f, sent, data, talk_len(sent)))
			sent++;
		for (; fake_take(f, &got); back++)
			if (got.trans_id != back || got.len != talk_len(back))
				return false;
		if (sent + back == was && !sleep_as_a_guest(sent < TALK_CNT))
			return false;
	}
	return true;
}

static void two_threads_lose_no_packet_and_no_signal(void)
{
	for (unsigned batch = 0; batch < 2; batch++) {
		pthread_t t;
		void *failed;
		bool ok;

		begin(2, 2);
		f->batch = batch;
		T_TRUE(pthread_create(&t, NULL, echo, NULL) == 0);
		ok = talk();
		pthread_join(t, &failed);
		if (failed)
			printf("%s\n", (const char *)failed);
		T_TRUE(ok && !failed);
		end();
	}
}

static const struct t_test tests[] = {
	T_TEST(an_inband_packet_arrives_as_sent),
	T_TEST(only_the_flag_asks_for_a_completion),
	T_TEST(a_completion_of_the_guest_arrives),
	T_TEST(a_packet_stays_when_the_guest_changes_the_ring),
	T_TEST(a_gpa_packet_leads_to_its_memory),
	T_TEST(a_gpa_packet_to_where_no_memory_is_has_no_iov),
	T_TEST(a_gpa_range_needs_no_more_pages_than_it_has),
	T_TEST(a_gpa_range_beyond_its_pages_breaks_the_channel),
	T_TEST(unknown_packet_types_break_the_channel),
	T_TEST(what_is_broken_stays_so_both_ways),
	T_TEST(a_bad_read_index_breaks_reading_too),
	T_TEST(packets_reach_the_guest_as_sent),
	T_TEST(a_new_channel_has_been_kicked),
	T_TEST(the_guest_signals_once_for_what_is_read_together),
#if FAKE_HOOKS
	T_TEST(a_packet_that_comes_after_the_last_look_is_read),
#endif
	T_TEST(the_guest_is_interrupted_once_for_what_it_takes_together),
	T_TEST(what_is_held_is_signalled_once_at_release),
	T_TEST(holding_invents_no_interrupt),
	T_TEST(room_the_guest_waits_for_is_signalled_when_it_is_read),
	T_TEST(a_full_ring_to_the_guest_kicks_when_there_is_room),
	T_TEST(rings_without_data_or_too_long_are_refused),
	T_TEST(a_ring_of_more_pages_than_the_list_is_refused),
	T_TEST(rings_where_no_memory_is_are_refused),
	T_TEST(without_memory_no_channel_is_made),
	T_TEST(a_channel_knows_whose_it_is),
	T_TEST(what_the_host_wrote_is_marked_no_further),
	T_TEST(two_threads_lose_no_packet_and_no_signal),
	T_END,
};

const struct t_suite t_suite_vmbus_chan = { "vmbus_chan", tests };
