/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine of KVM: memory, vCPU threads, chipset, and the way from
 * power on to power off. The bus thread (who calls vm_run) owns everything that
 * is not a vCPU's; vCPU threads reach it by eventfds only.
 */
#ifndef VM_H
#define VM_H

#include "base.h"
#include "gmem.h"
#include "vhdx.h"

struct conf;
struct evloop;
struct hyperv;
struct vm;

enum vm_state { VM_RUNNING, VM_PAUSED, VM_OFF, VM_CRASHED };

/* Why vm_run() returned. */
enum vm_end {
	VM_END_POWER_OFF, /* the guest switched itself off */
	VM_END_QUIT,	  /* vm_quit() */
	VM_END_ERROR,	  /* KVM gave up; *e says why */
};

/* What other rooms of the VMM hear of. All [bus thread]. */
struct vm_events {
	/* vCPUs are stopped; the guest begins anew: forget its VMBus, SynIC. */
	void (*reset)(void *arg);
	void (*crashed)(void *arg, const char *text);
	void *arg;
};

/* Opens /dev/kvm, makes memory, interrupt controllers, timer and devices; no
 * vCPU yet. conf and loop are borrowed. NOTFOUND: no /dev/kvm; UNSUPPORTED: a
 * capability is missing, which is named; NOMEM. */
int vm_create(const struct conf *conf, struct evloop *loop, struct vm **out,
	      struct vhdx_err *e) must_check;
/* The vCPUs (hyperv makes each one's CPUID and SynIC and handles its exits),
 * then the kernel is loaded; nothing runs yet. */
int vm_add_cpus(struct vm *vm, struct hyperv *hyperv, struct vhdx_err *e)
	must_check;
void vm_destroy(struct vm *vm);

int vm_kvm_fd(const struct vm *vm); /* both KVM's; for hyperv.c */
int vm_fd(const struct vm *vm);
unsigned vm_cpu_cnt(const struct vm *vm);
const struct gmem *vm_mem(const struct vm *vm);
void vm_set_events(struct vm *vm, const struct vm_events *ev);

/* The serial console: what the guest writes goes to out_fd, what in_fd gives
 * goes to the guest (-1: nothing). Both non-blocking; borrowed. */
int vm_console(struct vm *vm, int in_fd, int out_fd, struct vhdx_err *e)
	must_check;

/* Starts the vCPUs and turns the bus thread's event loop until the end. */
enum vm_end vm_run(struct vm *vm, struct vhdx_err *e);

/* [bus thread], from handlers of the loop. pause returns when every vCPU has
 * stopped. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
void vm_reset(struct vm *vm);
void vm_press_power(struct vm *vm); /* ACPI power button: asks the guest */
void vm_quit(struct vm *vm);
enum vm_state vm_state(const struct vm *vm);

#endif
