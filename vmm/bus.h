/* SPDX-License-Identifier: MIT */
/*
 * The VMM's VMBus: the pure server (vmbus/server.h) joined to SynIC, channels
 * and VSPs. Guest messages arrive from vCPU threads through a bounded queue;
 * everything else runs on the bus thread.
 */
#ifndef BUS_H
#define BUS_H

#include "chan.h"
#include "server.h"

struct bus;
struct evloop;
struct hyperv;

/* hyperv is made between create and start, with bus_post and bus_signal. */
int bus_create(unsigned cpu_cnt, const struct gmem *mem, struct evloop *loop,
	       struct bus **out, struct vhdx_err *e) must_check;
int bus_start(struct bus *b, struct hyperv *h, struct vhdx_err *e) must_check;
/* Channels are closed, VSPs have answered. */
void bus_destroy(struct bus *b);

/* [vCPU threads] For struct hyperv_conf; arg is the bus. */
uint32_t bus_post(void *arg, uint32_t conn_id, uint32_t type,
		  const uint8_t *payload, uint32_t len);
uint32_t bus_signal(void *arg, uint32_t conn_id);

/* [bus thread] */
int bus_offer(struct bus *b, const struct vmbus_offer *offer,
	      const struct vsp_ops *ops, void *vsp, struct vmbus_dev **out,
	      struct vhdx_err *e) must_check;
void bus_rescind(struct bus *b, struct vmbus_dev *d);

/* [bus thread, vCPUs stopped] Blocking until every channel is closed. */
void bus_reset(struct bus *b);

struct bus_status {
	uint32_t version; /* 0: the guest is not connected */
	unsigned open_cnt; /* channels */
};
void bus_status(const struct bus *b, struct bus_status *st);

/* Something to tell the user: [bus thread]. */
void bus_set_tell(struct bus *b, void (*tell)(void *arg, const char *text),
		  void *arg);

#endif
