/* SPDX-License-Identifier: MIT */
/*
 * What the programs say: "PROGRAM: SUBJECT: text", one line each on stderr,
 * from any thread; to syslog once the program is in the background. Also the
 * only place that turns a library code into an exit status or an errno. Nothing
 * here exits.
 */
#ifndef SAY_H
#define SAY_H

#include "vhdx.h"

enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,	 /* also vhdtool compare: they differ */
	STATUS_USAGE = 2,
	STATUS_NOTFOUND = 3,
	STATUS_BUSY = 4,
	STATUS_NOSPC = 5,
	STATUS_INTEGRITY = 6,
};

/* First of all: who speaks, and what is called before each line (or NULL). */
void say_init(const char *prog, void (*before)(void));

/* From here on to syslog. */
void say_in_background(void);

/* What the library says about `subject`, which may be NULL here and below;
 * returns the exit status. */
int say_err(const char *subject, const struct vhdx_err *e);
/* The same, without a word on what to do next. */
int say_err_only(const char *subject, const struct vhdx_err *e);

/* Returns `status`. */
int say_fail(int status, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A wrong command line; returns STATUS_USAGE. */
int say_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Worth knowing, nothing wrong. */
void say_note(const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A vhdx_msg_fn; arg is the path. */
void say_from_library(void *path, const char *text);

/* For storvsp, the bus: arg is the subject, or NULL. */
void say_tell(void *subject, const char *text);

int say_exit_status(int code);

/* What a reader or writer of mounted files gets for it. */
int say_errno(const struct vhdx_err *e);

/* What vhdx_code_name() said; VHDX_E_FAILED for an unknown word. */
int say_code_of(const char *name);

#endif
