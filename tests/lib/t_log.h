/* SPDX-License-Identifier: MIT */
/*
 * Builds logs by hand, entry by entry, wherever a test wants them: whatever a
 * writer could have left. Uses nothing of the engine but the codecs.
 */
#ifndef T_LOG_H
#define T_LOG_H

#include "file.h"
#include "format.h"

struct t_log {
	struct file *f;
	struct fmt_header hdr; /* log GUID, place and length */
	uint64_t seq;	       /* of the next entry */
	uint32_t pos;	       /* of the next entry, bytes in the log */
	uint32_t tail;	       /* goes into the next entry */
	uint64_t flushed_len, last_len;
};

/* What an entry does to the file. */
struct t_change {
	uint64_t off;
	uint64_t zero_len; /* 0: a page of t_fill(fill) */
	uint64_t fill;
};

void t_log_init(struct t_log *lg, struct file *f, uint64_t log_off,
		uint32_t log_len);

/* Writes an entry at lg->pos, moves on, returns its position. */
uint32_t t_log_entry(struct t_log *lg, const struct t_change *c, uint32_t cnt);

/* Position and sequence number as given, tail = itself. */
uint32_t t_log_alone(struct t_log *lg, uint32_t pos, uint64_t seq,
		     const struct t_change *c, uint32_t cnt);

#endif
