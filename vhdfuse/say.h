/* SPDX-License-Identifier: MIT */
/*
 * What vhdfuse says: "vhdfuse: SUBJECT: text", on stderr as long as somebody
 * is there to read it, to syslog once it is in the background. Also the only
 * place that turns a library code into an exit status or an errno. Nothing
 * here exits.
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

/* From here on to syslog. */
void say_in_background(void);

/* What the library says about `path`; returns the exit status. */
int say_err(const char *path, const struct vhdx_err *e);

/* Returns `status`. `subject` may be NULL. */
int say_fail(int status, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A wrong command line; returns STATUS_USAGE. */
int say_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Worth knowing, nothing wrong. */
void say_note(const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A vhdx_msg_fn; arg is the path. */
void say_from_library(void *path, const char *text);

int say_exit_status(int code);

/* What a reader or writer of the mounted files gets for it. */
int say_errno(const struct vhdx_err *e);

#endif
