/* SPDX-License-Identifier: MIT */
/*
 * Inside the storage VSP. Everything here is the controller's thread's, but the
 * mailbox. One iteration of the thread (storvsp.c):
 *
 *	wait -> rings are drained, SRBs submitted	storvsp_chan.c, _req.c
 *	     -> disks have their turn, SRBs complete	storvsp_unit.c
 *	     -> guests are interrupted
 *	     -> orders of other threads are begun	storvsp.c
 *	     -> what waited for something goes on	*_step()
 *
 * Nothing is freed before the last two, so that an event never outlives what
 * it is about.
 *
 * A packet of the guest takes a request from its channel's pool before it is
 * taken from the ring, and gives it back when its answer is in the other ring:
 * that bounds what is in flight, and what waits for room.
 *
 *	free -> in flight: a disk has it ----+-> answered, or
 *	     -> a reset: nothing in flight? -+   unsent: ring full -> answered
 */
#ifndef STORVSP_INT_H
#define STORVSP_INT_H

#include <pthread.h>

#include "err.h"
#include "list.h"
#include "storvsp.h"
#include "vstor.h"

#define STORVSP_POOL 256u /* requests of a channel at a time */
/* A transfer that begins inside a page takes one page more. */
#define STORVSP_IOV (SCSI_TRANSFER_MAX / 4096u + 1)

struct storvsp_unit;

/* ---- the mailbox -------------------------------------------------------- */

/* Something to do on the controller's thread. */
struct storvsp_order {
	struct list node;
	void (*run)(struct storvsp *v, struct storvsp_order *o);
	void *arg;
	unsigned lun;
	struct vhdx_err *e;
	int rc;
	bool done; /* with the lock held */
};

/* What the thread waits for. */
struct storvsp_source {
	void (*ready)(struct storvsp_source *s); /* flags something, no more */
	int fd;
	bool eventfd; /* every write to it is an event; it is never read */
};

int storvsp_watch(struct storvsp *v, struct storvsp_source *s,
		  struct vhdx_err *e) must_check;
void storvsp_unwatch(struct storvsp *v, struct storvsp_source *s);

/* [any thread] */
void storvsp_post(struct storvsp *v, struct storvsp_order *o);
/* [any other thread] Posts and waits; returns o->rc. */
int storvsp_call(struct storvsp *v, struct storvsp_order *o);
/* Ends an order that is waited for: it is gone then. */
void storvsp_done(struct storvsp *v, struct storvsp_order *o, int rc);

/* ---- channels ----------------------------------------------------------- */

enum storvsp_chan_state {
	CHAN_OPEN,
	CHAN_FAILED,  /* the rings are left alone */
	CHAN_CLOSING, /* the same, and closed when nothing is in flight */
};

struct storvsp_req {
	struct list node; /* free, unsent or reset */
	struct storvsp_chan *c;
	struct storvsp_unit *u; /* while in flight */
	uint64_t trans_id;
	bool want_completion;
	unsigned reset_lun; /* of a reset; STORVSP_LUNS: all */
	uint32_t packet_len;
	uint8_t packet[VSTOR_LEN]; /* as it came */
	uint8_t reply[VSTOR_LEN];
	struct scsi_cmd cmd;
	struct iovec iov[STORVSP_IOV];
};

struct storvsp_chan {
	struct storvsp_source kick;
	struct list node;  /* of all channels */
	struct list ready; /* to be served, or on no list */
	struct list held;  /* to be released at the end of the turn */
	struct storvsp *v;
	struct vmbus_chan *chan;
	enum storvsp_chan_state state;
	bool more;	/* there may be packets in the ring */
	bool enumerate; /* the guest is to be told to look */
	unsigned in_flight; /* in disks */
	struct list unsent;
	struct storvsp_req *pool;
	unsigned fresh; /* those of the pool from here were never used */
	struct list free;
	struct storvsp_order open, close;
};

void storvsp_chan_serve(struct storvsp_chan *c);
void storvsp_chan_ready(struct storvsp_chan *c); /* serve it soon */
void storvsp_chan_interrupt(struct storvsp *v);  /* all that were held */
void storvsp_chan_enumerate(struct storvsp *v);
/* Requests may be taken again. */
void storvsp_chan_go(struct storvsp *v);
/* True: something still waits. */
bool storvsp_chan_step(struct storvsp *v);

/* The answer of a request, which is free then, sooner or later. */
void storvsp_chan_reply(struct storvsp_req *r, const uint8_t out[VSTOR_LEN]);

/* ---- requests ----------------------------------------------------------- */

void storvsp_req_execute(struct storvsp_req *r, const struct vmbus_packet *p);

/* ---- logical units ------------------------------------------------------ */

enum storvsp_unit_state {
	UNIT_OPEN,
	UNIT_QUIESCING, /* to be closed for a reopen: requests wait */
	UNIT_CLOSED,	/* requests wait */
	UNIT_REMOVING,	/* no unit for the guest any more */
};

struct storvsp_unit {
	struct storvsp_source source; /* vhdx_blk_fd */
	struct list turning; /* to have its turn, or on no list */
	struct storvsp *v;
	struct storvsp_disk disk;
	struct vhdx_geometry geometry;
	struct vhdx_blk *blk; /* NULL: closed */
	struct scsi_disk *scsi;
	enum storvsp_unit_state state;
	bool reopening; /* by somebody's storvsp_reopen() */
	bool quiet;	/* scsi_quiesce() is through */
	bool starved;	/* waits for space on the host */
	unsigned in_flight;
	struct storvsp_order *order; /* ends with the state */
};

struct storvsp_unit *storvsp_unit_find(struct storvsp *v, unsigned lun);
/* LUNs that are there; returns how many. */
unsigned storvsp_unit_list(const struct storvsp *v, uint8_t lun[STORVSP_LUNS]);
void storvsp_unit_touch(struct storvsp_unit *u); /* it is to have its turn */
void storvsp_unit_turns(struct storvsp *v);
/* Everything in flight ends soon. */
void storvsp_unit_abort(struct storvsp_unit *u);
bool storvsp_unit_step(struct storvsp *v);
/* Nothing is in flight, but what waits for space, or for its disk. */
bool storvsp_unit_idle(const struct storvsp *v);
/* Closes all; the first error. */
int storvsp_unit_close_all(struct storvsp *v, struct vhdx_err *e);

/* ---- the controller ----------------------------------------------------- */

/* What the primary channel says next. */
enum storvsp_proto {
	PROTO_BEGIN,
	PROTO_VERSION,
	PROTO_PROPERTIES,
	PROTO_END,
	PROTO_READY,
};

struct storvsp {
	struct storvsp_conf conf;
	pthread_t thread;
	int epoll_fd;
	struct storvsp_source mail;
	pthread_mutex_t lock; /* guards orders and their done */
	pthread_cond_t cond;
	struct list orders;
	bool mail_there, quit;

	struct storvsp_chan *primary;
	enum storvsp_proto proto;
	uint16_t version;

	struct list chans, ready, held, turning;
	struct storvsp_unit *unit[STORVSP_LUNS];
	struct list resets;  /* answered when nothing is in flight */
	bool paused;
	struct list pausing; /* orders */
	bool pending; /* something waits: step */
};

void storvsp_tell(struct storvsp *v, const char *fmt, ...) printf_like(2, 3);
/* Requests may be taken from rings. */
bool storvsp_may_take(const struct storvsp *v);

#endif
