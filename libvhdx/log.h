/* SPDX-License-Identifier: MIT */
/*
 * Writing the log of a VHDX file (MS-VHDX 2.3): builds one entry at a time and
 * knows where in the ring it goes. No I/O here; commit.c writes what
 * log_build() lays out, and owns every ordering rule.
 *
 * Every entry names itself as tail, because commit.c starts an entry only when
 * everything the entries before it carry is durable at home. So the ring holds
 * at most one live entry, and a new one (never longer than half the ring)
 * cannot touch it: there is no "log full".
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

/* Lays out an entry that carries cnt pages (1..page_max) and the two file
 * sizes (bytes, MiB multiples), then moves head on. */
void log_build(struct log *lg, struct mpage *const *pages, unsigned cnt,
	       uint64_t flushed_len, uint64_t last_len);

#endif
