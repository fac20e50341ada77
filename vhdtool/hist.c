/* SPDX-License-Identifier: MIT */
#include "hist.h"

#define SUB (UINT64_C(1) << HIST_SUB_BITS)

/* Below SUB every value has its cell; above, each power of two is split into
 * SUB cells. */
static unsigned cell_of(uint64_t v)
{
	if (v < SUB)
		return (unsigned)v;
	unsigned top = 63u - (unsigned)__builtin_clzll(v);
	unsigned shift = top - HIST_SUB_BITS;
	return ((shift + 1) << HIST_SUB_BITS) +
	       (unsigned)((v >> shift) & (SUB - 1));
}

/* The largest value that falls into the cell. */
static uint64_t cell_top(unsigned cell)
{
	unsigned shift = cell >> HIST_SUB_BITS;
	if (shift == 0)
		return cell;
	shift--;
	uint64_t low = (SUB + (cell & (SUB - 1))) << shift;
	return low + ((UINT64_C(1) << shift) - 1);
}

void hist_add(struct hist *h, uint64_t ns)
{
	if (h->cnt == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->cnt++;
	h->sum += ns;
	h->cells[cell_of(ns)]++;
}

uint64_t hist_quantile(const struct hist *h, unsigned permille)
{
	uint64_t wanted = h->cnt / 1000 * permille +
			  (h->cnt % 1000 * permille + 999) / 1000;
	uint64_t seen = 0;
	for (unsigned i = 0; i < HIST_CELLS; i++) {
		seen += h->cells[i];
		if (seen >= wanted && seen > 0) {
			uint64_t top = cell_top(i);
			return top < h->max ? top : h->max;
		}
	}
	return h->max;
}
