/* SPDX-License-Identifier: MIT */
#include "vstor.h"

#include <string.h>

#include "le.h"

enum {
	OP = 0,
	FLAGS = 4,
	STATUS = 8,
	BODY = 12,

	SRB_STATUS = BODY + 2,
	SRB_SCSI_STATUS = BODY + 3,
	SRB_PATH = BODY + 5,
	SRB_TARGET = BODY + 6,
	SRB_LUN = BODY + 7,
	SRB_CDB_LEN = BODY + 8,
	SRB_SENSE_LEN = BODY + 9,
	SRB_DIR = BODY + 10,
	SRB_DATA_LEN = BODY + 12,
	SRB_CDB = BODY + 16,
	SRB_SENSE = BODY + 16,
	SRB_END = BODY + 36, /* of 5.1; the rest is not looked at */

	PROPS_SUBS = BODY + 4,
	PROPS_FLAGS = BODY + 8,
	PROPS_TRANSFER = BODY + 12,
};

#define PROPS_MULTI_CHANNEL 1u

_Static_assert(SRB_SENSE + VSTOR_SENSE_MAX == SRB_END, "layout of an SRB");

bool vstor_decode_op(const uint8_t *p, uint32_t len, uint32_t *op)
{
	if (len < BODY)
		return false;
	*op = get_le32(p + OP);
	return true;
}

bool vstor_decode_srb(const uint8_t *p, uint32_t len, struct vstor_srb *srb)
{
	if (len < SRB_END || p[SRB_CDB_LEN] > VSTOR_CDB_MAX ||
	    p[SRB_DIR] > VSTOR_NO_DATA)
		return false;
	*srb = (struct vstor_srb){
		.path = p[SRB_PATH],
		.target = p[SRB_TARGET],
		.lun = p[SRB_LUN],
		.cdb_len = p[SRB_CDB_LEN],
		.dir = (enum vstor_dir)p[SRB_DIR],
		.data_len = get_le32(p + SRB_DATA_LEN),
	};
	memcpy(srb->cdb, p + SRB_CDB, srb->cdb_len);
	return true;
}

bool vstor_decode_lun(const uint8_t *p, uint32_t len, uint8_t *lun)
{
	if (len < SRB_END)
		return false;
	*lun = p[SRB_LUN];
	return true;
}

static bool decode_u16(const uint8_t *p, uint32_t len, uint16_t *v)
{
	if (len < BODY + sizeof(*v))
		return false;
	*v = get_le16(p + BODY);
	return true;
}

bool vstor_decode_version(const uint8_t *p, uint32_t len, uint16_t *version)
{
	return decode_u16(p, len, version);
}

bool vstor_decode_sub_cnt(const uint8_t *p, uint32_t len, uint16_t *cnt)
{
	return decode_u16(p, len, cnt);
}

void vstor_event(uint8_t out[VSTOR_LEN], enum vstor_op op)
{
	memset(out, 0, VSTOR_LEN);
	put_le32(out + OP, op);
}

void vstor_reply(uint8_t out[VSTOR_LEN], uint32_t nt)
{
	vstor_event(out, VSTOR_COMPLETE_IO);
	put_le32(out + STATUS, nt);
}

void vstor_reply_properties(uint8_t out[VSTOR_LEN], uint16_t subs,
			    uint32_t transfer_max)
{
	vstor_reply(out, VSTOR_NT_OK);
	put_le16(out + PROPS_SUBS, subs);
	put_le32(out + PROPS_FLAGS, subs ? PROPS_MULTI_CHANNEL : 0);
	put_le32(out + PROPS_TRANSFER, transfer_max);
}

void vstor_reply_srb(uint8_t out[VSTOR_LEN], const uint8_t *p, uint32_t len,
		     const struct vstor_result *r)
{
	ASSERT(len >= SRB_END && r->sense_len <= VSTOR_SENSE_MAX);
	vstor_reply(out, r->nt);
	memcpy(out + BODY, p + BODY, (len < VSTOR_LEN ? len : VSTOR_LEN) -
	       BODY);
	out[SRB_STATUS] = r->srb_status;
	out[SRB_SCSI_STATUS] = r->scsi_status;
	put_le32(out + SRB_DATA_LEN, r->data_len);
	out[SRB_SENSE_LEN] = 0;
	if (!r->sense)
		return;
	memset(out + SRB_SENSE, 0, VSTOR_SENSE_MAX);
	memcpy(out + SRB_SENSE, r->sense, r->sense_len);
	out[SRB_SENSE_LEN] = r->sense_len;
}
