/* SPDX-License-Identifier: MIT */
/* The commands of damage.h that write the log, and what they share with the
 * others. */
#ifndef DAMAGE_LOG_H
#define DAMAGE_LOG_H

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

#endif
