/* SPDX-License-Identifier: MIT */
/*
 * Two doors lead to the bus thread, each a list under the lock and one eventfd:
 * messages of the guest (from vCPU threads; bounded, and a full queue is the
 * guest's to retry) and mail of VSPs (from their threads; a slot in each
 * channel and device, so it can neither fail nor grow). Behind them nothing is
 * shared: the server, the channels and the devices are the bus thread's.
 *
 * B1	Actions are done in the server's order. A message that finds its slot
 *	taken stops them until the guest has emptied it, and with them further
 *	messages of the guest; mail is taken all the same.
 * B2	Nothing here waits for the guest: bus_reset() forgets what is on its way
 *	to it and waits for VSPs only.
 * B3	A channel lives from its OPEN until the VSP has refused or closed it;
 *	its eventfd is bound before the VSP sees the channel and unbound after
 *	the VSP has let go.
 *
 * A channel that fails stays with the guest, told to the user: its device is
 * not rescinded, as the device would be missing after a reset, which is what
 * mends such a guest; other channels of the device go on.
 */
#include "bus.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "evloop.h"
#include "hyperv.h"
#include "list.h"
#include "mem.h"

#define QUEUE 16u	/* messages of the guest */
#define MSG_VMBUS 1u	/* their type, either way */
#define WHY_MAX 160u
#define TELLS 100u /* broken channels told from reset to reset */
#define TELL_MAX 700u

enum mail_kind {
	MAIL_OPENED = 1,
	MAIL_REFUSED = 2,
	MAIL_CLOSED = 4,
	MAIL_FAILED = 8,
	MAIL_SUBS = 16,
};

/* In a channel or a device. */
struct mail {
	struct list node; /* of bus.mail */
	unsigned what;	  /* enum mail_kind, or'ed */
	unsigned sub_cnt;
	char why[WHY_MAX];
	struct bus_chan *chan; /* one of these */
	struct vmbus_dev *dev;
};

struct vmbus_dev {
	struct bus *bus;
	struct list node; /* of bus.devs */
	const struct vsp_ops *ops;
	void *vsp;
	struct mail mail;
};

struct bus_chan {
	struct vmbus_dev *dev;
	struct vmbus_chan *chan;
	uint32_t relid, conn_id;
	_Atomic uint32_t vp; /* who is interrupted */
	int kick_fd;
	bool bound;
	struct mail mail;
};

struct message {
	uint32_t conn_id, len;
	uint8_t bytes[VMBUS_MESSAGE_MAX];
};

struct bus {
	const struct gmem *mem;
	struct evloop *loop;
	struct hyperv *hyperv;
	struct vmbus_server *server;
	struct bus_chan *chan[VMBUS_RELID_MAX + 1];
	unsigned chan_cnt;
	struct list devs;
	struct ev wake_ev, slot_ev;
	bool started;
	void (*tell)(void *arg, const char *text);
	void *tell_arg;
	unsigned tells_left;

	bool sending; /* `out` waits for its slot */
	uint32_t out_vp;
	uint8_t out_sint;
	struct message out;

	pthread_mutex_t lock; /* of what follows */
	struct message queue[QUEUE];
	unsigned queue_at, queue_cnt;
	struct list mail;
};

static void say(const struct bus *b, const char *text)
{
	if (b->tell)
		b->tell(b->tell_arg, text);
}

/* Of what a guest can bring about as often as it likes. */
static void complain(struct bus *b, uint32_t relid, const char *what,
		     const char *why)
{
	char text[TELL_MAX];
	if (b->tells_left == 0)
		return;
	b->tells_left--;
	snprintf(text, sizeof(text), "VMBus channel %u %s: %s%s", relid, what,
		 why, b->tells_left ? "" :
		 "; no more of this is told before a reset");
	say(b, text);
}

static void poke(int fd)
{
	/* Fails only when the count is at its end: it is readable then. */
	(void)!eventfd_write(fd, 1);
}

static void clear(int fd)
{
	eventfd_t v;
	(void)!eventfd_read(fd, &v);
}

/* ---- messages of the guest ---------------------------------------------- */

uint32_t bus_post(void *arg, uint32_t conn_id, uint32_t type,
		  const uint8_t *payload, uint32_t len)
{
	struct bus *b = arg;
	if (conn_id != VMBUS_CONN_OLD && conn_id != VMBUS_CONN_NEW)
		return HV_BAD_CONNECTION;
	if (type != MSG_VMBUS || len > VMBUS_MESSAGE_MAX)
		return HV_BAD_PARAMETER;
	pthread_mutex_lock(&b->lock);
	bool full = b->queue_cnt == QUEUE;
	if (!full) {
		struct message *m =
			&b->queue[(b->queue_at + b->queue_cnt++) % QUEUE];
		m->conn_id = conn_id;
		m->len = len;
		memcpy(m->bytes, payload, len);
	}
	pthread_mutex_unlock(&b->lock);
	if (full)
		return HV_NO_BUFFERS;
	poke(b->wake_ev.fd);
	return HV_OK;
}

/* An open channel's signals go to its eventfd, in the kernel. */
uint32_t bus_signal(void *arg, uint32_t conn_id)
{
	(void)arg;
	(void)conn_id;
	return HV_BAD_CONNECTION;
}

static bool take_message(struct bus *b, struct message *m)
{
	pthread_mutex_lock(&b->lock);
	bool any = b->queue_cnt > 0;
	if (any) {
		*m = b->queue[b->queue_at];
		b->queue_at = (b->queue_at + 1) % QUEUE;
		b->queue_cnt--;
	}
	pthread_mutex_unlock(&b->lock);
	return any;
}

/* ---- mail of VSPs ------------------------------------------------------- */

static void send_mail(struct bus *b, struct mail *m, enum mail_kind what,
		      unsigned sub_cnt, const char *why)
{
	pthread_mutex_lock(&b->lock);
	m->what |= what;
	if (sub_cnt > m->sub_cnt)
		m->sub_cnt = sub_cnt;
	if (why)
		snprintf(m->why, sizeof(m->why), "%s", why);
	if (list_empty(&m->node))
		list_add_tail(&b->mail, &m->node);
	pthread_mutex_unlock(&b->lock);
	poke(b->wake_ev.fd);
}

static void up_opened(struct vmbus_chan *chan, bool ok)
{
	struct bus_chan *c = chan_bus_priv(chan);
	send_mail(c->dev->bus, &c->mail, ok ? MAIL_OPENED : MAIL_REFUSED, 0,
		  NULL);
}

static void up_closed(struct vmbus_chan *chan)
{
	struct bus_chan *c = chan_bus_priv(chan);
	send_mail(c->dev->bus, &c->mail, MAIL_CLOSED, 0, NULL);
}

static void up_offer_subs(struct vmbus_dev *d, unsigned cnt)
{
	send_mail(d->bus, &d->mail, MAIL_SUBS, cnt, NULL);
}

static void up_failed(struct vmbus_chan *chan, const char *why)
{
	struct bus_chan *c = chan_bus_priv(chan);
	send_mail(c->dev->bus, &c->mail, MAIL_FAILED, 0, why);
}

static void up_signal(struct vmbus_chan *chan)
{
	const struct bus_chan *c = chan_bus_priv(chan);
	uint32_t vp;
	/* A vp that the channel has just left may have no page for it. */
	do {
		vp = atomic_load(&c->vp);
		hyperv_signal(c->dev->bus->hyperv, vp, HYPERV_SINT, c->relid);
	} while (vp != atomic_load(&c->vp));
}

static const struct chan_up up = {
	.opened = up_opened,
	.closed = up_closed,
	.offer_subs = up_offer_subs,
	.failed = up_failed,
	.signal = up_signal,
};

/* ---- channels ----------------------------------------------------------- */

static void chan_drop(struct bus *b, struct bus_chan *c)
{
	struct vhdx_err e;
	if (c->bound && hyperv_bind(b->hyperv, c->conn_id, c->kick_fd, false,
				    &e))
		say(b, e.text);
	chan_destroy(c->chan);
	if (c->kick_fd >= 0)
		close(c->kick_fd);
	b->chan[c->relid] = NULL;
	b->chan_cnt--;
	mem_free(c);
}

static int chan_make(struct bus *b, const struct vmbus_action *a,
		     struct bus_chan **out, struct vhdx_err *e)
{
	struct bus_chan *c = mem_zalloc(sizeof(*c));
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "no memory for a channel");
	ASSERT(a->relid <= VMBUS_RELID_MAX && !b->chan[a->relid]);
	c->dev = a->dev;
	c->relid = a->relid;
	c->conn_id = a->conn_id;
	c->mail.chan = c;
	list_init(&c->mail.node);
	atomic_init(&c->vp, a->vp);
	b->chan[a->relid] = c;
	b->chan_cnt++;
	struct chan_conf conf = {
		.mem = b->mem,
		.up = &up,
		.dev = a->dev,
		.bus_priv = c,
		.sub_index = a->sub_index,
		.pfn = a->pfn,
		.pfn_cnt = a->pfn_cnt,
		.to_host_cnt = a->to_host_cnt,
	};
	int rc = 0;
	conf.kick_fd = c->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->kick_fd < 0)
		rc = err_sys(e, errno, "an eventfd for a channel");
	if (!rc)
		rc = chan_create(&conf, &c->chan, e);
	if (!rc)
		rc = hyperv_bind(b->hyperv, c->conn_id, c->kick_fd, true, e);
	if (rc) {
		chan_drop(b, c);
		return rc;
	}
	c->bound = true;
	*out = c;
	return 0;
}

static void do_open(struct bus *b, const struct vmbus_action *a)
{
	struct vhdx_err e;
	struct bus_chan *c = NULL;
	if (chan_make(b, a, &c, &e) == 0) {
		c->dev->ops->open(c->dev->vsp, c->chan);
		return;
	}
	uint32_t relid = a->relid;
	vmbus_server_opened(b->server, relid, false);
	complain(b, relid, "is refused", e.text);
}

static void do_close(struct bus *b, const struct vmbus_action *a)
{
	struct bus_chan *c = b->chan[a->relid];
	ASSERT(c);
	c->dev->ops->close(c->dev->vsp, c->chan);
}

/* Signals that went to the old vp may lie there unseen: one more. */
static void do_retarget(struct bus *b, const struct vmbus_action *a)
{
	struct bus_chan *c = b->chan[a->relid];
	if (!c)
		return;
	atomic_store(&c->vp, a->vp);
	hyperv_signal(b->hyperv, a->vp, HYPERV_SINT, c->relid);
}

static void dev_free(struct vmbus_dev *d)
{
	list_del(&d->node);
	mem_free(d);
}

/* ---- actions ------------------------------------------------------------ */

/* Polled only while something waits: it is readable after every interrupt. */
static void watch_slots(struct bus *b, bool on)
{
	if (b->started)
		evloop_mod(b->loop, &b->slot_ev, on ? EPOLLIN : 0);
}

static bool try_send(struct bus *b)
{
	if (!hyperv_post(b->hyperv, b->out_vp, b->out_sint, MSG_VMBUS,
			 b->out.bytes, b->out.len))
		return false;
	b->sending = false;
	watch_slots(b, false);
	return true;
}

static void do_send(struct bus *b, const struct vmbus_action *a)
{
	ASSERT(a->msg_len <= VMBUS_MESSAGE_MAX);
	b->out_vp = a->vp;
	b->out_sint = a->sint;
	b->out.len = a->msg_len;
	memcpy(b->out.bytes, a->msg, a->msg_len);
	b->sending = true;
	if (!try_send(b))
		watch_slots(b, true);
}

static void act(struct bus *b, const struct vmbus_action *a)
{
	switch (a->kind) {
	case VMBUS_SEND:
		do_send(b, a);
		break;
	case VMBUS_OPEN:
		do_open(b, a);
		break;
	case VMBUS_CLOSE:
		do_close(b, a);
		break;
	case VMBUS_RETARGET:
		do_retarget(b, a);
		break;
	case VMBUS_GONE:
		dev_free(a->dev);
		break;
	case VMBUS_TELL:
		say(b, a->text);
		break;
	}
}

static void act_all(struct bus *b)
{
	struct vmbus_action a;
	if (b->sending && !try_send(b))
		return;
	while (!b->sending && vmbus_server_next(b->server, &a))
		act(b, &a);
}

/* What the server has to do, then new messages of the guest: a round of them,
 * so that others get their turn on this thread. */
static void turn(struct bus *b)
{
	struct message m;
	act_all(b);
	for (unsigned i = 0; i < QUEUE; i++) {
		if (b->sending || !vmbus_server_ready(b->server) ||
		    !take_message(b, &m))
			return;
		vmbus_server_message(b->server, m.conn_id, m.bytes, m.len);
		act_all(b);
	}
	poke(b->wake_ev.fd);
}

static void read_chan_mail(struct bus *b, const struct mail *m)
{
	struct bus_chan *c = m->chan;
	uint32_t relid = c->relid;
	if (m->what & MAIL_OPENED)
		vmbus_server_opened(b->server, relid, true);
	if (m->what & MAIL_FAILED)
		complain(b, relid, "has failed", m->why);
	if (m->what & (MAIL_REFUSED | MAIL_CLOSED))
		chan_drop(b, c);
	if (m->what & MAIL_REFUSED)
		vmbus_server_opened(b->server, relid, false);
	else if (m->what & MAIL_CLOSED)
		vmbus_server_closed(b->server, relid);
}

static void read_mail(struct bus *b)
{
	for (;;) {
		struct mail m = { .what = 0 };
		pthread_mutex_lock(&b->lock);
		if (!list_empty(&b->mail)) {
			struct mail *first =
				list_first(&b->mail, struct mail, node);
			list_del(&first->node);
			m = *first;
			first->what = 0;
			first->sub_cnt = 0;
		}
		pthread_mutex_unlock(&b->lock);
		if (!m.what)
			return;
		if (m.chan)
			read_chan_mail(b, &m);
		else
			vmbus_server_offer_subs(b->server, m.dev, m.sub_cnt);
	}
}

static void on_wake(void *arg, uint32_t events)
{
	struct bus *b = arg;
	(void)events;
	clear(b->wake_ev.fd);
	read_mail(b);
	turn(b);
}

static void on_slot(void *arg, uint32_t events)
{
	struct bus *b = arg;
	(void)events;
	/* First cleared, then tried: what is emptied in between counts. */
	clear(b->slot_ev.fd);
	turn(b);
}

/* ---- life --------------------------------------------------------------- */

int bus_create(unsigned cpu_cnt, const struct gmem *mem, struct evloop *loop,
	       struct bus **out, struct vhdx_err *e)
{
	struct bus *b = mem_zalloc(sizeof(*b));
	int rc;
	if (!b)
		return err_set(e, VHDX_E_NOMEM, "no memory for the VMBus");
	b->mem = mem;
	b->loop = loop;
	b->tells_left = TELLS;
	list_init(&b->devs);
	list_init(&b->mail);
	pthread_mutex_init(&b->lock, NULL);
	b->slot_ev.fd = -1;
	b->wake_ev.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->wake_ev.fd < 0)
		rc = err_sys(e, errno, "an eventfd for the VMBus");
	else
		rc = vmbus_server_create(cpu_cnt, &b->server, e);
	if (rc) {
		bus_destroy(b);
		return rc;
	}
	*out = b;
	return 0;
}

int bus_start(struct bus *b, struct hyperv *h, struct vhdx_err *e)
{
	b->hyperv = h;
	b->wake_ev.fn = on_wake;
	b->slot_ev = (struct ev){ hyperv_slot_fd(h), on_slot, b };
	b->wake_ev.arg = b;
	int rc = evloop_add(b->loop, &b->wake_ev, EPOLLIN, e);
	if (rc)
		return rc;
	rc = evloop_add(b->loop, &b->slot_ev, 0, e);
	if (rc)
		evloop_del(b->loop, &b->wake_ev);
	b->started = !rc;
	return rc;
}

void bus_destroy(struct bus *b)
{
	if (!b)
		return;
	ASSERT(b->chan_cnt == 0);
	if (b->started) {
		evloop_del(b->loop, &b->wake_ev);
		evloop_del(b->loop, &b->slot_ev);
	}
	vmbus_server_destroy(b->server);
	while (!list_empty(&b->devs))
		dev_free(list_first(&b->devs, struct vmbus_dev, node));
	if (b->wake_ev.fd >= 0)
		close(b->wake_ev.fd);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

void bus_reset(struct bus *b)
{
	pthread_mutex_lock(&b->lock);
	b->queue_cnt = 0;
	pthread_mutex_unlock(&b->lock);
	if (b->sending)
		watch_slots(b, false);
	b->sending = false;
	b->tells_left = TELLS;
	vmbus_server_reset(b->server);
	act_all(b);
	while (b->chan_cnt > 0) {
		struct pollfd p = { .fd = b->wake_ev.fd, .events = POLLIN };
		if (poll(&p, 1, -1) > 0)
			clear(p.fd);
		read_mail(b);
		act_all(b);
	}
}

/* ---- devices ------------------------------------------------------------ */

int bus_offer(struct bus *b, const struct vmbus_offer *offer,
	      const struct vsp_ops *ops, void *vsp, struct vmbus_dev **out,
	      struct vhdx_err *e)
{
	struct vmbus_dev *d = mem_zalloc(sizeof(*d));
	struct vmbus_offer o = *offer;
	uint32_t relid;
	if (!d)
		return err_set(e, VHDX_E_NOMEM, "no memory for a device");
	d->bus = b;
	d->ops = ops;
	d->vsp = vsp;
	d->mail.dev = d;
	list_init(&d->mail.node);
	o.dev = d;
	int rc = vmbus_server_offer(b->server, &o, &relid, e);
	if (rc) {
		mem_free(d);
		return rc;
	}
	list_add_tail(&b->devs, &d->node);
	turn(b);
	*out = d;
	return 0;
}

void bus_rescind(struct bus *b, struct vmbus_dev *d)
{
	vmbus_server_rescind(b->server, d);
	turn(b);
}

void bus_status(const struct bus *b, struct bus_status *st)
{
	st->version = vmbus_server_version(b->server);
	st->open_cnt = vmbus_server_open_cnt(b->server);
}

void bus_set_tell(struct bus *b, void (*tell)(void *arg, const char *text),
		  void *arg)
{
	b->tell = tell;
	b->tell_arg = arg;
}
