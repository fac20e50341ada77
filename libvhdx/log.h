/* SPDX-License-Identifier: MIT */
/*
 * Writing the log of a VHDX file (MS-VHDX 2.3): builds one entry at a time and
 * knows where in the ring it goes. No I/O here; commit.c writes what
 * log_build() lays out, and owns every ordering rule.
 *
 * An entry names itself as tail, if everything the entries before it carry is
 * durable at home, or else the entry before it. So at most two entries are
 * live, and the next one must not touch them: it could be torn, and they be
 * needed. log_may_join() leaves room for the longest that may come, and one
 * live entry does so by itself, for none is longer than half the ring. Hence
 * there is no "log full".
 */
#ifndef LOG_H
#define LOG_H

#include "format.h"
#include "mcache.h"

struct log {
	uint64_t off;	     /* of the ring in the file */
	uint32_t len;
	struct guid guid;    /* of this session */
	uint64_t seq;	     /* of the next entry */
	uint32_t head;	     /* in the ring, where the next entry goes */
	unsigned page_max;   /* pages an entry can carry */
	uint32_t last;	     /* in the ring, the entry before; see last_len */
	size_t last_len;     /* 0: there is none */
	size_t live_len;     /* from its tail to head */
	uint8_t *buf;	     /* owned; the entry being built */
	size_t entry_len;    /* of the entry in buf */
	struct iovec iov[2]; /* its parts: up to the ring's end, and wrapped */
	uint64_t part_off[2]; /* file offsets of the parts */
	int part_cnt;
};

/* hdr gives the ring. A new random GUID; nothing is written. */
int log_init(struct log *lg, const struct fmt_header *hdr,
	     struct vhdx_err *e) must_check;
void log_fini(struct log *lg);

/* There is an entry that one of cnt pages may name as its tail. */
bool log_may_join(const struct log *lg, unsigned cnt);

/* Lays out an entry that carries cnt pages (1..page_max) and the size of the
 * file (bytes, MiB multiple), then moves head on. join: its tail is the entry
 * before. */
void log_build(struct log *lg, struct mpage *const *pages, unsigned cnt,
	       uint64_t file_len, bool join);

#endif
