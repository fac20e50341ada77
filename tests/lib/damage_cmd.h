/* SPDX-License-Identifier: MIT */
/* The commands of damage.h that write a log (damage_log.c) or a VHD
 * (damage_vhd.c), and what they share with the others. */
#ifndef DAMAGE_CMD_H
#define DAMAGE_CMD_H

#include "damage.h"

#define DAMAGE_ARGS_MAX 400

struct damage_args {
	int cnt;
	const char *v[DAMAGE_ARGS_MAX];
	uint64_t n[DAMAGE_ARGS_MAX]; /* v as a number, or 0 */
};

bool damage_number(const struct damage *d, const char *text, uint64_t *out);
/* The value of key=... */
bool damage_option(const struct damage *d, const struct damage_args *a,
		   const char *key, uint64_t *out);

int damage_dirty(struct damage *d, const struct damage_args *a,
		 struct vhdx_err *e);
int damage_entry(struct damage *d, const struct damage_args *a,
		 struct vhdx_err *e);
int damage_seal(struct damage *d, const struct damage_args *a,
		struct vhdx_err *e);

/* A VHD's places, if it is one. */
int damage_begin_vhd(struct damage *d, struct vhdx_err *e);
int damage_be(struct damage *d, const struct damage_args *a,
	      struct vhdx_err *e);
int damage_sum(struct damage *d, const struct damage_args *a,
	       struct vhdx_err *e);
int damage_vblock(struct damage *d, const struct damage_args *a,
		  struct vhdx_err *e);
int damage_vparent(struct damage *d, const struct damage_args *a,
		   struct vhdx_err *e);

#endif
