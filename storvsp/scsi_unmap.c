/* SPDX-License-Identifier: MIT */
/*
 * UNMAP, WRITE SAME, GET LBA STATUS: space the guest does without.
 *
 * UNMAP is a discard, and it is not promised that what is unmapped reads as
 * zeros (LBPRZ is not set). The block device gives whole blocks back; of a part
 * of a block it may keep what was there, and in a child the parent's data shows
 * through. To zero those parts instead would make a block of up to 256 MiB in
 * the child for each, so that trimming a file system made the disk larger. The
 * guest loses nothing: Linux zeroes with WRITE SAME then, which is held to its
 * word here, with or without the UNMAP bit, and gives whole blocks back too.
 *
 * Everything that decides is read from guest memory once, into ours, then
 * checked, all of it before the first change.
 */
#include <string.h>

#include "le.h"
#include "mem.h"
#include "scsi_disk.h"

/* ---- UNMAP --------------------------------------------------------------- */

static enum scsi_next unmap_on(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);

	if (j->i == j->cnt)
		return SCSI_END;
	return scsi_request(c, VHDX_OP_DISCARD, &j->range[j->i++], NULL, 0);
}

/* The descriptors, checked, in job->range. False: refused. */
static bool take_ranges(struct scsi_cmd *c, unsigned cnt)
{
	struct scsi_job *j = scsi_job(c);
	uint64_t sum = 0;

	j->i = 0;
	j->cnt = cnt;
	for (unsigned i = 0; i < cnt; i++) {
		struct scsi_range *r = &j->range[i];
		uint8_t raw[16];

		scsi_copy_in(c, 8 + 16 * (size_t)i, raw, sizeof(raw));
		if (!scsi_range(c, get_be64(raw), get_be32(raw + 8), r))
			return false;
		sum += r->len; /* of 16 numbers below 2^45 */
	}
	if (sum > SCSI_UNMAP_MAX)
		scsi_refuse(c, SENSE_LIST_FIELD);
	return sum <= SCSI_UNMAP_MAX;
}

enum scsi_next scsi_unmap(struct scsi_cmd *c)
{
	size_t list_len = get_be16(c->cdb + 7), ranges_len;
	uint8_t head[8];

	if (!scsi_writable(c) || !list_len)
		return SCSI_END;
	if (c->cdb[1] & 0x01) /* anchored: there is no such state */
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (c->dir != SCSI_FROM_GUEST || c->data_len < list_len)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (list_len < sizeof(head))
		return scsi_refuse(c, SENSE_LIST_LEN);
	scsi_copy_in(c, 0, head, sizeof(head));
	ranges_len = get_be16(head + 2);
	if (ranges_len > list_len - sizeof(head))
		return scsi_refuse(c, SENSE_LIST_LEN);
	if (ranges_len / 16 > SCSI_UNMAP_RANGES)
		return scsi_refuse(c, SENSE_LIST_FIELD);
	if (!take_ranges(c, (unsigned)(ranges_len / 16)))
		return SCSI_END;
	c->moved_len = (uint32_t)list_len;
	scsi_job(c)->kind = SCSI_DISCARD;
	scsi_job(c)->step = unmap_on;
	return unmap_on(c);
}

/* ---- WRITE SAME ---------------------------------------------------------- */

#define BLOCK_MAX 4096u

#define NO_DATA_OUT 0x01u /* only in WRITE SAME (16): zeros */
#define REFUSED 0xf6u	  /* protection, ANCHOR, PBDATA, LBDATA */

static enum scsi_next same_on(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r = { j->voff,
				u64_min(j->end - j->voff,
					SCSI_BUF_LEN * SCSI_BUF_TIMES) };

	if (!r.len)
		return SCSI_END;
	j->voff += r.len;
	return scsi_request(c, VHDX_OP_WRITE, &r, c->disk->pattern_iov,
			    SCSI_BUF_TIMES);
}

static enum scsi_next write_pattern(struct scsi_cmd *c, const uint8_t *block,
				    const struct scsi_range *r)
{
	struct scsi_disk *d = c->disk;
	struct scsi_job *j = scsi_job(c);

	if (d->same_owner)
		return SCSI_WAIT;
	d->same_owner = c;
	for (size_t at = 0; at < SCSI_BUF_LEN; at += d->g.sector_len)
		memcpy(d->pattern + at, block, d->g.sector_len);
	j->kind = SCSI_WRITE;
	j->voff = r->voff;
	j->end = r->voff + r->len;
	j->step = same_on;
	return same_on(c);
}

enum scsi_next scsi_write_same(struct scsi_cmd *c)
{
	bool none = c->cdb[0] == 0x93 && c->cdb[1] & NO_DATA_OUT;
	uint32_t len = c->disk->g.sector_len;
	uint8_t block[BLOCK_MAX] = { 0 };
	struct scsi_range r;

	if (!scsi_writable(c))
		return SCSI_END;
	if (c->cdb[1] & REFUSED || !scsi_cdb_cnt(c))
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (!scsi_range(c, scsi_cdb_lba(c), scsi_cdb_cnt(c), &r))
		return SCSI_END;
	if (r.len > SCSI_SAME_MAX)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (!none) {
		if (c->dir != SCSI_FROM_GUEST || c->data_len < len)
			return scsi_refuse(c, SENSE_CDB_FIELD);
		scsi_copy_in(c, 0, block, len);
		c->moved_len = len;
	}
	if (!mem_is_zero(block, len))
		return write_pattern(c, block, &r);
	scsi_job(c)->kind = SCSI_DISCARD;
	return scsi_request(c, VHDX_OP_WRITE_ZEROES, &r, NULL, 0);
}

/* ---- GET LBA STATUS ------------------------------------------------------ */

#define MAP_LEN TIB
#define MAP_CNT 256u /* requests of one command */

#define MAPPED 0
#define DEALLOCATED 1

static void tell_run(struct scsi_cmd *c)
{
	const struct scsi_disk *d = c->disk;
	struct scsi_job *j = scsi_job(c);
	uint8_t out[16] = { 0 };

	put_be64(out, j->run.voff / d->g.sector_len);
	put_be32(out + 8, (uint32_t)(j->run.len / d->g.sector_len));
	out[12] = j->run_mapped ? MAPPED : DEALLOCATED;
	scsi_copy_out(c, 8 + 16 * (size_t)j->i, out, sizeof(out));
	j->i++;
}

static enum scsi_next tell_status(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	uint8_t out[8] = { 0 };

	put_be32(out, 4 + 16 * j->i);
	scsi_copy_out(c, 0, out, sizeof(out));
	c->moved_len = 8 + 16 * j->i;
	return SCSI_END;
}

static enum scsi_next map_on(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r = { j->voff, u64_min(j->end - j->voff, MAP_LEN) };

	c->req.extent = &j->extent;
	return scsi_request(c, VHDX_OP_MAP, &r, NULL, 0);
}

static enum scsi_next lba_status_on(struct scsi_cmd *c)
{
	uint64_t run_max = (uint64_t)UINT32_MAX * c->disk->g.sector_len;
	struct scsi_job *j = scsi_job(c);
	bool mapped = j->extent.kind == VHDX_EXTENT_DATA ||
		      j->extent.kind == VHDX_EXTENT_PARENT;
	uint64_t len = j->extent.len;

	if (j->run.len &&
	    (mapped != j->run_mapped || len > run_max - j->run.len)) {
		tell_run(c);
		if (j->i == j->cnt)
			return tell_status(c);
		j->run.len = 0;
	}
	if (!j->run.len)
		j->run.voff = j->voff;
	j->run_mapped = mapped;
	j->run.len += len;
	j->voff += len;
	if (j->voff < j->end && ++j->asked_cnt < MAP_CNT)
		return map_on(c);
	tell_run(c);
	return tell_status(c);
}

/* As many ranges as there is room for, from the LBA on. */
enum scsi_next scsi_lba_status(struct scsi_cmd *c)
{
	uint64_t room = u64_min(get_be32(c->cdb + 10), c->data_len);
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r;

	if (!scsi_range(c, get_be64(c->cdb + 2), 1, &r))
		return SCSI_END;
	if (room < 24 || c->dir != SCSI_TO_GUEST)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	j->i = 0;
	j->cnt = (unsigned)u64_min((room - 8) / 16, SCSI_STATUS_RANGES);
	j->voff = r.voff;
	j->end = c->disk->block_cnt * c->disk->g.sector_len;
	j->run = (struct scsi_range){ 0, 0 };
	j->asked_cnt = 0;
	j->step = lba_status_on;
	return map_on(c);
}
