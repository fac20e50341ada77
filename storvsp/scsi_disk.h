/* SPDX-License-Identifier: MIT */
/*
 * Inside the SCSI disk: what the files of the command set share. scsi.c has the
 * life of a command; here is what a command is made of.
 *
 * A handler, found by the operation code, looks at the CDB and says what is
 * next. When it has filled c->req (scsi_request) with something for the block
 * device: GO. When the command is over: END, well, unless scsi_refuse() was
 * called. If there is more to do than one request it sets job->step, which is
 * called after each that ended well, and says what is next in the same way. A
 * handler may run again from the beginning (after waiting for space or for
 * another block device), so it leaves nothing behind.
 */
#ifndef SCSI_DISK_H
#define SCSI_DISK_H

#include "list.h"
#include "sense.h"

/* What is told in VPD B0, and held to. */
#define SCSI_UNMAP_RANGES 16u	     /* of one UNMAP */
#define SCSI_UNMAP_MAX (4 * GIB)     /* bytes of one UNMAP */
#define SCSI_SAME_MAX (4 * GIB)	     /* bytes of one WRITE SAME */
#define SCSI_STATUS_RANGES 32u	     /* of one GET LBA STATUS */

/* A request with a shared buffer is as many times it. */
#define SCSI_BUF_LEN (64 * KIB)
#define SCSI_BUF_TIMES 16

enum scsi_next {
	SCSI_END,
	SCSI_GO,
	SCSI_WAIT, /* until pattern[] is free; then from the beginning */
};

typedef enum scsi_next scsi_fn(struct scsi_cmd *c);

enum scsi_kind { SCSI_OTHER, SCSI_READ, SCSI_WRITE, SCSI_FLUSH, SCSI_DISCARD };

struct scsi_range {
	uint64_t voff, len;
};

struct scsi_job {
	struct list node;
	scsi_fn *step;	/* NULL: one request is all */
	enum scsi_kind kind; /* for the statistics */
	bool running;	/* on that list */
	bool aborted;	/* by scsi_abort(), while with the host */
	bool retried;	/* counts in disk->retry_cnt */
	uint64_t voff;	/* bytes: where the rest begins */
	uint64_t end;	/* and ends */
	unsigned i, cnt;
	union {
		struct scsi_range range[SCSI_UNMAP_RANGES]; /* UNMAP */
		struct {	/* GET LBA STATUS: what is not yet told */
			struct vhdx_extent extent;
			struct scsi_range run;
			bool run_mapped;
			unsigned asked_cnt;
		};
	};
};

struct scsi_disk {
	struct scsi_conf conf;
	struct vhdx_geometry g;
	uint64_t block_cnt; /* logical blocks */
	bool read_only;
	enum sense attention; /* the next command is told */
	struct list running;  /* with the block device */
	struct list waiting;  /* for scsi_swap() */
	struct list stalled;  /* for space */
	struct list same;     /* for pattern[] */
	struct scsi_cmd *same_owner; /* writes pattern[] */
	unsigned cmd_cnt;     /* submitted, not done */
	unsigned retry_cnt;   /* tried again for space, not over */
	bool paused;
	bool quiesced;
	bool settling;
	void (*quiet)(void *arg); /* NULL: told already */
	void *quiet_arg;
	struct scsi_stats stats;
	uint8_t *pattern;     /* SCSI_BUF_LEN, of WRITE SAME */
	uint8_t *sink;	      /* where VERIFY reads to; never looked at */
	struct iovec pattern_iov[SCSI_BUF_TIMES];
	struct iovec sink_iov[SCSI_BUF_TIMES];
};

static inline struct scsi_job *scsi_job(struct scsi_cmd *c)
{
	return (struct scsi_job *)(void *)c->priv;
}

/* ---- for handlers -------------------------------------------------------- */

/* END, with CHECK CONDITION. */
enum scsi_next scsi_refuse(struct scsi_cmd *c, enum sense s);

/* END. The guest gets buf as far as the allocation length of its CDB and its
 * buffers go. */
enum scsi_next scsi_give(struct scsi_cmd *c, const void *buf, size_t len,
			 size_t alloc_len);

/* To and from the guest's buffers; what is beyond them is left out. */
void scsi_copy_out(struct scsi_cmd *c, size_t off, const void *buf, size_t len);
void scsi_copy_in(const struct scsi_cmd *c, size_t off, void *buf, size_t len);

/* GO. */
enum scsi_next scsi_request(struct scsi_cmd *c, enum vhdx_op op,
			    const struct scsi_range *r,
			    const struct iovec *iov, int iov_cnt);

/* The fields of READ, WRITE and their kin, by the length of the CDB. */
uint64_t scsi_cdb_lba(const struct scsi_cmd *c);
uint32_t scsi_cdb_cnt(const struct scsi_cmd *c);

/* cnt blocks from lba in bytes; false: refused, they are not on the disk. */
bool scsi_range(struct scsi_cmd *c, uint64_t lba, uint64_t cnt,
		struct scsi_range *out);

/* False: refused, nobody may write. */
bool scsi_writable(struct scsi_cmd *c);

/* ---- handlers ------------------------------------------------------------ */

scsi_fn scsi_inquiry, scsi_report_luns;			/* scsi_inquiry.c */
scsi_fn scsi_mode_sense_6, scsi_mode_sense_10,		/* scsi_mode.c */
	scsi_request_sense, scsi_read_capacity_10, scsi_read_capacity_16;
scsi_fn scsi_read, scsi_write, scsi_verify, scsi_sync,	/* scsi_rw.c */
	scsi_start_stop;
scsi_fn scsi_unmap, scsi_write_same, scsi_lba_status;	/* scsi_unmap.c */

#endif
