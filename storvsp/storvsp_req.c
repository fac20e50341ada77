/* SPDX-License-Identifier: MIT */
/*
 * SRBs: from a packet to a command of a disk and back. A request ends in
 * storvsp_chan_reply(), by one of two ways: its command is done, or it is ended
 * here without one. The guest's pages are the buffers; nothing is copied.
 */
#include "storvsp_int.h"

#include <string.h>

static void reply(struct storvsp_req *r, const struct vstor_result *result)
{
	uint8_t out[VSTOR_LEN];
	vstor_reply_srb(out, r->packet, r->packet_len, result);
	storvsp_chan_reply(r, out);
}

enum end { END_ABORTED, END_NO_UNIT, END_INVALID };

/*
 * A command that was given up says so with sense data as well: a guest that
 * does not know the SRB status would else take it for a success.
 */
static const uint8_t aborted_sense[SCSI_SENSE_LEN] = {
	[0] = 0x70, [2] = 0x0b, [7] = SCSI_SENSE_LEN - 8,
};

/* The same of a request that makes no sense: invalid field in CDB. */
static const uint8_t invalid_sense[SCSI_SENSE_LEN] = {
	[0] = 0x70, [2] = 0x05, [7] = SCSI_SENSE_LEN - 8, [12] = 0x24,
};

static void end(struct storvsp_req *r, enum end how)
{
	static const struct vstor_result results[] = {
		[END_ABORTED] = {
			.nt = VSTOR_NT_CANCELLED,
			.srb_status = VSTOR_SRB_ABORTED | VSTOR_SRB_AUTOSENSE,
			.scsi_status = SCSI_CHECK_CONDITION,
			.sense = aborted_sense,
			.sense_len = SCSI_SENSE_LEN,
		},
		[END_NO_UNIT] = {
			.nt = VSTOR_NT_NO_DEVICE,
			.srb_status = VSTOR_SRB_INVALID_LUN,
		},
		[END_INVALID] = {
			.nt = VSTOR_NT_INVALID,
			.srb_status = VSTOR_SRB_INVALID_REQUEST |
				      VSTOR_SRB_AUTOSENSE,
			.scsi_status = SCSI_CHECK_CONDITION,
			.sense = invalid_sense,
			.sense_len = SCSI_SENSE_LEN,
		},
	};
	reply(r, &results[how]);
}

/* The command says what became of it. */
static void finish(struct storvsp_req *r)
{
	const struct scsi_cmd *cmd = &r->cmd;
	struct vstor_result result = {
		.srb_status = VSTOR_SRB_SUCCESS,
		.scsi_status = (uint8_t)cmd->status,
		.data_len = cmd->moved_len,
	};
	switch (cmd->status) {
	case SCSI_GOOD:
		break;
	case SCSI_CHECK_CONDITION:
		result.srb_status = VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE;
		result.sense = cmd->sense;
		result.sense_len = SCSI_SENSE_LEN;
		break;
	case SCSI_BUSY:
		result.nt = VSTOR_NT_BUSY;
		result.srb_status = VSTOR_SRB_BUSY;
		break;
	}
	reply(r, &result);
}

/* Whatever the outcome, some of it may have been written. */
static void mark_dirty(const struct storvsp_req *r)
{
	if (r->cmd.dir == SCSI_TO_GUEST && r->cmd.data_len)
		chan_dirty(r->c->chan, r->iov, r->cmd.iov_cnt,
			   r->cmd.data_len);
}

static void cmd_done(struct scsi_cmd *cmd)
{
	struct storvsp_req *r = container_of(cmd, struct storvsp_req, cmd);
	r->u->in_flight--;
	r->c->in_flight--;
	mark_dirty(r);
	if (cmd->aborted)
		end(r, END_ABORTED);
	else
		finish(r);
}

static void submit(struct storvsp_req *r)
{
	struct storvsp_unit *u = r->u;
	u->in_flight++;
	r->c->in_flight++;
	storvsp_unit_touch(u);
	scsi_submit(u->scsi, &r->cmd);
}

/* False: no such data. */
static bool map_data(struct storvsp_req *r, const struct vstor_srb *srb,
		     const struct vmbus_packet *p)
{
	struct scsi_cmd *cmd = &r->cmd;
	cmd->dir = SCSI_NONE;
	cmd->iov = r->iov;
	cmd->iov_cnt = 0;
	cmd->data_len = 0;
	if (srb->dir == VSTOR_NO_DATA || !srb->data_len)
		return true;
	if (p->type != VMBUS_PKT_GPA_DIRECT || srb->data_len > p->range_len ||
	    srb->data_len > SCSI_TRANSFER_MAX)
		return false;
	struct vmbus_packet part = *p;
	part.range_len = srb->data_len;
	int cnt = chan_iov(r->c->chan, &part, r->iov, STORVSP_IOV);
	if (cnt <= 0)
		return false;
	cmd->dir = srb->dir == VSTOR_READ ? SCSI_TO_GUEST : SCSI_FROM_GUEST;
	cmd->iov_cnt = cnt;
	cmd->data_len = srb->data_len;
	return true;
}

/* INQUIRY and REPORT LUNS where no disk answers them. */
static bool answer_without_disk(struct storvsp_req *r, bool here)
{
	uint8_t lun[STORVSP_LUNS];
	unsigned cnt = here ? storvsp_unit_list(r->c->v, lun) : 0;
	if (!scsi_no_disk(&r->cmd, lun, cnt))
		return false;
	mark_dirty(r);
	finish(r);
	return true;
}

static void dispatch(struct storvsp_req *r, const struct vstor_srb *srb)
{
	bool here = srb->path == 0 && srb->target == 0;
	r->u = here ? storvsp_unit_find(r->c->v, srb->lun) : NULL;
	/* Linux takes a refused INQUIRY for a good one, and its buffer for a
	 * disk: no address may refuse it. */
	bool alone = scsi_is_report_luns(&r->cmd) ? r->u || srb->lun == 0 :
						    !r->u;
	if (alone && answer_without_disk(r, here))
		return;
	if (r->u)
		submit(r);
	else
		end(r, END_NO_UNIT);
}

void storvsp_req_execute(struct storvsp_req *r, const struct vmbus_packet *p)
{
	struct vstor_srb srb;
	if (!vstor_decode_srb(p->payload, p->payload_len, &srb)) {
		uint8_t out[VSTOR_LEN];
		vstor_reply(out, VSTOR_NT_INVALID);
		storvsp_chan_reply(r, out);
		return;
	}
	memcpy(r->cmd.cdb, srb.cdb, sizeof(r->cmd.cdb));
	r->cmd.done = cmd_done;
	r->cmd.moved_len = 0;
	r->cmd.status = SCSI_GOOD;
	r->cmd.aborted = false;
	if (!map_data(r, &srb, p))
		end(r, END_INVALID);
	else
		dispatch(r, &srb);
}
