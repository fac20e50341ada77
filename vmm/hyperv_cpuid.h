/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's CPUID, made of what KVM supports: the topology is one socket of
 * single-threaded cores with APIC id = vCPU number, the hypervisor is Hyper-V
 * and no other, and what Hyper-V offers is what KVM does in the kernel and we
 * want. Entries in, entries out; nothing else.
 */
#ifndef HYPERV_CPUID_H
#define HYPERV_CPUID_H

#include <linux/kvm.h>

#include "base.h"
#include "vhdx.h"

#define HYPERV_CPUID_MAX 256u

struct hyperv_cpuid {
	unsigned vp, cpu_cnt;
	bool tsc_deadline; /* KVM has it, but does not list it */
	bool apicv;	   /* the processor does a guest's EOI by itself */
	const struct kvm_cpuid_entry2 *kvm; /* KVM_GET_SUPPORTED_CPUID */
	unsigned kvm_cnt;
	const struct kvm_cpuid_entry2 *hv; /* KVM_GET_SUPPORTED_HV_CPUID */
	unsigned hv_cnt;
};

/* UNSUPPORTED names what KVM's Hyper-V leaves lack. */
int hyperv_cpuid(const struct hyperv_cpuid *in,
		 struct kvm_cpuid_entry2 out[HYPERV_CPUID_MAX], unsigned *cnt,
		 struct vhdx_err *e) must_check;

#endif
