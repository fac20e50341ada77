/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "err.h"
#include "mem.h"
#include "server_priv.h"

/* ---- relids ------------------------------------------------------------- */

/* Round and round: one that was given back rests as long as it can. 0: none. */
static uint32_t relid_take(struct vmbus_server *s, struct server_chan *c)
{
	for (uint32_t i = 0; i < VMBUS_RELID_MAX; i++) {
		s->last_relid = s->last_relid % VMBUS_RELID_MAX + 1;
		if (s->by_relid[s->last_relid])
			continue;
		s->by_relid[s->last_relid] = c;
		return s->last_relid;
	}
	return 0;
}

static struct server_chan *chan_at(const struct vmbus_server *s,
				   uint32_t relid)
{
	return relid <= VMBUS_RELID_MAX ? s->by_relid[relid] : NULL;
}

struct server_chan *schan_known(const struct vmbus_server *s, uint32_t relid)
{
	struct server_chan *c = chan_at(s, relid);

	return c && (c->known == KNOWN_OFFERED || c->known == KNOWN_RESCINDED)
		       ? c : NULL;
}

static bool chan_init(struct vmbus_server *s, struct server_dev *d,
		      struct server_chan *c, unsigned sub_index)
{
	c->dev = d;
	c->sub_index = sub_index;
	list_init(&c->node);
	due_init(&c->notice, DUE_OFFER);
	due_init(&c->order, DUE_OPEN);
	due_init(&c->result, DUE_RESULT);
	due_init(&c->retarget, DUE_RETARGET);
	c->relid = relid_take(s, c);
	return c->relid;
}

static void drop_due(struct server_chan *c)
{
	due_drop(&c->notice);
	due_drop(&c->order);
	due_drop(&c->result);
	due_drop(&c->retarget);
}

/* ---- ends --------------------------------------------------------------- */

/* I8: the device is the last to go. */
static void sdev_settle(struct vmbus_server *s, struct server_dev *d)
{
	struct server_chan *c = &d->primary;

	if (d->leaving && list_empty(&d->subs) && c->vsp == VSP_SHUT &&
	    (c->known == KNOWN_NOT || c->known == KNOWN_FORGOTTEN) &&
	    !due_waits(&d->gone))
		due_add(s, &d->gone);
}

/* I3: c may have come to its end. Frees a subchannel then. */
static void settle(struct vmbus_server *s, struct server_chan *c)
{
	struct server_dev *d = c->dev;

	if (c->vsp != VSP_SHUT || c->known == KNOWN_OFFERED ||
	    c->known == KNOWN_RESCINDED)
		return;
	gpadl_orphan(&s->gpadls, c);
	if (c->sub_index) {
		s->by_relid[c->relid] = NULL;
		list_del(&c->node);
		drop_due(c);
		mem_free(c);
	}
	sdev_settle(s, d);
}

/* ---- the guest's side --------------------------------------------------- */

void schan_offer(struct vmbus_server *s, struct server_chan *c)
{
	ASSERT(c->known == KNOWN_NOT);
	c->known = KNOWN_OFFERED;
	c->notice.kind = DUE_OFFER;
	due_add(s, &c->notice);
}

void schan_rescind(struct vmbus_server *s, struct server_chan *c)
{
	if (c->known == KNOWN_OFFERED && due_waits(&c->notice)) {
		due_drop(&c->notice); /* it has never heard of it */
		c->known = KNOWN_NOT;
	} else if (c->known == KNOWN_OFFERED) {
		c->known = KNOWN_RESCINDED;
		c->notice.kind = DUE_RESCIND;
		due_add(s, &c->notice);
	}
	settle(s, c);
}

void schan_forget(struct vmbus_server *s, struct server_chan *c)
{
	c->known = KNOWN_FORGOTTEN;
	schan_shut(s, c);
	settle(s, c);
}

void schan_forget_all(struct vmbus_server *s)
{
	struct list *it, *nx;

	due_drop_guest(s);
	for (uint32_t i = 1; i <= VMBUS_RELID_MAX; i++)
		if (s->by_relid[i])
			s->by_relid[i]->known = KNOWN_NOT;
	list_for_each_safe(it, nx, &s->devs) {
		struct server_dev *d = list_entry(it, struct server_dev, node);

		schan_shut(s, &d->primary);
		settle(s, &d->primary);
	}
	if (!s->busy_cnt)
		server_left(s);
}

/* ---- the VSP's side ----------------------------------------------------- */

bool schan_holds(const struct server_chan *c, const struct gpadl *g)
{
	return (c->vsp != VSP_SHUT && c->cur.ring == g) ||
	       (c->vsp == VSP_REOPEN && c->next.ring == g);
}

static void order(struct vmbus_server *s, struct server_chan *c,
		  enum due_kind kind)
{
	c->order.kind = kind;
	due_add(s, &c->order);
}

void schan_open(struct vmbus_server *s, struct server_chan *c,
		const struct open_req *req)
{
	if (c->vsp == VSP_CLOSING) {
		c->next = *req;
		c->vsp = VSP_REOPEN;
		return;
	}
	ASSERT(c->vsp == VSP_SHUT);
	c->cur = *req;
	c->vsp = VSP_OPENING;
	s->busy_cnt++;
	order(s, c, DUE_OPEN);
}

static void shut_one(struct vmbus_server *s, struct server_chan *c)
{
	switch (c->vsp) {
	case VSP_SHUT:
	case VSP_ABANDONED:
	case VSP_CLOSING:
		break;
	case VSP_OPENING:
		c->vsp = VSP_ABANDONED;
		if (!due_waits(&c->order))
			break;
		due_drop(&c->order); /* the VSP has never heard of it */
		c->vsp = VSP_SHUT;
		s->busy_cnt--;
		break;
	case VSP_OPEN:
		c->vsp = VSP_CLOSING;
		order(s, c, DUE_CLOSE);
		break;
	case VSP_REOPEN:
		c->vsp = VSP_CLOSING;
		break;
	}
}

void schan_shut(struct vmbus_server *s, struct server_chan *c)
{
	struct list *it, *nx;

	/* I7: subchannels are nothing without their primary. */
	if (!c->sub_index)
		list_for_each_safe(it, nx, &c->dev->subs) {
			struct server_chan *sub =
				list_entry(it, struct server_chan, node);

			shut_one(s, sub);
			schan_rescind(s, sub);
		}
	shut_one(s, c);
}

/* The VSP has let go of `ring`; c is VSP_SHUT, or about to open another. */
static void let_go(struct vmbus_server *s, struct server_chan *c,
		   struct gpadl *ring)
{
	if (ring->state == GPADL_TEARING && !schan_holds(c, ring) &&
	    s->conn != CONN_LEAVING)
		due_add(s, &ring->torn); /* I1 */
	if (c->vsp != VSP_SHUT)
		return;
	s->busy_cnt--;
	settle(s, c);
	if (s->conn == CONN_LEAVING && !s->busy_cnt)
		server_left(s); /* I2 */
}

void vmbus_server_opened(struct vmbus_server *s, uint32_t relid, bool ok)
{
	struct server_chan *c = chan_at(s, relid);

	ASSERT(c && !due_waits(&c->order));
	ASSERT(c->vsp == VSP_OPENING || c->vsp == VSP_ABANDONED);
	if (c->vsp == VSP_OPENING) {
		c->result_id = c->cur.open_id;
		c->result_status = ok ? PROTO_OK : PROTO_FAILED;
		due_add(s, &c->result);
		c->vsp = VSP_OPEN;
	} else if (ok) {
		c->vsp = VSP_CLOSING;
		order(s, c, DUE_CLOSE);
	}
	if (ok)
		return;
	c->vsp = VSP_SHUT;
	let_go(s, c, c->cur.ring);
}

void vmbus_server_closed(struct vmbus_server *s, uint32_t relid)
{
	struct server_chan *c = chan_at(s, relid);
	struct gpadl *ring;

	ASSERT(c && !due_waits(&c->order));
	ASSERT(c->vsp == VSP_CLOSING || c->vsp == VSP_REOPEN);
	ring = c->cur.ring;
	if (c->vsp == VSP_REOPEN) {
		c->cur = c->next;
		c->vsp = VSP_OPENING;
		order(s, c, DUE_OPEN);
	} else {
		c->vsp = VSP_SHUT;
	}
	let_go(s, c, ring);
}

/* ---- devices ------------------------------------------------------------ */

static struct server_dev *sdev_find(const struct vmbus_server *s,
				    const void *dev)
{
	struct list *it;

	list_for_each(it, &s->devs) {
		struct server_dev *d = list_entry(it, struct server_dev, node);

		if (d->offer.dev == dev)
			return d;
	}
	return NULL;
}

int vmbus_server_offer(struct vmbus_server *s, const struct vmbus_offer *o,
		       uint32_t *relid, struct vhdx_err *e)
{
	struct server_dev *d = mem_zalloc(sizeof(*d));

	ASSERT(!sdev_find(s, o->dev));
	if (!d)
		return err_set(e, VHDX_E_NOMEM, "offering a device");
	d->offer = *o;
	list_init(&d->subs);
	due_init(&d->gone, DUE_GONE);
	if (!chan_init(s, d, &d->primary, 0)) {
		mem_free(d);
		return err_set(e, VHDX_E_NOSPC, "all %u channels of the VM "
			       "are in use: remove a device first",
			       VMBUS_RELID_MAX);
	}
	list_add_tail(&s->devs, &d->node);
	if (s->conn == CONN_OFFERED)
		schan_offer(s, &d->primary);
	*relid = d->primary.relid;
	return 0;
}

static bool has_sub(const struct server_dev *d, unsigned index)
{
	struct list *it;

	list_for_each(it, &d->subs) {
		struct server_chan *c =
			list_entry(it, struct server_chan, node);

		if (c->sub_index == index && c->known == KNOWN_OFFERED)
			return true;
	}
	return false;
}

void vmbus_server_offer_subs(struct vmbus_server *s, void *dev, unsigned cnt)
{
	struct server_dev *d = sdev_find(s, dev);

	if (!d || s->conn != CONN_OFFERED || d->primary.vsp != VSP_OPEN ||
	    d->primary.known != KNOWN_OFFERED)
		return;
	for (unsigned i = 1; i <= cnt && i <= VMBUS_RELID_MAX; i++) {
		struct server_chan *c;

		if (has_sub(d, i))
			continue;
		c = mem_zalloc(sizeof(*c));
		if (!c || !chan_init(s, d, c, i)) {
			mem_free(c);
			return;
		}
		list_add_tail(&d->subs, &c->node);
		schan_offer(s, c);
	}
}

void vmbus_server_rescind(struct vmbus_server *s, void *dev)
{
	struct server_dev *d = sdev_find(s, dev);
	struct list *it, *nx;

	ASSERT(d);
	d->leaving = true;
	list_for_each_safe(it, nx, &d->subs) /* I7 */
		schan_rescind(s, list_entry(it, struct server_chan, node));
	schan_rescind(s, &d->primary);
}

void sdev_free_all(struct vmbus_server *s)
{
	struct list *it, *nx, *sub, *sub_nx;

	list_for_each_safe(it, nx, &s->devs) {
		struct server_dev *d = list_entry(it, struct server_dev, node);

		list_for_each_safe(sub, sub_nx, &d->subs) {
			struct server_chan *c =
				list_entry(sub, struct server_chan, node);

			drop_due(c);
			mem_free(c);
		}
		drop_due(&d->primary);
		due_drop(&d->gone);
		mem_free(d);
	}
}
