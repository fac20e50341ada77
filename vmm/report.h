/* SPDX-License-Identifier: MIT */
/*
 * What `status` answers (docs/vmm-control.md).
 */
#ifndef REPORT_H
#define REPORT_H

#include "ctl.h"
#include "errand.h"
#include "machine.h"
#include "vm.h"

/* "running", "paused", "off", "crashed" */
const char *report_state(enum vm_state state);

/* [bus thread] Answers the call, once the controllers have said how their disks
 * are. */
void report_status(const struct machine *m, struct errands *errands,
		   struct ctl_call *call);

#endif
