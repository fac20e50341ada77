/* SPDX-License-Identifier: MIT */
/*
 * Names of simulated files: absolute, and ".." and "." count as they do in a
 * file system without symbolic links. Two texts name the same file if they are
 * the same when tidy.
 */
#ifndef SIM_PATH_H
#define SIM_PATH_H

#include "base.h"

/* Aborts if out is too short. */
void sim_path_tidy(const char *path, char *out, size_t cap);

#endif
