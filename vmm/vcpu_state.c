/* SPDX-License-Identifier: MIT */
#include "vcpu_state.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "err.h"
#include "mem.h"

enum {
	MSR_TSC = 0x10,
	MSR_TSC_ADJUST = 0x3b,
	MSR_HYPERV_FIRST = 0x40000000,
	MSR_HYPERV_LAST = 0x400001ff,
	MSRS_MAX = 1024,
};

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	unsigned msr_cnt;
	struct kvm_msr_entry msr[MSRS_MAX];
	struct kvm_xsave xsave; /* its end is open: nothing behind it */
};

/* A list of one; returns what the ioctl does. */
static int one_msr(int fd, unsigned long request, struct kvm_msr_entry *entry)
{
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(*entry)];
	} m = { .list.nmsrs = 1 };
	int n;

	m.list.entries[0] = *entry;
	n = ioctl(fd, request, &m);
	*entry = m.list.entries[0];
	return n;
}

static bool is_ours(uint32_t index)
{
	return index != MSR_TSC && index != MSR_TSC_ADJUST &&
	       (index < MSR_HYPERV_FIRST || index > MSR_HYPERV_LAST);
}

/* KVM lists registers that this processor does not have: those that it gives
 * and takes back are the ones to keep. */
static void save_msrs(int fd, const struct kvm_msr_list *list,
		      struct vcpu_state *s)
{
	for (unsigned i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry m = { .index = list->indices[i] };

		if (!is_ours(m.index) || one_msr(fd, KVM_GET_MSRS, &m) != 1 ||
		    one_msr(fd, KVM_SET_MSRS, &m) != 1)
			continue;
		s->msr[s->msr_cnt++] = m;
	}
}

/* What is read and written with one call each. */
#define PARTS(X)                                                     \
	X(KVM_GET_REGS, KVM_SET_REGS, regs)                          \
	X(KVM_GET_SREGS, KVM_SET_SREGS, sregs)                       \
	X(KVM_GET_XSAVE, KVM_SET_XSAVE, xsave)                       \
	X(KVM_GET_XCRS, KVM_SET_XCRS, xcrs)                          \
	X(KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, debugregs)           \
	X(KVM_GET_LAPIC, KVM_SET_LAPIC, lapic)                       \
	X(KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, events)

static int save(int kvm_fd, int fd, struct vcpu_state *s, struct vhdx_err *e)
{
	struct kvm_msr_list *list =
		mem_zalloc(sizeof(*list) + MSRS_MAX * sizeof(uint32_t));

	if (!list)
		return err_set(e, VHDX_E_NOMEM, "processor: out of memory");
	list->nmsrs = MSRS_MAX;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) == 0)
		save_msrs(fd, list, s);
	mem_free(list);
#define GET(get, set, part)                       \
	if (ioctl(fd, get, &s->part) != 0)        \
		return err_sys(e, errno, #get);
	PARTS(GET)
#undef GET
	return 0;
}

int vcpu_state_save(int kvm_fd, int vcpu_fd, struct vcpu_state **out,
		    struct vhdx_err *e)
{
	struct vcpu_state *s = mem_zalloc(sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, VHDX_E_NOMEM, "processor: out of memory");
	rc = save(kvm_fd, vcpu_fd, s, e);
	if (rc) {
		mem_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void vcpu_state_free(struct vcpu_state *s)
{
	mem_free(s);
}

static int load_msrs(int fd, const struct vcpu_state *s, struct vhdx_err *e)
{
	for (unsigned i = 0; i < s->msr_cnt; i++) {
		struct kvm_msr_entry m = s->msr[i];

		if (one_msr(fd, KVM_SET_MSRS, &m) != 1)
			return err_set(e, VHDX_E_FAILED,
				       "KVM_SET_MSRS: register 0x%x is refused",
				       m.index);
	}
	return 0;
}

int vcpu_state_load(int vcpu_fd, const struct vcpu_state *s, bool runs,
		    struct vhdx_err *e)
{
	struct kvm_mp_state mp = { runs ? KVM_MP_STATE_RUNNABLE :
					  KVM_MP_STATE_UNINITIALIZED };
	int rc;

	/* The local APIC's base, in sregs, before its registers; then the
	 * registers that may start a timer; pending events last. */
#define SET(get, set, part)                         \
	if (ioctl(vcpu_fd, set, &s->part) != 0)     \
		return err_sys(e, errno, #set);
	PARTS(SET)
#undef SET
	rc = load_msrs(vcpu_fd, s, e);
	if (rc)
		return rc;
	if (ioctl(vcpu_fd, KVM_SET_MP_STATE, &mp) != 0)
		return err_sys(e, errno, "KVM_SET_MP_STATE");
	return 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
	};
}

int vcpu_state_boot(int vcpu_fd, const struct boot_start *start,
		    struct vhdx_err *e)
{
	enum { CODE = 11, DATA = 3, TASK_BUSY = 11 };
	enum { CR0_PE = 1, CR0_ET = 0x10, CR4_PAE = 0x20 };
	enum { EFER_LME = 0x100, EFER_LMA = 0x400, RFLAGS_ONE = 2 };
	struct kvm_regs regs = {
		.rip = start->rip,
		.rsi = start->rsi,
		.rsp = start->rsp,
		.rflags = RFLAGS_ONE,
	};
	struct kvm_sregs s;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) != 0)
		return err_sys(e, errno, "KVM_GET_SREGS");
	s.cs = flat(BOOT_CS, CODE);
	s.cs.l = 1;
	s.ds = flat(BOOT_DS, DATA);
	s.ds.db = 1;
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.tr = flat(BOOT_TSS, TASK_BUSY);
	s.tr.s = 0;
	s.gdt.base = start->gdt_gpa;
	s.gdt.limit = (uint16_t)(start->gdt_len - 1);
	s.idt.base = 0;
	s.idt.limit = 0;
	s.cr0 = CR0_PE | CR0_ET | UINT32_C(0x80000000);
	s.cr3 = start->cr3;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME | EFER_LMA;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &s) != 0)
		return err_sys(e, errno, "KVM_SET_SREGS");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) != 0)
		return err_sys(e, errno, "KVM_SET_REGS");
	return 0;
}
