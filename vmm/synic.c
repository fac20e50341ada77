/* SPDX-License-Identifier: MIT */
/*
 * A slot (256 bytes): u32 type, u8 payload length, u8 flags, u16, u64 sender,
 * then the payload. Type 0 means free.
 *
 * The handshake, so that no message is lost and none waits for ever:
 *	host: type is not 0: set the pending flag, then look at type again;
 *	guest: type = 0, then look at the pending flag: set: write the EOM MSR.
 * Both have a full fence between the two steps, so at least one sees what the
 * other wrote: the host finds the slot free, or is told by EOM.
 */
#include "synic.h"

#include <string.h>

#define AREA_LEN 256u /* a SINT's part of either page */

enum {
	SLOT_TYPE = 0,
	SLOT_LEN = 4,
	SLOT_FLAGS = 5,
	SLOT_SENDER = 8,
	SLOT_PAYLOAD = 16,
};

#define FLAG_PENDING 1u

static uint8_t *area(const struct gmem *m, uint64_t msr, unsigned sint)
{
	ASSERT(sint < SYNIC_SINTS);
	if (!(msr & SYNIC_ENABLE))
		return NULL;
	uint8_t *page = gmem_page(m, align_down(msr, GMEM_PAGE));
	return page ? page + sint * AREA_LEN : NULL;
}

static _Atomic uint32_t *slot_type(uint8_t *slot)
{
	return (_Atomic uint32_t *)(void *)(slot + SLOT_TYPE);
}

/* Is it free? If not, the guest is asked to tell. */
static bool slot_claim(const struct gmem *m, uint8_t *slot)
{
	_Atomic uint8_t *flags = (_Atomic uint8_t *)(slot + SLOT_FLAGS);
	if (atomic_load_explicit(slot_type(slot), memory_order_acquire) == 0)
		return true;
	/* Both sequentially consistent: the fence. */
	atomic_fetch_or(flags, (uint8_t)FLAG_PENDING);
	gmem_dirty(m, slot, SLOT_PAYLOAD);
	return atomic_load(slot_type(slot)) == 0;
}

bool synic_put(const struct gmem *m, uint64_t simp, unsigned sint,
	       uint32_t type, const uint8_t *payload, uint32_t len)
{
	ASSERT(type != 0 && len <= SYNIC_PAYLOAD_MAX);
	uint8_t *slot = area(m, simp, sint);
	if (!slot || !slot_claim(m, slot))
		return false;
	slot[SLOT_LEN] = (uint8_t)len;
	memset(slot + SLOT_FLAGS, 0, SLOT_PAYLOAD - SLOT_FLAGS);
	memcpy(slot + SLOT_PAYLOAD, payload, len);
	/* Last: from here on it is the guest's. */
	atomic_store_explicit(slot_type(slot), type, memory_order_release);
	gmem_dirty(m, slot, AREA_LEN);
	return true;
}

bool synic_flag(const struct gmem *m, uint64_t siefp, unsigned sint,
		unsigned flag)
{
	ASSERT(flag < SYNIC_FLAGS);
	uint8_t *flags = area(m, siefp, sint);
	if (!flags)
		return false;
	uint8_t *at = flags + flag / 32 * 4;
	uint32_t bit = UINT32_C(1) << flag % 32;
	uint32_t old = atomic_fetch_or((_Atomic uint32_t *)(void *)at, bit);
	gmem_dirty(m, at, 4);
	return !(old & bit);
}

bool synic_waiting(const struct gmem *m, uint64_t simp, uint64_t siefp,
		   unsigned sint)
{
	uint8_t *slot = area(m, simp, sint);
	if (slot && atomic_load(slot_type(slot)) != 0)
		return true;
	uint8_t *flags = area(m, siefp, sint);
	for (unsigned i = 0; flags && i < AREA_LEN; i += 4)
		if (atomic_load((_Atomic uint32_t *)(void *)(flags + i)) != 0)
			return true;
	return false;
}
