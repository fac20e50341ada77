/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk for tests: a dynamic VHDX on a file in memory that fails and
 * holds what it is told to, and commands to it. One at a time; everything of it
 * is gone after t_scsi_close(), which fails the test if a command has not been
 * done exactly once.
 */
#ifndef T_SCSI_H
#define T_SCSI_H

#include "file_fault.h"
#include "file_hold.h"
#include "memimg.h"
#include "scsi.h"
#include "sense.h"

#define T_SCSI_CMDS 64u
#define T_SCSI_SPARE 16u

struct t_scsi_opts {
	uint64_t size_len;   /* 0: 8 MiB */
	uint32_t sector_len; /* 0: 512 */
	uint32_t physical_len; /* 0: 4096 */
	uint32_t block_len;  /* 0: 1 MiB */
	bool read_only;	     /* told to the disk, not to the image */
	enum scsi_nospc nospc;
};

struct t_scsi_cmd {
	struct scsi_cmd cmd;
	struct iovec iov[3];
	uint8_t *data; /* data_len bytes in three pieces, the last of which is
			  T_SCSI_SPARE longer: 0xee as well */
	unsigned done_cnt;
};

struct t_scsi {
	struct loop *loop;
	struct memimg img;
	struct file_fault *fault;
	struct file_hold *hold;
	struct vhdx_blk *blk;
	struct scsi_disk *disk;
	unsigned cnt, done_cnt;
	unsigned paused_cnt, resumed_cnt;
	unsigned quiet_cnt;
	struct t_scsi_cmd cmds[T_SCSI_CMDS];
};
extern struct t_scsi t_scsi;

/* NULL: all zero. */
void t_scsi_open(const struct t_scsi_opts *o);
/* Frees the commands, which are done, once each, and have kept to their
 * buffers. Part of t_scsi_close(). */
void t_scsi_free_cmds(void);
void t_scsi_close(void);

/* A disk of another size in the place of the block device that was; the old one
 * is closed. */
void t_scsi_swap(uint64_t size_len, uint32_t sector_len);

/* A command, hex digits as for t_hex(), and its buffer, filled with 0xee. */
struct t_scsi_cmd *t_scsi_make(const char *cdb, enum scsi_dir dir,
			       uint32_t data_len);
void t_scsi_submit(struct t_scsi_cmd *c);
void t_scsi_turn(void); /* until nothing happens */
/* All three, and it is done. */
struct t_scsi_cmd *t_scsi_run(const char *cdb, enum scsi_dir dir,
			      uint32_t data_len);

/* 0xKKAAQQ, as in sense.h; 0: it ended well. */
unsigned t_scsi_sense(const struct t_scsi_cmd *c);

/* READ (10) and WRITE (10) of `cnt` blocks filled with `fill`; the sense. */
unsigned t_scsi_write(uint32_t lba, unsigned cnt, uint8_t fill);
/* The byte that all of the blocks have; fails the test if they differ. */
unsigned t_scsi_byte_at(uint32_t lba, unsigned cnt);

#endif
