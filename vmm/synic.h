/* SPDX-License-Identifier: MIT */
/*
 * What the SynIC's two pages of a virtual processor mean, in guest memory:
 * one message slot and 2048 event flags a SINT. No KVM, no interrupts: the
 * caller raises them when told so. The pages belong to the guest, which changes
 * them at any time; nothing it writes there can do more than lose its own
 * messages.
 *
 * simp, siefp: the MSRs as the guest wrote them, enable bit included.
 */
#ifndef SYNIC_H
#define SYNIC_H

#include "gmem.h"

#define SYNIC_SINTS 16u
#define SYNIC_FLAGS 2048u
#define SYNIC_PAYLOAD_MAX 240u
#define SYNIC_ENABLE UINT64_C(1) /* in SCONTROL, SIMP, SIEFP */

/* One producer a slot. True: the message is there, raise the SINT. False: the
 * guest has not taken the one before (and was asked to tell when it does, by
 * its EOM), or has no page. */
bool synic_put(const struct gmem *m, uint64_t simp, unsigned sint,
	       uint32_t type, const uint8_t *payload, uint32_t len) must_check;

/* [any thread] True: the flag was clear, raise the SINT. */
bool synic_flag(const struct gmem *m, uint64_t siefp, unsigned sint,
		unsigned flag) must_check;

/* Something lies there for the guest to look at. */
bool synic_waiting(const struct gmem *m, uint64_t simp, uint64_t siefp,
		   unsigned sint) must_check;

#endif
