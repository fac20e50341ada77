/* SPDX-License-Identifier: MIT */
#include "vmbus_guest.h"

#include <string.h>

#include "le.h"

static struct guest_msg begin(enum guest_type type, uint32_t len)
{
	struct guest_msg m = { .len = len };

	put_le32(m.p, type);
	return m;
}

struct guest_msg guest_bare(enum guest_type type)
{
	return begin(type, 8);
}

struct guest_msg guest_relid(enum guest_type type, uint32_t relid)
{
	struct guest_msg m = begin(type, 12);

	put_le32(m.p + 8, relid);
	return m;
}

struct guest_msg guest_pair(enum guest_type type, uint32_t relid, uint32_t b)
{
	struct guest_msg m = begin(type, 16);

	put_le32(m.p + 8, relid);
	put_le32(m.p + 12, b);
	return m;
}

struct guest_msg guest_contact(uint32_t version, uint32_t vp)
{
	struct guest_msg m = begin(GUEST_CONTACT, 40);

	put_le32(m.p + 8, version);
	put_le32(m.p + 12, vp);
	if (version >> 16 >= 5)
		m.p[16] = 2;
	else
		put_le64(m.p + 16, 0x12345000); /* an interrupt page */
	return m;
}

struct guest_msg guest_open(uint32_t relid, uint32_t open_id, uint32_t gpadl,
			    uint32_t to_host_cnt, uint32_t vp)
{
	struct guest_msg m = begin(GUEST_OPEN, 148);

	put_le32(m.p + 8, relid);
	put_le32(m.p + 12, open_id);
	put_le32(m.p + 16, gpadl);
	put_le32(m.p + 20, vp);
	put_le32(m.p + 24, to_host_cnt);
	return m;
}

struct guest_msg guest_tl_connect(uint8_t fill)
{
	struct guest_msg m = begin(GUEST_TL_CONNECT, 40);

	memset(m.p + 8, fill, 32);
	return m;
}

struct guest_msg guest_gpadl_raw(uint32_t relid, uint32_t id,
				 uint16_t range_len, uint16_t range_cnt,
				 const uint64_t *word, uint32_t word_cnt)
{
	struct guest_msg m = begin(GUEST_GPADL_HEADER, 20);

	put_le32(m.p + 8, relid);
	put_le32(m.p + 12, id);
	put_le16(m.p + 16, range_len);
	put_le16(m.p + 18, range_cnt);
	for (uint32_t i = 0; i < word_cnt && m.len + 8 <= sizeof(m.p); i++) {
		put_le64(m.p + m.len, word[i]);
		m.len += 8;
	}
	return m;
}

struct guest_msg guest_gpadl(uint32_t relid, uint32_t id, uint32_t page_cnt,
			     uint64_t first)
{
	uint32_t cnt = (uint32_t)u64_min(page_cnt, GUEST_HEADER_PFNS);
	uint64_t word[1 + GUEST_HEADER_PFNS] = { page_cnt * 4096u };

	for (uint32_t i = 0; i < cnt; i++)
		word[1 + i] = first + i;
	return guest_gpadl_raw(relid, id, (uint16_t)(8 + page_cnt * 8), 1,
			       word, 1 + cnt);
}

struct guest_msg guest_gpadl_body(uint32_t id, uint32_t page_cnt,
				  uint64_t first, uint32_t at)
{
	struct guest_msg m = begin(GUEST_GPADL_BODY, 16);

	put_le32(m.p + 12, id);
	for (uint32_t i = 0; i < GUEST_BODY_PFNS && at + i < page_cnt; i++) {
		put_le64(m.p + m.len, first + at + i);
		m.len += 8;
	}
	return m;
}
