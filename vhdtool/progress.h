/* SPDX-License-Identifier: MIT */
/*
 * How far a long job has come: one line on stderr, redrawn a few times a
 * second, when stderr is a terminal; or JSON lines on stderr on demand; or
 * nothing. One job at a time. Messages clear the line first.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "opt.h"

enum progress_mode {
	PROGRESS_AUTO, /* a line if stderr is a terminal */
	PROGRESS_NONE,
	PROGRESS_JSON,
};
extern const struct opt_choice progress_modes[];
#define OPT_PROGRESS(st, m)                                                   \
	{ "progress", OPT_CHOICE, offsetof(st, m), "HOW",                     \
	  "auto (a line on a terminal), json or none", progress_modes }

/* total in bytes; what is borrowed. */
void progress_begin(enum progress_mode mode, const char *what, uint64_t total);
void progress_update(uint64_t done);
/* complete: also reports 100 %. */
void progress_end(bool complete);

/* For a job of the library, which tells what there is to do as it goes, and
 * more than once if it has several parts: all of the above but the end. */
void progress_told(enum progress_mode mode, const char *what, uint64_t done,
		   uint64_t total);

/* How long a caller may sleep without an update being late; -1: for ever. */
int progress_tick_ms(void);

/* Takes the line off the terminal; the next update draws it again. */
void progress_clear(void);

#endif
