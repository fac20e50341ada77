/* SPDX-License-Identifier: MIT */
/*
 * What vm.c (making and ending), vm_kvm.c (KVM's part of the machine) and
 * vm_run.c (running, stopping, starting anew) share.
 */
#ifndef VM_PRIV_H
#define VM_PRIV_H

#include <linux/kvm.h>
#include <pthread.h>

#include "conf.h"
#include "evloop.h"
#include "io.h"
#include "vcpu.h"
#include "vm.h"
#include "vm_pm.h"
#include "vm_serial.h"

#define VM_CHIPS 3u /* two PICs, the I/O APIC */

struct vm_kvm {
	int kvm_fd, vm_fd;
	struct kvm_irqchip chip[VM_CHIPS]; /* at power on */
	struct kvm_pit_state2 pit;
};

enum vm_ask { /* vCPU threads to the bus thread */
	VM_ASK_OFF = 1,
	VM_ASK_RESET = 2,
	VM_ASK_CRASHED = 4,
	VM_ASK_FAILED = 8,
};

struct vm {
	const struct conf *conf;
	struct evloop *loop;
	struct vm_kvm kvm;
	struct gmem mem;
	void *ram;
	struct io io;
	struct vm_serial serial;
	struct vm_pm pm;
	struct vcpu vcpu[CONF_CPUS];
	unsigned vcpu_cnt;
	struct vm_events events;

	/* Asked by vCPU threads, done by the bus thread. */
	_Atomic unsigned asked;
	int ask_fd;
	struct ev ask;

	/* With `lock`: halted, ending, every vCPU's held and parked, the text
	 * of a crash. */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool halted, ending;
	char crash[256];

	/* [bus thread] */
	bool runs, paused;
	unsigned crash_cnt; /* told since it was reset */
	enum vm_end end;
	struct vhdx_err err;
};

/* vm_kvm.c: /dev/kvm, the VM, its interrupt controllers and timer, memory. */
int vm_kvm_create(struct vm_kvm *k, unsigned cpu_cnt, struct vhdx_err *e)
	must_check;
void vm_kvm_destroy(struct vm_kvm *k);
int vm_kvm_reset(const struct vm_kvm *k, struct vhdx_err *e) must_check;
int vm_kvm_memory(const struct vm_kvm *k, uint64_t len, struct gmem *mem,
		  void **ram, struct vhdx_err *e) must_check;

/* vm_run.c */
void vm_ask(struct vm *vm, enum vm_ask what); /* [any thread] */
void vm_on_asked(void *vm, uint32_t events);
void vm_vcpu_says(void *vm, struct vcpu *v, enum vcpu_word word);
bool vm_vcpu_stopped(void *vm, struct vcpu *v);
/* Processors, chips and the kernel, as at power on. */
int vm_power_on(struct vm *vm, struct vhdx_err *e) must_check;

#endif
