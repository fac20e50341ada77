/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls that KVM leaves to user space, which are VMBus's: they are
 * read and checked here, and handed to hyperv_conf.post and .signal. Nothing
 * of KVM is needed.
 */
#ifndef HYPERV_HCALL_H
#define HYPERV_HCALL_H

#include "hyperv.h"

/* [vCPU thread] input: the guest's control word; param: where its input lies,
 * or with a fast call the input itself. Returns HV_*. */
uint32_t hyperv_hcall(const struct hyperv_conf *conf, uint64_t input,
		      uint64_t param);

#endif
