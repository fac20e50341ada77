/* SPDX-License-Identifier: MIT */
/*
 * The loop: waits for the kernel, the device, signals and the control socket,
 * and does what is to be done. Ends when the file system is unmounted or a
 * signal asks for it; then nothing is in flight any more.
 */
#ifndef SERVE_H
#define SERVE_H

#include "mnt.h"

struct control;

/* signal_fd: of the signals that end it. ready() is called once the kernel has
 * begun to talk to us. */
int serve_run(struct mnt *m, int signal_fd, struct control *control,
	      void (*ready)(struct mnt *m));

#endif
