/* SPDX-License-Identifier: MIT */
/*
 * The VMBus server: connection, offers, GPADLs, channels. A pure state machine:
 * guest messages, answers of VSPs and orders of the VMM go in, actions come
 * out, in order; no I/O, no threads, no clock. Every byte of a message is
 * hostile; memory for what a guest may pile up is bounded (VMBUS_*_MAX).
 *
 * One thread uses it (the bus thread).
 */
#ifndef SERVER_H
#define SERVER_H

#include "base.h"

#define VMBUS_MESSAGE_MAX 240u /* bytes of one message */
#define VMBUS_RELID_MAX 2047u
#define VMBUS_GPADL_MAX 4096u	  /* at a time */
#define VMBUS_GPADL_PAGES_MAX 65536u /* pages of all of them */
#define VMBUS_CONN_OLD 1u /* connection ids that guests post to */
#define VMBUS_CONN_NEW 4u

struct vmbus_server;
struct vhdx_err;

struct vmbus_offer {
	uint8_t if_type[16], instance[16]; /* as on the wire */
	uint16_t flags;
	uint8_t user_def[120];
	void *dev; /* comes back with the actions of its channels; unique */
};

enum vmbus_action_kind {
	VMBUS_SEND,    /* message to `vp`'s slot of SINT `sint` */
	VMBUS_OPEN,    /* answer with vmbus_server_opened() */
	VMBUS_CLOSE,   /* answer with vmbus_server_closed() */
	VMBUS_RETARGET, /* relid now interrupts `vp`; signal it once */
	VMBUS_GONE,    /* a rescinded device is forgotten by the guest, all its
			  channels closed: dev may be freed */
	VMBUS_TELL,    /* the guest broke the protocol, or something worth
			  knowing happened: text; 100 from reset to reset */
};

/* Pointers are valid until the next call. */
struct vmbus_action {
	enum vmbus_action_kind kind;
	uint32_t vp;	/* SEND, OPEN, RETARGET */
	uint8_t sint;	/* SEND */
	const uint8_t *msg; /* SEND */
	uint32_t msg_len;
	uint32_t relid; /* channel: OPEN, CLOSE, RETARGET */
	uint32_t conn_id; /* OPEN: what the guest signals */
	void *dev;	/* OPEN, CLOSE, GONE */
	unsigned sub_index; /* OPEN */
	const uint64_t *pfn; /* OPEN: the ring GPADL, whole pages, in order */
	unsigned pfn_cnt, to_host_cnt;
	const char *text; /* TELL */
};

int vmbus_server_create(unsigned vp_cnt, struct vmbus_server **out,
			struct vhdx_err *e) must_check;
void vmbus_server_destroy(struct vmbus_server *s);

/* False while actions are waiting: take no guest message then. That bounds what
 * a guest can make the server remember. */
bool vmbus_server_ready(const struct vmbus_server *s);

/* The guest posted a message (type 1) to this connection id. */
void vmbus_server_message(struct vmbus_server *s, uint32_t conn_id,
			  const uint8_t *msg, uint32_t len);

/* The next action, or false. */
bool vmbus_server_next(struct vmbus_server *s, struct vmbus_action *a);

/* Offers a device, now or when the guest asks. *relid: of its primary channel.
 * NOSPC when all relids are in use. */
int vmbus_server_offer(struct vmbus_server *s, const struct vmbus_offer *o,
		       uint32_t *relid, struct vhdx_err *e) must_check;
/* Subchannels 1..cnt of it; does nothing for those that are there, when relids
 * run out, or when its primary is not open. */
void vmbus_server_offer_subs(struct vmbus_server *s, void *dev, unsigned cnt);
/* GONE follows when the guest has let go; till then, again is harmless. */
void vmbus_server_rescind(struct vmbus_server *s, void *dev);

/* Answers to VMBUS_OPEN and VMBUS_CLOSE. */
void vmbus_server_opened(struct vmbus_server *s, uint32_t relid, bool ok);
void vmbus_server_closed(struct vmbus_server *s, uint32_t relid);

/* The VM was reset: nothing more is sent to the old guest, open channels are
 * closed (VMBUS_CLOSE), devices are offered to the next. */
void vmbus_server_reset(struct vmbus_server *s);

/* For status: 0 when not connected, else major << 16 | minor. */
uint32_t vmbus_server_version(const struct vmbus_server *s);
/* Channels that a VSP has, is about to get, or has not closed yet. */
unsigned vmbus_server_open_cnt(const struct vmbus_server *s);

#endif
