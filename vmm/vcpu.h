/* SPDX-License-Identifier: MIT */
/*
 * One processor: its KVM descriptor, its thread, its state at power on. How all
 * of them stop and go on together is vm_run.c's; what a vCPU has to say goes
 * there through its functions `say` and `stopped`.
 *
 * A processor that stops has finished the instruction KVM was in the middle of
 * (port and MMIO accesses end with the next KVM_RUN), so that its registers may
 * be read and replaced.
 */
#ifndef VCPU_H
#define VCPU_H

#include <pthread.h>
#include <stdatomic.h>

#include "base.h"
#include "boot.h"
#include "vhdx.h"

struct hyperv;
struct io;
struct vcpu_state;

enum vcpu_word { /* what a vCPU has to say */
	VCPU_RESET = 1, /* the guest asks for it, or nothing else is left */
	VCPU_CRASHED = 2,
	VCPU_FAILED = 4, /* v->err */
};

struct vcpu {
	unsigned vp;
	int fd;
	struct kvm_run *run;
	size_t run_len;
	struct hyperv *hyperv;
	const struct io *io;
	struct vcpu_state *at_start;
	/* [vCPU thread] */
	void (*say)(void *arg, struct vcpu *v, enum vcpu_word word);
	/* [vCPU thread] Called when `stop` is set: returns when to run on;
	 * false: the thread ends. */
	bool (*stopped)(void *arg, struct vcpu *v);
	void *arg;
	_Atomic bool stop;
	bool held; /* vm_run.c's: runs no more before a reset */
	bool parked;
	pthread_t thread;
	bool has_thread;
	struct vhdx_err err;
};

/* v: zeroed, with vp, hyperv, io, say, stopped, arg. */
int vcpu_create(struct vcpu *v, int kvm_fd, int vm_fd, struct vhdx_err *e)
	must_check;
void vcpu_destroy(struct vcpu *v);

/* [it does not run] As at power on; with `start` (the first one) at the entry
 * of a kernel. */
int vcpu_reset(struct vcpu *v, const struct boot_start *start,
	       struct vhdx_err *e) must_check;

int vcpu_start_thread(struct vcpu *v, struct vhdx_err *e) must_check;
void vcpu_join(struct vcpu *v);

/* [any thread] Sets `stop` and makes the vCPU see it. */
void vcpu_kick(struct vcpu *v);

/* The five parameters of the crash that the guest reported. */
void vcpu_crash_params(const struct vcpu *v, uint64_t p[5]);

#endif
