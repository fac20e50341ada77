/* SPDX-License-Identifier: MIT */
#include "proto.h"

#include <string.h>

#include "le.h"

/* Shortest lengths of what a guest may send; 0: not a guest's message. A
 * guest's later protocol may append to any of them. */
static uint32_t shortest(uint32_t type)
{
	switch (type) {
	case PROTO_REQUEST_OFFERS:
	case PROTO_UNLOAD:
		return 8;
	case PROTO_CLOSE:
	case PROTO_RELEASED:
		return 12;
	case PROTO_GPADL_BODY:
	case PROTO_TEARDOWN:
	case PROTO_MODIFY:
		return 16;
	case PROTO_GPADL_HEADER:
		return 20;
	case PROTO_CONTACT:
	case PROTO_TL_CONNECT:
		return 40;
	case PROTO_OPEN:
		return 148;
	default:
		return 0;
	}
}

static void take_words(struct proto_in *m, const uint8_t *p, uint32_t len,
		       uint32_t at)
{
	m->words = p + at;
	m->word_cnt = (len - at) / 8;
}

static void take_contact(struct proto_in *m, const uint8_t *p)
{
	m->version = get_le32(p + 8);
	m->vp = get_le32(p + 12);
	m->sint = 2;
	if (m->version < PROTO_V(5, 0))
		return; /* an address of an interrupt page, not used */
	m->sint = p[16];
	m->vtl = p[17];
	m->features = get_le32(p + 20);
}

static void take_gpadl(struct proto_in *m, const uint8_t *p, uint32_t len)
{
	m->relid = get_le32(p + 8);
	m->gpadl = get_le32(p + 12);
	if (m->type != PROTO_GPADL_HEADER)
		return;
	m->range_len = get_le16(p + 16);
	m->range_cnt = get_le16(p + 18);
	take_words(m, p, len, 20);
}

static void take_open(struct proto_in *m, const uint8_t *p)
{
	m->relid = get_le32(p + 8);
	m->open_id = get_le32(p + 12);
	m->gpadl = get_le32(p + 16);
	m->vp = get_le32(p + 20);
	m->to_host_cnt = get_le32(p + 24);
}

enum proto_result proto_decode(const uint8_t *p, uint32_t len,
			       struct proto_in *m)
{
	uint32_t least;

	memset(m, 0, sizeof(*m));
	if (len < 8)
		return PROTO_SHORT;
	m->type = get_le32(p);
	least = shortest(m->type);
	if (!least)
		return PROTO_UNKNOWN;
	if (len < least)
		return PROTO_SHORT;
	switch (m->type) {
	case PROTO_CONTACT:
		take_contact(m, p);
		break;
	case PROTO_GPADL_HEADER:
	case PROTO_TEARDOWN:
		take_gpadl(m, p, len);
		break;
	case PROTO_GPADL_BODY:
		m->gpadl = get_le32(p + 12);
		take_words(m, p, len, 16);
		break;
	case PROTO_OPEN:
		take_open(m, p);
		break;
	case PROTO_MODIFY:
		m->vp = get_le32(p + 12);
		m->relid = get_le32(p + 8);
		break;
	case PROTO_CLOSE:
	case PROTO_RELEASED:
		m->relid = get_le32(p + 8);
		break;
	case PROTO_TL_CONNECT:
		m->endpoint = p + 8;
		break;
	}
	return PROTO_GOOD;
}

static void begin(uint8_t *p, enum proto_type type, uint32_t len)
{
	memset(p, 0, len);
	put_le32(p, type);
}

uint32_t proto_put_offer(uint8_t *p, const struct proto_offer *o)
{
	begin(p, PROTO_OFFER, 196);
	memcpy(p + 8, o->if_type, 16);
	memcpy(p + 24, o->instance, 16);
	put_le16(p + 56, o->flags);
	memcpy(p + 60, o->user_def, 120);
	put_le16(p + 180, o->sub_index);
	put_le32(p + 184, o->relid);
	/* monitor_id @188, monitor_allocated @189: no, signals are calls. */
	put_le16(p + 190, 1); /* dedicated interrupt */
	put_le32(p + 192, o->conn_id);
	return 196;
}

uint32_t proto_put_bare(uint8_t *p, enum proto_type type)
{
	begin(p, type, 8);
	return 8;
}

uint32_t proto_put_id(uint8_t *p, enum proto_type type, uint32_t id)
{
	begin(p, type, 12);
	put_le32(p + 8, id);
	return 12;
}

uint32_t proto_put_modified(uint8_t *p, uint32_t relid, uint32_t status)
{
	begin(p, PROTO_MODIFIED, 16);
	put_le32(p + 8, relid);
	put_le32(p + 12, status);
	return 16;
}

uint32_t proto_put_result(uint8_t *p, enum proto_type type, uint32_t relid,
			  uint32_t id, uint32_t status)
{
	begin(p, type, 20);
	put_le32(p + 8, relid);
	put_le32(p + 12, id);
	put_le32(p + 16, status);
	return 20;
}

uint32_t proto_put_version(uint8_t *p, bool supported, uint32_t conn_id,
			   bool with_features)
{
	uint32_t len = with_features ? 20 : 16;

	begin(p, PROTO_VERSION, len);
	p[8] = supported;
	put_le32(p + 12, conn_id);
	return len;
}

uint32_t proto_put_tl_result(uint8_t *p, const uint8_t *endpoint,
			     uint32_t status)
{
	begin(p, PROTO_TL_RESULT, 44);
	memcpy(p + 8, endpoint, 32); /* and the service's GUID behind it */
	put_le32(p + 40, status);
	return 44;
}
