/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <string.h>

#include "mem.h"
#include "server_priv.h"

#define CONN_BASE 0x1000u /* of channels: apart from VMBUS_CONN_* */

void due_add(struct vmbus_server *s, struct due *d)
{
	ASSERT(!due_waits(d));
	list_add_tail(&s->queue, &d->node);
}

void due_drop_guest(struct vmbus_server *s)
{
	struct list *it, *nx;

	list_for_each_safe(it, nx, &s->queue) {
		struct due *d = list_entry(it, struct due, node);

		if (d->kind <= DUE_RETARGET)
			due_drop(d);
	}
}

void due_reply(struct vmbus_server *s, uint32_t len)
{
	s->reply_len = len;
	due_add(s, &s->reply);
}

void due_tell(struct vmbus_server *s, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (!s->tells_left || due_waits(&s->tell))
		return;
	va_start(ap, fmt);
	len = vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	if (!--s->tells_left && len > 0 && (size_t)len < sizeof(s->text))
		snprintf(s->text + len, sizeof(s->text) - (size_t)len,
			 "; no more of this is told before a reset");
	due_add(s, &s->tell);
}

/* ---- notes become actions ----------------------------------------------- */

static void send(struct vmbus_server *s, struct vmbus_action *a,
		 const uint8_t *msg, uint32_t len)
{
	a->kind = VMBUS_SEND;
	a->vp = s->vp;
	a->sint = s->sint;
	a->msg = msg;
	a->msg_len = len;
}

static uint32_t put_offer(uint8_t *p, const struct server_chan *c)
{
	const struct vmbus_offer *o = &c->dev->offer;
	struct proto_offer m = {
		.if_type = o->if_type,
		.instance = o->instance,
		.flags = o->flags,
		.user_def = o->user_def,
		.sub_index = (uint16_t)c->sub_index,
		.relid = c->relid,
		.conn_id = CONN_BASE + c->relid,
	};

	return proto_put_offer(p, &m);
}

static void do_notice(struct vmbus_server *s, struct vmbus_action *a,
		      const struct server_chan *c)
{
	send(s, a, s->out, c->notice.kind == DUE_OFFER
			? put_offer(s->out, c)
			: proto_put_id(s->out, PROTO_RESCIND, c->relid));
}

static void do_order(struct vmbus_action *a, const struct server_chan *c)
{
	a->relid = c->relid;
	a->dev = c->dev->offer.dev;
	a->kind = VMBUS_CLOSE;
	if (c->order.kind == DUE_CLOSE)
		return;
	a->kind = VMBUS_OPEN;
	a->vp = c->cur.vp;
	a->conn_id = CONN_BASE + c->relid;
	a->sub_index = c->sub_index;
	a->pfn = gpadl_ring_pfn(c->cur.ring);
	a->pfn_cnt = c->cur.ring->page_cnt;
	a->to_host_cnt = c->cur.to_host_cnt;
}

static void do_retarget(struct vmbus_action *a, const struct server_chan *c)
{
	a->kind = VMBUS_RETARGET;
	a->relid = c->relid;
	a->vp = c->cur.vp;
	a->dev = c->dev->offer.dev;
}

static void do_torn(struct vmbus_server *s, struct vmbus_action *a,
		    struct gpadl *g)
{
	send(s, a, s->out, proto_put_id(s->out, PROTO_TORNDOWN, g->id));
	gpadl_free(&s->gpadls, g);
}

static void do_gone(struct vmbus_server *s, struct vmbus_action *a,
		    struct server_dev *d)
{
	a->kind = VMBUS_GONE;
	a->dev = d->offer.dev;
	a->relid = d->primary.relid;
	s->by_relid[d->primary.relid] = NULL;
	list_del(&d->node);
	mem_free(d);
}

static void do_result(struct vmbus_server *s, struct vmbus_action *a,
		      const struct server_chan *c)
{
	send(s, a, s->out,
	     proto_put_result(s->out, PROTO_OPEN_RESULT, c->relid,
			      c->result_id, c->result_status));
}

static void due_do(struct vmbus_server *s, struct vmbus_action *a,
		   struct due *d)
{
	switch (d->kind) {
	case DUE_REPLY:
		send(s, a, s->reply_msg, s->reply_len);
		break;
	case DUE_ALL_OFFERS:
		send(s, a, s->out, proto_put_bare(s->out, PROTO_ALL_OFFERS));
		break;
	case DUE_OFFER:
	case DUE_RESCIND:
		do_notice(s, a, container_of(d, struct server_chan, notice));
		break;
	case DUE_RESULT:
		do_result(s, a, container_of(d, struct server_chan, result));
		break;
	case DUE_TORN:
		do_torn(s, a, container_of(d, struct gpadl, torn));
		break;
	case DUE_RETARGET:
		do_retarget(a, container_of(d, struct server_chan, retarget));
		break;
	case DUE_OPEN:
	case DUE_CLOSE:
		do_order(a, container_of(d, struct server_chan, order));
		break;
	case DUE_GONE:
		do_gone(s, a, container_of(d, struct server_dev, gone));
		break;
	case DUE_TELL:
		a->kind = VMBUS_TELL;
		a->text = s->text;
		break;
	}
}

bool vmbus_server_ready(const struct vmbus_server *s)
{
	return list_empty(&s->queue);
}

bool vmbus_server_next(struct vmbus_server *s, struct vmbus_action *a)
{
	struct due *d;

	if (list_empty(&s->queue))
		return false;
	d = list_first(&s->queue, struct due, node);
	due_drop(d);
	memset(a, 0, sizeof(*a));
	due_do(s, a, d);
	return true;
}
