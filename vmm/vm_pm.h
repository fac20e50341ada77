/* SPDX-License-Identifier: MIT */
/*
 * The ports by which a guest switches itself off or starts itself anew, and the
 * clock's. Ports are the FADT's (acpi.h); the keyboard controller is not there
 * except for the reset line it holds in every PC.
 */
#ifndef VM_PM_H
#define VM_PM_H

#include <pthread.h>

#include "base.h"
#include "rtc.h"

struct io;

struct vm_pm {
	void (*off)(void *arg); /* [vCPU threads] */
	void (*reset)(void *arg);
	void *arg;
	pthread_mutex_t lock; /* rtc */
	struct rtc rtc;
};

void vm_pm_create(struct vm_pm *pm, struct io *io, void (*off)(void *arg),
		  void (*reset)(void *arg), void *arg);

#endif
