/* SPDX-License-Identifier: MIT */
#include "storvsc.h"

#include <string.h>
#include <time.h>

#include "file_mem.h"
#include "image.h"
#include "le.h"

#define PAGES 4096u
#define BODY 12u
#define SRB_LEN 52u
#define CALL_ID 2047u

/* ---- disks -------------------------------------------------------------- */

static int make(struct storvsc_disk *d, struct file *f, struct vhdx_err *e)
{
	struct vhdx_create_opts o = {
		.format = d->format, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true, .size_len = d->size_len,
		.block_len = MIB,
		.sector_len = d->sector_len ? d->sector_len : 512,
		.physical_sector_len = 4096,
	};
	if (d->img.size)
		return 0;
	return d->format == VHDX_FORMAT_RAW ?
	       file_truncate(f, d->size_len, e) : vhdx_image_create(f, &o, e);
}

static int open_disk(void *arg, struct vhdx_blk **out, uint8_t id[16],
		     struct vhdx_err *e)
{
	struct storvsc_disk *d = arg;
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	struct loop *loop;
	struct file *f;
	d->open_cnt++;
	if (d->open_fails)
		return err_set(e, d->open_fails, "the disk cannot be opened");
	memset(id, (int)d->disk.lun + 1, 16);
	int rc = loop_new(&loop, e);
	ASSERT(!rc);
	rc = file_mem_new(loop, "disk", &d->img, &f, e);
	ASSERT(!rc);
	rc = file_gate_new(f, &d->gate, &f, e);
	ASSERT(!rc);
	rc = make(d, f, e);
	ASSERT(!rc);
	rc = image_open(f, d->format, &o, &img, e);
	ASSERT(!rc);
	rc = blk_new(img, loop, true, out, e);
	ASSERT(!rc);
	return 0;
}

struct storvsc_disk *storvsc_disk(struct storvsc *s, unsigned n,
				  enum vhdx_format format, uint64_t size_len)
{
	struct storvsc_disk *d = &s->disk[n];
	d->format = format;
	d->size_len = size_len;
	d->disk = (struct storvsp_disk){
		.lun = n, .open = open_disk, .arg = d,
		.nospc = SCSI_NOSPC_PAUSE,
	};
	return d;
}

int storvsc_add(struct storvsc *s, unsigned n, struct vhdx_err *e)
{
	return storvsp_add(s->v, &s->disk[n].disk, e);
}

/* ---- the controller ----------------------------------------------------- */

static void tell(void *arg, const char *text)
{
	struct storvsc *s = arg;
	pthread_mutex_lock(&s->lock);
	s->told_cnt++;
	snprintf(s->told, sizeof(s->told), "%s", text);
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

bool storvsc_wait_told(struct storvsc *s, const char *begin)
{
	struct timespec end;
	int rc = 0;
	bool told;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += FAKE_PATIENCE;
	pthread_mutex_lock(&s->lock);
	while (!(told = strncmp(s->told, begin, strlen(begin)) == 0) && !rc)
		rc = pthread_cond_timedwait(&s->cond, &s->lock, &end);
	pthread_mutex_unlock(&s->lock);
	return told;
}

void storvsc_begin(struct storvsc *s)
{
	memset(s, 0, sizeof(*s));
	struct storvsp_conf conf = {
		.max_subs = STORVSC_CHANS - 1, .tell = tell, .arg = s,
	};
	fake_guest_init(&s->guest, PAGES);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	s->to_host_pages = 17;
	s->to_guest_pages = 17;
	for (unsigned i = 0; i < STORVSC_DISKS; i++)
		gate_init(&s->disk[i].gate);
	int rc = storvsp_create(&conf, &s->v, NULL);
	ASSERT(!rc);
}

int storvsc_end(struct storvsc *s, struct vhdx_err *e)
{
	for (unsigned i = STORVSC_CHANS; i--;)
		if (s->chan[i].f) {
			ASSERT(s->chan[i].f->failed_cnt ||
			       !s->chan[i].in_flight_cnt);
			storvsc_close_begin(s, i);
			storvsc_close_end(s, i);
		}
	int rc = storvsp_destroy(s->v, e);
	for (unsigned i = 0; i < STORVSC_DISKS; i++) {
		gate_fini(&s->disk[i].gate);
		memimg_free(&s->disk[i].img);
	}
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->cond);
	fake_guest_fini(&s->guest);
	return rc;
}

/* ---- channels ----------------------------------------------------------- */

bool storvsc_open(struct storvsc *s, unsigned sub)
{
	struct storvsc_chan *c = &s->chan[sub];
	memset(c, 0, sizeof(*c));
	c->f = fake_chan_new(&s->guest, &s->dev, sub, s->to_host_pages,
			     s->to_guest_pages);
	storvsp_ops.open(s->v, c->f->chan);
	if (fake_wait_opened(c->f))
		return true;
	fake_chan_free(c->f);
	c->f = NULL;
	return false;
}

void storvsc_close_begin(struct storvsc *s, unsigned sub)
{
	storvsp_ops.close(s->v, s->chan[sub].f->chan);
}

void storvsc_close_end(struct storvsc *s, unsigned sub)
{
	bool closed = fake_wait_closed(s->chan[sub].f);
	ASSERT(closed && s->chan[sub].f->closed_cnt == 1 &&
	       s->chan[sub].f->failed_cnt <= 1);
	fake_chan_free(s->chan[sub].f);
	s->chan[sub].f = NULL;
}

/* ---- packets ------------------------------------------------------------ */

static void sent(struct storvsc_chan *c, uint64_t trans_id)
{
	ASSERT(trans_id && trans_id < STORVSC_IDS && !c->in_flight[trans_id]);
	c->in_flight[trans_id] = true;
	c->in_flight_cnt++;
}

bool storvsc_send(struct storvsc_chan *c, uint64_t trans_id, uint32_t op,
		  const void *body, uint32_t len)
{
	uint8_t p[VSTOR_LEN] = { 0 };
	ASSERT(len <= VSTOR_LEN - BODY);
	put_le32(p, op);
	put_le32(p + 4, 1);
	if (len)
		memcpy(p + BODY, body, len);
	if (!fake_inband(c->f, trans_id, p, VSTOR_LEN))
		return false;
	sent(c, trans_id);
	return true;
}

/* True: it was a request to look. */
static bool is_enumerate(struct storvsc_chan *c, const struct fake_got *got)
{
	ASSERT(got->len == VSTOR_LEN);
	if (got->trans_id)
		return false;
	ASSERT(got->type == VMBUS_PKT_INBAND && !got->flags &&
	       get_le32(got->payload) == VSTOR_ENUMERATE_BUS);
	c->enumerate_cnt++;
	return true;
}

bool storvsc_wait_enumerate(struct storvsc_chan *c, unsigned n)
{
	struct fake_got got;
	while (c->enumerate_cnt < n)
		if (!fake_recv(c->f, &got) || !is_enumerate(c, &got))
			return false;
	return true;
}

bool storvsc_recv(struct storvsc_chan *c, struct storvsc_answer *a)
{
	struct fake_got got;
	memset(a, 0, sizeof(*a));
	do
		if (!fake_recv(c->f, &got))
			return false;
	while (is_enumerate(c, &got));
	ASSERT(got.trans_id < STORVSC_IDS && c->in_flight[got.trans_id]);
	c->in_flight[got.trans_id] = false;
	c->in_flight_cnt--;
	memcpy(a->payload, got.payload, VSTOR_LEN);
	a->type = got.type;
	a->trans_id = got.trans_id;
	a->len = got.len;
	a->op = get_le32(a->payload);
	ASSERT(a->type == VMBUS_PKT_COMPLETION && a->op == VSTOR_COMPLETE_IO);
	a->nt = get_le32(a->payload + 8);
	a->srb_status = a->payload[BODY + 2];
	a->scsi_status = a->payload[BODY + 3];
	a->sense_len = a->payload[BODY + 9];
	a->data_len = get_le32(a->payload + BODY + 12);
	a->key = a->payload[BODY + 16 + 2] & 15;
	a->asc = a->payload[BODY + 16 + 12];
	a->ascq = a->payload[BODY + 16 + 13];
	return true;
}

uint32_t storvsc_call(struct storvsc_chan *c, uint32_t op, const void *body,
		      uint32_t len, struct storvsc_answer *a)
{
	struct storvsc_answer own;
	a = a ? a : &own;
	if (!storvsc_send(c, CALL_ID, op, body, len) || !storvsc_recv(c, a) ||
	    a->trans_id != CALL_ID)
		return STORVSC_NO_ANSWER;
	return a->nt;
}

bool storvsc_connect(struct storvsc *s, uint16_t version)
{
	struct storvsc_chan *c = &s->chan[0];
	uint8_t body[4] = { 0 };
	put_le16(body, version);
	return storvsc_open(s, 0) &&
	       storvsc_call(c, VSTOR_BEGIN_INIT, NULL, 0, NULL) == 0 &&
	       storvsc_call(c, VSTOR_QUERY_VERSION, body, 4, NULL) == 0 &&
	       storvsc_call(c, VSTOR_QUERY_PROPERTIES, NULL, 0, NULL) == 0 &&
	       storvsc_call(c, VSTOR_END_INIT, NULL, 0, NULL) == 0;
}

/* ---- SRBs --------------------------------------------------------------- */

bool storvsc_srb(struct storvsc_chan *c, uint64_t trans_id,
		 const struct storvsc_srb *srb)
{
	uint8_t p[VSTOR_LEN] = { 0 }, *b = p + BODY;
	put_le32(p, VSTOR_EXECUTE_SRB);
	put_le32(p + 4, 1);
	put_le16(b, SRB_LEN);
	b[5] = srb->path;
	b[6] = srb->target;
	b[7] = srb->lun;
	b[8] = VSTOR_CDB_MAX;
	b[9] = VSTOR_SENSE_MAX;
	b[10] = (uint8_t)srb->dir;
	put_le32(b + 12, srb->buf ? srb->buf->len : 0);
	memcpy(b + 16, srb->cdb, VSTOR_CDB_MAX);
	if (!(srb->buf ? fake_gpa(c->f, trans_id, p, VSTOR_LEN, srb->buf, 0) :
			 fake_inband(c->f, trans_id, p, VSTOR_LEN)))
		return false;
	sent(c, trans_id);
	return true;
}

struct storvsc_srb storvsc_rw(uint8_t lun, bool write, uint64_t lba,
			      const struct fake_buf *buf, unsigned sector_len)
{
	struct storvsc_srb srb = {
		.lun = lun, .buf = buf, .dir = write ? VSTOR_WRITE : VSTOR_READ,
		.cdb[0] = write ? 0x8a : 0x88,
	};
	put_be64(srb.cdb + 2, lba);
	put_be32(srb.cdb + 10, buf->len / sector_len);
	return srb;
}

bool storvsc_do(struct storvsc_chan *c, const struct storvsc_srb *srb,
		struct storvsc_answer *a)
{
	return storvsc_srb(c, CALL_ID, srb) && storvsc_recv(c, a) &&
	       a->trans_id == CALL_ID;
}
