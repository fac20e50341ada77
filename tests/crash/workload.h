/* SPDX-License-Identifier: MIT */
/*
 * A seeded random workload: the same seed, profile and file behaviour give the
 * same requests in the same order. Drives one open device at a time and keeps
 * the model told; every read is verified when it completes.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "model.h"
#include "vhdx.h"

enum spread {
	SPREAD_ANY,  /* anywhere, often across block borders */
	SPREAD_HOT,  /* the same few places of every block; whole-block unmaps:
			freed space is soon reused by another block */
	SPREAD_WIDE, /* each write hits another page of the BAT */
	SPREAD_GROW, /* new blocks, each of which makes the file grow, against a
			background of unmaps and flushes, nothing else due */
	SPREAD_CHILD, /* a few sectors here and there in the windows (value.h),
			 now and then a whole block */
};

struct profile {
	const char *name;
	enum vhdx_format format;
	enum vhdx_type type;
	uint64_t size_len;
	uint32_t block_len, sector_len;
	enum spread spread;
	unsigned sessions; /* open .. close */
	unsigned requests; /* per session */
	unsigned depth;	   /* most requests in flight */
	uint32_t len_max;  /* bytes */
	/* per thousand; the rest are writes */
	unsigned reads, flushes, discards, zeroes;
	unsigned fua; /* per thousand of the altering ones */
	/* Not a workload: the recovery of this image, if it is there. */
	const char *foreign;
};

extern const struct profile profiles[];
extern const size_t profile_cnt;
const struct profile *profile_find(const char *name); /* NULL: none */

struct workload {
	const struct profile *pf;
	struct model *model;
	uint64_t rng;
	struct vhdx_geometry geom;
	unsigned in_flight;
	uint64_t next_page; /* SPREAD_WIDE; SPREAD_GROW, _CHILD: block */
	/* The number of events recorded by the disk beneath. */
	uint64_t (*pos)(void *arg);
	void *pos_arg;
	bool faults; /* requests may fail; else a failure is a finding */
	/* What went wrong, if anything. */
	bool failed;
	char text[1400];
	/* Tallies of results, for fault runs. */
	unsigned errors, ok_flushes, ok_flushes_since_error;
};

void workload_init(struct workload *w, const struct profile *pf,
		   struct model *m, uint64_t seed);

/* One session's requests against blk; nothing is in flight on return. */
void workload_session(struct workload *w, struct vhdx_blk *blk);

#endif
