/* SPDX-License-Identifier: MIT */
/*
 * The guest of a storage VSP, on the fake guest: disks in memory behind gates,
 * the controller, and the driver's side of its channels, which is as blind as
 * Linux's: it takes every answer for one of a request in flight, and aborts
 * when it is not, or comes twice.
 */
#ifndef STORVSC_H
#define STORVSC_H

#include "fake_guest.h"
#include "file_gate.h"
#include "memimg.h"
#include "storvsp.h"
#include "vstor.h"

#define STORVSC_DISKS 4u
#define STORVSC_CHANS 4u
#define STORVSC_IDS 2048u /* trans_id is below */
#define STORVSC_NO_ANSWER UINT32_MAX

struct storvsc_disk {
	struct storvsp_disk disk;
	enum vhdx_format format; /* RAW: the image's size is the disk's */
	uint64_t size_len;
	uint32_t sector_len; /* of an image that is not RAW; 0: 512 */
	struct memimg img;
	struct gate gate;
	unsigned open_cnt; /* the controller's thread's */
	_Atomic int open_fails; /* VHDX_E_* */
};

struct storvsc_answer {
	unsigned type;
	uint64_t trans_id;
	uint32_t len, op, nt, data_len;
	uint8_t srb_status, scsi_status, sense_len;
	uint8_t key, asc, ascq; /* of the sense data */
	uint8_t payload[VSTOR_LEN];
};

struct storvsc_chan {
	struct fake_chan *f;
	bool in_flight[STORVSC_IDS];
	unsigned in_flight_cnt;
	unsigned enumerate_cnt; /* ENUMERATE_BUS that came */
};

struct storvsc {
	struct fake_guest guest;
	struct vmbus_dev dev;
	struct storvsp *v;
	struct storvsc_disk disk[STORVSC_DISKS]; /* LUN n */
	struct storvsc_chan chan[STORVSC_CHANS];
	unsigned to_host_pages, to_guest_pages; /* rings, with their headers */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t cond;
	unsigned told_cnt;
	char told[600];
};

/* A controller without disks and channels. */
void storvsc_begin(struct storvsc *s);
/* Closes what is open. Nothing is in flight that was not answered, unless the
 * channel failed. Returns what storvsp_destroy() did. */
int storvsc_end(struct storvsc *s, struct vhdx_err *e);

/* A new disk at LUN n; .disk may be changed before it is added. */
struct storvsc_disk *storvsc_disk(struct storvsc *s, unsigned n,
				  enum vhdx_format format, uint64_t size_len);
int storvsc_add(struct storvsc *s, unsigned n, struct vhdx_err *e) must_check;

/* False: refused. */
bool storvsc_open(struct storvsc *s, unsigned sub) must_check;
void storvsc_close_begin(struct storvsc *s, unsigned sub);
void storvsc_close_end(struct storvsc *s, unsigned sub);

/* What the user was told: it begins like this. */
bool storvsc_wait_told(struct storvsc *s, const char *begin) must_check;

/* Sends a packet with this body. False: no room in the ring. */
bool storvsc_send(struct storvsc_chan *c, uint64_t trans_id, uint32_t op,
		  const void *body, uint32_t len) must_check;
/* The next answer; false: none came. */
bool storvsc_recv(struct storvsc_chan *c, struct storvsc_answer *a) must_check;
/* Until the guest was told n times to look. */
bool storvsc_wait_enumerate(struct storvsc_chan *c, unsigned n) must_check;
/* Send and receive; returns the status, or STORVSC_NO_ANSWER. */
uint32_t storvsc_call(struct storvsc_chan *c, uint32_t op, const void *body,
		      uint32_t len, struct storvsc_answer *a);
/* Opens the primary channel and introduces itself as Linux does. */
bool storvsc_connect(struct storvsc *s, uint16_t version) must_check;

struct storvsc_srb {
	uint8_t path, target, lun;
	enum vstor_dir dir;
	const struct fake_buf *buf; /* NULL: no data */
	uint8_t cdb[VSTOR_CDB_MAX];
};

/* Without waiting for it. */
bool storvsc_srb(struct storvsc_chan *c, uint64_t trans_id,
		 const struct storvsc_srb *srb) must_check;
/* READ (16), WRITE (16) of all of buf. */
struct storvsc_srb storvsc_rw(uint8_t lun, bool write, uint64_t lba,
			      const struct fake_buf *buf, unsigned sector_len);
/* With waiting; nothing else is in flight. */
bool storvsc_do(struct storvsc_chan *c, const struct storvsc_srb *srb,
		struct storvsc_answer *a) must_check;

#endif
