/* SPDX-License-Identifier: MIT */
/*
 * The picture of a chain of images, leaf to base, each layer examined. A layer
 * is called ok only after every structure of it was checked; one that cannot
 * be reached is said to be missing, and the exit status says it too.
 */
#ifndef CHAIN_SHOW_H
#define CHAIN_SHOW_H

#include "opt.h"

/* Prints the chain of the image at path; flags: VHDX_OPEN_*. Changes nothing.
 * Returns the exit status, that of the first thing that is wrong. */
int chain_show(const char *path, unsigned flags, const struct opt_list *search,
	       bool json);

#endif
