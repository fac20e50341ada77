/* SPDX-License-Identifier: MIT */
/*
 * VMBus channel messages as bytes. Decoding is total: any bytes give a message
 * whose every field is there, or a reason; what the fields mean is the
 * server's to judge. Offsets are those of the message, after SynIC's header.
 *
 *	every message	u32 type @0, u32 0 @4
 *	INITIATE_CONTACT	version @8, vp @12, 5.0 and later: u8 sint @16,
 *			u8 vtl @17, u32 features @20; 40 bytes
 *	GPADL_HEADER	relid @8, gpadl @12, u16 range_len @16 (bytes of all
 *			ranges), u16 range_cnt @18, u64 words @20
 *	GPADL_BODY	u32 number @8 (ignored), gpadl @12, u64 words @16
 *	GPADL_TEARDOWN	relid @8, gpadl @12
 *	OPEN		relid @8, open_id @12, gpadl @16, vp @20,
 *			to_host_cnt @24, user data @28; 148 bytes
 *	CLOSE, RELID_RELEASED	relid @8
 *	MODIFY		relid @8, vp @12
 *	TL_CONNECT	endpoint @8, service @24; 40 bytes
 */
#ifndef PROTO_H
#define PROTO_H

#include "base.h"

enum proto_type {
	PROTO_OFFER = 1,
	PROTO_RESCIND = 2,
	PROTO_REQUEST_OFFERS = 3,
	PROTO_ALL_OFFERS = 4,
	PROTO_OPEN = 5,
	PROTO_OPEN_RESULT = 6,
	PROTO_CLOSE = 7,
	PROTO_GPADL_HEADER = 8,
	PROTO_GPADL_BODY = 9,
	PROTO_GPADL_CREATED = 10,
	PROTO_TEARDOWN = 11,
	PROTO_TORNDOWN = 12,
	PROTO_RELEASED = 13,
	PROTO_CONTACT = 14,
	PROTO_VERSION = 15,
	PROTO_UNLOAD = 16,
	PROTO_UNLOADED = 17,
	PROTO_TL_CONNECT = 21,
	PROTO_MODIFY = 22,
	PROTO_TL_RESULT = 23,
	PROTO_MODIFIED = 24,
};

#define PROTO_V(major, minor) ((uint32_t)(major) << 16 | (minor))

enum { /* status, as NTSTATUS */
	PROTO_OK = 0,
};
#define PROTO_FAILED UINT32_C(0xC0000001)
#define PROTO_BAD_PARAM UINT32_C(0xC000000D)
#define PROTO_NO_RESOURCES UINT32_C(0xC000009A)
#define PROTO_REFUSED UINT32_C(0xC0000236)

/* A guest's message: only what its type has is set. */
struct proto_in {
	uint32_t type;
	uint32_t relid, gpadl, vp;
	uint32_t version, features; /* CONTACT */
	uint8_t sint, vtl;
	uint32_t open_id, to_host_cnt; /* OPEN */
	uint16_t range_len, range_cnt; /* GPADL_HEADER */
	const uint8_t *words; /* GPADL_*: borrowed from the message */
	uint32_t word_cnt;
	const uint8_t *endpoint; /* TL_CONNECT: both GUIDs, borrowed */
};

enum proto_result { PROTO_GOOD, PROTO_SHORT, PROTO_UNKNOWN };

/* m->type is set in every case; 0 when even that is missing. */
enum proto_result proto_decode(const uint8_t *p, uint32_t len,
			       struct proto_in *m) must_check;

/* The host's messages: each fills `p` and returns its length. */
#define PROTO_OUT_MAX 196u

struct proto_offer {
	const uint8_t *if_type, *instance; /* 16 bytes */
	uint16_t flags;
	const uint8_t *user_def; /* 120 bytes */
	uint16_t sub_index;
	uint32_t relid, conn_id;
};

uint32_t proto_put_offer(uint8_t *p, const struct proto_offer *o);
/* UNLOADED, ALL_OFFERS: type alone. RESCIND, TORNDOWN: a number. */
uint32_t proto_put_bare(uint8_t *p, enum proto_type type);
uint32_t proto_put_id(uint8_t *p, enum proto_type type, uint32_t id);
/* MODIFIED: a number and a status. */
uint32_t proto_put_modified(uint8_t *p, uint32_t relid, uint32_t status);
/* GPADL_CREATED, OPEN_RESULT: relid, gpadl or open_id, status. */
uint32_t proto_put_result(uint8_t *p, enum proto_type type, uint32_t relid,
			  uint32_t id, uint32_t status);
/* with_features: the guest named features, and is told that there are none. */
uint32_t proto_put_version(uint8_t *p, bool supported, uint32_t conn_id,
			   bool with_features);
uint32_t proto_put_tl_result(uint8_t *p, const uint8_t *endpoint,
			     uint32_t status);

#endif
