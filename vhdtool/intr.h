/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C, SIGTERM and SIGHUP as something to wait for. While caught they are
 * blocked and arrive at a file descriptor, so no work is cut in the middle and
 * no check-then-sleep race exists. A command that was interrupted cleans up,
 * says so, and main() ends the process by the signal itself, so that the
 * calling shell sees what happened.
 */
#ifndef INTR_H
#define INTR_H

#include <stdbool.h>

/* Before anything is opened: threads made later inherit the blocking. A
 * signal that the caller ignores (nohup) stays ignored. False after a
 * message. */
bool intr_catch(void);

/* Readable once a signal has come; -1 before intr_catch(). */
int intr_fd(void);

/* Whether a signal has come. Stays true. */
bool intr_caught(void);

/* Ends the process by the caught signal; returns if there was none. */
void intr_finish(void);

#endif
