/* SPDX-License-Identifier: MIT */
/* check --chain: an image and all it stands on. */
#ifndef CHECK_CHAIN_H
#define CHECK_CHAIN_H

#include "opt.h"

struct check_args {
	struct opt_list search;
	bool chain;
	bool json;
	bool repair;
	bool dry_run;
};

/* The chain of `path`, checked and shown; returns the exit status. */
int check_chain(const char *path, const struct check_args *a);

#endif
