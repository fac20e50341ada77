/* SPDX-License-Identifier: MIT */
/*
 * One mount: the device, the session with the kernel, and what belongs to
 * both. Everything is touched by the thread that runs serve_run() only; the two
 * helper threads (inval.h, aside.h) have locks of their own.
 */
#ifndef MNT_H
#define MNT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <jansson.h>

#include "aside.h"
#include "conf.h"
#include "dev.h"
#include "inval.h"
#include "pool.h"
#include "span.h"
#include "tree.h"

struct handle;
struct part_wait;

struct counts {
	uint64_t requests, bytes, errors;
};

struct mnt {
	const struct conf *conf;
	struct dev dev;
	struct vhdx_blk *blk; /* dev's */
	struct vhdx_geometry geo;
	char *mountpoint; /* absolute */
	struct fuse_session *se;
	bool ready;	  /* the kernel has said INIT */
	struct tree tree;
	struct handle *handles; /* open files */
	struct pool pool;
	struct slot *incoming; /* holds the request being looked at */
	struct slots complete; /* the library is done with them (io.h) */
	struct spans spans;
	struct inval *inval;
	char *info;	  /* the text of info.json */
	time_t began;
	struct counts reads, writes, zeroes, flushes;
	unsigned in_flight, in_flight_max;
	/* Changes completed, and how many of them a flush is known to have
	 * covered: an fsync of what is durable already costs nothing. */
	uint64_t change_seq, flushed_seq;
	int last_write_code; /* said once per kind */
	/* Changes where a partition table may be, and the last of them that the
	 * files know of (part.c). */
	uint64_t table_seq, table_scanned;
	struct part_wait *part_waits;
	bool scanning;
	struct aside *aside;
	const char *control_path; /* NULL: none */
};

#endif
