/* SPDX-License-Identifier: MIT */
/*
 * A VMBus server under test: every step is followed by server_audit(), and what
 * it does is written down in words, which a test compares:
 *
 *	version 5.3 4 | version no 4	VERSION_RESPONSE, connection id
 *	offer R/S | offers done | rescind R
 *	created R G ok | created R G no	torn G
 *	result R ID ok | result R ID no	modified R ok | modified R no
 *	unloaded | tl refused
 *	OPEN R/S @VP N+M	pages to host + to guest
 *	CLOSE R | RETARGET R @VP | GONE D | TELL
 *
 * joined by "; ". A message to another place than VP 0, SINT 2 has @VP.SINT
 * before it.
 */
#ifndef T_VMBUS_H
#define T_VMBUS_H

#include "server.h"
#include "t.h"
#include "vmbus_guest.h"

#define V5_3 0x50003u

struct t_bus {
	struct vmbus_server *s;
	uint32_t version; /* last asked for */
	char said[4096];
	char told[256];	   /* by the last TELL */
	uint64_t pfn[512]; /* of the last OPEN */
	uint32_t conn_id;
	uint8_t msg[240]; /* the last one sent */
	uint32_t msg_len;
	void *dev; /* of the last action that has one */
};

void t_bus_begin(struct t_bus *b); /* 4 processors, no device */
void t_bus_end(struct t_bus *b);

/* A device with this number as dev; its relid. */
uint32_t t_bus_offer(struct t_bus *b, unsigned dev);
#define T_DEV(n) ((void *)(uintptr_t)(n))

/* What has been done since the last time. */
const char *t_bus_said(struct t_bus *b);
#define T_SAYS(b, want)                                                     \
	do {                                                                \
		const char *t_s_ = t_bus_said(b);                           \
		if (strcmp(t_s_, (want)))                                   \
			printf("\n    %s:%d: \"%s\"\n", __FILE__, __LINE__, \
			       t_s_);                                       \
		CU_ASSERT_FATAL(!strcmp(t_s_, (want)));                     \
	} while (0)

/* The guest's message to the usual connection; actions stay where they are
 * until asked for. */
void t_bus_msg(struct t_bus *b, struct guest_msg m);
/* The same, and what it led to. */
#define T_MSG(b, m, want)                                                   \
	do {                                                                \
		t_bus_msg((b), (m));                                        \
		T_SAYS((b), (want));                                        \
	} while (0)

/* What the bus does: each with the audit. */
void t_bus_opened(struct t_bus *b, uint32_t relid, bool ok);
void t_bus_closed(struct t_bus *b, uint32_t relid);
void t_bus_subs(struct t_bus *b, unsigned dev, unsigned cnt);
void t_bus_rescind(struct t_bus *b, unsigned dev);
void t_bus_reset(struct t_bus *b);

/* Short cuts, each checked: connected and offered with one device, 1, as
 * relid 1; then with its ring GPADL 100 of 4 pages; then open. */
void t_bus_offered(struct t_bus *b);
void t_bus_ringed(struct t_bus *b);
void t_bus_open(struct t_bus *b);
/* A subchannel's relid with ring GPADL `id` made and opened. */
void t_bus_open_more(struct t_bus *b, uint32_t relid, uint32_t id);

#endif
