/* SPDX-License-Identifier: MIT */
/*
 * The life of a command. It is on one list from scsi_submit() to done():
 *
 *                 +--- quiesced ---> waiting ---+  scsi_swap
 *                 |                             v
 *   scsi_submit --+----------> RUNNING <--------+----------+
 *                              |  |  |                     |
 *                       done() <--+  +-- no space --> stalled (scsi_resume)
 *                                 |
 *                                 +-- pattern[] is taken --> same (it is free)
 *
 * S1  done() is called once for each command: end() alone calls it, and takes
 *     the command from its list first.
 * S2  A command that leaves RUNNING to wait begins from its CDB again. So what
 *     it does after a swap is right for the new block device, and nothing that
 *     was computed for the old one is used.
 * S3  RUNNING is empty when quiet() is called, and stays so until the swap.
 * S4  What becomes possible (a free pattern[], the swap, the end of a pause) is
 *     done by settle(), one thing at a time and never from within itself: a
 *     callback may call anything but destroy.
 */
#include "scsi_disk.h"

#include <string.h>

#include "err.h"
#include "le.h"
#include "mem.h"

_Static_assert(sizeof(struct scsi_job) <=
		       sizeof(((struct scsi_cmd *)0)->priv),
	       "scsi_cmd.priv is too small");

/* ---- for handlers -------------------------------------------------------- */

enum scsi_next scsi_refuse(struct scsi_cmd *c, enum sense s)
{
	c->status = SCSI_CHECK_CONDITION;
	c->moved_len = 0;
	sense_encode(s, c->sense);
	return SCSI_END;
}

/* Both ways: bytes from `off` of the guest's buffers on. */
static void copy(const struct scsi_cmd *c, size_t off, uint8_t *in,
		 const uint8_t *out, size_t len)
{
	len = off < c->data_len ? u64_min(len, c->data_len - off) : 0;
	for (int i = 0; i < c->iov_cnt && len; i++) {
		uint8_t *at = c->iov[i].iov_base;
		size_t have = c->iov[i].iov_len;
		size_t n;

		if (off >= have) {
			off -= have;
			continue;
		}
		n = u64_min(len, have - off);
		if (in) {
			memcpy(in, at + off, n);
			in += n;
		} else {
			memcpy(at + off, out, n);
			out += n;
		}
		len -= n;
		off = 0;
	}
}

void scsi_copy_out(struct scsi_cmd *c, size_t off, const void *buf, size_t len)
{
	copy(c, off, NULL, buf, len);
}

void scsi_copy_in(const struct scsi_cmd *c, size_t off, void *buf, size_t len)
{
	copy(c, off, buf, NULL, len);
}

enum scsi_next scsi_give(struct scsi_cmd *c, const void *buf, size_t len,
			 size_t alloc_len)
{
	len = u64_min(u64_min(len, alloc_len), c->data_len);
	if (len && c->dir != SCSI_TO_GUEST)
		return scsi_refuse(c, SENSE_CDB_FIELD);
	scsi_copy_out(c, 0, buf, len);
	c->moved_len = (uint32_t)len;
	return SCSI_END;
}

enum scsi_next scsi_request(struct scsi_cmd *c, enum vhdx_op op,
			    const struct scsi_range *r,
			    const struct iovec *iov, int iov_cnt)
{
	c->req.op = op;
	c->req.flags = 0;
	c->req.voff = r->voff;
	c->req.len = r->len;
	c->req.iov = iov;
	c->req.iov_cnt = iov_cnt;
	return SCSI_GO;
}

bool scsi_range(struct scsi_cmd *c, uint64_t lba, uint64_t cnt,
		struct scsi_range *out)
{
	const struct scsi_disk *d = c->disk;
	uint64_t end;

	if (ckd_add(lba, cnt, &end) || end > d->block_cnt) {
		scsi_refuse(c, SENSE_LBA);
		return false;
	}
	out->voff = lba * d->g.sector_len;
	out->len = cnt * d->g.sector_len;
	return true;
}

bool scsi_writable(struct scsi_cmd *c)
{
	if (c->disk->read_only)
		scsi_refuse(c, SENSE_READ_ONLY);
	return !c->disk->read_only;
}

/* ---- which command ------------------------------------------------------- */

static enum scsi_next test_unit_ready(struct scsi_cmd *c)
{
	if (!c->disk->block_cnt)
		return scsi_refuse(c, SENSE_NO_MEDIUM);
	return SCSI_END;
}

/* The medium cannot be taken out anyway. */
static enum scsi_next prevent_allow(struct scsi_cmd *c)
{
	(void)c;
	return SCSI_END;
}

static enum scsi_next service_action_in(struct scsi_cmd *c)
{
	switch (c->cdb[1] & 0x1f) {
	case 0x10:
		return scsi_read_capacity_16(c);
	case 0x12:
		return scsi_lba_status(c);
	default:
		return scsi_refuse(c, SENSE_CDB_FIELD);
	}
}

/* hv_storvsc takes the answer to INQUIRY and MODE SENSE for good even where it
 * is a refusal. So what the guest finds in its buffer then is zeros; and MODE
 * SENSE, against SPC, is never answered with unit attention: the guest would
 * take the zeros for "no write cache", and send no flush any more. */
#define CALM 1u	  /* unit attention does not stop it */
#define ZEROED 2u /* the buffer, when it is refused */

static const struct {
	scsi_fn *fn;
	unsigned flags;
} ops[256] = {
	[0x00] = { test_unit_ready, 0 },
	[0x03] = { scsi_request_sense, CALM },
	[0x08] = { scsi_read, 0 },
	[0x0a] = { scsi_write, 0 },
	[0x12] = { scsi_inquiry, CALM | ZEROED },
	[0x1a] = { scsi_mode_sense_6, CALM | ZEROED },
	[0x1b] = { scsi_start_stop, 0 },
	[0x1e] = { prevent_allow, 0 },
	[0x25] = { scsi_read_capacity_10, 0 },
	[0x28] = { scsi_read, 0 },
	[0x2a] = { scsi_write, 0 },
	[0x2f] = { scsi_verify, 0 },
	[0x35] = { scsi_sync, 0 },
	[0x41] = { scsi_write_same, 0 },
	[0x42] = { scsi_unmap, 0 },
	[0x5a] = { scsi_mode_sense_10, CALM | ZEROED },
	[0x88] = { scsi_read, 0 },
	[0x8a] = { scsi_write, 0 },
	[0x8f] = { scsi_verify, 0 },
	[0x91] = { scsi_sync, 0 },
	[0x93] = { scsi_write_same, 0 },
	[0x9e] = { service_action_in, 0 },
	[0xa0] = { scsi_report_luns, CALM },
	[0xa8] = { scsi_read, 0 },
	[0xaa] = { scsi_write, 0 },
	[0xaf] = { scsi_verify, 0 },
};

static enum scsi_next dispatch(struct scsi_cmd *c)
{
	struct scsi_disk *d = c->disk;
	scsi_fn *fn = ops[c->cdb[0]].fn;

	if (d->attention && !(ops[c->cdb[0]].flags & CALM)) {
		scsi_refuse(c, d->attention);
		d->attention = SENSE_NONE;
		return SCSI_END;
	}
	return fn ? fn(c) : scsi_refuse(c, SENSE_OPCODE);
}

/* ---- its life ------------------------------------------------------------ */

static void begin(struct scsi_cmd *c);
static void settle(struct scsi_disk *d);

static struct scsi_cmd *cmd_of(struct list *node)
{
	struct scsi_job *j = list_entry(node, struct scsi_job, node);

	return (struct scsi_cmd *)(void *)((char *)j -
					   offsetof(struct scsi_cmd, priv));
}

/* It is on no list, and holds nothing. */
static void leave(struct scsi_cmd *c)
{
	struct scsi_disk *d = c->disk;
	struct scsi_job *j = scsi_job(c);

	list_del(&j->node);
	j->running = false;
	d->retry_cnt -= j->retried;
	j->retried = false;
	if (d->same_owner == c)
		d->same_owner = NULL;
}

static void count(struct scsi_stats *st, const struct scsi_cmd *c,
		  enum scsi_kind kind)
{
	switch (kind) {
	case SCSI_READ:
		st->read_cnt++;
		st->read_len += c->moved_len;
		break;
	case SCSI_WRITE:
		st->write_cnt++;
		st->write_len += c->moved_len;
		break;
	case SCSI_FLUSH:
		st->flush_cnt++;
		break;
	case SCSI_DISCARD:
		st->discard_cnt++;
		break;
	case SCSI_OTHER:
		break;
	}
}

static void zero_buffer(struct scsi_cmd *c)
{
	static const uint8_t zeros[256];

	if (c->dir != SCSI_TO_GUEST)
		return;
	for (size_t off = 0; off < c->data_len; off += sizeof(zeros))
		scsi_copy_out(c, off, zeros, sizeof(zeros));
}

static void end(struct scsi_cmd *c)
{
	struct scsi_disk *d = c->disk;

	leave(c);
	d->cmd_cnt--;
	if (c->status == SCSI_GOOD)
		count(&d->stats, c, scsi_job(c)->kind);
	else if (ops[c->cdb[0]].flags & ZEROED)
		zero_buffer(c);
	c->done(c); /* and c may be gone */
	settle(d);
}

static void end_aborted(struct scsi_cmd *c)
{
	scsi_refuse(c, SENSE_ABORTED);
	c->aborted = true;
	end(c);
}

static void wait_on(struct scsi_cmd *c, struct list *list)
{
	leave(c);
	list_add_tail(list, &scsi_job(c)->node);
	settle(c->disk);
}

static void stall(struct scsi_cmd *c)
{
	struct scsi_disk *d = c->disk;
	bool first = !d->paused;

	d->paused = true;
	leave(c);
	list_add_tail(&d->stalled, &scsi_job(c)->node);
	if (first && d->conf.paused)
		d->conf.paused(d->conf.arg, true);
	settle(d);
}

static void failed(struct scsi_cmd *c, int code)
{
	struct scsi_disk *d = c->disk;

	if (scsi_job(c)->aborted &&
	    (code == VHDX_E_CANCELED || code == VHDX_E_NOSPC)) {
		end_aborted(c);
	} else if (code == VHDX_E_NOSPC &&
		   d->conf.nospc == SCSI_NOSPC_PAUSE) {
		stall(c);
	} else {
		d->stats.error_cnt++;
		scsi_refuse(c, sense_of(code, c->req.op));
		end(c);
	}
}

static void go(struct scsi_cmd *c, enum scsi_next next)
{
	switch (next) {
	case SCSI_END:
		end(c);
		break;
	case SCSI_GO:
		vhdx_blk_submit(c->disk->conf.blk, &c->req);
		break;
	case SCSI_WAIT:
		wait_on(c, &c->disk->same);
		break;
	}
}

static void request_done(struct vhdx_req *req)
{
	struct scsi_cmd *c = container_of(req, struct scsi_cmd, req);
	struct scsi_job *j = scsi_job(c);
	enum scsi_next next;

	if (req->result) {
		failed(c, req->result);
		return;
	}
	next = j->step ? j->step(c) : SCSI_END;
	if (next == SCSI_END)
		end(c);
	else if (j->aborted)
		end_aborted(c);
	else if (c->disk->quiesced)
		wait_on(c, &c->disk->waiting);
	else
		go(c, next);
}

/* From the CDB. It is on no list. */
static void begin(struct scsi_cmd *c)
{
	struct scsi_disk *d = c->disk;
	struct scsi_job *j = scsi_job(c);

	if (d->quiesced) {
		list_add_tail(&d->waiting, &j->node);
		return;
	}
	list_add_tail(&d->running, &j->node);
	j->running = true;
	c->status = SCSI_GOOD;
	c->moved_len = 0;
	j->step = NULL;
	j->kind = SCSI_OTHER;
	go(c, dispatch(c));
}

void scsi_submit(struct scsi_disk *d, struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);

	c->disk = d;
	c->aborted = false;
	c->req.done = request_done;
	c->req.err = NULL;
	c->req.extent = NULL;
	c->req.copy = NULL;
	j->running = false;
	j->aborted = false;
	j->retried = false;
	list_init(&j->node);
	d->cmd_cnt++;
	begin(c);
}

/* ---- what becomes possible ----------------------------------------------- */

static void begin_first(struct list *list)
{
	struct scsi_cmd *c = cmd_of(list->next);

	list_del(list->next);
	begin(c);
}

/* False: nothing is left to do. */
static bool settle_one(struct scsi_disk *d)
{
	void (*quiet)(void *arg) = d->quiet;

	if (!d->quiesced && !list_empty(&d->waiting)) {
		begin_first(&d->waiting);
	} else if (!d->quiesced && !d->same_owner && !list_empty(&d->same)) {
		begin_first(&d->same);
	} else if (d->paused && list_empty(&d->stalled) && !d->retry_cnt) {
		d->paused = false;
		if (d->conf.paused)
			d->conf.paused(d->conf.arg, false);
	} else if (quiet && list_empty(&d->running)) {
		d->quiet = NULL;
		quiet(d->quiet_arg);
	} else {
		return false;
	}
	return true;
}

static void settle(struct scsi_disk *d)
{
	if (d->settling)
		return;
	d->settling = true;
	while (settle_one(d))
		;
	d->settling = false;
}

/* They begin again once they may. */
static void retry_stalled(struct scsi_disk *d)
{
	struct list *it;

	list_for_each(it, &d->stalled) {
		list_entry(it, struct scsi_job, node)->retried = true;
		d->retry_cnt++;
	}
	list_splice(&d->waiting, &d->stalled);
}

void scsi_resume(struct scsi_disk *d)
{
	retry_stalled(d);
	settle(d);
}

void scsi_abort(struct scsi_cmd *c)
{
	struct scsi_job *j = scsi_job(c);

	if (!j->running) {
		end_aborted(c);
		return;
	}
	j->aborted = true;
	vhdx_blk_cancel(c->disk->conf.blk, &c->req);
}

void scsi_abort_all(struct scsi_disk *d)
{
	struct list gone, *it;

	list_for_each(it, &d->running)
		scsi_abort(cmd_of(it));
	list_init(&gone);
	list_splice(&gone, &d->waiting);
	list_splice(&gone, &d->same);
	list_splice(&gone, &d->stalled);
	while (!list_empty(&gone))
		end_aborted(cmd_of(gone.next));
}

bool scsi_is_working(const struct scsi_disk *d)
{
	return !list_empty(&d->running);
}

/* ---- another block device ------------------------------------------------ */

static void look(struct scsi_disk *d, struct vhdx_blk *blk)
{
	d->conf.blk = blk;
	vhdx_blk_geometry(blk, &d->g);
	d->block_cnt = d->g.size_len / d->g.sector_len;
	d->read_only = d->conf.read_only || d->g.read_only;
}

void scsi_quiesce(struct scsi_disk *d, void (*done)(void *arg), void *arg)
{
	d->quiesced = true;
	d->quiet = done;
	d->quiet_arg = arg;
	settle(d);
}

void scsi_swap(struct scsi_disk *d, struct vhdx_blk *blk)
{
	struct vhdx_geometry old = d->g;
	bool was_read_only = d->read_only;

	ASSERT(d->quiesced && list_empty(&d->running));
	look(d, blk);
	if (d->g.size_len != old.size_len || d->g.sector_len != old.sector_len)
		d->attention = SENSE_CAPACITY;
	else if (!d->attention &&
		 (d->g.physical_sector_len != old.physical_sector_len ||
		  d->g.block_len != old.block_len ||
		  d->g.can_discard != old.can_discard ||
		  d->read_only != was_read_only))
		d->attention = SENSE_OPERATING;
	d->quiesced = false;
	d->quiet = NULL;
	retry_stalled(d);
	settle(d);
}

/* ---- the disk ------------------------------------------------------------ */

void scsi_stats(const struct scsi_disk *d, struct scsi_stats *st)
{
	*st = d->stats;
	st->in_flight = d->cmd_cnt;
	st->paused = d->paused;
}

int scsi_disk_create(const struct scsi_conf *conf, struct scsi_disk **out,
		     struct vhdx_err *e)
{
	struct scsi_disk *d = mem_zalloc(sizeof(*d));

	*out = NULL;
	if (!d)
		return err_set(e, VHDX_E_NOMEM, "no memory for a SCSI disk");
	d->pattern = mem_aligned(4096, SCSI_BUF_LEN);
	d->sink = mem_aligned(4096, SCSI_BUF_LEN);
	if (!d->pattern || !d->sink) {
		scsi_disk_destroy(d);
		return err_set(e, VHDX_E_NOMEM, "no memory for the buffers of "
			       "a SCSI disk");
	}
	for (unsigned i = 0; i < SCSI_BUF_TIMES; i++) {
		d->pattern_iov[i] = (struct iovec){ d->pattern, SCSI_BUF_LEN };
		d->sink_iov[i] = (struct iovec){ d->sink, SCSI_BUF_LEN };
	}
	d->conf = *conf;
	list_init(&d->running);
	list_init(&d->waiting);
	list_init(&d->stalled);
	list_init(&d->same);
	look(d, conf->blk);
	*out = d;
	return 0;
}

void scsi_disk_destroy(struct scsi_disk *d)
{
	if (!d)
		return;
	ASSERT(!d->cmd_cnt);
	mem_free(d->pattern);
	mem_free(d->sink);
	mem_free(d);
}
