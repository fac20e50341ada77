/* SPDX-License-Identifier: MIT */
/*
 * The server from inside, for its own files and its tests; the states and the
 * rules are explained in server.c.
 */
#ifndef SERVER_PRIV_H
#define SERVER_PRIV_H

#include "gpadl.h"
#include "server.h"

enum conn_state {
	CONN_AWAY,
	CONN_CONNECTED,
	CONN_OFFERED, /* the guest has asked for offers */
	CONN_LEAVING, /* waits for VSPs to close */
};

/* After CONN_LEAVING. */
enum conn_next { NEXT_NOTHING, NEXT_UNLOADED, NEXT_CONTACT };

/* A channel in the guest's eyes. */
enum known {
	KNOWN_NOT,
	KNOWN_OFFERED,
	KNOWN_RESCINDED,
	KNOWN_FORGOTTEN, /* the guest has released the relid */
};

/* A channel in its VSP's hands. */
enum vsp_state {
	VSP_SHUT,
	VSP_OPENING,
	VSP_ABANDONED, /* opening, to be closed at once */
	VSP_OPEN,
	VSP_CLOSING,
	VSP_REOPEN, /* closing, to be opened again */
};

struct open_req {
	struct gpadl *ring;
	uint32_t open_id, vp, to_host_cnt;
};

struct server_chan {
	struct server_dev *dev;
	struct list node; /* of dev->subs */
	uint32_t relid;
	unsigned sub_index; /* 0: the primary */
	enum known known;
	enum vsp_state vsp;
	struct open_req cur;  /* unless VSP_SHUT */
	struct open_req next; /* VSP_REOPEN */
	uint32_t result_id, result_status;
	struct due notice, order, result, retarget;
};

struct server_dev {
	struct list node;
	struct vmbus_offer offer;
	bool leaving; /* rescinded */
	struct list subs;
	struct server_chan primary;
	struct due gone;
};

#define SERVER_TELLS 100u /* broken rules told from reset to reset */

struct vmbus_server {
	unsigned vp_cnt;
	enum conn_state conn;
	enum conn_next next;
	struct proto_in contact; /* NEXT_CONTACT */
	uint32_t version;	 /* 0: not connected */
	uint32_t vp;		 /* where messages go */
	uint8_t sint;
	struct list devs;
	struct server_chan *by_relid[VMBUS_RELID_MAX + 1];
	uint32_t last_relid;
	unsigned busy_cnt; /* channels not VSP_SHUT */
	struct gpadl_set gpadls;
	struct list queue;
	struct due reply, all_offers, tell;
	uint8_t reply_msg[PROTO_OUT_MAX], out[PROTO_OUT_MAX];
	uint32_t reply_len;
	unsigned tells_left;
	char text[160];
};

/* ---- due.c: the queue --------------------------------------------------- */

void due_add(struct vmbus_server *s, struct due *d);
/* Whatever is meant for the guest is dropped. */
void due_drop_guest(struct vmbus_server *s);
/* The answer to the message in hand, made in reply_msg. */
void due_reply(struct vmbus_server *s, uint32_t len);
void due_tell(struct vmbus_server *s, const char *fmt, ...) printf_like(2, 3);

/* ---- schan.c: devices and channels -------------------------------------- */

/* As the guest may name it, or NULL. */
struct server_chan *schan_known(const struct vmbus_server *s, uint32_t relid);
void schan_offer(struct vmbus_server *s, struct server_chan *c);
void schan_rescind(struct vmbus_server *s, struct server_chan *c);
void schan_open(struct vmbus_server *s, struct server_chan *c,
		const struct open_req *req);
/* The VSP is to close it, now or when it can; a primary takes its subchannels
 * with it. */
void schan_shut(struct vmbus_server *s, struct server_chan *c);
/* The guest has released the relid. */
void schan_forget(struct vmbus_server *s, struct server_chan *c);
/* The guest has no channels any more. May end in server_left(). */
void schan_forget_all(struct vmbus_server *s);
/* The VSP holds, or will get, this ring of c. */
bool schan_holds(const struct server_chan *c, const struct gpadl *g);
/* Frees all of them, whatever their state. */
void sdev_free_all(struct vmbus_server *s);

/* ---- server.c ----------------------------------------------------------- */

/* CONN_LEAVING, and the last VSP has closed. */
void server_left(struct vmbus_server *s);

/* ---- server_audit.c ----------------------------------------------------- */

/* Dies where a rule of server.c does not hold. For tests and fuzzers. */
void server_audit(const struct vmbus_server *s);

#endif
