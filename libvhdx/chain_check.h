/* SPDX-License-Identifier: MIT */
/*
 * The check of a chain: every layer by its own checker, and what holds the
 * layers together. Only one file is open for writing at any time.
 */
#ifndef CHAIN_CHECK_H
#define CHAIN_CHECK_H

#include "chain.h"
#include "vhdx_chain.h"

/* vhdx_check_chain() over any files. Blocking. */
int check_chain(const struct opener *o, struct loop *l, const char *path,
		const struct vhdx_chain_check_opts *opts,
		struct vhdx_chain_check_result *result,
		struct vhdx_err *e) must_check;

#endif
