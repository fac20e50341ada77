/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal while the guest has it: raw, and as it was again however
 * the process ends (SIGKILL apart). And its keys: Ctrl-A is vmm's.
 */
#ifndef TERM_H
#define TERM_H

#include "base.h"

/* Nothing happens if stdin is no terminal, or not ours at the moment. */
void term_raw(void);
void term_restore(void);

/* What was typed, without what is for vmm: Ctrl-A x ends, Ctrl-A Ctrl-A is one
 * Ctrl-A for the guest; before another key the Ctrl-A is dropped. */
struct term_keys {
	bool escaped; /* the last one was Ctrl-A */
	bool quit;    /* Ctrl-A x was there; what follows it is dropped */
};
/* In place; returns what is left of len. */
size_t term_filter(struct term_keys *k, char *text, size_t len);

#endif
