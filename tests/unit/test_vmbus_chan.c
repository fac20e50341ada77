/* SPDX-License-Identifier: MIT */
#include "t.h"

#include <string.h>
#include <unistd.h>

#include "fake_guest.h"
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

static void a_completion_reaches_the_guest_with_an_interrupt(void)
{
	begin(2, 2);
	T_EQ_U64(chan_complete(f->chan, 77, "done", 4), RING_OK);
	T_TRUE(fake_wait_signal(f));
	T_TRUE(fake_take(f, &got));
	T_EQ_U64(got.type, VMBUS_PKT_COMPLETION);
	T_EQ_U64(got.flags, 0);
	T_EQ_U64(got.trans_id, 77);
	T_EQ_U64(got.len, 8);
	T_TRUE(memcmp(got.payload, "done\0\0\0\0", 8) == 0);
	T_TRUE(!fake_take(f, &got));
	end();
}

static const struct t_test tests[] = {
	T_TEST(an_inband_packet_arrives_as_sent),
	T_TEST(a_gpa_packet_leads_to_its_memory),
	T_TEST(a_completion_reaches_the_guest_with_an_interrupt),
	T_END,
};

const struct t_suite t_suite_vmbus_chan = { "vmbus_chan", tests };
