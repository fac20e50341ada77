/* SPDX-License-Identifier: MIT */
/*
 * Everything KVM lets one read and write of a processor, to bring it back to
 * where it was at power on. Not in it: the time stamp counter, which runs on
 * through a reset, and Hyper-V's registers, which are hyperv.c's.
 */
#ifndef VCPU_STATE_H
#define VCPU_STATE_H

#include "base.h"
#include "boot.h"
#include "vhdx.h"

struct vcpu_state;

int vcpu_state_save(int kvm_fd, int vcpu_fd, struct vcpu_state **out,
		    struct vhdx_err *e) must_check;
/* runs: it is the processor that starts by itself. */
int vcpu_state_load(int vcpu_fd, const struct vcpu_state *s, bool runs,
		    struct vhdx_err *e) must_check;
void vcpu_state_free(struct vcpu_state *s);

/* Registers as a kernel's 64-bit entry wants them. */
int vcpu_state_boot(int vcpu_fd, const struct boot_start *start,
		    struct vhdx_err *e) must_check;

#endif
