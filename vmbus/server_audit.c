/* SPDX-License-Identifier: MIT */
#include "server_priv.h"

static void audit_due(const struct due *d, const struct list *queue)
{
	const struct list *it;
	unsigned cnt = 0;

	list_for_each(it, queue)
		cnt += it == &d->node;
	ASSERT(cnt == due_waits(d));
}

static void audit_queue(const struct vmbus_server *s)
{
	bool away = s->conn == CONN_LEAVING;
	const struct list *it;

	audit_due(&s->reply, &s->queue);
	audit_due(&s->all_offers, &s->queue);
	audit_due(&s->tell, &s->queue);
	list_for_each(it, &s->queue) {
		const struct due *d = list_entry(it, const struct due, node);

		ASSERT(!away || d->kind > DUE_OPEN); /* I5 */
		ASSERT(s->conn != CONN_AWAY || d->kind == DUE_REPLY ||
		       d->kind > DUE_OPEN);
	}
}

static const struct gpadl *find(const struct vmbus_server *s, uint32_t id)
{
	return gpadl_find((struct gpadl_set *)&s->gpadls, id);
}

/* The ring of an open channel is its own, whole, and in the set. */
static void audit_ring(const struct vmbus_server *s,
		       const struct server_chan *c, const struct open_req *r)
{
	ASSERT(find(s, r->ring->id) == r->ring);
	ASSERT(r->ring->chan == c && r->ring->range_cnt == 1);
	ASSERT(r->ring->state != GPADL_COMING && r->vp < s->vp_cnt);
	ASSERT(r->to_host_cnt && r->to_host_cnt < r->ring->page_cnt);
	ASSERT(!due_waits(&r->ring->torn)); /* I1 */
}

static void audit_chan(const struct vmbus_server *s,
		       const struct server_chan *c)
{
	bool here = s->conn == CONN_OFFERED;

	ASSERT(c->relid && c->relid <= VMBUS_RELID_MAX);
	ASSERT(s->by_relid[c->relid] == c); /* I3 */
	ASSERT(here || c->known == KNOWN_NOT);
	audit_due(&c->notice, &s->queue);
	audit_due(&c->order, &s->queue);
	audit_due(&c->result, &s->queue);
	audit_due(&c->retarget, &s->queue);
	if (c->vsp != VSP_SHUT)
		audit_ring(s, c, &c->cur);
	if (c->vsp == VSP_REOPEN) {
		audit_ring(s, c, &c->next);
		ASSERT(c->known == KNOWN_OFFERED ||
		       c->known == KNOWN_RESCINDED);
	}
	/* I4 */
	if (due_waits(&c->order))
		ASSERT(c->order.kind == DUE_OPEN
			       ? c->vsp == VSP_OPENING
			       : c->vsp == VSP_CLOSING || c->vsp == VSP_REOPEN);
	ASSERT(here || c->vsp == VSP_SHUT || c->vsp == VSP_ABANDONED ||
	       c->vsp == VSP_CLOSING);
	ASSERT(!due_waits(&c->retarget) || c->vsp == VSP_OPEN);
}

/* I7: and a subchannel that nobody knows is there for its VSP's sake only. */
static void audit_sub(const struct vmbus_server *s,
		      const struct server_chan *sub)
{
	const struct server_chan *p = &sub->dev->primary;

	audit_chan(s, sub);
	ASSERT(sub->sub_index);
	if (sub->known == KNOWN_OFFERED)
		ASSERT(p->known == KNOWN_OFFERED && p->vsp == VSP_OPEN);
	if (sub->known == KNOWN_NOT || sub->known == KNOWN_FORGOTTEN)
		ASSERT(sub->vsp != VSP_SHUT);
}

/* Adds its channels to *cnt and those in a VSP's hands to *busy. */
static void audit_dev(const struct vmbus_server *s, const struct server_dev *d,
		      unsigned *cnt, unsigned *busy)
{
	const struct server_chan *p = &d->primary;
	const struct list *it;

	audit_chan(s, p);
	audit_due(&d->gone, &s->queue);
	ASSERT(!p->sub_index);
	*cnt += 1;
	*busy += p->vsp != VSP_SHUT;
	list_for_each(it, &d->subs) {
		const struct server_chan *c =
			list_entry(it, const struct server_chan, node);

		audit_sub(s, c);
		*cnt += 1;
		*busy += c->vsp != VSP_SHUT;
	}
	ASSERT(!d->leaving || p->known != KNOWN_OFFERED);
	/* I8 */
	ASSERT(due_waits(&d->gone) ==
	       (d->leaving && list_empty(&d->subs) && p->vsp == VSP_SHUT &&
		p->known != KNOWN_RESCINDED));
}

/* G1, G2 and I6. */
static void audit_gpadls(const struct vmbus_server *s)
{
	unsigned cnt = 0;
	uint32_t page_cnt = 0;
	const struct list *it;

	for (unsigned i = 0; i < GPADL_BUCKETS; i++)
		list_for_each(it, &s->gpadls.bucket[i]) {
			const struct gpadl *g =
				list_entry(it, const struct gpadl, node);

			cnt++;
			page_cnt += g->page_cnt;
			ASSERT(find(s, g->id) == g);
			ASSERT(g->got_cnt <= g->word_cnt);
			ASSERT(g->page_cnt + g->range_cnt == g->word_cnt);
			audit_due(&g->torn, &s->queue);
			ASSERT(g->chan ? s->by_relid[g->chan->relid] == g->chan
				       : g->state == GPADL_TEARING);
			ASSERT(!due_waits(&g->torn) ||
			       g->state == GPADL_TEARING);
			/* Nothing is torn down that nobody waits for. */
			ASSERT(g->state != GPADL_TEARING ||
			       due_waits(&g->torn) ||
			       s->conn == CONN_LEAVING ||
			       (g->chan && schan_holds(g->chan, g)));
		}
	ASSERT(cnt == s->gpadls.cnt && cnt <= VMBUS_GPADL_MAX);
	ASSERT(page_cnt == s->gpadls.page_cnt &&
	       page_cnt <= VMBUS_GPADL_PAGES_MAX);
	ASSERT(!cnt || s->conn == CONN_OFFERED || s->conn == CONN_LEAVING);
}

void server_audit(const struct vmbus_server *s)
{
	unsigned cnt = 0, busy = 0, relids = 0;
	const struct list *it;

	audit_queue(s);
	audit_gpadls(s);
	list_for_each(it, &s->devs)
		audit_dev(s, list_entry(it, const struct server_dev, node),
			  &cnt, &busy);
	for (unsigned i = 0; i <= VMBUS_RELID_MAX; i++)
		relids += s->by_relid[i] != NULL;
	ASSERT(relids == cnt && busy == s->busy_cnt);
	ASSERT(s->conn != CONN_LEAVING || busy); /* I2 */
	ASSERT(s->next == NEXT_NOTHING || s->conn == CONN_LEAVING);
	ASSERT((s->version != 0) == (s->conn == CONN_CONNECTED ||
				     s->conn == CONN_OFFERED));
	ASSERT(s->conn != CONN_AWAY || !busy);
}
