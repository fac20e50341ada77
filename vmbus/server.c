/* SPDX-License-Identifier: MIT */
/*
 * The server's heart: what each message of a guest means in each state.
 *
 * The connection:
 *
 *	        INITIATE_CONTACT            REQUEST_OFFERS
 *	  AWAY ------ greet() ---> CONNECTED ---------------> OFFERED
 *	   ^                           |   UNLOAD, contact       |
 *	   |                           |   again, reset          |
 *	   +---- server_left() --- LEAVING <--- leave() ---------+
 *	         every VSP has closed; then UNLOAD_RESPONSE or greet()
 *
 * A channel has two sides. What the guest knows (schan.c):
 *
 *	  NOT --- schan_offer() --> OFFERED --- schan_rescind() --> RESCINDED
 *	                               |                               |
 *	                               +-- RELID_RELEASED: FORGOTTEN --+
 *
 * and what its VSP does:
 *
 *	  SHUT -- OPEN --> OPENING -- opened(true) --> OPEN -- CLOSE --> CLOSING
 *	   ^ opened(false)    | CLOSE, teardown,         opened(true)       ^ |
 *	   +--------------- ABANDONED -------------------------------------+ |
 *	   ^                                                closed()         |
 *	   +-----------------------------------------------------------------+
 *	  CLOSING -- OPEN --> REOPEN -- closed() --> OPENING
 *
 * "CLOSE" stands for everything that makes a guest's channel end: CLOSE, the
 * release of its relid, the teardown of its ring, the close of its primary, the
 * end of the connection.
 *
 * Rules (server_audit() dies where one that can be seen does not hold):
 *  I1  TORNDOWN for a GPADL goes out when no VSP holds it as a ring.
 *  I2  UNLOAD_RESPONSE, and VERSION_RESPONSE to a guest that was connected, go
 *      out when every VSP has closed: then nobody writes to its memory.
 *  I3  A relid is given to another channel only after the guest has released
 *      it, or is gone, and its VSP has closed.
 *  I4  A VMBUS_OPEN is answered once, by the VSP; then comes one OPEN_RESULT,
 *      unless the guest has withdrawn. A channel that was opened gets one
 *      VMBUS_CLOSE.
 *  I5  After a connection has ended nothing is sent to its guest but the
 *      answer to how it ended; after a reset, nothing at all.
 *  I6  What a guest makes the server remember is bounded: the GPADLs (G1) and
 *      one reply. What a message makes due is noted in what exists.
 *  I7  Subchannels are rescinded before their primary, and with its close.
 *  I8  VMBUS_GONE comes when guest and VSPs have forgotten every channel of
 *      the device; it is the last that is heard of it.
 *
 * A guest that waits for an answer gets one even if it has broken a rule,
 * wherever the message says who is waiting: it must not hang for what may be
 * our misunderstanding. VMBUS_TELL says what was wrong, so many times.
 */
#include "server_priv.h"

#include <string.h>

#include "err.h"
#include "mem.h"

#define SINT_DEFAULT 2u

/* ---- life --------------------------------------------------------------- */

int vmbus_server_create(unsigned vp_cnt, struct vmbus_server **out,
			struct vhdx_err *e)
{
	struct vmbus_server *s = mem_zalloc(sizeof(*s));

	if (!s)
		return err_set(e, VHDX_E_NOMEM, "making a VMBus server");
	ASSERT(vp_cnt);
	s->vp_cnt = vp_cnt;
	s->sint = SINT_DEFAULT;
	s->tells_left = SERVER_TELLS;
	list_init(&s->devs);
	list_init(&s->queue);
	due_init(&s->reply, DUE_REPLY);
	due_init(&s->all_offers, DUE_ALL_OFFERS);
	due_init(&s->tell, DUE_TELL);
	gpadl_set_init(&s->gpadls);
	*out = s;
	return 0;
}

void vmbus_server_destroy(struct vmbus_server *s)
{
	if (!s)
		return;
	gpadl_free_all(&s->gpadls);
	sdev_free_all(s);
	mem_free(s);
}

uint32_t vmbus_server_version(const struct vmbus_server *s)
{
	return s->version;
}

unsigned vmbus_server_open_cnt(const struct vmbus_server *s)
{
	return s->busy_cnt;
}

/* ---- the connection ----------------------------------------------------- */

static bool supported(uint32_t version)
{
	switch (version) {
	case PROTO_V(4, 0):
	case PROTO_V(4, 1):
	case PROTO_V(5, 0):
	case PROTO_V(5, 1):
	case PROTO_V(5, 2):
	case PROTO_V(5, 3):
		return true;
	default:
		return false; /* the guest then asks for another */
	}
}

static void greet(struct vmbus_server *s)
{
	const struct proto_in *m = &s->contact;
	bool good = supported(m->version) && !m->vtl;
	bool old = m->version < PROTO_V(5, 0);

	if (good) {
		s->conn = CONN_CONNECTED;
		s->version = m->version;
	}
	due_reply(s, proto_put_version(s->reply_msg, good,
				       old ? VMBUS_CONN_OLD : VMBUS_CONN_NEW,
				       m->version >= PROTO_V(5, 3) &&
					       m->features));
}

void server_left(struct vmbus_server *s)
{
	enum conn_next next = s->next;

	ASSERT(s->conn == CONN_LEAVING && !s->busy_cnt);
	gpadl_free_all(&s->gpadls);
	s->conn = CONN_AWAY;
	s->next = NEXT_NOTHING;
	if (next == NEXT_CONTACT)
		greet(s);
	else if (next == NEXT_UNLOADED)
		due_reply(s, proto_put_bare(s->reply_msg, PROTO_UNLOADED));
}

/* When leaving already, the latest wish counts. */
static void leave(struct vmbus_server *s, enum conn_next next)
{
	s->next = next;
	if (s->conn == CONN_LEAVING)
		return;
	s->conn = CONN_LEAVING;
	s->version = 0;
	schan_forget_all(s);
}

void vmbus_server_reset(struct vmbus_server *s)
{
	if (s->conn == CONN_AWAY)
		due_drop_guest(s);
	else
		leave(s, NEXT_NOTHING);
	s->vp = 0;
	s->sint = SINT_DEFAULT;
	s->tells_left = SERVER_TELLS;
}

static void on_contact(struct vmbus_server *s, const struct proto_in *m)
{
	if (m->vp >= s->vp_cnt || m->sint > 15) {
		due_tell(s, "INITIATE_CONTACT: to be answered at processor %u, "
			 "SINT %u, which is not there", m->vp, m->sint);
		return;
	}
	s->contact = *m;
	s->vp = m->vp;
	s->sint = m->sint;
	if (s->conn == CONN_AWAY) {
		greet(s);
		return;
	}
	if (s->busy_cnt)
		due_tell(s, "a guest connects while %u channels of the one "
			 "before are open: they are closed", s->busy_cnt);
	leave(s, NEXT_CONTACT);
}

static void on_unload(struct vmbus_server *s, const struct proto_in *m)
{
	(void)m;
	if (s->conn == CONN_AWAY)
		due_reply(s, proto_put_bare(s->reply_msg, PROTO_UNLOADED));
	else
		leave(s, NEXT_UNLOADED);
}

static void on_request_offers(struct vmbus_server *s, const struct proto_in *m)
{
	struct list *it;

	(void)m;
	s->conn = CONN_OFFERED;
	list_for_each(it, &s->devs) {
		struct server_dev *d = list_entry(it, struct server_dev, node);

		if (d->primary.known == KNOWN_NOT)
			schan_offer(s, &d->primary);
	}
	due_add(s, &s->all_offers);
}

static void on_tl_connect(struct vmbus_server *s, const struct proto_in *m)
{
	due_reply(s, proto_put_tl_result(s->reply_msg, m->endpoint,
					 PROTO_REFUSED));
}

/* ---- GPADLs ------------------------------------------------------------- */

static void answer_created(struct vmbus_server *s, uint32_t relid, uint32_t id,
			   uint32_t status)
{
	due_reply(s, proto_put_result(s->reply_msg, PROTO_GPADL_CREATED, relid,
				      id, status));
}

static void gpadl_refused(struct vmbus_server *s, uint32_t relid, uint32_t id,
			  uint32_t status, const char *why)
{
	due_tell(s, "GPADL %#x of channel %u is refused: %s", id, relid, why);
	answer_created(s, relid, id, status);
}

static void on_gpadl_header(struct vmbus_server *s, const struct proto_in *m)
{
	struct server_chan *c = schan_known(s, m->relid);
	const char *why = "there is no such channel";
	uint32_t status = PROTO_BAD_PARAM;
	struct gpadl *g;

	if (c)
		status = gpadl_begin(&s->gpadls, c, m, &g, &why);
	if (status)
		gpadl_refused(s, m->relid, m->gpadl, status, why);
	else if (g->state == GPADL_READY)
		answer_created(s, m->relid, m->gpadl, PROTO_OK);
}

static void on_gpadl_body(struct vmbus_server *s, const struct proto_in *m)
{
	struct gpadl *g = gpadl_find(&s->gpadls, m->gpadl);
	uint32_t relid, status;
	const char *why;

	if (!g || g->state != GPADL_COMING) {
		due_tell(s, "GPADL_BODY: no GPADL %#x waits for pages",
			 m->gpadl);
		return;
	}
	relid = g->chan->relid;
	status = gpadl_more(&s->gpadls, g, m, &why);
	if (status)
		gpadl_refused(s, relid, m->gpadl, status, why);
	else if (g->state == GPADL_READY)
		answer_created(s, relid, m->gpadl, PROTO_OK);
}

static void tear_down(struct vmbus_server *s, struct gpadl *g)
{
	struct server_chan *c = g->chan;
	/* What is opened again with another ring goes on. */
	bool old = c->vsp == VSP_REOPEN && c->next.ring != g;

	g->state = GPADL_TEARING;
	if (schan_holds(c, g) && !old) {
		/* What a rescinded channel leaves out is not wrong. */
		if (c->known == KNOWN_OFFERED && c->vsp != VSP_CLOSING &&
		    c->vsp != VSP_ABANDONED)
			due_tell(s, "GPADL %#x is torn down under its open "
				 "channel %u: it is closed", g->id, c->relid);
		schan_shut(s, c);
	}
	if (!schan_holds(c, g))
		due_add(s, &g->torn); /* I1 */
}

static void on_teardown(struct vmbus_server *s, const struct proto_in *m)
{
	struct gpadl *g = gpadl_find(&s->gpadls, m->gpadl);

	if (!g) {
		due_tell(s, "GPADL_TEARDOWN: there is no GPADL %#x", m->gpadl);
		due_reply(s, proto_put_id(s->reply_msg, PROTO_TORNDOWN,
					  m->gpadl));
	} else if (g->state == GPADL_TEARING) {
		due_tell(s, "GPADL_TEARDOWN: GPADL %#x is being torn down",
			 m->gpadl);
	} else if (g->chan->relid != m->relid) {
		due_tell(s, "GPADL_TEARDOWN: GPADL %#x is of channel %u, "
			 "not %u", m->gpadl, g->chan->relid, m->relid);
	} else {
		tear_down(s, g);
	}
}

/* ---- channels ----------------------------------------------------------- */

static const char *open_refused(const struct vmbus_server *s,
				const struct server_chan *c,
				const struct proto_in *m,
				const struct gpadl *g)
{
	if (!c)
		return "there is no such channel";
	if (c->vsp != VSP_SHUT && c->vsp != VSP_CLOSING)
		return "it is open";
	if (m->vp >= s->vp_cnt)
		return "there is no such processor";
	if (!g || g->chan != c)
		return "its ring is no GPADL of it";
	if (!gpadl_is_ring(g, m->to_host_cnt))
		return "its GPADL is no pair of rings";
	return NULL;
}

static void on_open(struct vmbus_server *s, const struct proto_in *m)
{
	struct server_chan *c = schan_known(s, m->relid);
	struct open_req req = {
		.ring = gpadl_find(&s->gpadls, m->gpadl),
		.open_id = m->open_id,
		.vp = m->vp,
		.to_host_cnt = m->to_host_cnt,
	};
	const char *why = open_refused(s, c, m, req.ring);

	/* It was under way when the channel was rescinded: the guest gives up
	 * by itself. */
	if (c && c->known == KNOWN_RESCINDED)
		return;
	if (!why) {
		schan_open(s, c, &req);
		return;
	}
	due_tell(s, "OPEN of channel %u is refused: %s", m->relid, why);
	due_reply(s, proto_put_result(s->reply_msg, PROTO_OPEN_RESULT,
				      m->relid, m->open_id, PROTO_BAD_PARAM));
}

static void on_close(struct vmbus_server *s, const struct proto_in *m)
{
	struct server_chan *c = schan_known(s, m->relid);

	if (!c) {
		due_tell(s, "CLOSE: there is no channel %u", m->relid);
		return;
	}
	/* A subchannel may have been closed with its primary. */
	if ((c->vsp == VSP_SHUT || c->vsp == VSP_CLOSING) &&
	    c->known == KNOWN_OFFERED)
		due_tell(s, "CLOSE: channel %u is not open", m->relid);
	schan_shut(s, c);
}

static void on_modify(struct vmbus_server *s, const struct proto_in *m)
{
	struct server_chan *c = schan_known(s, m->relid);
	bool good = c && c->vsp == VSP_OPEN && m->vp < s->vp_cnt;

	if (s->version < PROTO_V(4, 1)) {
		due_tell(s, "MODIFYCHANNEL is not of version 4.0");
		return;
	}
	if (good) {
		c->cur.vp = m->vp;
		due_add(s, &c->retarget); /* before the guest relies on it */
	} else {
		due_tell(s, "MODIFYCHANNEL of channel %u to processor %u is "
			 "refused: it is not open, or there is no such "
			 "processor", m->relid, m->vp);
	}
	if (s->version >= PROTO_V(5, 3))
		due_reply(s, proto_put_modified(s->reply_msg, m->relid,
						good ? PROTO_OK
						     : PROTO_BAD_PARAM));
}

static void on_released(struct vmbus_server *s, const struct proto_in *m)
{
	struct server_chan *c = schan_known(s, m->relid);

	if (c)
		schan_forget(s, c);
	else
		due_tell(s, "RELID_RELEASED: there is no channel %u",
			 m->relid);
}

/* ---- messages ----------------------------------------------------------- */

/* True: it was one of the two that any state understands. */
static bool any_state(struct vmbus_server *s, const struct proto_in *m)
{
	if (m->type == PROTO_CONTACT)
		on_contact(s, m);
	else if (m->type == PROTO_UNLOAD)
		on_unload(s, m);
	else
		return false;
	return true;
}

static void connected(struct vmbus_server *s, const struct proto_in *m)
{
	switch (m->type) {
	case PROTO_REQUEST_OFFERS:
		on_request_offers(s, m);
		break;
	case PROTO_GPADL_HEADER:
		on_gpadl_header(s, m);
		break;
	case PROTO_GPADL_BODY:
		on_gpadl_body(s, m);
		break;
	case PROTO_TEARDOWN:
		on_teardown(s, m);
		break;
	case PROTO_OPEN:
		on_open(s, m);
		break;
	case PROTO_CLOSE:
		on_close(s, m);
		break;
	case PROTO_MODIFY:
		on_modify(s, m);
		break;
	case PROTO_RELEASED:
		on_released(s, m);
		break;
	case PROTO_TL_CONNECT:
		on_tl_connect(s, m);
		break;
	}
}

void vmbus_server_message(struct vmbus_server *s, uint32_t conn_id,
			  const uint8_t *msg, uint32_t len)
{
	enum proto_result r = PROTO_SHORT;
	struct proto_in m = { 0 };

	ASSERT(vmbus_server_ready(s));
	if (conn_id != VMBUS_CONN_OLD && conn_id != VMBUS_CONN_NEW) {
		due_tell(s, "a message to connection %u, where nobody listens",
			 conn_id);
		return;
	}
	if (len <= VMBUS_MESSAGE_MAX)
		r = proto_decode(msg, len, &m);
	if (r != PROTO_GOOD)
		due_tell(s, "a message of type %u, %u bytes: %s", m.type, len,
			 r == PROTO_SHORT ? "that is no length for it"
					  : "no guest sends that");
	else if (!any_state(s, &m)) {
		if (s->conn == CONN_CONNECTED || s->conn == CONN_OFFERED)
			connected(s, &m);
		else
			due_tell(s, "a message of type %u without a "
				 "connection", m.type);
	}
}
