/* SPDX-License-Identifier: MIT */
/*
 * What the control socket is asked for (docs/vmm-control.md). Orders for the VM
 * are carried out on the bus thread, at once; what blocks - disks added,
 * removed, resized, asked for their state - has a thread of its own for as long
 * as it takes, and is answered when it is done.
 */
#ifndef ORDERS_H
#define ORDERS_H

#include "ctl.h"
#include "machine.h"

struct orders;

/* [bus thread] all of it. m is borrowed. */
int orders_create(struct machine *m, struct orders **out,
		  struct vhdx_err *e) must_check;
/* Waits for those under way, and answers them. NULL allowed. */
void orders_destroy(struct orders *o);

/* A ctl_fn; arg is the orders. */
void orders_run(void *arg, const json_t *request, struct ctl_call *call);

#endif
