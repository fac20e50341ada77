/* SPDX-License-Identifier: MIT */
/*
 * A histogram of durations: fixed memory, any number of values, each kept to
 * within 1/64 of itself.
 */
#ifndef HIST_H
#define HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_CELLS ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t cnt;
	uint64_t sum;
	uint64_t min, max;
	uint64_t cells[HIST_CELLS];
};

/* A hist of zeros is empty. */
void hist_add(struct hist *h, uint64_t ns);

/* The value that `permille` of 1000 values do not exceed; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, unsigned permille);

#endif
