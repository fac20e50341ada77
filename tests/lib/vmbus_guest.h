/* SPDX-License-Identifier: MIT */
/*
 * Channel messages as a guest makes them, for tests and fuzzers: written down
 * apart from vmbus/proto.c, so that one finds the other's mistakes. No CUnit.
 */
#ifndef VMBUS_GUEST_H
#define VMBUS_GUEST_H

#include "base.h"

enum guest_type {
	GUEST_REQUEST_OFFERS = 3,
	GUEST_OPEN = 5,
	GUEST_CLOSE = 7,
	GUEST_GPADL_HEADER = 8,
	GUEST_GPADL_BODY = 9,
	GUEST_TEARDOWN = 11,
	GUEST_RELEASED = 13,
	GUEST_CONTACT = 14,
	GUEST_UNLOAD = 16,
	GUEST_TL_CONNECT = 21,
	GUEST_MODIFY = 22,
};

struct guest_msg {
	uint8_t p[240];
	uint32_t len;
};

/* Longest pieces of a GPADL's pages, as Linux sends them. */
#define GUEST_HEADER_PFNS 26u
#define GUEST_BODY_PFNS 28u

/* Type and, where it has any, one number. */
struct guest_msg guest_bare(enum guest_type type);
struct guest_msg guest_relid(enum guest_type type, uint32_t relid);
/* TEARDOWN: gpadl; MODIFY: vp. */
struct guest_msg guest_pair(enum guest_type type, uint32_t relid, uint32_t b);
/* major << 16 | minor. To SINT 2. */
struct guest_msg guest_contact(uint32_t version, uint32_t vp);
struct guest_msg guest_open(uint32_t relid, uint32_t open_id, uint32_t gpadl,
			    uint32_t to_host_cnt, uint32_t vp);
struct guest_msg guest_tl_connect(uint8_t fill);

/* One range of whole pages: the header with as many of the page numbers first,
 * first + 1 ... as fit, then (from page `at`) bodies. */
struct guest_msg guest_gpadl(uint32_t relid, uint32_t id, uint32_t page_cnt,
			     uint64_t first);
struct guest_msg guest_gpadl_body(uint32_t id, uint32_t page_cnt,
				  uint64_t first, uint32_t at);
/* A header of any content. */
struct guest_msg guest_gpadl_raw(uint32_t relid, uint32_t id,
				 uint16_t range_len, uint16_t range_cnt,
				 const uint64_t *word, uint32_t word_cnt);

#endif
