/* SPDX-License-Identifier: MIT */
/* The images that Windows tools wrote, which are in testdata or ../shared. */
#ifndef T_SAMPLE_H
#define T_SAMPLE_H

#include "memimg.h"

/* Unpacks one into out, which is empty. False, and says so: it is not there. */
bool t_sample(const char *name, struct memimg *out);

#endif
