/* SPDX-License-Identifier: MIT */
/*
 * Everything vhdtool says on stderr: "vhdtool: SUBJECT: text", and then, where
 * there is one, what to do next. Also the only place that turns a library code
 * into an exit status. Nothing here exits.
 */
#ifndef MSG_H
#define MSG_H

#include "vhdx.h"

enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,	 /* also compare: the images differ */
	STATUS_USAGE = 2,
	STATUS_NOTFOUND = 3,
	STATUS_BUSY = 4,
	STATUS_NOSPC = 5,
	STATUS_INTEGRITY = 6,
};

int msg_exit_status(int code);

/* What the library says about `path`; returns the exit status. */
int msg_err(const char *path, const struct vhdx_err *e);

/* The same, for an error found here. `subject` may be NULL. */
int msg_fail(int status, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A wrong command line; returns STATUS_USAGE. */
int msg_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Worth knowing, nothing wrong. */
void msg_note(const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A vhdx_msg_fn; arg is the path. */
void msg_from_library(void *path, const char *text);

/* path as it can be pasted into a shell, on one line. One of four static
 * buffers in turn, or path itself. */
const char *msg_shell_word(const char *path);

#endif
