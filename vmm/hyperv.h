/* SPDX-License-Identifier: MIT */
/*
 * What makes the machine a Hyper-V one, on KVM's own help (KVM_CAP_HYPERV_*):
 * CPUID leaves, SynIC messages and event flags, hypercalls that come up to user
 * space. KVM's own leaves are hidden: a guest must not find two hypervisors.
 *
 * Owns the GSI routing table: 0..23 are the interrupt controllers' as KVM has
 * them by default, 24 + vp is SINT2 of that vp.
 *
 * Threads are named at each function.
 */
#ifndef HYPERV_H
#define HYPERV_H

#include <linux/kvm.h>

#include "gmem.h"
#include "vhdx.h"

#define HYPERV_SINT 2u /* VMBus's, the only one that interrupts */

struct hyperv;

enum { /* hypercall status */
	HV_OK = 0,
	HV_BAD_CODE = 2,
	HV_BAD_INPUT = 3,
	HV_BAD_ALIGNMENT = 4,
	HV_BAD_PARAMETER = 5,
	HV_NO_MEMORY = 11,
	HV_BAD_CONNECTION = 18,
	HV_NO_BUFFERS = 19,
};

struct hyperv_conf {
	int kvm_fd, vm_fd;
	const struct gmem *mem;
	unsigned cpu_cnt;
	/* [vCPU thread] The guest posted a message; returns HV_*. */
	uint32_t (*post)(void *arg, uint32_t conn_id, uint32_t type,
			 const uint8_t *payload, uint32_t len);
	/* [vCPU thread] A signal that no eventfd took; returns HV_*. */
	uint32_t (*signal)(void *arg, uint32_t conn_id);
	void *arg;
};

/* Before vCPUs are created. UNSUPPORTED names the missing capability. */
int hyperv_create(const struct hyperv_conf *conf, struct hyperv **out,
		  struct vhdx_err *e) must_check;
void hyperv_destroy(struct hyperv *h);

/* [before it runs] CPUID (KVM's supported leaves, made ours: topology, Hyper-V
 * leaves, no KVM leaves), SynIC on, VP index. Call it for every vp: interrupts
 * are set up with the last. vcpu_fd is borrowed. */
int hyperv_vcpu_init(struct hyperv *h, unsigned vp, int vcpu_fd,
		     struct vhdx_err *e) must_check;

/* [vCPU thread] KVM_EXIT_HYPERV: handled, run->hyperv filled. */
void hyperv_exit(struct hyperv *h, unsigned vp, struct kvm_run *run);

/* [bus thread, vCPUs stopped] The machine begins anew. */
void hyperv_reset(struct hyperv *h);

/* [bus thread] A message into vp's slot of `sint`; into another than
 * HYPERV_SINT's the guest has to look by itself. False: the slot is taken, or
 * the guest has none yet; slot_fd becomes readable when to try again. It does
 * so after every interrupt the guest ends, too: poll it only while something
 * waits. */
bool hyperv_post(struct hyperv *h, unsigned vp, unsigned sint, uint32_t type,
		 const uint8_t *payload, uint32_t len) must_check;
int hyperv_slot_fd(const struct hyperv *h);

/* [any thread] Event flag `flag` of vp's SINT (HYPERV_SINT), and the interrupt
 * if it was clear. */
void hyperv_signal(struct hyperv *h, unsigned vp, unsigned sint, unsigned flag);

/* [bus thread] conn_id signals this eventfd without leaving the kernel; fd -1
 * ends that. */
int hyperv_bind(struct hyperv *h, uint32_t conn_id, int fd, bool on,
		struct vhdx_err *e) must_check;

#endif
