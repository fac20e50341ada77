/* SPDX-License-Identifier: MIT */
/*
 * What a disk tells of its state: MODE SENSE, REQUEST SENSE, READ CAPACITY.
 */
#include <string.h>

#include "le.h"
#include "scsi_disk.h"

/* ---- MODE SENSE ---------------------------------------------------------- */

#define MODE_MAX 64u

#define PAGE_CACHING 0x08u
#define PAGE_ALL 0x3fu

enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };

/* The file behind may be in the host's cache, and the image has a log: nothing
 * is durable that is not flushed. The guest cannot change that. */
static size_t put_caching(uint8_t *p, unsigned control)
{
	memset(p, 0, 20);
	p[0] = PAGE_CACHING;
	p[1] = 18;
	if (control != CHANGEABLE)
		p[2] = 0x04; /* write cache enabled */
	return 20;
}

static size_t put_blocks(const struct scsi_disk *d, uint8_t *p, bool wide)
{
	memset(p, 0, 16);
	if (wide) {
		put_be64(p, d->block_cnt);
		put_be32(p + 12, d->g.sector_len);
		return 16;
	}
	put_be32(p, (uint32_t)u64_min(d->block_cnt, UINT32_MAX));
	put_be32(p + 4, d->g.sector_len); /* 24 bits, and 0 before them */
	return 8;
}

static enum scsi_next mode_sense(struct scsi_cmd *c, bool ten)
{
	const struct scsi_disk *d = c->disk;
	unsigned page = c->cdb[2] & 0x3f, control = c->cdb[2] >> 6;
	size_t head_len = ten ? 8 : 4, blocks_len = 0, len;
	bool wide = ten && c->cdb[1] & 0x10;
	uint8_t out[MODE_MAX] = { 0 };
	uint8_t specific = d->read_only ? 0x90 : 0x10; /* WP, DPOFUA */

	if (control == SAVED)
		return scsi_refuse(c, SENSE_NO_SAVING);
	if ((page != PAGE_CACHING && page != PAGE_ALL) ||
	    (c->cdb[3] && (page != PAGE_ALL || c->cdb[3] != 0xff)))
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (!(c->cdb[1] & 0x08)) /* block descriptors are not disabled */
		blocks_len = put_blocks(d, out + head_len, wide);
	len = head_len + blocks_len;
	len += put_caching(out + len, control);
	if (ten) {
		put_be16(out, (uint16_t)(len - 2));
		out[3] = specific;
		out[4] = wide && blocks_len;
		put_be16(out + 6, (uint16_t)blocks_len);
		return scsi_give(c, out, len, get_be16(c->cdb + 7));
	}
	out[0] = (uint8_t)(len - 1);
	out[2] = specific;
	out[3] = (uint8_t)blocks_len;
	return scsi_give(c, out, len, c->cdb[4]);
}

enum scsi_next scsi_mode_sense_6(struct scsi_cmd *c)
{
	return mode_sense(c, false);
}

enum scsi_next scsi_mode_sense_10(struct scsi_cmd *c)
{
	return mode_sense(c, true);
}

/* ---- REQUEST SENSE ------------------------------------------------------- */

/* Sense data goes with each command, so all there is to ask for is an attention
 * that nobody has been told of. */
enum scsi_next scsi_request_sense(struct scsi_cmd *c)
{
	struct scsi_disk *d = c->disk;
	uint8_t out[SCSI_SENSE_LEN];
	size_t len = sizeof(out);

	if (c->cdb[1] & 0x01) {
		len = 8;
		sense_encode_short(d->attention, out);
	} else {
		sense_encode(d->attention, out);
	}
	scsi_give(c, out, len, c->cdb[4]);
	if (c->moved_len >= u64_min(len, 14)) /* the code was in it */
		d->attention = SENSE_NONE;
	return SCSI_END;
}

/* ---- READ CAPACITY ------------------------------------------------------- */

enum scsi_next scsi_read_capacity_10(struct scsi_cmd *c)
{
	const struct scsi_disk *d = c->disk;
	uint8_t out[8];

	if (!d->block_cnt)
		return scsi_refuse(c, SENSE_NO_MEDIUM);
	if (get_be32(c->cdb + 2) || c->cdb[8] & 0x01) /* a part: obsolete */
		return scsi_refuse(c, SENSE_CDB_FIELD);
	put_be32(out, (uint32_t)u64_min(d->block_cnt - 1, UINT32_MAX));
	put_be32(out + 4, d->g.sector_len);
	return scsi_give(c, out, sizeof(out), sizeof(out));
}

enum scsi_next scsi_read_capacity_16(struct scsi_cmd *c)
{
	const struct scsi_disk *d = c->disk;
	uint32_t physical = d->g.physical_sector_len;
	uint8_t out[32] = { 0 };

	if (!d->block_cnt)
		return scsi_refuse(c, SENSE_NO_MEDIUM);
	put_be64(out, d->block_cnt - 1);
	put_be32(out + 8, d->g.sector_len);
	while (physical > d->g.sector_len) {
		out[13]++; /* logical blocks per physical: the exponent */
		physical /= 2;
	}
	/* LBPME, not LBPRZ: what is unmapped may keep its content, see
	 * scsi_unmap.c. */
	if (d->g.can_discard && !d->read_only)
		out[14] = 0x80;
	return scsi_give(c, out, sizeof(out), get_be32(c->cdb + 10));
}
