/* SPDX-License-Identifier: MIT */
/*
 * Who a disk is: INQUIRY with its pages of vital product data, REPORT LUNS.
 */
#include <string.h>

#include "le.h"
#include "scsi_disk.h"

#define STANDARD_LEN 36u
#define PAGE_MAX 64u
#define LUNS_MAX 256u

#define TYPE_DISK 0x00
#define TYPE_NONE 0x7f /* no unit, and none could be there */

static void put_standard(uint8_t *p, uint8_t type)
{
	memset(p, 0, STANDARD_LEN);
	p[0] = type;
	p[2] = 6;    /* SPC-4 */
	p[3] = 0x12; /* LUNs by REPORT LUNS; the format of this */
	p[4] = STANDARD_LEN - 5;
	p[7] = 0x02; /* command queuing */
	memcpy(p + 8, "Msft    Virtual Disk    1.0 ", 28);
}

/* ---- vital product data: what follows the 4 bytes of header -------------- */

static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };

static void put_hex(uint8_t *p, const uint8_t *id, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		p[2 * i] = (uint8_t)digits[id[i] >> 4];
		p[2 * i + 1] = (uint8_t)digits[id[i] & 15];
	}
}

/* The whole id behind the vendor's name, and 60 bits of it as a name that the
 * vendor has not registered (NAA 3). */
static size_t put_names(const struct scsi_disk *d, uint8_t *p)
{
	const uint8_t *id = d->conf.id;

	p[0] = 0x02; /* ASCII */
	p[1] = 0x01; /* of the unit: T10 vendor */
	p[3] = 40;
	memcpy(p + 4, "Msft    ", 8);
	put_hex(p + 12, id, 16);
	p += 44;
	p[0] = 0x01; /* binary */
	p[1] = 0x03; /* of the unit: NAA */
	p[3] = 8;
	for (unsigned i = 0; i < 8; i++)
		p[4 + i] = id[i] ^ id[8 + i];
	p[4] = 0x30 | (p[4] & 0x0f);
	return 44 + 12;
}

static uint32_t in_blocks(const struct scsi_disk *d, uint64_t len)
{
	return (uint32_t)u64_min(len / d->g.sector_len, UINT32_MAX);
}

/* 4 is the header, so that positions are the standard's. */
static size_t put_limits(const struct scsi_disk *d, uint8_t *p)
{
	uint32_t unit = d->g.block_len ? d->g.block_len :
					 d->g.physical_sector_len;

	p[4 - 4] = 0x01; /* WRITE SAME of 0 blocks is refused */
	put_be16(p + 6 - 4,
		 (uint16_t)in_blocks(d, d->g.physical_sector_len));
	put_be32(p + 8 - 4, in_blocks(d, SCSI_TRANSFER_MAX));
	put_be64(p + 36 - 4, in_blocks(d, SCSI_SAME_MAX));
	if (d->read_only || !d->g.can_discard)
		return 60;
	put_be32(p + 20 - 4, in_blocks(d, SCSI_UNMAP_MAX));
	put_be32(p + 24 - 4, SCSI_UNMAP_RANGES);
	put_be32(p + 28 - 4, in_blocks(d, unit));
	put_be32(p + 32 - 4, UINT32_C(1) << 31); /* aligned: at 0 */
	return 60;
}

static size_t put_page(const struct scsi_disk *d, uint8_t page, uint8_t *p)
{
	switch (page) {
	case 0x00:
		memcpy(p, pages, sizeof(pages));
		return sizeof(pages);
	case 0x80:
		put_hex(p, d->conf.id, 16);
		return 32;
	case 0x83:
		return put_names(d, p);
	case 0xb0:
		return put_limits(d, p);
	case 0xb1:
		put_be16(p, 1); /* does not rotate */
		return 60;
	case 0xb2:
		if (d->read_only || !d->g.can_discard)
			return 4;
		p[1] = 0xe0; /* UNMAP, WRITE SAME 16 and 10 unmap */
		p[2] = 0x02; /* thin */
		return 4;
	default:
		return 0;
	}
}

enum scsi_next scsi_inquiry(struct scsi_cmd *c)
{
	uint8_t out[4 + PAGE_MAX] = { 0 };
	size_t alloc_len = get_be16(c->cdb + 3);
	size_t len;

	if (c->cdb[1] & 0xfe)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (!(c->cdb[1] & 0x01)) {
		if (c->cdb[2])
			return scsi_refuse(c, SENSE_CDB_FIELD);
		put_standard(out, TYPE_DISK);
		return scsi_give(c, out, STANDARD_LEN, alloc_len);
	}
	len = put_page(c->disk, c->cdb[2], out + 4);
	if (!len)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	out[1] = c->cdb[2];
	put_be16(out + 2, (uint16_t)len);
	return scsi_give(c, out, 4 + len, alloc_len);
}

/* ---- REPORT LUNS --------------------------------------------------------- */

static enum scsi_next report(struct scsi_cmd *c, const uint8_t *lun,
			     unsigned lun_cnt)
{
	uint8_t out[8 + 8 * LUNS_MAX] = { 0 };
	unsigned cnt = 0;

	if (c->cdb[2] > 0x02 || get_be32(c->cdb + 6) < 16)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (c->cdb[2] != 0x01) /* the well known ones: there are none */
		for (; cnt < lun_cnt && cnt < LUNS_MAX; cnt++)
			out[8 + 8 * cnt + 1] = lun[cnt];
	put_be32(out, 8 * cnt);
	return scsi_give(c, out, 8 + 8 * (size_t)cnt, get_be32(c->cdb + 6));
}

/* Who asks the disk itself gets no more than a disk knows. */
enum scsi_next scsi_report_luns(struct scsi_cmd *c)
{
	static const uint8_t itself;

	return report(c, &itself, 1);
}

bool scsi_is_report_luns(const struct scsi_cmd *c)
{
	return c->cdb[0] == 0xa0;
}

bool scsi_no_disk(struct scsi_cmd *c, const uint8_t *lun, unsigned lun_cnt)
{
	uint8_t out[STANDARD_LEN];

	c->status = SCSI_GOOD;
	c->moved_len = 0;
	c->aborted = false;
	if (scsi_is_report_luns(c)) {
		report(c, lun, lun_cnt);
		return true;
	}
	if (c->cdb[0] != 0x12)
		return false;
	put_standard(out, TYPE_NONE);
	if (c->cdb[1] || c->cdb[2]) {
		memset(out, 0, sizeof(out)); /* as in scsi.c: ZEROED */
		scsi_give(c, out, sizeof(out), get_be16(c->cdb + 3));
		scsi_refuse(c, SENSE_CDB_FIELD);
	} else {
		scsi_give(c, out, sizeof(out), get_be16(c->cdb + 3));
	}
	return true;
}
