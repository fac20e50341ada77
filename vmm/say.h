/* SPDX-License-Identifier: MIT */
/*
 * What vmm says: "vmm: SUBJECT: text", one line each on stderr, from any
 * thread. Also the only place that turns a library code into an exit status.
 * Nothing here exits.
 */
#ifndef SAY_H
#define SAY_H

#include "vhdx.h"

enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_NOTFOUND = 3,
	STATUS_BUSY = 4,
	STATUS_NOSPC = 5,
	STATUS_INTEGRITY = 6,
};

/* Returns the exit status; `subject` may be NULL. */
int say_err(const char *subject, const struct vhdx_err *e);

/* Returns `status`. */
int say_fail(int status, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Worth knowing, nothing wrong. */
void say_note(const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A vhdx_msg_fn; arg is the path. */
void say_from_library(void *path, const char *text);

/* For storvsp, the bus: arg is the subject, or NULL. */
void say_tell(void *subject, const char *text);

int say_exit_status(int code);

/* What vhdx_code_name() said; VHDX_E_FAILED for an unknown word. */
int say_code_of(const char *name);

#endif
