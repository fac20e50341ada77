/* SPDX-License-Identifier: MIT */
/* A file in memory with a log built by hand (t_log.h), to be replayed. */
#ifndef T_REPLAY_H
#define T_REPLAY_H

#include "replay.h"
#include "t_log.h"

#define TR_LOG_OFF (2 * MIB)
#define TR_LOG_LEN ((uint32_t)MIB)
#define TR_HOME (8 * MIB) /* where the tests' pages live */

struct t_replay {
	struct loop *loop;
	struct file *f; /* 16 MiB */
	struct t_log lg;
	struct replay_seq s; /* of the last scan */
};

extern struct t_replay tr;

void tr_make_len(uint32_t log_len);
void tr_make(void);
void tr_drop(void);

int tr_scan(void); /* fills t_err */
void tr_replay(void);

/* The page at off is t_fill(fill); 0: zeros. */
bool tr_page_is(uint64_t off, uint64_t fill);
void tr_put_page(uint64_t off, uint64_t fill);

#endif
