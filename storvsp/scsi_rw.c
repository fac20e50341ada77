/* SPDX-License-Identifier: MIT */
/*
 * READ, WRITE, VERIFY, SYNCHRONIZE CACHE, START STOP UNIT.
 *
 * A transfer needs a buffer as long as the CDB says; one that is shorter is
 * refused before anything is done. What is verified is really read.
 */
#include "le.h"
#include "scsi_disk.h"

#define FUA 0x08u
#define PROTECT 0xe0u /* asks for protection information, which is not there */

/* The group of an operation code tells the length of its CDB. */
enum { GROUP_6 = 0, GROUP_16 = 4, GROUP_12 = 5 };

uint64_t scsi_cdb_lba(const struct scsi_cmd *c)
{
	switch (c->cdb[0] >> 5) {
	case GROUP_6:
		return get_be32(c->cdb) & 0x1fffff;
	case GROUP_16:
		return get_be64(c->cdb + 2);
	default:
		return get_be32(c->cdb + 2);
	}
}

uint32_t scsi_cdb_cnt(const struct scsi_cmd *c)
{
	switch (c->cdb[0] >> 5) {
	case GROUP_6:
		return c->cdb[4] ? c->cdb[4] : 256;
	case GROUP_16:
		return get_be32(c->cdb + 10);
	case GROUP_12:
		return get_be32(c->cdb + 6);
	default:
		return get_be16(c->cdb + 7);
	}
}

static bool has_flags(const struct scsi_cmd *c)
{
	return c->cdb[0] >> 5 != GROUP_6;
}

/* ---- READ, WRITE --------------------------------------------------------- */

/* Sound, and *r is not empty. False: the command is over. */
static bool transfer(struct scsi_cmd *c, enum scsi_dir dir,
		     struct scsi_range *r)
{
	if (has_flags(c) && c->cdb[1] & PROTECT) {
		scsi_refuse(c, SENSE_CDB_FIELD);
		return false;
	}
	if (!scsi_range(c, scsi_cdb_lba(c), scsi_cdb_cnt(c), r) || !r->len)
		return false;
	if (r->len > SCSI_TRANSFER_MAX || r->len > c->data_len ||
	    c->dir != dir) {
		scsi_refuse(c, SENSE_CDB_FIELD);
		return false;
	}
	return true;
}

static enum scsi_next read_on(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r = { j->voff, j->end - j->voff };

	j->step = NULL;
	return scsi_request(c, VHDX_OP_READ, &r, c->iov, c->iov_cnt);
}

/* With FUA the guest wants to know what the medium has: it has it all after a
 * flush. */
enum scsi_next scsi_read(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r;

	j->kind = SCSI_READ;
	if (!transfer(c, SCSI_TO_GUEST, &r))
		return SCSI_END;
	c->moved_len = (uint32_t)r.len;
	j->voff = r.voff;
	j->end = r.voff + r.len;
	if (!has_flags(c) || !(c->cdb[1] & FUA))
		return read_on(c);
	j->step = read_on;
	return scsi_request(c, VHDX_OP_FLUSH, &r, NULL, 0);
}

enum scsi_next scsi_write(struct scsi_cmd *c)
{
	struct scsi_range r;

	scsi_job(c)->kind = SCSI_WRITE;
	if (!scsi_writable(c) || !transfer(c, SCSI_FROM_GUEST, &r))
		return SCSI_END;
	c->moved_len = (uint32_t)r.len;
	scsi_request(c, VHDX_OP_WRITE, &r, c->iov, c->iov_cnt);
	if (has_flags(c) && c->cdb[1] & FUA)
		c->req.flags = VHDX_REQ_FUA;
	return SCSI_GO;
}

/* ---- VERIFY -------------------------------------------------------------- */

static enum scsi_next verify_on(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r = { j->voff,
				u64_min(j->end - j->voff,
					SCSI_BUF_LEN * SCSI_BUF_TIMES) };

	if (!r.len)
		return SCSI_END;
	j->voff += r.len;
	return scsi_request(c, VHDX_OP_READ, &r, c->disk->sink_iov,
			    SCSI_BUF_TIMES);
}

/* Only whether it can be read (BYTCHK 0): nothing is compared. */
enum scsi_next scsi_verify(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);
	struct scsi_range r;

	if (c->cdb[1] & (PROTECT | 0x06))
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (!scsi_range(c, scsi_cdb_lba(c), scsi_cdb_cnt(c), &r))
		return SCSI_END;
	j->voff = r.voff;
	j->end = r.voff + r.len;
	j->step = verify_on;
	return verify_on(c);
}

/* ---- flushing ------------------------------------------------------------ */

/* Always the whole disk, and never before it is done (IMMED is no order). */
enum scsi_next scsi_sync(struct scsi_cmd *c)
{
	struct scsi_range r;

	if (!scsi_range(c, scsi_cdb_lba(c), scsi_cdb_cnt(c), &r))
		return SCSI_END;
	scsi_job(c)->kind = SCSI_FLUSH;
	return scsi_request(c, VHDX_OP_FLUSH, &r, NULL, 0);
}

/* The disk is always ready; what is to stop it flushes. */
enum scsi_next scsi_start_stop(struct scsi_cmd *c)
{
	struct scsi_range r = { 0, 0 };

	if (c->cdb[4] & 0x02) /* load or eject */
		return scsi_refuse(c, SENSE_CDB_FIELD);
	if (c->cdb[4] & 0x01)
		return SCSI_END;
	scsi_job(c)->kind = SCSI_FLUSH;
	return scsi_request(c, VHDX_OP_FLUSH, &r, NULL, 0);
}
