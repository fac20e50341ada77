/* SPDX-License-Identifier: MIT */
/*
 * The bus with the real server, channels and event loop; in place of KVM and
 * the VSP what follows here. Slots and interrupts are recorded.
 */
#include "bus.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "evloop.h"
#include "fake_guest.h"
#include "hyperv.h"
#include "le.h"
#include "mem.h"
#include "t.h"

enum { /* messages, as VMBus numbers them */
	OFFER = 1,
	RESCIND = 2,
	REQUEST_OFFERS = 3,
	ALL_OFFERS = 4,
	OPEN = 5,
	OPEN_RESULT = 6,
	CLOSE = 7,
	GPADL_HEADER = 8,
	GPADL_CREATED = 10,
	RELEASED = 13,
	CONTACT = 14,
	VERSION = 15,
	MODIFY = 22,
};

#define RING_PAGES 4u /* of both */
#define GPADL 0xE1E10u

/* ---- in place of KVM ---------------------------------------------------- */

static struct {
	int slot_fd;
	bool taken; /* the slot */
	bool eager; /* the guest empties it at once */
	uint8_t msg[64][VMBUS_MESSAGE_MAX]; /* all that were put there */
	unsigned msg_cnt;
	uint32_t bound; /* connection id, one at a time */
	int bound_fd;
	bool refuse_bind;
	_Atomic unsigned signal_cnt, signal_vp, signal_flag;
	void (*_Atomic meanwhile)(void); /* once, while it is signalled */
} hv;

bool hyperv_post(struct hyperv *h, unsigned vp, unsigned sint, uint32_t type,
		 const uint8_t *payload, uint32_t len)
{
	(void)h;
	ASSERT(vp == 0 && sint == HYPERV_SINT && type == 1);
	if (hv.taken)
		return false;
	ASSERT(hv.msg_cnt < ARRAY_LEN(hv.msg));
	memcpy(hv.msg[hv.msg_cnt++], payload, len);
	hv.taken = !hv.eager;
	return true;
}

int hyperv_slot_fd(const struct hyperv *h)
{
	(void)h;
	return hv.slot_fd;
}

void hyperv_signal(struct hyperv *h, unsigned vp, unsigned sint, unsigned flag)
{
	(void)h;
	ASSERT(sint == HYPERV_SINT);
	hv.signal_vp = vp;
	hv.signal_flag = flag;
	hv.signal_cnt++;
	void (*fn)(void) = atomic_exchange(&hv.meanwhile, NULL);
	if (fn)
		fn();
}

int hyperv_bind(struct hyperv *h, uint32_t conn_id, int fd, bool on,
		struct vhdx_err *e)
{
	(void)h;
	if (on && hv.refuse_bind)
		return err_set(e, VHDX_E_IO, "no eventfd today");
	ASSERT(on ? hv.bound == 0 : hv.bound == conn_id && hv.bound_fd == fd);
	hv.bound = on ? conn_id : 0;
	hv.bound_fd = fd;
	return 0;
}

/* ---- in place of a VSP -------------------------------------------------- */

static struct {
	struct vmbus_chan *open, *close; /* asked for, not answered */
	unsigned open_cnt, close_cnt;
	uint32_t bound_at_open;
	bool close_at_once; /* from another thread */
	pthread_t thread;
} vsp;

static void *close_later(void *arg)
{
	chan_up(arg)->closed(arg);
	return NULL;
}

static void vsp_open(void *arg, struct vmbus_chan *c)
{
	ASSERT(arg == &vsp);
	vsp.open = c;
	vsp.open_cnt++;
	vsp.bound_at_open = hv.bound;
}

static void vsp_close(void *arg, struct vmbus_chan *c)
{
	ASSERT(arg == &vsp);
	vsp.close = c;
	vsp.close_cnt++;
	if (vsp.close_at_once)
		ASSERT(!pthread_create(&vsp.thread, NULL, close_later, c));
}

static const struct vsp_ops ops = { vsp_open, vsp_close };

/* ---- the guest, and the bus thread -------------------------------------- */

static struct evloop *loop;
static struct bus *bus;
static struct vmbus_dev *dev;
static struct fake_guest guest;
static char told[1024];
static unsigned told_cnt;
static uint64_t live;
static unsigned turns_left;

static void tell(void *arg, const char *text)
{
	(void)arg;
	snprintf(told, sizeof(told), "%s", text);
	told_cnt++;
}

static void on_idle(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	if (--turns_left == 0)
		evloop_stop(loop);
}

/* Until what is ready has been handled, and what that made ready. */
static void turn(void)
{
	struct ev idle = { eventfd(1, EFD_CLOEXEC), on_idle, NULL };
	turns_left = 8;
	T_OK(evloop_add(loop, &idle, EPOLLIN, &t_err));
	evloop_run(loop);
	evloop_del(loop, &idle);
	close(idle.fd);
}

static void offer(void)
{
	struct vmbus_offer o = { .if_type = { 1 }, .instance = { 2 } };
	T_OK(bus_offer(bus, &o, &ops, &vsp, &dev, &t_err));
}

static void begin(void)
{
	live = mem_live_cnt();
	memset(&hv, 0, sizeof(hv));
	memset(&vsp, 0, sizeof(vsp));
	told[0] = 0;
	told_cnt = 0;
	hv.eager = true;
	hv.slot_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake_guest_init(&guest, 16);
	T_OK(evloop_create(&loop, &t_err));
	T_OK(bus_create(4, &guest.mem, loop, &bus, &t_err));
	bus_set_tell(bus, tell, NULL);
	T_OK(bus_start(bus, NULL, &t_err));
	offer();
}

static void end(void)
{
	bus_destroy(bus);
	evloop_destroy(loop);
	fake_guest_fini(&guest);
	close(hv.slot_fd);
	T_EQ_U64(mem_live_cnt(), live);
}

static uint32_t post(const uint8_t *m, uint32_t len)
{
	return bus_post(bus, VMBUS_CONN_NEW, 1, m, len);
}

/* A message of numbers after the header; what comes of it happens. */
static void say(uint32_t type, const uint32_t *word, unsigned cnt,
		uint32_t len)
{
	uint8_t m[VMBUS_MESSAGE_MAX] = { 0 };
	put_le32(m, type);
	for (unsigned i = 0; i < cnt; i++)
		put_le32(m + 8 + i * 4, word[i]);
	T_EQ_U64(post(m, len), HV_OK);
	turn();
}
#define SAY(type, len, ...) \
	say(type, (const uint32_t[]){ __VA_ARGS__ }, \
	    sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4, len)

/* An interrupt has ended. */
static void slot_event(void)
{
	eventfd_write(hv.slot_fd, 1);
	turn();
}

static void empty_slot(void)
{
	hv.taken = false;
	slot_event();
}

static bool slot_event_is_read(void)
{
	struct pollfd p = { .fd = hv.slot_fd, .events = POLLIN };
	return poll(&p, 1, 0) == 0;
}

static const uint8_t *last(void)
{
	T_TRUE(hv.msg_cnt > 0);
	return hv.msg[hv.msg_cnt - 1];
}

static uint32_t last_type(void)
{
	return get_le32(last());
}

static void guest_connect(void)
{
	SAY(CONTACT, 40, 5 << 16 | 3, 0, 2);
	SAY(REQUEST_OFFERS, 8, 0);
	T_EQ_U64(last_type(), ALL_OFFERS);
}

/* The relid of the n-th offer from the end, all offers being delivered. */
static uint32_t offered(void)
{
	for (unsigned i = hv.msg_cnt; i-- > 0;)
		if (get_le32(hv.msg[i]) == OFFER)
			return get_le32(hv.msg[i] + 184);
	return 0;
}

static uint32_t give_ring(uint64_t first_pfn)
{
	uint8_t m[28 + RING_PAGES * 8] = { GPADL_HEADER };
	put_le32(m + 8, offered());
	put_le32(m + 12, GPADL);
	put_le16(m + 16, 8 + RING_PAGES * 8);
	put_le16(m + 18, 1);
	put_le32(m + 20, RING_PAGES * 4096);
	for (unsigned i = 0; i < RING_PAGES; i++)
		put_le64(m + 28 + i * 8, i ? fake_page(&guest) : first_pfn);
	T_EQ_U64(post(m, sizeof(m)), HV_OK);
	turn();
	T_EQ_U64(last_type(), GPADL_CREATED);
	T_EQ_U64(get_le32(last() + 16), 0);
	return offered();
}

/* OPEN for vp 3; the VSP has not answered yet. */
static uint32_t open_chan(void)
{
	guest_connect();
	uint32_t relid = give_ring(fake_page(&guest));
	SAY(OPEN, 148, relid, 77, GPADL, 3, 2);
	return relid;
}

static uint32_t opened_chan(void)
{
	uint32_t relid = open_chan();
	chan_up(vsp.open)->opened(vsp.open, true);
	turn();
	T_EQ_U64(last_type(), OPEN_RESULT);
	return relid;
}

static void close_chan(uint32_t relid)
{
	SAY(CLOSE, 12, relid);
	chan_up(vsp.close)->closed(vsp.close);
	turn();
}

/* ---- claims: messages --------------------------------------------------- */

static void guest_connects_through_post_and_slot(void)
{
	struct bus_status st;
	begin();
	SAY(CONTACT, 40, 5 << 16 | 3, 0, 2);
	T_EQ_U64(last_type(), VERSION);
	T_EQ_U64(last()[8], 1);
	bus_status(bus, &st);
	T_EQ_U64(st.version, 5 << 16 | 3);
	end();
}

static void full_queue_asks_the_guest_to_retry(void)
{
	uint8_t m[8] = { REQUEST_OFFERS };
	begin();
	for (unsigned i = 0; i < 16; i++)
		T_EQ_U64(post(m, sizeof(m)), HV_OK);
	T_EQ_U64(post(m, sizeof(m)), HV_NO_BUFFERS);
	turn();
	T_EQ_U64(post(m, sizeof(m)), HV_OK);
	end();
}

static void foreign_connection_or_type_is_refused(void)
{
	uint8_t m[8] = { CONTACT };
	begin();
	T_EQ_U64(bus_post(bus, 2, 1, m, 8), HV_BAD_CONNECTION);
	T_EQ_U64(bus_post(bus, VMBUS_CONN_NEW, 2, m, 8), HV_BAD_PARAMETER);
	T_EQ_U64(bus_post(bus, VMBUS_CONN_OLD, 1, m, 8), HV_OK);
	T_EQ_U64(bus_signal(bus, 0x1001), HV_BAD_CONNECTION);
	end();
}

static void taken_slot_holds_back_what_follows_in_order(void)
{
	begin();
	hv.eager = false;
	SAY(CONTACT, 40, 5 << 16 | 3, 0, 2);
	SAY(REQUEST_OFFERS, 8, 0);
	T_EQ_U64(hv.msg_cnt, 1);
	empty_slot();
	T_EQ_U64(last_type(), OFFER);
	slot_event();
	T_EQ_U64(hv.msg_cnt, 2);
	empty_slot();
	T_EQ_U64(last_type(), ALL_OFFERS);
	T_EQ_U64(hv.msg_cnt, 3);
	end();
}

static void slot_is_watched_only_while_a_message_waits(void)
{
	begin();
	hv.eager = false;
	SAY(CONTACT, 40, 5 << 16 | 3, 0, 2);
	slot_event();
	T_TRUE(!slot_event_is_read());
	SAY(REQUEST_OFFERS, 8, 0);
	T_TRUE(slot_event_is_read());
	slot_event();
	T_TRUE(slot_event_is_read());
	empty_slot();
	empty_slot();
	slot_event();
	T_TRUE(!slot_event_is_read());
	end();
}

static void guest_that_reads_nothing_fills_only_the_queue(void)
{
	uint8_t m[40] = { CONTACT };
	begin();
	hv.eager = false;
	SAY(CONTACT, 40, 5 << 16 | 3, 0, 2);
	unsigned taken = 0;
	while (taken < 100 && post(m, sizeof(m)) == HV_OK) {
		taken++;
		turn();
	}
	T_EQ_U64(taken, 17); /* one of them waits for the slot */
	T_EQ_U64(hv.msg_cnt, 1);
	end();
}

/* ---- claims: channels --------------------------------------------------- */

static void channel_is_bound_before_its_vsp_sees_it(void)
{
	begin();
	uint32_t relid = open_chan();
	T_EQ_U64(vsp.open_cnt, 1);
	T_TRUE(vsp.bound_at_open != 0);
	T_EQ_U64(hv.bound_fd, chan_kick_fd(vsp.open));
	T_TRUE(chan_dev(vsp.open) == dev);
	T_EQ_U64(last_type(), GPADL_CREATED);
	chan_up(vsp.open)->opened(vsp.open, true);
	turn();
	T_EQ_U64(last_type(), OPEN_RESULT);
	T_EQ_U64(get_le32(last() + 16), 0);
	close_chan(relid);
	end();
}

static void refused_channel_is_undone_and_not_closed(void)
{
	begin();
	open_chan();
	chan_up(vsp.open)->opened(vsp.open, false);
	turn();
	T_EQ_U64(last_type(), OPEN_RESULT);
	T_TRUE(get_le32(last() + 16) != 0);
	T_EQ_U64(hv.bound, 0);
	T_EQ_U64(vsp.close_cnt, 0);
	end();
}

static void failed_bind_refuses_without_asking_the_vsp(void)
{
	begin();
	hv.refuse_bind = true;
	open_chan();
	T_EQ_U64(last_type(), OPEN_RESULT);
	T_TRUE(get_le32(last() + 16) != 0);
	T_EQ_U64(vsp.open_cnt, 0);
	T_TRUE(strstr(told, "no eventfd today") != NULL);
	end();
}

static void ring_outside_memory_is_refused(void)
{
	begin();
	guest_connect();
	uint32_t relid = give_ring(UINT64_C(1) << 40);
	SAY(OPEN, 148, relid, 77, GPADL, 3, 2);
	T_EQ_U64(last_type(), OPEN_RESULT);
	T_TRUE(get_le32(last() + 16) != 0);
	T_EQ_U64(vsp.open_cnt, 0);
	T_EQ_U64(hv.bound, 0);
	end();
}

static void closed_channel_is_unbound_when_its_vsp_lets_go(void)
{
	struct bus_status st;
	begin();
	uint32_t relid = opened_chan();
	SAY(CLOSE, 12, relid);
	T_EQ_U64(vsp.close_cnt, 1);
	T_TRUE(hv.bound != 0);
	chan_up(vsp.close)->closed(vsp.close);
	turn();
	T_EQ_U64(hv.bound, 0);
	T_TRUE(fcntl(hv.bound_fd, F_GETFD) < 0);
	bus_status(bus, &st);
	T_EQ_U64(st.open_cnt, 0);
	end();
}

static void answer_of_the_vsp_is_taken_while_a_slot_is_waited_for(void)
{
	begin();
	uint32_t relid = open_chan();
	hv.eager = false;
	hv.taken = true;
	chan_up(vsp.open)->opened(vsp.open, true);
	turn();
	SAY(CLOSE, 12, relid);
	T_EQ_U64(vsp.close_cnt, 0); /* OPEN_RESULT first */
	empty_slot();
	T_EQ_U64(last_type(), OPEN_RESULT);
	T_EQ_U64(vsp.close_cnt, 1);
	chan_up(vsp.close)->closed(vsp.close);
	turn();
	end();
}

static void retarget_moves_the_interrupt_and_gives_one(void)
{
	begin();
	uint32_t relid = opened_chan();
	chan_up(vsp.open)->signal(vsp.open);
	T_EQ_U64(hv.signal_vp, 3);
	T_EQ_U64(hv.signal_flag, relid);
	SAY(MODIFY, 16, relid, 1);
	T_EQ_U64(hv.signal_cnt, 2);
	T_EQ_U64(hv.signal_vp, 1);
	chan_up(vsp.open)->signal(vsp.open);
	T_EQ_U64(hv.signal_vp, 1);
	close_chan(relid);
	end();
}

static uint32_t moving;

static void move_to_1(void)
{
	SAY(MODIFY, 16, moving, 1);
}

static void a_signal_that_meets_a_retarget_is_given_to_the_new_vp(void)
{
	begin();
	moving = opened_chan();
	hv.meanwhile = move_to_1;
	chan_up(vsp.open)->signal(vsp.open);
	T_EQ_U64(hv.signal_cnt, 3); /* old vp, retarget, new vp */
	T_EQ_U64(hv.signal_vp, 1);
	close_chan(moving);
	end();
}

static void subchannels_are_offered_when_the_vsp_asks(void)
{
	begin();
	uint32_t relid = opened_chan();
	unsigned before = hv.msg_cnt;
	chan_up(vsp.open)->offer_subs(dev, 1);
	chan_up(vsp.open)->offer_subs(dev, 3);
	turn();
	T_EQ_U64(hv.msg_cnt, before + 3);
	T_EQ_U64(last_type(), OFFER);
	T_EQ_U64(get_le16(last() + 180), 3);
	close_chan(relid);
	end();
}

static void failed_channel_is_told_and_its_device_stays(void)
{
	begin();
	uint32_t relid = opened_chan();
	chan_up(vsp.open)->failed(vsp.open, "index 7 is not a multiple of 8");
	turn();
	T_TRUE(strstr(told, "index 7") != NULL);
	T_EQ_U64(last_type(), OPEN_RESULT);
	close_chan(relid);
	end();
}

static void guest_cannot_make_us_tell_for_ever(void)
{
	begin();
	uint32_t relid = opened_chan();
	for (unsigned i = 0; i < 150; i++) {
		chan_up(vsp.open)->failed(vsp.open, "once more");
		turn();
	}
	T_EQ_U64(told_cnt, 100);
	T_TRUE(strstr(told, "once more; no more of this") != NULL);
	close_chan(relid);
	bus_reset(bus);
	opened_chan();
	chan_up(vsp.open)->failed(vsp.open, "anew");
	turn();
	T_EQ_U64(told_cnt, 101);
	close_chan(offered());
	end();
}

/* ---- claims: ends ------------------------------------------------------- */

static void reset_waits_for_vsps_and_not_for_the_guest(void)
{
	struct bus_status st;
	begin();
	opened_chan();
	hv.taken = true;
	SAY(MODIFY, 16, offered(), 1); /* its answer finds no slot */
	uint8_t m[40] = { CONTACT };
	T_EQ_U64(post(m, sizeof(m)), HV_OK);
	unsigned before = hv.msg_cnt;
	vsp.close_at_once = true;
	bus_reset(bus);
	pthread_join(vsp.thread, NULL);
	bus_status(bus, &st);
	T_EQ_U64(st.version, 0);
	T_EQ_U64(st.open_cnt, 0);
	empty_slot();
	T_EQ_U64(hv.msg_cnt, before);
	guest_connect(); /* the next: VERSION, OFFER, ALL_OFFERS */
	T_EQ_U64(hv.msg_cnt, before + 3);
	end();
}

static void *open_later(void *arg)
{
	chan_up(arg)->opened(arg, true);
	return NULL;
}

static void reset_closes_a_channel_that_is_being_opened(void)
{
	pthread_t t;
	begin();
	open_chan();
	vsp.close_at_once = true;
	T_EQ_U64(pthread_create(&t, NULL, open_later, vsp.open), 0);
	bus_reset(bus);
	pthread_join(t, NULL);
	pthread_join(vsp.thread, NULL);
	T_EQ_U64(vsp.close_cnt, 1);
	T_EQ_U64(hv.bound, 0);
	end();
}

static void rescinded_device_goes_when_the_guest_lets_go(void)
{
	begin();
	uint32_t relid = opened_chan();
	bus_rescind(bus, dev);
	T_EQ_U64(last_type(), RESCIND);
	close_chan(relid);
	uint64_t before = mem_live_cnt();
	SAY(RELEASED, 12, relid);
	T_TRUE(mem_live_cnt() < before);
	offer();
	turn();
	T_EQ_U64(last_type(), OFFER);
	end();
}

static void device_comes_to_a_guest_that_runs(void)
{
	begin();
	guest_connect();
	unsigned before = hv.msg_cnt;
	offer();
	T_EQ_U64(hv.msg_cnt, before + 1);
	T_EQ_U64(last_type(), OFFER);
	end();
}

static void *signal_often(void *arg)
{
	for (unsigned i = 0; i < 1000; i++)
		chan_up(arg)->signal(arg);
	return NULL;
}

static void signals_of_another_thread_go_on_while_retargeted(void)
{
	pthread_t t;
	begin();
	uint32_t relid = opened_chan();
	T_EQ_U64(pthread_create(&t, NULL, signal_often, vsp.open), 0);
	SAY(MODIFY, 16, relid, 1);
	SAY(MODIFY, 16, relid, 2);
	pthread_join(t, NULL);
	/* One for each move, one more where a signal met it. */
	T_TRUE(hv.signal_cnt >= 1002 && hv.signal_cnt <= 1004);
	close_chan(relid);
	end();
}

static const struct t_test tests[] = {
	T_TEST(guest_connects_through_post_and_slot),
	T_TEST(full_queue_asks_the_guest_to_retry),
	T_TEST(foreign_connection_or_type_is_refused),
	T_TEST(taken_slot_holds_back_what_follows_in_order),
	T_TEST(slot_is_watched_only_while_a_message_waits),
	T_TEST(guest_that_reads_nothing_fills_only_the_queue),
	T_TEST(channel_is_bound_before_its_vsp_sees_it),
	T_TEST(refused_channel_is_undone_and_not_closed),
	T_TEST(failed_bind_refuses_without_asking_the_vsp),
	T_TEST(ring_outside_memory_is_refused),
	T_TEST(closed_channel_is_unbound_when_its_vsp_lets_go),
	T_TEST(answer_of_the_vsp_is_taken_while_a_slot_is_waited_for),
	T_TEST(retarget_moves_the_interrupt_and_gives_one),
	T_TEST(a_signal_that_meets_a_retarget_is_given_to_the_new_vp),
	T_TEST(subchannels_are_offered_when_the_vsp_asks),
	T_TEST(failed_channel_is_told_and_its_device_stays),
	T_TEST(guest_cannot_make_us_tell_for_ever),
	T_TEST(reset_waits_for_vsps_and_not_for_the_guest),
	T_TEST(reset_closes_a_channel_that_is_being_opened),
	T_TEST(rescinded_device_goes_when_the_guest_lets_go),
	T_TEST(device_comes_to_a_guest_that_runs),
	T_TEST(signals_of_another_thread_go_on_while_retargeted),
	T_END,
};

const struct t_suite t_suite_bus = { "bus", tests };
