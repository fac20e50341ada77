/* SPDX-License-Identifier: MIT */
/* A chain to be merged, in simulated files:
 * /m/base <- /m/one <- /m/two <- /m/leaf <- /m/grand */
#ifndef T_MERGE_H
#define T_MERGE_H

#include "merge.h"
#include "t_chain.h"

extern struct t_merge {
	struct t_chain c;
	struct vhdx_merge_result res;
	struct vhdx_merge_opts opts;
	uint8_t *want, *got; /* T_CHAIN_LEN bytes */
	const char *others[8];
	unsigned told[VHDX_MERGE_UNKNOWN + 1];
	uint64_t told_len;
} tm;

void tm_begin(void);
void tm_end(void);

void tm_fill_layer(const char *path, uint64_t n);
/* base and `cnt` layers over it, the last one /m/leaf, which tm.want shows. */
void tm_make_chain(unsigned cnt);
int tm_merge_of(const char *child);
int tm_merge(void); /* of /m/leaf */
void tm_shows(const char *path); /* what tm.want has */

/* A vhdx_msg_fn; arg has room for 512 bytes. */
void tm_note(void *arg, const char *text);

#endif
