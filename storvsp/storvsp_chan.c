/* SPDX-License-Identifier: MIT */
/*
 * Channels: what the guest sends is taken from the ring, what is not an SRB is
 * answered here, answers go back.
 *
 *	open --> CHAN_OPEN --broken ring--> CHAN_FAILED
 *		     \--close--> CHAN_CLOSING <--close--/
 *		nothing in flight: closed
 *
 * C1. A request of the pool stands behind every packet that was taken, until
 *     its answer is in the ring: there is always a place to keep the answer.
 * C2. The rings are used in CHAN_OPEN only.
 * C3. A channel is closed when no disk has a request of it any more: the host
 *     has let go of the guest's pages. They are given up, so that no request,
 *     however much it asks for, keeps a channel.
 * C4. What goes into the ring takes back the wish to be told of room, and with
 *     it the room: nothing overtakes an answer that waits for it, and where an
 *     event waits it is tried again after each answer.
 */
#include "storvsp_int.h"

#include <string.h>

#include "mem.h"

/* Packets in a row before disks and other channels have their turn. */
#define BATCH 64u

/* ---- the pool ----------------------------------------------------------- */

/* The one used last is the one whose memory is at hand. */
static struct storvsp_req *get_req(struct storvsp_chan *c)
{
	if (!list_empty(&c->free)) {
		struct storvsp_req *r = list_first(&c->free, struct storvsp_req,
						   node);
		list_del(&r->node);
		return r;
	}
	if (c->fresh == STORVSP_POOL)
		return NULL;
	struct storvsp_req *r = &c->pool[c->fresh++];
	list_init(&r->node);
	r->c = c;
	return r;
}

static void put_req(struct storvsp_req *r)
{
	r->u = NULL;
	list_add_head(&r->c->free, &r->node);
	if (r->c->more)
		storvsp_chan_ready(r->c);
}

/* ---- sending ------------------------------------------------------------ */

static void drop_unsent(struct storvsp_chan *c)
{
	struct list *it, *nx;
	list_for_each_safe(it, nx, &c->unsent) {
		list_del(it);
		put_req(list_entry(it, struct storvsp_req, node));
	}
}

static void fail(struct storvsp_chan *c)
{
	c->state = CHAN_FAILED;
	c->more = false;
	drop_unsent(c);
	chan_up(c->chan)->failed(c->chan, chan_why(c->chan));
}

/* One interrupt for all that is sent in this turn. */
static void hold(struct storvsp_chan *c)
{
	if (!list_empty(&c->held))
		return;
	chan_hold(c->chan);
	list_add_tail(&c->v->held, &c->held);
}

void storvsp_chan_interrupt(struct storvsp *v)
{
	struct list *it, *nx;
	list_for_each_safe(it, nx, &v->held) {
		struct storvsp_chan *c =
			list_entry(it, struct storvsp_chan, held);
		list_del(it);
		chan_release(c->chan);
	}
}

/* False: it is not in the ring. */
static bool send(struct storvsp_req *r)
{
	struct storvsp_chan *c = r->c;
	hold(c);
	switch (chan_complete(c->chan, r->trans_id, r->reply, VSTOR_LEN)) {
	case RING_OK:
		put_req(r);
		return true;
	case RING_BROKEN:
		put_req(r);
		fail(c);
		return true;
	default:
		return false;
	}
}

void storvsp_chan_reply(struct storvsp_req *r, const uint8_t out[VSTOR_LEN])
{
	struct storvsp_chan *c = r->c;
	if (c->state != CHAN_OPEN || !r->want_completion) {
		put_req(r);
		return;
	}
	memcpy(r->reply, out, VSTOR_LEN);
	if (!list_empty(&c->unsent) || !send(r))
		list_add_tail(&c->unsent, &r->node);
	if (c->enumerate)
		storvsp_chan_ready(c); /* C4 */
}

/* The guest makes room and signals; then this is called again. */
static void send_unsent(struct storvsp_chan *c)
{
	while (c->state == CHAN_OPEN && !list_empty(&c->unsent)) {
		struct storvsp_req *r = list_first(&c->unsent,
						   struct storvsp_req, node);
		list_del(&r->node);
		if (!send(r)) {
			list_add_head(&c->unsent, &r->node);
			return;
		}
	}
}

static void send_enumerate(struct storvsp_chan *c)
{
	uint8_t out[VSTOR_LEN];
	if (c->state != CHAN_OPEN || !c->enumerate || !list_empty(&c->unsent))
		return; /* C4 */
	vstor_event(out, VSTOR_ENUMERATE_BUS);
	hold(c);
	enum ring_result rc = chan_send(c->chan, 0, out, VSTOR_LEN);
	if (rc == RING_BROKEN)
		fail(c);
	if (rc != RING_FULL)
		c->enumerate = false;
}

void storvsp_chan_enumerate(struct storvsp *v)
{
	if (!v->primary || v->proto != PROTO_READY)
		return;
	v->primary->enumerate = true;
	storvsp_chan_ready(v->primary);
}

/* ---- what is not an SRB ------------------------------------------------- */

static void reply_status(struct storvsp_req *r, uint32_t nt)
{
	uint8_t out[VSTOR_LEN];
	vstor_reply(out, nt);
	storvsp_chan_reply(r, out);
}

static uint16_t sub_max(const struct storvsp *v)
{
	if (v->version < VSTOR_V6_0)
		return 0;
	return (uint16_t)u64_min(v->conf.max_subs, UINT16_MAX);
}

static bool accept_version(struct storvsp *v, const struct vmbus_packet *p)
{
	uint16_t version;
	if (!vstor_decode_version(p->payload, p->payload_len, &version) ||
	    (version != VSTOR_V5_1 && version != VSTOR_V6_0 &&
	     version != VSTOR_V6_2))
		return false;
	v->version = version;
	return true;
}

/* The steps of the introduction, each in its place. */
static void introduce(struct storvsp_req *r, const struct vmbus_packet *p)
{
	struct storvsp *v = r->c->v;
	if (v->proto == PROTO_VERSION && !accept_version(v, p)) {
		reply_status(r, VSTOR_NT_REVISION); /* it may try another */
		return;
	}
	if (v->proto++ == PROTO_PROPERTIES) {
		uint8_t out[VSTOR_LEN];
		vstor_reply_properties(out, sub_max(v), SCSI_TRANSFER_MAX);
		storvsp_chan_reply(r, out);
		return;
	}
	reply_status(r, VSTOR_NT_OK);
}

static void create_subs(struct storvsp_req *r, const struct vmbus_packet *p)
{
	struct storvsp_chan *c = r->c;
	uint16_t cnt;
	if (!vstor_decode_sub_cnt(p->payload, p->payload_len, &cnt) ||
	    cnt > sub_max(c->v)) {
		reply_status(r, VSTOR_NT_INVALID);
		return;
	}
	/* The answer first: the guest waits for it before it looks for them. */
	reply_status(r, VSTOR_NT_OK);
	if (cnt)
		chan_up(c->chan)->offer_subs(chan_dev(c->chan), cnt);
}

/* Answered when nothing of it is in flight; no ring is read until then. */
static void reset(struct storvsp_req *r, unsigned lun)
{
	struct storvsp *v = r->c->v;
	r->reset_lun = lun;
	list_add_tail(&v->resets, &r->node);
	v->pending = true;
	for (unsigned i = 0; i < STORVSP_LUNS; i++)
		if (v->unit[i] && (lun == STORVSP_LUNS || i == lun))
			storvsp_unit_abort(v->unit[i]);
}

static void reset_lun(struct storvsp_req *r, const struct vmbus_packet *p)
{
	uint8_t lun;
	if (vstor_decode_lun(p->payload, p->payload_len, &lun) &&
	    lun < STORVSP_LUNS)
		reset(r, lun);
	else
		reply_status(r, VSTOR_NT_INVALID);
}

/* False: no operation of the guest's. */
static bool place_of(uint32_t op, enum storvsp_proto *place)
{
	switch (op) {
	case VSTOR_BEGIN_INIT:
		*place = PROTO_BEGIN;
		return true;
	case VSTOR_QUERY_VERSION:
		*place = PROTO_VERSION;
		return true;
	case VSTOR_QUERY_PROPERTIES:
		*place = PROTO_PROPERTIES;
		return true;
	case VSTOR_END_INIT:
		*place = PROTO_END;
		return true;
	case VSTOR_EXECUTE_SRB:
	case VSTOR_RESET_LUN:
	case VSTOR_RESET_ADAPTER:
	case VSTOR_RESET_BUS:
	case VSTOR_CREATE_SUB_CHANNELS:
		*place = PROTO_READY;
		return true;
	default:
		return false;
	}
}

static void handle(struct storvsp_req *r, const struct vmbus_packet *p)
{
	struct storvsp *v = r->c->v;
	enum storvsp_proto place;
	uint32_t op;
	if (!vstor_decode_op(p->payload, p->payload_len, &op))
		reply_status(r, VSTOR_NT_INVALID);
	else if (!place_of(op, &place))
		reply_status(r, VSTOR_NT_UNKNOWN_OP);
	else if (v->proto != place)
		reply_status(r, VSTOR_NT_WRONG_STATE);
	else if (op == VSTOR_EXECUTE_SRB)
		storvsp_req_execute(r, p);
	else if (op == VSTOR_RESET_LUN)
		reset_lun(r, p);
	else if (op == VSTOR_RESET_BUS || op == VSTOR_RESET_ADAPTER)
		reset(r, STORVSP_LUNS);
	else if (r->c != v->primary)
		reply_status(r, VSTOR_NT_WRONG_STATE); /* introduced already */
	else if (op == VSTOR_CREATE_SUB_CHANNELS)
		create_subs(r, p);
	else
		introduce(r, p);
}

/* ---- receiving ---------------------------------------------------------- */

static void take(struct storvsp_req *r, const struct vmbus_packet *p)
{
	if (p->type == VMBUS_PKT_COMPLETION) {
		put_req(r); /* we ask for none */
		return;
	}
	r->trans_id = p->trans_id;
	r->want_completion = p->want_completion;
	r->packet_len = (uint32_t)u64_min(p->payload_len, VSTOR_LEN);
	memcpy(r->packet, p->payload, r->packet_len);
	handle(r, p);
}

/* False: there is nothing more, or the ring is broken. */
static bool take_packets(struct storvsp_chan *c)
{
	for (unsigned i = 0; i < BATCH; i++) {
		struct vmbus_packet p;
		struct storvsp_req *r;
		if (!storvsp_may_take(c->v) || !(r = get_req(c)))
			return true;
		enum ring_result rc = chan_recv(c->chan, &p);
		if (rc != RING_OK)
			put_req(r);
		if (rc == RING_BROKEN)
			fail(c);
		if (rc != RING_OK)
			return false;
		take(r, &p);
		if (c->state != CHAN_OPEN)
			return false;
	}
	storvsp_chan_ready(c);
	return true;
}

void storvsp_chan_serve(struct storvsp_chan *c)
{
	send_unsent(c);
	send_enumerate(c);
	if (c->state != CHAN_OPEN || !c->more)
		return;
	c->more = false; /* what ends meanwhile does not call for us */
	if (take_packets(c))
		c->more = true;
}

void storvsp_chan_ready(struct storvsp_chan *c)
{
	if (list_empty(&c->ready))
		list_add_tail(&c->v->ready, &c->ready);
}

void storvsp_chan_go(struct storvsp *v)
{
	struct list *it;
	list_for_each(it, &v->chans)
		storvsp_chan_ready(list_entry(it, struct storvsp_chan, node));
}

static void kicked(struct storvsp_source *s)
{
	struct storvsp_chan *c = container_of(s, struct storvsp_chan, kick);
	c->more = true;
	storvsp_chan_ready(c);
}

/* ---- open and close ----------------------------------------------------- */

static void free_chan(struct storvsp_chan *c)
{
	if (!c)
		return;
	mem_free(c->pool);
	mem_free(c);
}

static bool welcome(struct storvsp *v, struct storvsp_chan *c)
{
	unsigned sub = chan_sub_index(c->chan);
	if (sub ? sub > v->conf.max_subs || v->proto != PROTO_READY :
		  v->primary != NULL)
		return false;
	struct vhdx_err err;
	if (storvsp_watch(v, &c->kick, &err)) {
		storvsp_tell(v, "a channel cannot be opened: %s", err.text);
		return false;
	}
	if (!sub)
		v->primary = c;
	return true;
}

static void open_order(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_chan *c = container_of(o, struct storvsp_chan, open);
	struct vmbus_chan *chan = c->chan;
	bool ok = welcome(v, c);
	if (ok) {
		list_add_tail(&v->chans, &c->node);
		c->more = true; /* what was sent before we looked */
		storvsp_chan_ready(c);
	} else {
		free_chan(c);
	}
	chan_up(chan)->opened(chan, ok);
}

/* Nobody will hear of them; a guest could have asked for hours of work, and the
 * bus waits. */
static void give_up(struct storvsp_chan *c)
{
	for (unsigned i = 0; i < c->fresh; i++) {
		struct storvsp_req *r = &c->pool[i];
		struct storvsp_unit *u = r->u;
		if (!u)
			continue;
		storvsp_unit_touch(u);
		scsi_abort(&r->cmd);
	}
}

static void close_order(struct storvsp *v, struct storvsp_order *o)
{
	struct storvsp_chan *c = container_of(o, struct storvsp_chan, close);
	storvsp_unwatch(v, &c->kick);
	c->state = CHAN_CLOSING;
	c->more = false;
	drop_unsent(c); /* who has a unit now, is in it */
	give_up(c);
	if (v->primary == c) {
		v->primary = NULL;
		v->proto = PROTO_BEGIN;
	}
	v->pending = true;
}

/* [bus thread] */
static void vsp_open(void *vsp, struct vmbus_chan *chan)
{
	struct storvsp *v = vsp;
	struct storvsp_chan *c = mem_zalloc(sizeof(*c));
	if (c)
		c->pool = mem_array(STORVSP_POOL, sizeof(*c->pool));
	if (!c || !c->pool) {
		free_chan(c);
		chan_up(chan)->opened(chan, false);
		return;
	}
	c->v = v;
	c->chan = chan;
	c->kick = (struct storvsp_source){ kicked, chan_kick_fd(chan), true };
	list_init(&c->node);
	list_init(&c->ready);
	list_init(&c->held);
	list_init(&c->unsent);
	list_init(&c->free);
	c->open.run = open_order;
	c->close.run = close_order;
	chan_set_priv(chan, c);
	storvsp_post(v, &c->open);
}

static void vsp_close(void *vsp, struct vmbus_chan *chan)
{
	struct storvsp_chan *c = chan_priv(chan);
	storvsp_post(vsp, &c->close);
}

const struct vsp_ops storvsp_ops = { vsp_open, vsp_close };

/* ---- what waits --------------------------------------------------------- */

/* True: it still waits for disks. */
static bool close_step(struct storvsp_chan *c)
{
	struct vmbus_chan *chan = c->chan;
	if (c->in_flight)
		return true;
	list_del(&c->node);
	list_del(&c->ready);
	list_del(&c->held);
	free_chan(c);
	chan_up(chan)->closed(chan);
	return false;
}

static bool reset_is_over(const struct storvsp *v, unsigned lun)
{
	for (unsigned i = 0; i < STORVSP_LUNS; i++)
		if (v->unit[i] && v->unit[i]->in_flight &&
		    (lun == STORVSP_LUNS || i == lun))
			return false;
	return true;
}

/* Those of a channel that is not open any more have nobody to be told to. */
static bool reset_step(struct storvsp *v)
{
	struct list *it, *nx;
	if (list_empty(&v->resets))
		return false;
	list_for_each_safe(it, nx, &v->resets) {
		struct storvsp_req *r = list_entry(it, struct storvsp_req,
						   node);
		if (r->c->state == CHAN_OPEN && !reset_is_over(v, r->reset_lun))
			continue;
		list_del(it);
		reply_status(r, VSTOR_NT_OK);
	}
	if (!list_empty(&v->resets))
		return true;
	storvsp_chan_go(v);
	return false;
}

bool storvsp_chan_step(struct storvsp *v)
{
	/* Resets first: a channel that is freed has none. */
	bool waits = reset_step(v);
	struct list *it, *nx;
	list_for_each_safe(it, nx, &v->chans) {
		struct storvsp_chan *c =
			list_entry(it, struct storvsp_chan, node);
		if (c->state == CHAN_CLOSING && close_step(c))
			waits = true;
	}
	return waits;
}
