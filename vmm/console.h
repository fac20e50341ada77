/* SPDX-License-Identifier: MIT */
/*
 * Where the guest's serial console goes: the terminal of vmm, a pseudo terminal
 * or a unix socket (mode 0600, one client at a time). The guest never waits for
 * a reader: the last CONSOLE_KEPT bytes that nobody has read are kept, older
 * ones are dropped. All on the bus thread.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "base.h"

#define CONSOLE_KEPT 65536u

struct console;
struct evloop;
struct vhdx_err;

/* how: as in struct conf. quit: the user typed Ctrl-A x (stdio). */
int console_open(const char *how, struct evloop *loop, void (*quit)(void *arg),
		 void *arg, struct console **out,
		 struct vhdx_err *e) must_check;
/* Gives out what the guest has written last. Both: NULL allowed. */
void console_flush(struct console *c);
void console_close(struct console *c);

/* For vm_console(). Borrowed, non-blocking. */
int console_in_fd(const struct console *c);
int console_out_fd(const struct console *c);

/* "stdio", "pty:/dev/pts/3", "unix:PATH" */
const char *console_name(const struct console *c);

#endif
