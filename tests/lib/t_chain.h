/* SPDX-License-Identifier: MIT */
/*
 * Chains of small disks in a simulated folder, for tests: made, written
 * to, read as a whole. A disk's content is a buffer of T_CHAIN_LEN bytes.
 */
#ifndef T_CHAIN_H
#define T_CHAIN_H

#include "opener_crash.h"

#define T_CHAIN_LEN (4 * MIB)

struct t_chain {
	struct opener_crash oc;
	struct loop *loop;
	enum vhdx_format format; /* of new disks; PROBE: VHDX */
};

/* An empty folder, or one with what is in *tree. */
void t_chain_begin(struct t_chain *c, const struct crash_tree *tree);
void t_chain_end(struct t_chain *c); /* checks that nothing is open */
/* What is there now becomes the durable start of a new world. */
void t_chain_restart(struct t_chain *c);

/* A new disk of size_len bytes; parent NULL: dynamic. */
void t_chain_create(struct t_chain *c, const char *path, const char *parent,
		    uint32_t block_len, uint64_t size_len);
void t_chain_write(struct t_chain *c, const char *path, uint64_t voff,
		   uint64_t len, uint64_t seed);
void t_chain_zero(struct t_chain *c, const char *path, uint64_t voff,
		  uint64_t len);
void t_chain_discard(struct t_chain *c, const char *path, uint64_t voff,
		     uint64_t len);

/* Into buf, T_CHAIN_LEN bytes, zeros beyond the end. Fills t_err. */
int t_chain_read(struct t_chain *c, const char *path, uint8_t *buf);
bool t_chain_exists(struct t_chain *c, const char *path);
/* check finds nothing wrong with the one file. */
void t_chain_sound(struct t_chain *c, const char *path);

#endif
