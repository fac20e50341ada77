/* SPDX-License-Identifier: MIT */
/*
 * Comparing the content of two open devices, many reads in flight. What both
 * maps call zero or unmapped is not read, nor is what both have from the same
 * place of the same host file: two children of one parent. Beyond the end of
 * the shorter one it counts as zeros.
 */
#ifndef DIFFER_H
#define DIFFER_H

#include "vhdx.h"

#define DIFFER_NONE UINT64_MAX

struct differ_result {
	uint64_t first_voff; /* the first byte that differs, or DIFFER_NONE */
	bool b_failed; /* on error: it is b's, not a's */
};

/* Blocking. CANCELED after Ctrl-C. Calls progress_update(). */
int differ_run(struct vhdx_blk *a, struct vhdx_blk *b,
	       struct differ_result *result, struct vhdx_err *e);

#endif
