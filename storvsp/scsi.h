/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk on a virtual disk: CDBs in, block requests down, status and sense
 * data back. Knows nothing of its transport. Everything runs on the thread that
 * opened the block device; nothing blocks, nothing is allocated for a command.
 * A CDB and every buffer length are hostile.
 *
 * Source: SPC-4, SBC-3; what Linux asks for.
 */
#ifndef SCSI_H
#define SCSI_H

#include <sys/uio.h>

#include "base.h"
#include "vhdx_blk.h"

#define SCSI_CDB_MAX 16u
#define SCSI_SENSE_LEN 18u
#define SCSI_TRANSFER_MAX (1u << 20) /* bytes of one command; told in VPD B0 */

enum scsi_status {
	SCSI_GOOD = 0,
	SCSI_CHECK_CONDITION = 2,
	SCSI_BUSY = 8,
};

enum scsi_dir { SCSI_NONE, SCSI_TO_GUEST, SCSI_FROM_GUEST };

struct scsi_disk;

/* The caller's from submit to done(). */
struct scsi_cmd {
	uint8_t cdb[SCSI_CDB_MAX];
	enum scsi_dir dir;
	const struct iovec *iov; /* data_len bytes of it; guest memory: it
				    changes while it is read */
	int iov_cnt;
	uint32_t data_len;
	/* Once, on the disk's thread; also from inside scsi_submit. */
	void (*done)(struct scsi_cmd *c);
	void *opaque;

	/* filled before done() */
	enum scsi_status status;
	uint8_t sense[SCSI_SENSE_LEN]; /* with CHECK_CONDITION */
	uint32_t moved_len; /* bytes of data */
	bool aborted;	    /* by scsi_abort_all(): no status of its own */

	/* private */
	struct scsi_disk *disk;
	struct vhdx_req req;
	uint64_t priv[48];
};

enum scsi_nospc { SCSI_NOSPC_PAUSE, SCSI_NOSPC_REPORT };

struct scsi_conf {
	struct vhdx_blk *blk; /* borrowed until close */
	uint8_t id[16];	      /* VPD 83: the virtual disk's id */
	bool read_only;
	enum scsi_nospc nospc;
	/* [same thread] Commands wait for space on the host (the first does),
	 * or none does any more. Reads, and what needs no space, go on. */
	void (*paused)(void *arg, bool paused);
	void *arg;
};

struct scsi_stats {
	uint64_t read_cnt, read_len, write_cnt, write_len, flush_cnt,
		discard_cnt; /* that ended well */
	uint64_t error_cnt;  /* the block device failed */
	unsigned in_flight;
	bool paused; /* waiting for space */
};

int scsi_disk_create(const struct scsi_conf *conf, struct scsi_disk **out,
		     struct vhdx_err *e) must_check;
/* No command is in flight; not from inside a callback. NULL is allowed. */
void scsi_disk_destroy(struct scsi_disk *d);

void scsi_submit(struct scsi_disk *d, struct scsi_cmd *c);

/* Every command in flight is given up or finished, and done() called for each:
 * at once, from in here, where nothing of it is with the host; else later, what
 * the host has begun is waited for. */
void scsi_abort_all(struct scsi_disk *d);
/* The same for one, which is in flight; not from inside a callback. */
void scsi_abort(struct scsi_cmd *c);
/* Some of it is with the host: buffers are read and written. */
bool scsi_is_working(const struct scsi_disk *d);

/* Tries again what waits for space. */
void scsi_resume(struct scsi_disk *d);

/* No command is started between quiesce and swap: done(arg) is called when none
 * is with the block device, perhaps from in here; later ones wait, and so do
 * those that wait for space. swap goes on with another block device (or the
 * same one, reopened; from inside done(arg) too), and begins again what waits;
 * the guest is told what changed by unit attention. */
void scsi_quiesce(struct scsi_disk *d, void (*done)(void *arg), void *arg);
void scsi_swap(struct scsi_disk *d, struct vhdx_blk *blk);

void scsi_stats(const struct scsi_disk *d, struct scsi_stats *st);

/* What a logical unit that is not there answers to INQUIRY and REPORT LUNS;
 * everything else is for the transport to refuse. `lun` is the list of those
 * that are there. True: c is filled as by done(). */
bool scsi_no_disk(struct scsi_cmd *c, const uint8_t *lun, unsigned lun_cnt);
/* REPORT LUNS for a disk that is there: the transport asks before submit. */
bool scsi_is_report_luns(const struct scsi_cmd *c);

#endif
